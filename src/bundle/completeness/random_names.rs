//! Objects that have another name in each rendering: one finding for all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::CompletenessFinding;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sightings<'p> {
    pub(super) rendering: usize,
    pub(super) profile: &'p str,
}

/// The objects in which the same was found, and in which renderings.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Seen>);

#[derive(Debug, Default)]
struct Seen {
    renderings: BTreeSet<usize>,
    profiles: BTreeSet<String>,
}

impl Places {
    pub(super) fn add(&mut self, object: &str, of: Sightings<'_>) {
        let seen = self.0.entry(object.to_owned()).or_default();
        seen.renderings.insert(of.rendering);
        if !of.profile.is_empty() {
            seen.profiles.insert(of.profile.to_owned());
        }
    }

    /// A finding for each object; one for all objects whose names are random: each is in one
    /// rendering only, and each rendering has as many of them.
    pub(super) fn findings(self, finding: &CompletenessFinding) -> Vec<CompletenessFinding> {
        let (single, stable): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|(_, seen)| seen.renderings.len() == 1);
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for number in single.iter().flat_map(|(_, seen)| &seen.renderings) {
            *counts.entry(*number).or_default() += 1;
        }
        let is_random = counts.len() > 1 && counts.values().collect::<BTreeSet<_>>().len() == 1;
        let with = |object: String, profiles: BTreeSet<String>| CompletenessFinding {
            object: Some(object).filter(|object| !object.is_empty()),
            profiles: profiles.into_iter().collect(),
            ..finding.clone()
        };
        let mut findings: Vec<CompletenessFinding> = stable
            .into_iter()
            .map(|(object, seen)| with(object, seen.profiles))
            .collect();
        if is_random {
            let common = single
                .iter()
                .map(|(object, _)| object.as_str())
                .reduce(common_beginning)
                .unwrap_or_default()
                .to_owned();
            let profiles = single
                .into_iter()
                .flat_map(|(_, seen)| seen.profiles)
                .collect();
            findings.push(with(format!("{common}…"), profiles));
        } else {
            findings.extend(
                single
                    .into_iter()
                    .map(|(object, seen)| with(object, seen.profiles)),
            );
        }
        findings
    }
}

fn common_beginning<'t>(one: &'t str, other: &str) -> &'t str {
    let end = one
        .char_indices()
        .zip(other.chars())
        .find(|((_, a), b)| a != b)
        .map(|((at, _), _)| at);
    one.get(..end.unwrap_or_else(|| one.len().min(other.len())))
        .unwrap_or(one)
}
