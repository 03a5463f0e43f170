//! Which value of a chart decides which image: marks are put into values, the chart is rendered,
//! and the marks are looked for.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    candidate::{Candidate, Mark, Role},
    found::{FoundImages, PlaceKey, collect, untied, written_parts},
    overlay::{self, Change, Piece},
    tree::{Step, Tree},
};
use crate::{
    chart::{
        Helm, HelmError, Package, RenderFailure, RenderMode, discover, has_digest_in_name_or_label,
    },
    policy::ImagePlaces,
};

/// Registry and repository of an image, and its tag.
type ImageName = (String, Option<String>);

/// The most renderings that looking for the values of one chart may take.
const MAX_RENDERINGS: usize = 60;

/// A chart with everything that a rendering of it needs.
pub(super) struct Prober<'p> {
    helm: &'p Helm,
    package: &'p Package,
    /// What the site gives, and what is for the check alone.
    files: &'p [(String, String)],
    places: &'p ImagePlaces,
    values: &'p Tree,
    left: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// As its digest; the chart puts `sha256:` before the value or does not.
    Digest {
        is_hex: bool,
    },
    /// As the end of its tag, with this before the value.
    End {
        prefix: String,
    },
    Within,
}

/// Candidates by their number, with the places that they reach.
type Reached = BTreeMap<usize, Vec<(PlaceKey, Form)>>;

#[derive(Debug, Clone)]
pub(super) struct Pin {
    pub(super) path: Vec<Step>,
    pub(super) change: Change,
    /// The image, as the rendering without pins names it.
    pub(super) image: (String, Option<String>),
    candidate: usize,
}

impl<'p> Prober<'p> {
    pub(super) const fn new(
        helm: &'p Helm,
        package: &'p Package,
        files: &'p [(String, String)],
        places: &'p ImagePlaces,
        values: &'p Tree,
    ) -> Self {
        Self {
            helm,
            package,
            files,
            places,
            values,
            left: MAX_RENDERINGS,
        }
    }

    /// Renders the chart with one more values file, as for an installation, or as for an upgrade
    /// where only that can be rendered.
    pub(super) async fn render(
        &mut self,
        over: String,
    ) -> Result<Result<String, RenderFailure>, HelmError> {
        self.left = self.left.saturating_sub(1);
        let files: Vec<(String, String)> = self
            .files
            .iter()
            .cloned()
            .chain([("probe.yaml".to_owned(), over)])
            .collect();
        let mut rendered = self
            .helm
            .template(self.package, &files, RenderMode::Install)
            .await?;
        if rendered.is_err() {
            rendered = self
                .helm
                .template(self.package, &files, RenderMode::Upgrade)
                .await?;
        }
        Ok(rendered)
    }

    pub(super) fn images(&self, rendered: &str) -> FoundImages {
        collect(discover(rendered, self.places))
    }

    /// Finds, for as many images of `base` as possible, the values that pin them. `name_of` gives
    /// the name of an image in the manifest, `instance` what a template of values becomes with
    /// digests that no image has, and those digests.
    pub(super) async fn pins(
        &mut self,
        base: &FoundImages,
        candidates: &[Candidate],
        name_of: &(dyn Fn(&ImageName) -> Option<String> + Sync),
        is_pinned: &(dyn Fn(&str, &ImageName) -> bool + Sync),
        instance: &(dyn Fn(&[Pin]) -> Option<String> + Sync),
    ) -> Result<Vec<Pin>, HelmError> {
        let wanted: BTreeMap<&PlaceKey, ImageName> = base
            .iter()
            .filter(|(_, text)| !text.contains('@'))
            .filter_map(|(place, text)| Some((place, untied(text)?)))
            .collect();
        let mut rejected = BTreeSet::new();
        while self.left > 0 {
            let reached = self.reach(candidates, &rejected).await?;
            let mut chosen: BTreeMap<usize, (&(String, Option<String>), &Form)> = BTreeMap::new();
            let mut shared = BTreeSet::new();
            let mut is_all_covered = true;
            for (place, image) in &wanted {
                let of_place = reached.iter().filter_map(|(number, places)| {
                    let (_, form) = places
                        .iter()
                        .find(|(other, form)| other == *place && *form != Form::Within)?;
                    Some((*number, form, places))
                });
                let is_alone = |places: &[(PlaceKey, Form)]| {
                    places
                        .iter()
                        .filter_map(|(place, _)| wanted.get(place))
                        .all(|other| other == image)
                };
                let (alone, others): (Vec<_>, Vec<_>) =
                    of_place.partition(|(_, _, places)| is_alone(places));
                shared.extend(others.iter().map(|(number, ..)| *number));
                let rank = |number: usize| {
                    candidates
                        .get(number)
                        .map(|candidate| (candidate.role, candidate.is_added))
                };
                match alone.into_iter().min_by_key(|(number, ..)| rank(*number)) {
                    Some((number, form, _)) => _ = chosen.insert(number, (image, form)),
                    None => is_all_covered = false,
                }
            }
            // What one value does to several images may hide what another does to one.
            if !is_all_covered && !shared.is_empty() {
                rejected.extend(shared);
                continue;
            }
            let pins: Vec<Pin> = chosen
                .into_iter()
                .filter_map(|(number, (image, form))| {
                    Some(pin(
                        number,
                        candidates.get(number)?,
                        image,
                        form,
                        &name_of(image)?,
                    ))
                })
                .collect();
            let wrong = self
                .wrong(&pins, &wanted, &reached, is_pinned, instance)
                .await?;
            if wrong.is_empty() {
                return Ok(pins);
            }
            rejected.extend(wrong);
        }
        Ok(Vec::new())
    }

    /// The candidates that do not do what they should when all pins are there at once.
    async fn wrong(
        &mut self,
        pins: &[Pin],
        wanted: &BTreeMap<&PlaceKey, ImageName>,
        reached: &Reached,
        is_pinned: &(dyn Fn(&str, &ImageName) -> bool + Sync),
        instance: &(dyn Fn(&[Pin]) -> Option<String> + Sync),
    ) -> Result<BTreeSet<usize>, HelmError> {
        let mut wrong = BTreeSet::new();
        let mut pending = vec![pins.to_vec()];
        while let Some(group) = pending.pop() {
            if group.is_empty() {
                continue;
            }
            let rendered = match instance(&group) {
                Some(text) => self.render(text).await?.ok(),
                None => None,
            };
            // Kubernetes would refuse it for a digest.
            let accepted = rendered.filter(|text| !has_digest_in_name_or_label(text));
            let Some(found) = accepted.map(|text| self.images(&text)) else {
                match group.as_slice() {
                    [pin] => _ = wrong.insert(pin.candidate),
                    _ if self.left == 0 => wrong.extend(group.iter().map(|pin| pin.candidate)),
                    _ => {
                        let (one, other) = group.split_at(group.len() / 2);
                        pending.extend([one.to_vec(), other.to_vec()]);
                    }
                }
                continue;
            };
            for pin in &group {
                let places = reached
                    .get(&pin.candidate)
                    .into_iter()
                    .flatten()
                    .filter(|(_, form)| *form != Form::Within);
                let is_wrong = |(place, _): &(PlaceKey, Form)| {
                    let image = wanted.get(place);
                    image.is_some_and(|image| {
                        !found.get(place).is_some_and(|text| is_pinned(text, image))
                    })
                };
                // Of two values at one place only the one that was chosen must be right.
                if places.clone().all(is_wrong) {
                    wrong.insert(pin.candidate);
                }
            }
        }
        Ok(wrong)
    }

    async fn reach(
        &mut self,
        candidates: &[Candidate],
        rejected: &BTreeSet<usize>,
    ) -> Result<Reached, HelmError> {
        let mut reached = Reached::new();
        let all: Vec<usize> = (0..candidates.len())
            .filter(|number| !rejected.contains(number))
            .collect();
        self.reach_with(candidates, all.clone(), false, &mut reached)
            .await?;
        // A digest with `sha256:` twice is not a digest, and is not found at every place.
        let is_digest = |number: &usize| {
            candidates
                .get(*number)
                .is_some_and(|candidate| candidate.role == Role::Digest)
        };
        let hex: Vec<usize> = all
            .into_iter()
            .filter(|number| is_digest(number) && !reached.contains_key(number))
            .collect();
        self.reach_with(candidates, hex, true, &mut reached).await?;
        Ok(reached)
    }

    async fn reach_with(
        &mut self,
        candidates: &[Candidate],
        numbers: Vec<usize>,
        is_hex: bool,
        reached: &mut Reached,
    ) -> Result<(), HelmError> {
        let mut pending = vec![numbers];
        while let Some(group) = pending.pop() {
            if group.is_empty() || self.left == 0 {
                continue;
            }
            let of_group = || {
                group
                    .iter()
                    .filter_map(|number| Some((*number, candidates.get(*number)?)))
            };
            let change = |(number, candidate): (usize, &Candidate)| {
                (
                    candidate.path.clone(),
                    candidate.marked(&Mark::new(number), is_hex),
                )
            };
            match self
                .render(overlay::text(self.values, of_group().map(change).collect()))
                .await?
            {
                Ok(text) => {
                    let found = self.images(&text);
                    for (number, candidate) in of_group() {
                        let form =
                            |text: &String| form(candidate, &Mark::new(number), is_hex, text);
                        let places: Vec<_> = found
                            .iter()
                            .filter_map(|(place, text)| Some((place.clone(), form(text)?)))
                            .collect();
                        if !places.is_empty() {
                            reached.insert(number, places);
                        }
                    }
                }
                Err(_) if group.len() == 1 => {}
                Err(_) => pending.extend(divided(candidates, &group)),
            }
        }
        Ok(())
    }
}

/// Two parts of a group that cannot be rendered. A schema that knows no other keys refuses all that
/// were added.
fn divided(candidates: &[Candidate], group: &[usize]) -> [Vec<usize>; 2] {
    let is_added = |number: &&usize| {
        candidates
            .get(**number)
            .is_some_and(|candidate| candidate.is_added)
    };
    let (added, own): (Vec<usize>, Vec<usize>) = group.iter().partition(is_added);
    if added.is_empty() || own.is_empty() {
        let (one, other) = group.split_at(group.len() / 2);
        [other.to_vec(), one.to_vec()]
    } else {
        [added, own]
    }
}

/// How a mark is in a reference; nothing when it is not.
fn form(candidate: &Candidate, mark: &Mark, is_hex: bool, text: &str) -> Option<Form> {
    if candidate.role == Role::Digest {
        let (before, after) = text.split_once(&mark.hex())?;
        let digest = before
            .rsplit_once('@')
            .map(|(_, digest)| digest)
            .filter(|_| after.is_empty());
        return Some(match digest {
            Some("sha256:") => Form::Digest { is_hex },
            Some("sha256:sha256:") => Form::Digest { is_hex: true },
            _ => Form::Within,
        });
    }
    let (before, after) = text.split_once(&mark.word())?;
    let tag = written_parts(before).1.filter(|_| after.is_empty());
    Some(match (candidate.role, tag) {
        (Role::Whole, Some(_)) => Form::End {
            prefix: String::new(),
        },
        (_, Some(tag)) => {
            tag.strip_suffix(&format!("{}-", candidate.before))
                .map_or(Form::Within, |prefix| Form::End {
                    prefix: prefix.to_owned(),
                })
        }
        (_, None) => Form::Within,
    })
}

fn pin(
    number: usize,
    candidate: &Candidate,
    image: &(String, Option<String>),
    form: &Form,
    name: &str,
) -> Pin {
    let digest = Piece::Digest(name.to_owned());
    let change = match (candidate.role, form) {
        (Role::Digest, Form::Digest { is_hex: true }) => {
            Change::Replace(vec![Piece::Hex(name.to_owned())])
        }
        (Role::Digest, _) => Change::Replace(vec![digest]),
        (Role::Whole, _) => candidate.insert(vec![Piece::Text("@".to_owned()), digest]),
        (Role::Tag, form) => {
            let tag = image.1.as_deref().unwrap_or("latest");
            let prefix = if let Form::End { prefix } = form {
                prefix.as_str()
            } else {
                ""
            };
            let own = tag.strip_prefix(prefix).unwrap_or(tag);
            let own = if own == tag {
                Piece::Tag(name.to_owned())
            } else {
                Piece::Text(own.to_owned())
            };
            Change::Replace(vec![own, Piece::Text("@".to_owned()), digest])
        }
    };
    Pin {
        path: candidate.path.clone(),
        change,
        image: image.clone(),
        candidate: number,
    }
}
