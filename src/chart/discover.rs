//! Which images the objects of a rendered chart name, and where each of them stands.
//!
//! Containers are found by their shape at any depth, whatever kind of object they stand in: pods, workloads, jobs, hooks, tests and
//! custom resources that hold pod specifications. Custom resources with fields of their own are in a small table, which the policy
//! extends. What the text says is untrusted: it is read with limits, and what cannot be read is reported, never left out.

mod fields;

use camino::Utf8Path;

use crate::{
    policy::ImagePlaces,
    yaml::{self, Node, Value},
};

/// The most documents that one rendering may have.
const MAX_DOCUMENTS: usize = 20_000;
/// The most nodes that one document may have.
const MAX_NODES: usize = 500_000;
/// The most characters of a name or reference that are shown.
const MAX_SHOWN: usize = 300;

/// Keys whose lists hold containers.
const CONTAINER_LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// Groups of the kinds whose containers must have an image; elsewhere a container can be a patch of one.
const OWN_GROUPS: [&str; 3] = ["", "apps", "batch"];

/// Where something stands in a rendered chart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImagePlace {
    /// The template that made it, as Helm says.
    pub file: String,
    /// `Kind/name` of the object.
    pub object: String,
    /// The name of the container.
    pub container: Option<String>,
    /// The path in the object, `spec.template.spec.containers[0].image`.
    pub path: String,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A text that should be an image reference.
    Image(String),
    /// Nothing, although the container needs an image.
    Nothing,
    /// A value that comes from somewhere else when the pod starts.
    Elsewhere,
    /// A document that cannot be read: why not.
    Unreadable(String),
}

/// Finds every image in what `helm template` printed.
pub fn discover(rendered: &str, places: &ImagePlaces) -> Vec<(ImagePlace, Named)> {
    let mut found = Vec::new();
    let mut file = "unknown file".to_owned();
    for (number, document) in documents(rendered).enumerate() {
        if number == MAX_DOCUMENTS {
            found.push((ImagePlace::of_file(&file), Named::Unreadable(format!("there are more than {MAX_DOCUMENTS} objects"))));
            break;
        }
        if let Some(source) = document.lines().find_map(|line| line.strip_prefix("# Source: ")) {
            file = shown(source.trim());
        }
        match yaml::parse_rendered(Utf8Path::new(&file), document, MAX_NODES) {
            Ok(root) => objects(&root, &mut |object| Search::in_object(object, &file, places, &mut found)),
            Err(error) => found.push((ImagePlace::of_file(&file), Named::Unreadable(shown(&error.to_string())))),
        }
    }
    found
}

/// The documents of what Helm printed: a line that begins with `---` divides them, whatever stands around it.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    let is_divider = |line: &str| line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let mut length = 0;
        for line in text.split_inclusive('\n') {
            if is_divider(line) && length > 0 {
                rest = text.get(length..);
                break;
            }
            length += line.len();
        }
        text.get(..length)
    })
}

/// The objects of a document: itself, or the items of a list of objects.
fn objects(root: &Node, each: &mut impl FnMut(&Node)) {
    let is_list = text_of(root, "kind").is_some_and(|kind| kind.ends_with("List"));
    let lists: Vec<&Node> = entries(root).filter(|(key, _)| is_list && *key == "items").map(|(_, value)| value).collect();
    // What only looks like a list is searched as a whole.
    let has_objects = lists.iter().flat_map(|list| items(list)).all(|(_, item)| text_of(item, "kind").is_some());
    if lists.is_empty() || !has_objects {
        each(root);
        return;
    }
    lists.into_iter().flat_map(items).for_each(|(_, item)| objects(item, each));
}

/// The entries of a mapping; none of anything else.
fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.value {
        Value::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(key, value)| (key.text.as_str(), value))
}

/// The items of a list with their numbers; none of anything else.
fn items(node: &Node) -> impl Iterator<Item = (usize, &Node)> {
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => &[],
    };
    items.iter().enumerate()
}

/// A scalar that is not empty.
fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn text_of<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    entries(node).filter(|(key, _)| *key == name).find_map(|(_, value)| scalar(value))
}

/// A text from a chart as it may be shown: not endless, and without characters that a terminal would act upon.
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect::<String>().replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl ImagePlace {
    fn of_file(file: &str) -> Self {
        Self { file: file.to_owned(), object: String::new(), container: None, path: String::new() }
    }
}

/// The search through one object.
struct Search<'s> {
    file: &'s str,
    object: String,
    has_own_group: bool,
    places: &'s ImagePlaces,
    container: Option<String>,
    found: &'s mut Vec<(ImagePlace, Named)>,
}

impl<'s> Search<'s> {
    fn in_object(object: &Node, file: &'s str, places: &'s ImagePlaces, found: &'s mut Vec<(ImagePlace, Named)>) {
        let kind = text_of(object, "kind").unwrap_or_default();
        // What a definition describes is not there yet.
        if kind.is_empty() || kind == "CustomResourceDefinition" {
            return;
        }
        let group = text_of(object, "apiVersion").and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
        let mut metadata = entries(object).filter(|(key, _)| *key == "metadata").map(|(_, metadata)| metadata);
        let name = metadata.find_map(|metadata| text_of(metadata, "name").or_else(|| text_of(metadata, "generateName")));
        let mut search = Self {
            file,
            object: shown(&format!("{kind}/{}", name.unwrap_or("without a name"))),
            has_own_group: OWN_GROUPS.contains(&group),
            places,
            container: None,
            found,
        };
        search.walk(object, "");
        for path in fields::paths_of(kind, group, places) {
            fields::resolve(object, path, &mut |at, value| search.value(&at, value));
        }
        if kind == "ConfigMap" {
            search.config_map(object);
        }
    }

    fn walk(&mut self, node: &Node, path: &str) {
        for (key, value) in entries(node) {
            let path = join(path, key);
            if CONTAINER_LISTS.contains(&key) {
                items(value).for_each(|(number, item)| self.container(item, &format!("{path}[{number}]")));
            }
            if key == "volumes" {
                items(value).for_each(|(number, item)| self.volume(item, &format!("{path}[{number}]")));
            }
            self.walk(value, &path);
        }
        items(node).for_each(|(number, item)| self.walk(item, &format!("{path}[{number}]")));
    }

    fn container(&mut self, node: &Node, path: &str) {
        if !matches!(node.value, Value::Mapping(_)) {
            return;
        }
        self.container = text_of(node, "name").map(shown);
        let mut has_image = false;
        for (key, value) in entries(node) {
            let path = format!("{path}.{key}");
            match key {
                "image" => {
                    has_image |= scalar(value).is_some();
                    self.value(&path, value);
                }
                "env" => items(value).for_each(|(number, item)| self.variable(item, &format!("{path}[{number}]"))),
                "args" | "command" => self.options(value, &path),
                _ => {}
            }
        }
        if !has_image && self.has_own_group {
            self.add(&format!("{path}.image"), Named::Nothing);
        }
        self.container = None;
    }

    /// A volume whose content is an image.
    fn volume(&mut self, node: &Node, path: &str) {
        for (_, image) in entries(node).filter(|(key, _)| *key == "image") {
            for (_, reference) in entries(image).filter(|(key, _)| *key == "reference") {
                self.value(&format!("{path}.image.reference"), reference);
            }
        }
    }

    fn variable(&mut self, node: &Node, path: &str) {
        if !text_of(node, "name").is_some_and(|name| self.places.has_variable(name)) {
            return;
        }
        for (key, value) in entries(node) {
            match key {
                "value" => self.value(&format!("{path}.value"), value),
                "valueFrom" => self.add(&format!("{path}.valueFrom"), Named::Elsewhere),
                _ => {}
            }
        }
    }

    /// `--option=image`, or the item behind `--option`.
    fn options(&mut self, node: &Node, path: &str) {
        let mut is_next = false;
        for (number, item) in items(node) {
            let Some(text) = scalar(item) else { continue };
            if std::mem::take(&mut is_next) {
                self.value(&format!("{path}[{number}]"), item);
                continue;
            }
            match text.split_once('=') {
                Some((name, image)) if self.places.has_option(name) && !image.is_empty() => {
                    self.add(&format!("{path}[{number}]"), Named::Image(shown(image)));
                }
                Some(_) => {}
                None => is_next = self.places.has_option(text),
            }
        }
    }

    fn config_map(&mut self, object: &Node) {
        for (_, data) in entries(object).filter(|(key, _)| *key == "data") {
            for (key, value) in entries(data).filter(|(key, _)| self.places.has_variable(key)) {
                self.value(&format!("data.{}", shown(key)), value);
            }
        }
    }

    /// An image, unless there is no value.
    fn value(&mut self, path: &str, value: &Node) {
        if let Some(text) = scalar(value) {
            self.add(path, Named::Image(shown(text)));
        }
    }

    fn add(&mut self, path: &str, named: Named) {
        let (file, object) = (self.file.to_owned(), self.object.clone());
        self.found.push((ImagePlace { file, object, container: self.container.clone(), path: shown(path) }, named));
    }
}

/// The path of an entry.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
