//! References in parts: a repository under one key, its tag or digest under another.

use super::plan::Planner;
use crate::{
    chart::discover::{
        apart::{guesses, joined, named_values},
        entries, items, shown,
    },
    oci::Reference,
    policy::{Apart, FieldForm, below_item, below_key},
};
use rune_core::yaml::{Node, Place, Value};

pub(super) struct Part {
    pub(super) place: Place,
    pub(super) path: String,
    pub(super) text: String,
    pub(super) new: String,
}

impl Planner<'_> {
    pub(super) fn parts(&self, node: &Node, path: &str, want: usize) -> Option<Vec<Part>> {
        let want = self.wants.get(want)?;
        let target = Reference::parse_like_a_runtime(&want.target).ok()?;
        let kind = self.kind.split('.').next().unwrap_or_default();
        let fields = self
            .places
            .fields
            .iter()
            .filter(|field| field.kind == self.kind || field.kind == kind);
        let declared = fields.filter_map(|field| match &field.form {
            FieldForm::Apart(apart) => Some(apart.clone()),
            FieldForm::References | FieldForm::Template(_) => None,
        });
        let seen = guesses(node, path, true)
            .into_iter()
            .map(|guess| guess.apart);
        seen.chain(declared)
            .find_map(|apart| set(node, path, &apart, &want.image, &target))
    }
}

/// The parts with which a reference in parts is another one.
fn set(
    node: &Node,
    path: &str,
    apart: &Apart,
    image: &str,
    target: &Reference,
) -> Option<Vec<Part>> {
    let values = named_values(node);
    let value = |name: &Option<String>| {
        let name = name.as_ref()?;
        values
            .iter()
            .find(|value| value.name == name)
            .map(|value| value.value)
    };
    let (registry, last) = (value(&apart.registry), value(&apart.image));
    let (tag, digest) = (value(&apart.tag), value(&apart.digest));
    let repository = value(&Some(apart.repository.clone()))?;
    if shown(&joined(registry, repository, last, tag, digest)) != image {
        return None;
    }
    let new_digest = target.digest()?.to_string();
    let mut changes: Vec<(&str, String)> = Vec::new();
    let path_of_repository = match (last, &apart.image) {
        (Some(_), Some(name)) => {
            let (before, last) = target.repository().rsplit_once('/')?;
            changes.push((name, last.to_owned()));
            before
        }
        _ => target.repository(),
    };
    if let (Some(_), Some(name)) = (registry, &apart.registry) {
        changes.push((name, target.registry().to_owned()));
        changes.push((&apart.repository, path_of_repository.to_owned()));
    } else {
        let whole = format!("{}/{path_of_repository}", target.registry());
        changes.push((&apart.repository, whole));
    }
    match (digest, &apart.digest, tag, &apart.tag) {
        (Some(digest), Some(name), ..) => {
            let bare = new_digest.strip_prefix("sha256:").unwrap_or(&new_digest);
            let is_bare = !digest.contains(':');
            changes.push((name, if is_bare { bare.to_owned() } else { new_digest }));
        }
        // A version is read as one by whoever joins it.
        (_, _, Some(tag), Some(name)) if !name.to_ascii_lowercase().ends_with("version") => {
            let tag = tag.split_once('@').map_or(tag, |(tag, _)| tag);
            changes.push((name, format!("{tag}@{new_digest}")));
        }
        _ => return None,
    }
    changes
        .into_iter()
        .map(|(name, new)| part(node, path, name, &new))
        .collect()
}

/// A named value: an entry of a mapping, or an item `{name, value}` of a list.
fn part(node: &Node, path: &str, name: &str, new: &str) -> Option<Part> {
    let found = |node: &Node, path: String| match &node.value {
        Value::Scalar { text, .. } => Some(Part {
            place: node.place,
            path,
            text: text.clone(),
            new: new.to_owned(),
        }),
        _ => None,
    };
    let entry = entries(node).find(|(key, _)| *key == name);
    if let Some((key, value)) = entry {
        return found(value, below_key(path, key));
    }
    items(node).find_map(|(number, item)| {
        let named = entries(item)
            .any(|(key, value)| key == "name" && super::super::scalar(value) == Some(name));
        let (key, value) = entries(item).find(|(key, _)| named && *key == "value")?;
        found(value, below_key(&below_item(path, number), key))
    })
}
