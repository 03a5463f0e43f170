//! Which images the objects of a rendered chart name, and where each of them stands.
//!
//! Containers are found by their shape at any depth, whatever kind of object they stand in: pods,
//! workloads, jobs, hooks, tests and custom resources that hold pod specifications. Options,
//! variables and fields that name images are in tables, which the policy extends. Whatever else
//! looks like an image, in any string of any object, is a possible image: nothing is passed over in
//! silence. What the text says is untrusted: it is read with limits, and what cannot be read is
//! reported, never left out.

mod apart;
mod declared;
mod exclusions;
mod fields;
mod inside;
mod known;
mod reference;
mod refused;
mod replace;
mod scan;
mod search;
mod tokens;

use std::fmt;

use camino::Utf8Path;

pub(crate) use self::refused::has_digest_in_name_or_label;
pub(crate) use self::replace::Obstacle;
pub use self::replace::replace_images;
use self::{inside::Budget, search::Search};
use crate::policy::{Declaration, ImagePlaces};
use rune_core::yaml::{self, Node, Value};

/// The most documents that one rendering may have.
const MAX_DOCUMENTS: usize = 20_000;
/// The most nodes that one document may have.
const MAX_NODES: usize = 500_000;
/// The most characters of a name or reference that are shown.
const MAX_SHOWN: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImagePlace {
    /// The template that made it, as Helm says.
    pub file: String,
    /// `Kind/name` of the object.
    pub object: String,
    pub(crate) container: Option<String>,
    /// The path in the object, `spec.template.spec.containers[0].image`.
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    Image(String),
    /// A part of a text that looks like an image reference, at a place that is not known to name
    /// images, and what declares that place.
    Possible(String, Declaration),
    /// A reference that the policy ignores: with its reason.
    Ignored(String, String),
    /// A test hook that the policy leaves out: the pattern that it does so by, and its reason.
    LeftOutTest(String, String),
    /// A declared value without a reference in it, which may not be shown.
    NoReference,
    /// Nothing, although the container needs an image.
    Nothing,
    /// A value that comes from somewhere else when the pod starts.
    Elsewhere,
    /// A document that cannot be read: why not.
    Unreadable(String),
}

pub fn discover(rendered: &str, places: &ImagePlaces) -> Vec<(ImagePlace, Named)> {
    let mut found = Vec::new();
    let mut budget = Budget::default();
    let mut file = "unknown file".to_owned();
    for (number, document) in documents(rendered).enumerate() {
        if number == MAX_DOCUMENTS {
            found.push((
                ImagePlace::of_file(&file),
                Named::Unreadable(format!("there are more than {MAX_DOCUMENTS} objects")),
            ));
            break;
        }
        if let Some(source) = document
            .lines()
            .find_map(|line| line.strip_prefix("# Source: "))
        {
            file = shown(source.trim());
        }
        match yaml::parse_rendered(Utf8Path::new(&file), document, MAX_NODES) {
            Ok(root) => objects(&root, &mut |object| {
                Search::in_object(object, &file, places, &mut budget, &mut found);
            }),
            Err(error) => found.push((
                ImagePlace::of_file(&file),
                Named::Unreadable(shown(&error.to_string())),
            )),
        }
    }
    if !budget.is_left() {
        found.push((
            ImagePlace::of_file(&file),
            Named::Unreadable("its strings hold too much YAML, JSON or base64".to_owned()),
        ));
    }
    found
}

/// The documents of what Helm printed: a line that begins with `---` divides them, whatever stands
/// around it.
pub(crate) fn documents(text: &str) -> impl Iterator<Item = &str> {
    let is_divider = |line: &str| {
        line.strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
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
    let lists: Vec<&Node> = entries(root)
        .filter(|(key, _)| is_list && *key == "items")
        .map(|(_, value)| value)
        .collect();
    // What only looks like a list is searched as a whole.
    let has_objects = lists
        .iter()
        .flat_map(|list| items(list))
        .all(|(_, item)| text_of(item, "kind").is_some());
    if lists.is_empty() || !has_objects {
        each(root);
        return;
    }
    lists
        .into_iter()
        .flat_map(items)
        .for_each(|(_, item)| objects(item, each));
}

fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.value {
        Value::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    entries
        .iter()
        .map(|(key, value)| (key.text.as_str(), value))
}

fn items(node: &Node) -> impl Iterator<Item = (usize, &Node)> {
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => &[],
    };
    items.iter().enumerate()
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn text_of<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    entries(node)
        .filter(|(key, _)| *key == name)
        .find_map(|(_, value)| scalar(value))
}

/// A text from a chart as it may be shown: not endless, and without characters that a terminal
/// would act upon.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .flat_map(char::escape_debug)
        .collect::<String>()
        .replace("\\\"", "\"")
        .replace("\\'", "'");
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for ImagePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let container = self
            .container
            .as_ref()
            .map(|name| format!("container {name}"));
        let parts = [
            Some(&self.file),
            Some(&self.object),
            container.as_ref(),
            Some(&self.path),
        ];
        let parts: Vec<&str> = parts
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        formatter.write_str(&parts.join(", "))
    }
}

impl ImagePlace {
    fn of_file(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            object: String::new(),
            container: None,
            path: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
