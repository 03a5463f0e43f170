//! The images of one rendering, each with a key by which it is found again in another rendering of
//! the same chart.

use std::collections::BTreeMap;

use crate::{
    chart::{ImagePlace, Named},
    oci::Reference,
};

/// Where an image is named. The names of objects are left out: they can contain what a value
/// changes, or be random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlaceKey {
    file: String,
    kind: String,
    container: Option<String>,
    path: String,
    number: usize,
}

pub(super) type FoundImages = BTreeMap<PlaceKey, String>;

pub(super) fn collect(named: Vec<(ImagePlace, Named)>) -> FoundImages {
    let mut found = FoundImages::new();
    for (place, named) in named {
        let Named::Image(text) = named else { continue };
        let kind = place
            .object
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let mut key = PlaceKey {
            file: place.file,
            kind,
            container: place.container,
            path: place.path,
            number: 0,
        };
        while found.contains_key(&key) {
            key.number += 1;
        }
        found.insert(key, text);
    }
    found
}

/// The whole reference that a text means, without its digest.
pub(super) fn untied(text: &str) -> Option<(String, Option<String>)> {
    let reference = Reference::parse_like_a_runtime(text).ok()?;
    Some((reference.name(), reference.tag().map(str::to_owned)))
}

/// The parts of a reference as they are written: what stands before the tag, and the tag.
pub(super) fn written_parts(text: &str) -> (&str, Option<&str>) {
    let named = text.split_once('@').map_or(text, |(named, _)| named);
    match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    }
}
