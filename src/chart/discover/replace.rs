//! Replacing the images of rendered objects, at exactly the places that
//! [`discover`](super::discover) finds, and no other byte.
//!
//! A place is where a reference stands: a scalar, a part of one, a string of YAML, JSON or base64
//! within one. What cannot be replaced so that a second reading finds exactly the wanted change is
//! an obstacle, and then the text is not to be used.

mod parts;
mod plan;
mod write;

use std::{collections::BTreeMap, fmt, ops::Range};

use camino::Utf8Path;

use self::plan::{Planner, Want};
use super::{
    ImagePlace, MAX_DOCUMENTS, MAX_NODES, Named, documents, inside::Budget, objects,
    search::Search, shown,
};
use crate::policy::ImagePlaces;
use rune_core::yaml;

/// Bytes of a text, and what stands there instead.
type Edit = (Range<usize>, String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The objects. Not to be used when there are obstacles.
    pub text: String,
    pub obstacles: Vec<Obstacle>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    pub(crate) place: ImagePlace,
    /// The image, as it is written there; nothing for a document that cannot be read.
    pub(crate) image: Option<String>,
    pub(crate) reason: ObstacleReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObstacleReason {
    /// The document is not YAML, or too large.
    Unreadable,
    NotMapped,
    /// The value comes from elsewhere when the pod starts.
    Elsewhere,
    /// The reference does not stand there as one text, nor in parts that can be set.
    NotWritten,
    /// Something else in the document refers to the same scalar.
    Shared,
    Compressed,
    /// With the change, the document would not say what it should.
    NotWritable,
}

impl fmt::Display for ObstacleReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unreadable => "the document cannot be read",
            Self::NotMapped => "the image is not in the map",
            Self::Elsewhere => "the value comes from elsewhere when the pod starts",
            Self::NotWritten => "the reference is not written there as a whole",
            Self::Shared => "a YAML alias gives the same scalar another meaning",
            Self::Compressed => "the string is compressed",
            Self::NotWritable => "the document would not be the same with it",
        })
    }
}

/// Replaces every image of rendered objects by what the map has for it. Without images, or with a
/// map that gives every image itself, the text stays as it is, to the byte.
pub fn replace_images(
    rendered: &str,
    places: &ImagePlaces,
    map: &BTreeMap<String, String>,
) -> Replacement {
    let mut replaced = Replacement {
        text: String::with_capacity(rendered.len()),
        obstacles: Vec::new(),
    };
    let mut file = "unknown file".to_owned();
    let mut budget = Budget::default();
    for (number, document) in documents(rendered).enumerate() {
        let source = document
            .lines()
            .find_map(|line| line.strip_prefix("# Source: "));
        if let Some(source) = source {
            file = shown(source.trim());
        }
        if number == MAX_DOCUMENTS {
            replaced.obstacles.push(Obstacle::of_file(&file));
            break;
        }
        let edits = in_document(
            document,
            &file,
            places,
            map,
            &mut budget,
            &mut replaced.obstacles,
        );
        replaced.text.push_str(&edited(document, &edits));
    }
    if !budget.is_left() {
        replaced.obstacles.push(Obstacle::of_file(&file));
    }
    replaced
}

fn in_document(
    document: &str,
    file: &str,
    places: &ImagePlaces,
    map: &BTreeMap<String, String>,
    budget: &mut Budget,
    obstacles: &mut Vec<Obstacle>,
) -> Vec<Edit> {
    let Ok(root) = yaml::parse_rendered(Utf8Path::new(file), document, MAX_NODES) else {
        obstacles.push(Obstacle::of_file(file));
        return Vec::new();
    };
    let mut wanted = Vec::new();
    objects(&root, &mut |object| {
        let mut found = Vec::new();
        Search::in_object(object, file, places, budget, &mut found);
        let wants = wants(found, map, obstacles);
        if !wants.is_empty() {
            wanted.push((object.clone(), wants));
        }
    });
    if wanted.is_empty() {
        return Vec::new();
    }
    Planner::new(places, budget)
        .document(document, &root, &wanted)
        .unwrap_or_else(|found| {
            obstacles.extend(found);
            Vec::new()
        })
}

/// What is to be replaced of what was found in one object.
fn wants(
    found: Vec<(ImagePlace, Named)>,
    map: &BTreeMap<String, String>,
    obstacles: &mut Vec<Obstacle>,
) -> Vec<Want> {
    let mut wants: Vec<Want> = Vec::new();
    for (place, named) in found {
        let (image, is_known) = match named {
            Named::Image(image) => (image, true),
            Named::Possible(image, _) => (image, false),
            Named::Elsewhere => {
                obstacles.push(Obstacle {
                    place,
                    image: None,
                    reason: ObstacleReason::Elsewhere,
                });
                continue;
            }
            Named::Ignored(..)
            | Named::LeftOutTest(..)
            | Named::NoReference
            | Named::Nothing
            | Named::Unreadable(_) => continue,
        };
        match map.get(&image) {
            Some(target) if *target == image => {}
            Some(target) => {
                let want = Want {
                    place,
                    image,
                    target: target.clone(),
                    is_known,
                };
                if !wants.contains(&want) {
                    wants.push(want);
                }
            }
            None if is_known => {
                let reason = ObstacleReason::NotMapped;
                obstacles.push(Obstacle {
                    place,
                    image: Some(image),
                    reason,
                });
            }
            // What only looks like an image is one when the bundle has it.
            None => {}
        }
    }
    wants
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|(range, _)| range.start);
    let (mut whole, mut end) = (String::with_capacity(text.len()), 0);
    for (range, new) in edits {
        whole.push_str(text.get(end..range.start).unwrap_or_default());
        whole.push_str(new);
        end = range.end;
    }
    whole.push_str(text.get(end..).unwrap_or_default());
    whole
}

impl Obstacle {
    fn of_file(file: &str) -> Self {
        let place = ImagePlace::of_file(file);
        Self {
            place,
            image: None,
            reason: ObstacleReason::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests;
