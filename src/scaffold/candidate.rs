//! Values that may decide an image: found by what they are and what stands beside them, and
//! believed only after a rendering.

use std::collections::BTreeSet;

use super::{
    found::{FoundImages, written_parts},
    overlay::{Change, Piece},
    tree::{Leaf, Step, Tree},
};

const MAX_CANDIDATES: usize = 2000;

/// How a value could take a digest, in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Digest,
    /// It is, or contains, a whole reference, to which a digest can be added.
    Whole,
    /// It is the tag, to which a digest can be added.
    Tag,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) role: Role,
    /// Whether the chart has no such value by default.
    pub(super) is_added: bool,
    pub(super) path: Vec<Step>,
    /// What precedes the place of the mark: of a reference up to its end, of a tag the tag.
    pub(super) before: String,
    pub(super) after: String,
}

pub(super) struct Mark(usize);

impl Mark {
    pub(super) const fn new(number: usize) -> Self {
        Self(number)
    }

    pub(super) fn word(&self) -> String {
        format!("rbq{}q", self.0)
    }

    pub(super) fn hex(&self) -> String {
        format!("5eed{:060x}", self.0)
    }
}

impl Candidate {
    /// The value with a mark in it; a digest with `sha256:` or, as some charts want it, without.
    pub(super) fn marked(&self, mark: &Mark, is_hex: bool) -> Change {
        let piece = |text: String| vec![Piece::Text(text)];
        match self.role {
            Role::Digest if is_hex => Change::Replace(piece(mark.hex())),
            Role::Digest => Change::Replace(piece(format!("sha256:{}", mark.hex()))),
            Role::Tag => Change::Replace(piece(format!("{}-{}", self.before, mark.word()))),
            Role::Whole => {
                let separator = if written_parts(&self.before).1.is_none() {
                    ':'
                } else {
                    '-'
                };
                self.insert(piece(format!("{separator}{}", mark.word())))
            }
        }
    }

    pub(super) fn is_in_a_list(&self) -> bool {
        self.path.iter().any(|step| matches!(step, Step::Item(_)))
    }

    /// The value with something behind the reference in it.
    pub(super) fn insert(&self, pieces: Vec<Piece>) -> Change {
        Change::Insert {
            text: format!("{}{}", self.before, self.after),
            at: self.before.len(),
            pieces,
        }
    }
}

pub(super) fn candidates(values: &Tree, found: &FoundImages) -> Vec<Candidate> {
    let texts: BTreeSet<&str> = found
        .values()
        .map(String::as_str)
        .filter(|text| !text.contains('@'))
        .collect();
    let leaves = values.leaves();
    let mut candidates = BTreeSet::new();
    // Mappings in which something names a repository, with the tag of the image.
    let mut groups: Vec<(Vec<Step>, &str, &str)> = Vec::new();
    for leaf in &leaves {
        candidates.extend(whole(leaf, &texts));
        let (Some(parent), Some(key)) = (parent(leaf), key(leaf)) else {
            continue;
        };
        for text in &texts {
            let (name, tag) = written_parts(text);
            let tag = tag.unwrap_or("latest");
            // A number alone can be anything.
            if leaf.text == tag && (tag.contains('.') || tag.len() > 5) && !is_api_version(key) {
                candidates.insert(candidate(Role::Tag, false, leaf.path.clone(), &leaf.text));
            }
            if is_end_of(name, leaf.text.split(':').next().unwrap_or_default()) {
                groups.push((parent.to_vec(), key, tag));
            }
        }
    }
    for leaf in &leaves {
        let (Some(parent), Some(key)) = (parent(leaf), key(leaf)) else {
            continue;
        };
        let lower = key.to_ascii_lowercase();
        // Beside, or anywhere below a key that is about images, as global values are.
        let beside = groups.iter().find(|(group, ..)| group == parent);
        let is_about_images = || {
            leaf.path.iter().any(
                |step| matches!(step, Step::Key(key) if key.to_ascii_lowercase().contains("image")),
            )
        };
        let is_near = beside.is_some() || is_about_images();
        let is_digest =
            leaf.text.is_empty() || leaf.text.contains("sha256:") || leaf.text.len() == 64;
        if is_near && is_digest && ["digest", "sha"].iter().any(|word| lower.contains(word)) {
            candidates.insert(candidate(Role::Digest, false, leaf.path.clone(), ""));
        } else if is_near
            && ["tag", "version"].iter().any(|word| lower.contains(word))
            && !is_api_version(key)
            && !leaf.text.contains(['/', ' '])
        {
            let default = beside.map_or("1.0.0", |(_, _, tag)| tag);
            let text = if leaf.text.is_empty() {
                default
            } else {
                &leaf.text
            };
            candidates.insert(candidate(Role::Tag, false, leaf.path.clone(), text));
        }
    }
    for (group, _, tag) in &groups {
        for (name, role, before) in [("digest", Role::Digest, ""), ("tag", Role::Tag, *tag)] {
            let path = [group.as_slice(), &[Step::Key(name.to_owned())]].concat();
            // A value of the chart with other capitals is that value already.
            let is_there = candidates
                .iter()
                .any(|other: &Candidate| other.path == path);
            if !is_there
                && values.at(&path).is_none()
                && matches!(values.at(group), Some(Tree::Map(_)))
                && !group.is_empty()
            {
                candidates.insert(candidate(role, true, path, before));
            }
        }
    }
    candidates.into_iter().take(MAX_CANDIDATES).collect()
}

fn is_api_version(key: &str) -> bool {
    ["apiversion", "kubeversion"].contains(&key.to_ascii_lowercase().as_str())
}

fn candidate(role: Role, is_added: bool, path: Vec<Step>, before: &str) -> Candidate {
    Candidate {
        role,
        is_added,
        path,
        before: before.to_owned(),
        after: String::new(),
    }
}

fn whole(leaf: &Leaf, texts: &BTreeSet<&str>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let is_word =
        |character: char| character.is_ascii_alphanumeric() || "._-/:@".contains(character);
    for text in texts {
        // With the registry, and without it where the chart puts it before the value.
        let written = suffixes(text).find_map(|written| {
            let has_tag = written_parts(written).1.is_some();
            let at = leaf
                .text
                .match_indices(written)
                .map(|(at, _)| at)
                .find(|at| {
                    let before = leaf
                        .text
                        .get(..*at)
                        .and_then(|before| before.chars().next_back());
                    let after = leaf
                        .text
                        .get(at + written.len()..)
                        .and_then(|after| after.chars().next());
                    !before.is_some_and(is_word) && !after.is_some_and(is_word)
                })?;
            // Without a tag only a value that is nothing else can be the reference.
            (has_tag || leaf.text == written).then_some(at + written.len())
        });
        if let Some(end) = written
            && let Some((before, after)) = leaf.text.split_at_checked(end)
        {
            let (path, before, after) = (leaf.path.clone(), before.to_owned(), after.to_owned());
            candidates.push(Candidate {
                role: Role::Whole,
                is_added: false,
                path,
                before,
                after,
            });
        }
    }
    candidates
}

/// A reference, and what is left of it without its first components.
fn suffixes(text: &str) -> impl Iterator<Item = &str> {
    std::iter::once(text).chain(
        text.match_indices('/')
            .filter_map(|(at, _)| text.get(at + 1..)),
    )
}

/// Whether a value is the end of the name of a repository, in whole components.
fn is_end_of(name: &str, value: &str) -> bool {
    let value = value.trim_start_matches('/');
    !value.is_empty()
        && name
            .strip_suffix(value)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn parent(leaf: &Leaf) -> Option<&[Step]> {
    leaf.path.split_last().map(|(_, parent)| parent)
}

fn key(leaf: &Leaf) -> Option<&str> {
    match leaf.path.last() {
        Some(Step::Key(key)) => Some(key),
        _ => None,
    }
}
