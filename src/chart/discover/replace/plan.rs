//! Which scalars of a document change, and what each is to say.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding as _};
use camino::Utf8Path;

use super::{Edit, Obstacle, ObstacleReason, edited, write};
use crate::{
    chart::discover::{
        ImagePlace, MAX_NODES, documents, entries,
        inside::{Budget, Inside, MAX_DEPTH},
        items,
        reference::candidates,
        search::is_encoded,
        shown, text_of,
    },
    policy::{ImagePlaces, below_item, below_key},
};
use rune_core::yaml::{self, Node, Place, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) place: ImagePlace,
    pub(super) image: String,
    pub(super) target: String,
    /// Whether the place is known to name images, and not only looks like it.
    pub(super) is_known: bool,
}

#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) text: String,
    pub(super) edits: Vec<Edit>,
    /// From where it is to change: an alias can lead to it from several places.
    seen: BTreeSet<String>,
    wants: BTreeSet<usize>,
}

pub(super) type Plan = BTreeMap<Place, Change>;

#[derive(Clone, Copy)]
pub(super) struct Course {
    want: usize,
    /// Whether its path was reached, and it is meant wherever it stands below.
    is_below: bool,
}

pub(super) struct Planner<'p> {
    pub(super) places: &'p ImagePlaces,
    budget: &'p mut Budget,
    pub(super) wants: Vec<Want>,
    /// `Kind.group` of the object.
    pub(super) kind: String,
    is_secret: bool,
    met: BTreeSet<usize>,
    obstacles: Vec<(usize, ObstacleReason)>,
}

impl Change {
    pub(super) fn new_text(&self) -> String {
        edited(&self.text, &self.edits)
    }
}

impl<'p> Planner<'p> {
    pub(super) fn new(places: &'p ImagePlaces, budget: &'p mut Budget) -> Self {
        Self {
            places,
            budget,
            wants: Vec::new(),
            kind: String::new(),
            is_secret: false,
            met: BTreeSet::new(),
            obstacles: Vec::new(),
        }
    }

    pub(super) fn document(
        mut self,
        text: &str,
        root: &Node,
        objects: &[(Node, Vec<Want>)],
    ) -> Result<Vec<Edit>, Vec<Obstacle>> {
        let mut plan = Plan::new();
        for (number, (object, wants)) in objects.iter().enumerate() {
            let kind = text_of(object, "kind").unwrap_or_default();
            let version = text_of(object, "apiVersion").unwrap_or_default();
            let group = version.split_once('/').map_or("", |(group, _)| group);
            self.is_secret = kind == "Secret";
            self.kind = if group.is_empty() {
                kind.to_owned()
            } else {
                format!("{kind}.{group}")
            };
            let first = self.wants.len();
            self.wants.extend(wants.iter().cloned());
            let courses: Vec<Course> = (first..self.wants.len())
                .map(|want| Course {
                    want,
                    is_below: false,
                })
                .collect();
            self.visit(object, "", &format!("{number}:"), &courses, 0, &mut plan);
        }
        let edits = self.written(text, root, &plan);
        let unmet = (0..self.wants.len()).filter(|want| !self.met.contains(want));
        let unmet = unmet
            .map(|want| (want, ObstacleReason::NotWritten))
            .collect::<Vec<_>>();
        if self.obstacles.is_empty() {
            self.obstacles = unmet;
        }
        if self.obstacles.is_empty() {
            return Ok(edits);
        }
        let wants = &self.wants;
        let obstacles = self.obstacles.iter().filter_map(|(want, reason)| {
            let Want { place, image, .. } = wants.get(*want)?;
            Some(Obstacle {
                place: place.clone(),
                image: Some(image.clone()),
                reason: *reason,
            })
        });
        Err(obstacles.collect())
    }

    /// The edits that make a document say what is planned.
    fn written(&mut self, text: &str, root: &Node, plan: &Plan) -> Vec<Edit> {
        if plan.is_empty() {
            return Vec::new();
        }
        let mut visits = BTreeMap::new();
        count(root, plan, &mut visits);
        let shared = plan
            .iter()
            .filter(|(place, change)| visits.get(place).copied() != Some(change.seen.len()));
        let mut is_shared = false;
        for (_, change) in shared {
            is_shared = true;
            let obstacles = change
                .wants
                .iter()
                .map(|want| (*want, ObstacleReason::Shared));
            self.obstacles.extend(obstacles);
        }
        if is_shared {
            return Vec::new();
        }
        write::edits(text, root, plan).unwrap_or_else(|| {
            let wants = plan.values().flat_map(|change| &change.wants);
            self.obstacles
                .extend(wants.map(|want| (*want, ObstacleReason::NotWritable)));
            Vec::new()
        })
    }

    /// `number` tells the objects of a document apart.
    fn visit(
        &mut self,
        node: &Node,
        path: &str,
        number: &str,
        courses: &[Course],
        depth: usize,
        plan: &mut Plan,
    ) {
        let here = shown(path);
        let courses: Vec<Course> = courses
            .iter()
            .copied()
            .filter(|course| course.is_below || self.leads_through(course.want, &here))
            .collect();
        if courses.is_empty() {
            return;
        }
        match &node.value {
            Value::Null => {}
            Value::Scalar { text, .. } => {
                let is_encoded = depth == 0 && is_encoded(self.is_secret, path);
                let edits = self.in_text(text, path, &courses, is_encoded, depth);
                self.add(node.place, text, &format!("{number}{path}"), edits, plan);
            }
            Value::Sequence(_) | Value::Mapping(_) => {
                let courses = self.at_collection(node, path, number, &here, &courses, plan);
                for (key, value) in entries(node) {
                    let path = below_key(path, key);
                    self.visit(value, &path, number, &courses, depth, plan);
                }
                for (position, item) in items(node) {
                    let path = below_item(path, position);
                    self.visit(item, &path, number, &courses, depth, plan);
                }
            }
        }
    }

    /// Whether the path of a want begins with another one.
    fn leads_through(&self, want: usize, here: &str) -> bool {
        let Some(want) = self.wants.get(want) else {
            return false;
        };
        let rest = want.place.path.strip_prefix(here);
        rest.is_some_and(|rest| here.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
    }

    fn is_at(&self, course: Course, here: &str) -> bool {
        course.is_below
            || self
                .wants
                .get(course.want)
                .is_some_and(|want| want.place.path == here)
    }

    /// Keys that are references, and references in parts. Gives the wants for what is below.
    fn at_collection(
        &mut self,
        node: &Node,
        path: &str,
        number: &str,
        here: &str,
        courses: &[Course],
        plan: &mut Plan,
    ) -> Vec<Course> {
        let mut further = Vec::new();
        for course in courses.iter().copied() {
            let Some(want) = self
                .wants
                .get(course.want)
                .filter(|_| self.is_at(course, here))
            else {
                further.push(course);
                continue;
            };
            let (image, target, is_known) =
                (want.image.clone(), want.target.clone(), want.is_known);
            if let Value::Mapping(entries) = &node.value {
                for (key, _) in entries {
                    let edits = tokens(&key.text, &image)
                        .map(|range| (course.want, (range, target.clone())));
                    let edits: Vec<_> = edits.collect();
                    let seen = format!("{number}{path}\0{}", key.text);
                    self.add(key.place, &key.text, &seen, edits, plan);
                }
            }
            let parts = if course.is_below {
                None
            } else {
                self.parts(node, path, course.want)
            };
            if let Some(parts) = parts {
                for part in parts {
                    let edits = vec![(course.want, (0..part.text.len(), part.new))];
                    self.add(
                        part.place,
                        &part.text,
                        &format!("{number}{}", part.path),
                        edits,
                        plan,
                    );
                }
            } else if is_known {
                further.push(Course {
                    is_below: true,
                    ..course
                });
            }
        }
        further
    }

    fn add(
        &mut self,
        place: Place,
        text: &str,
        seen: &str,
        edits: Vec<(usize, Edit)>,
        plan: &mut Plan,
    ) {
        if edits.is_empty() {
            return;
        }
        let change = plan.entry(place).or_default();
        text.clone_into(&mut change.text);
        change.seen.insert(seen.to_owned());
        for (want, edit) in edits {
            change.wants.insert(want);
            self.met.insert(want);
            if change.edits.contains(&edit) {
                continue;
            }
            let (range, _) = &edit;
            let overlaps = |(other, _): &Edit| range.start < other.end && other.start < range.end;
            if change.edits.iter().any(overlaps) {
                self.obstacles.push((want, ObstacleReason::NotWritable));
            } else {
                change.edits.push(edit);
            }
        }
    }

    /// The edits of a text, with the want of each.
    fn in_text(
        &mut self,
        text: &str,
        path: &str,
        courses: &[Course],
        is_encoded: bool,
        depth: usize,
    ) -> Vec<(usize, Edit)> {
        let inside = if depth < MAX_DEPTH {
            self.budget.open(text, is_encoded)
        } else {
            Inside::Plain
        };
        match inside {
            Inside::Text(decoded) => {
                let edits = self.in_text(&decoded, path, courses, false, depth + 1);
                let Some((want, _)) = edits.first() else {
                    return Vec::new();
                };
                let want = *want;
                self.met.extend(edits.iter().map(|(want, _)| *want));
                let Some(inner) = disjoint(edits) else {
                    self.obstacles.push((want, ObstacleReason::NotWritable));
                    return Vec::new();
                };
                if let Some(edit) = encoded(text, &decoded, &edited(&decoded, &inner)) {
                    vec![(want, edit)]
                } else {
                    self.obstacles.push((want, ObstacleReason::Compressed));
                    Vec::new()
                }
            }
            Inside::Documents(_) => self.in_documents(text, path, courses, depth),
            Inside::Plain => {
                let here = shown(path);
                let at = courses
                    .iter()
                    .copied()
                    .filter(|course| self.is_at(*course, &here));
                let found =
                    at.filter_map(|course| Some((course.want, self.wants.get(course.want)?)));
                let found = found.flat_map(|(number, want)| {
                    tokens(text, &want.image)
                        .map(move |range| (number, (range, want.target.clone())))
                });
                found.collect()
            }
        }
    }

    fn in_documents(
        &mut self,
        text: &str,
        path: &str,
        courses: &[Course],
        depth: usize,
    ) -> Vec<(usize, Edit)> {
        let (mut edits, mut start) = (Vec::new(), 0);
        for document in documents(text) {
            let name = Utf8Path::new("a string");
            if let Ok(root) = yaml::parse_rendered(name, document, MAX_NODES) {
                let mut plan = Plan::new();
                self.visit(&root, path, "", courses, depth + 1, &mut plan);
                let want = plan
                    .values()
                    .flat_map(|change| &change.wants)
                    .next()
                    .copied();
                let inner = self.written(document, &root, &plan);
                let moved = inner
                    .into_iter()
                    .map(|(range, new)| (range.start + start..range.end + start, new));
                edits.extend(
                    want.into_iter()
                        .flat_map(|want| moved.clone().map(move |edit| (want, edit))),
                );
            }
            start += document.len();
        }
        edits
    }
}

fn disjoint(edits: Vec<(usize, Edit)>) -> Option<Vec<Edit>> {
    let mut edits: Vec<Edit> = edits.into_iter().map(|(_, edit)| edit).collect();
    edits.sort_by(|(one, new), (other, other_new)| {
        (one.start, one.end, new).cmp(&(other.start, other.end, other_new))
    });
    edits.dedup();
    let mut pairs = edits.iter().zip(edits.iter().skip(1));
    pairs
        .all(|((one, _), (next, _))| one.end <= next.start)
        .then_some(edits)
}

fn count(node: &Node, plan: &Plan, visits: &mut BTreeMap<Place, usize>) {
    let mut visit = |place: Place| {
        if plan.contains_key(&place) {
            *visits.entry(place).or_default() += 1;
        }
    };
    match &node.value {
        Value::Null => {}
        Value::Scalar { .. } => visit(node.place),
        Value::Sequence(items) => items.iter().for_each(|item| count(item, plan, visits)),
        Value::Mapping(entries) => {
            entries.iter().for_each(|(key, _)| visit(key.place));
            entries
                .iter()
                .for_each(|(_, value)| count(value, plan, visits));
        }
    }
}

/// Where a reference stands in a text: as the whole, as a word, or behind the name of an option.
fn tokens<'t>(
    text: &'t str,
    image: &'t str,
) -> impl Iterator<Item = std::ops::Range<usize>> + use<'t> {
    let start_in = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let range_of = |part: &str| start_in(part)..start_in(part) + part.len();
    let value = text.split_once('=').map(|(_, value)| value.trim());
    let whole = [Some(text.trim()), value]
        .into_iter()
        .flatten()
        .find(|part| *part == image);
    let tokens: Vec<std::ops::Range<usize>> = match whole {
        Some(part) => vec![range_of(part)],
        None => candidates(text)
            .filter(|candidate| candidate.text == image)
            .map(|candidate| range_of(candidate.text))
            .collect(),
    };
    tokens.into_iter()
}

/// The edit that puts another text into base64, written as it was; nothing when it was compressed.
fn encoded(text: &str, decoded: &str, new: &str) -> Option<Edit> {
    let body = text.trim();
    let body = match body
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
    {
        Some((_, data)) => data,
        None => body,
    };
    let start = body.as_ptr() as usize - text.as_ptr() as usize;
    let compact: String = body
        .chars()
        .filter(|digit| !matches!(digit, '\n' | '\r'))
        .collect();
    let encode = |text: &str| {
        let is_url = compact.contains(['-', '_']);
        match (is_url, compact.len().is_multiple_of(4)) {
            (false, true) => Base64::encode_string(text.as_bytes()),
            (false, false) => Base64Unpadded::encode_string(text.as_bytes()),
            (true, true) => Base64Url::encode_string(text.as_bytes()),
            (true, false) => Base64UrlUnpadded::encode_string(text.as_bytes()),
        }
    };
    // What is compressed within base64 is not that text in base64.
    (encode(decoded) == compact).then(|| (start..start + body.len(), encode(new)))
}
