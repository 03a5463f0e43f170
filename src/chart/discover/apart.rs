//! References in two parts: a repository under one key, its tag under another.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    entries, items,
    known::is_about_images,
    reference::{Shape, candidates, is_possible_bare},
    scalar, text_of,
};
use crate::policy::{Apart, below_item, below_key};
use rune_core::yaml::Node;

/// A name with a value: an entry of a mapping, or an item `{name, value}` of a list.
pub(super) struct NamedValue<'n> {
    pub(super) name: &'n str,
    pub(super) value: &'n str,
    item: Option<usize>,
}

impl NamedValue<'_> {
    /// Its path, when that of the node is `path`.
    pub(super) fn path(&self, path: &str) -> String {
        self.item.map_or_else(
            || below_key(path, self.name),
            |number| below_key(&below_item(path, number), "value"),
        )
    }
}

/// The scalars of a mapping, or of a list of names with values.
pub(super) fn named_values(node: &Node) -> Vec<NamedValue<'_>> {
    let of_mapping = entries(node).filter_map(|(name, value)| {
        Some(NamedValue {
            name,
            value: scalar(value)?,
            item: None,
        })
    });
    let of_list = items(node).filter_map(|(number, item)| {
        Some(NamedValue {
            name: text_of(item, "name")?,
            value: text_of(item, "value")?,
            item: Some(number),
        })
    });
    of_mapping.chain(of_list).collect()
}

pub(super) fn joined(
    registry: Option<&str>,
    repository: &str,
    image: Option<&str>,
    tag: Option<&str>,
    digest: Option<&str>,
) -> String {
    let mut reference = String::new();
    if let Some(registry) = registry
        .map(|registry| registry.trim_end_matches('/'))
        .filter(|registry| !registry.is_empty())
    {
        reference.push_str(&format!("{registry}/"));
    }
    reference.push_str(repository);
    if let Some(image) = image.filter(|image| !image.is_empty()) {
        reference.push_str(&format!("/{image}"));
    }
    if let Some(tag) = tag.filter(|tag| !tag.is_empty()) {
        reference.push_str(&format!(":{tag}"));
    }
    if let Some(digest) = digest.filter(|digest| !digest.is_empty()) {
        let algorithm = if digest.contains(':') { "" } else { "sha256:" };
        reference.push_str(&format!("@{algorithm}{digest}"));
    }
    reference
}

/// A reference in parts that a node seems to hold.
pub(super) struct Guess {
    pub(super) reference: String,
    pub(super) apart: Apart,
    pub(super) paths: Vec<String>,
}

/// The references in two parts under keys with a common beginning: `repository` and `tag`,
/// `trivy.repository` and `trivy.tag`, `X_REPOSITORY` and `X_TAG`, `image` and `tag`.
pub(super) fn guesses<'n>(node: &'n Node, path: &str, is_image: bool) -> Vec<Guess> {
    let values = named_values(node);
    let lower: Vec<String> = values
        .iter()
        .map(|value| value.name.to_ascii_lowercase())
        .collect();
    // Most mappings end here.
    if !lower
        .iter()
        .any(|name| name.ends_with("tag") || name.ends_with("digest") || name.ends_with("version"))
    {
        return Vec::new();
    }
    let positions: BTreeMap<&str, usize> = lower
        .iter()
        .enumerate()
        .rev()
        .map(|(position, name)| (name.as_str(), position))
        .collect();
    let find = |name: String| {
        positions
            .get(name.as_str())
            .and_then(|position| values.get(*position))
    };
    let mut guesses = Vec::new();
    for (name, value) in lower.iter().zip(&values) {
        let Some((beginning, is_repository)) = name
            .strip_suffix("repository")
            .map(|beginning| (beginning, true))
            .or_else(|| name.strip_suffix("image").map(|name| (name, false)))
        else {
            continue;
        };
        let part = |end: &str| {
            find(format!("{beginning}{end}")).filter(|part| !part.value.contains("://"))
        };
        let image = part("image").filter(|_| is_repository);
        // An image whose repository stands beside it was seen with the repository.
        if !is_repository && part("repository").is_some() {
            continue;
        }
        // A repository with a version alone may be one of charts or sources.
        let version = part("version").filter(|_| image.is_some() || !is_repository);
        let image_tag = || {
            ["imagetag", "image_tag", "image-tag", "image.tag"]
                .into_iter()
                .find_map(part)
        };
        let (registry, tag, digest) = (
            part("registry"),
            part("tag").or_else(image_tag).or(version),
            part("digest"),
        );
        if (tag.is_none() && digest.is_none()) || value.value.contains("://") {
            continue;
        }
        let text = |part: Option<&NamedValue<'n>>| part.map(|part| part.value);
        let reference = joined(
            text(registry),
            value.value,
            text(image),
            text(tag),
            text(digest),
        );
        let is_likely = candidates(&reference).any(|candidate| {
            let is_about = is_image || is_about_images(name) || registry.is_some();
            let is_shape = match candidate.shape {
                Shape::Full | Shape::Path => true,
                Shape::Bare => is_about && is_possible_bare(candidate.text, false),
                Shape::Untagged | Shape::Token => false,
            };
            is_shape && candidate.text == reference
        });
        if !is_likely {
            continue;
        }
        let name_of = |part: Option<&NamedValue<'_>>| part.map(|part| part.name.to_owned());
        let apart = Apart {
            registry: name_of(registry),
            repository: value.name.to_owned(),
            image: name_of(image),
            tag: name_of(tag),
            digest: name_of(digest),
        };
        let paths = std::iter::once(value)
            .chain(image)
            .map(|part| part.path(path))
            .collect();
        guesses.push(Guess {
            reference,
            apart,
            paths,
        });
    }
    guesses
}

/// The places of repositories and images of references in two parts in a node.
pub(super) fn places(node: &Node, path: &str) -> BTreeSet<String> {
    guesses(node, path, true)
        .into_iter()
        .flat_map(|guess| guess.paths)
        .collect()
}

pub(super) fn in_flags(text: &str) -> Option<String> {
    let flags: Vec<(&str, &str)> = text
        .split([',', ';', ' ', '&', '\n'])
        .filter_map(|flag| flag.rsplit_once('='))
        .map(|(key, value)| (key, value.trim_matches(['"', '\''])))
        .collect();
    let value_of = |ends: [&str; 2]| {
        let named = flags.iter().find(|(key, value)| {
            !value.is_empty()
                && ends
                    .iter()
                    .any(|end| key.to_ascii_lowercase().ends_with(end))
        });
        named.map(|(_, value)| *value)
    };
    let (repository, tag) = (
        value_of(["image", "repository"])?,
        value_of(["tag", "version"])?,
    );
    let reference = joined(None, repository, None, Some(tag), None);
    let is_whole = |found: super::reference::Candidate<'_>| {
        found.text == reference && found.shape >= Shape::Bare
    };
    let is_reference = candidates(&reference).any(is_whole);
    is_reference.then_some(reference)
}
