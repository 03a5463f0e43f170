//! The releases of a manifest: what is installed together, and in which order.

use std::collections::BTreeSet;

use super::Reader;
use crate::manifest::{Profile, Release, problem::ManifestProblem};
use rune_core::yaml::{self, Mapping, Node, Place};

/// The longest name that Helm takes for a release.
const MAX_RELEASE_BYTES: usize = 53;

/// A release, and where it and the names behind which it comes stand.
struct Placed {
    release: Release,
    place: Place,
    after: Vec<Place>,
}

impl Reader {
    /// The releases in the order in which they are installed.
    pub(super) fn releases(&mut self, map: &Mapping<'_>, profiles: &[Profile]) -> Vec<Release> {
        let read = |reader: &mut Self, node: &Node| reader.release(node, profiles);
        let name = |placed: &Placed| placed.release.name.clone();
        let placed = self.named_list(map, "releases", "releases", read, name);
        let known: Vec<String> = placed.iter().map(name).collect();
        for Placed { release, after, .. } in &placed {
            for (name, place) in release.after.iter().zip(after) {
                if !known.contains(name) {
                    let (name, known) = (name.clone(), known.clone());
                    self.add(*place, &ManifestProblem::UnknownRelease { name, known });
                }
            }
        }
        self.ordered(placed)
    }

    fn release(&mut self, node: &Node, profiles: &[Profile]) -> Option<Placed> {
        let keys = &["name", "chart", "profile", "namespace", "after"];
        let map = Mapping::open(node, "a release", keys, &mut self.findings)?;
        let name = map.required("name", &mut self.findings).and_then(|node| {
            let name = self.name(node, "a release")?;
            let is_short = name.len() <= MAX_RELEASE_BYTES;
            let result = is_short.then_some(name).ok_or(ManifestProblem::LongRelease);
            self.parsed(node.place, result)
        });
        let chart = map.required("chart", &mut self.findings).and_then(|node| {
            let path = yaml::text(node, "`chart`", &mut self.findings)?.to_owned();
            let known = self.charts.clone();
            let result = if known.contains(&path) {
                Ok(path)
            } else {
                Err(ManifestProblem::UnknownChart { path, known })
            };
            self.parsed(node.place, result)
        });
        let profile = map
            .optional("profile")
            .and_then(|node| self.profile_of_release(node, chart.as_deref(), profiles));
        let namespace = map
            .optional("namespace")
            .and_then(|node| self.name(node, "a namespace"));
        let after = self.list(&map, "after", |reader, node| {
            let name = yaml::text(node, "a release", &mut reader.findings)?;
            Some((name.to_owned(), node.place))
        });
        let (after, places) = after.into_iter().unzip();
        let release = Release {
            name: name?,
            chart: chart?,
            profile,
            namespace,
            after,
        };
        Some(Placed {
            release,
            place: node.place,
            after: places,
        })
    }

    fn profile_of_release(
        &mut self,
        node: &Node,
        chart: Option<&str>,
        profiles: &[Profile],
    ) -> Option<String> {
        let name = yaml::text(node, "`profile`", &mut self.findings)?.to_owned();
        // A chart that is wrong is a finding of its own.
        let is_for = |profile: &&Profile| {
            chart.is_none_or(|chart| {
                profile.charts.is_empty() || profile.charts.iter().any(|other| other == chart)
            })
        };
        let fitting = profiles.iter().filter(is_for);
        let known: Vec<String> = fitting.map(|profile| profile.name.clone()).collect();
        let result = if known.contains(&name) {
            Ok(name)
        } else {
            Err(ManifestProblem::UnknownProfile { name, known })
        };
        self.parsed(node.place, result)
    }

    /// Each behind those that it comes after, otherwise as they stand in the manifest.
    fn ordered(&mut self, mut placed: Vec<Placed>) -> Vec<Release> {
        let all: BTreeSet<String> = placed.iter().map(|one| one.release.name.clone()).collect();
        let mut ordered: Vec<Release> = Vec::new();
        while !placed.is_empty() {
            let is_ready = |one: &Placed| {
                let is_before = |name: &String| {
                    !all.contains(name) || ordered.iter().any(|before| before.name == *name)
                };
                one.release.after.iter().all(is_before)
            };
            let Some(next) = placed.iter().position(is_ready) else {
                for Placed { release, place, .. } in &placed {
                    let name = release.name.clone();
                    self.add(*place, &ManifestProblem::Circle(name));
                }
                break;
            };
            ordered.push(placed.remove(next).release);
        }
        ordered
    }
}
