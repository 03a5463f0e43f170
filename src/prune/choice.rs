//! Which bundles stay.

use std::collections::{BTreeMap, btree_map::Entry};

use semver::Version;

use super::{
    Fate, PruneError, PruneSettings, UseKind, needs::Needs, plan::look, published::PublishedBundle,
    snapshot::Snapshot,
};
use crate::{
    bundle::PublicationKind,
    registry::{Client, RepositoryName},
};
use rune_core::digest::Digest;

pub(super) struct Choice<'a> {
    settings: &'a PruneSettings,
    bundles: &'a [PublishedBundle],
    why: BTreeMap<usize, Vec<String>>,
    pub(super) notes: Vec<String>,
}

impl<'a> Choice<'a> {
    /// The newest of each name, and what clusters use.
    pub(super) fn new(
        settings: &'a PruneSettings,
        bundles: &'a [PublishedBundle],
    ) -> Result<Self, PruneError> {
        let mut choice = Self {
            settings,
            bundles,
            why: BTreeMap::new(),
            notes: Vec::new(),
        };
        choice.keep_newest();
        choice.keep_used()?;
        Ok(choice)
    }

    fn keep_newest(&mut self) {
        let mut by_name: BTreeMap<&str, Vec<(&Version, usize)>> = BTreeMap::new();
        for (position, bundle) in self.bundles.iter().enumerate() {
            let index = bundle.head.index();
            if !bundle.is_remainder {
                let versions = by_name.entry(&index.name).or_default();
                versions.push((&index.version, position));
            }
        }
        let keep = self.settings.keep;
        for mut versions in by_name.into_values() {
            versions.sort();
            for (_, position) in versions.into_iter().rev().take(keep) {
                self.keep(position, format!("one of the newest {keep}"));
            }
        }
    }

    fn keep_used(&mut self) -> Result<(), PruneError> {
        for usage in &self.settings.uses {
            let bundle = self.bundles.iter().position(|bundle| {
                !bundle.is_remainder
                    && bundle.head.index().name == usage.name
                    && bundle.head.digest() == usage.digest
            });
            let label = format!("{} {} ({})", usage.name, usage.version, usage.digest);
            match bundle {
                Some(position) => self.keep(position, format!("{} {}", usage.kind, usage.place)),
                // After a rollback it may be one that was rightly deleted before.
                None if usage.kind == UseKind::Rollback => self.notes.push(format!(
                    "note: `rollback` of {} goes back to {label}, whose index is not in the \
                     registry",
                    usage.place
                )),
                None => {
                    return Err(PruneError::MissingIndex {
                        place: usage.place.clone(),
                        bundle: label,
                        name: usage.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, position: usize, reason: String) {
        self.why.entry(position).or_default().push(reason);
    }

    /// Keeps whole bundles whose index somebody else has to do with: what has a tag or a signature
    /// of the site is wanted.
    pub(super) async fn keep_what_others_hold(
        &mut self,
        client: &Client,
    ) -> Result<(), PruneError> {
        // What stays only grows here: what was checked for the first bundle of a repository has
        // everything that the next ones ask for.
        let mut snapshots: BTreeMap<&RepositoryName, Snapshot> = BTreeMap::new();
        for (position, bundle) in self.bundles.iter().enumerate() {
            let Some(artifact) = bundle
                .artifact()
                .filter(|_| !self.why.contains_key(&position) && !bundle.is_remainder)
            else {
                continue;
            };
            let shelf = |stays| self.needs(stays).shelf(&bundle.repository);
            let (kept, old) = (shelf(true), shelf(false));
            let snapshot = match snapshots.entry(&bundle.repository) {
                Entry::Occupied(taken) => taken.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(look(client, &bundle.repository, &kept, &old).await?)
                }
            };
            if let Some(reason) = snapshot.staying(&kept, &old).get(&artifact.target.digest) {
                self.keep(position, reason.to_string());
            }
        }
        Ok(())
    }

    /// What the bundles need that stay, or those that do not.
    pub(super) fn needs(&self, stays: bool) -> Needs {
        let bundles = self.bundles.iter().enumerate();
        let chosen = bundles.filter(|(position, _)| self.why.contains_key(position) == stays);
        Needs::of(&self.settings.destination, chosen.map(|(_, bundle)| bundle))
    }

    pub(super) fn fates(&self) -> Vec<Fate> {
        let mut fates: Vec<Fate> = self
            .bundles
            .iter()
            .enumerate()
            .map(|(position, bundle)| {
                let index = bundle.head.index();
                Fate {
                    name: index.name.clone(),
                    version: index.version.clone(),
                    digest: bundle.head.digest(),
                    kept: self.why.get(&position).cloned().unwrap_or_default(),
                }
            })
            .collect();
        fates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        fates
    }
}

/// The place of each index and signature in the order of the bundles, oldest first.
pub(super) fn order_of_bundles(bundles: &[PublishedBundle]) -> BTreeMap<Digest, usize> {
    let mut bundles: Vec<&PublishedBundle> = bundles.iter().collect();
    bundles.sort_by_key(|bundle| {
        let index = bundle.head.index();
        (&index.name, &index.version)
    });
    let mut order = BTreeMap::new();
    for (position, bundle) in bundles.into_iter().enumerate() {
        for publication in &bundle.publications {
            if matches!(
                publication.kind,
                PublicationKind::Index
                    | PublicationKind::Signature { .. }
                    | PublicationKind::Provenance { .. }
                    | PublicationKind::Files { .. }
            ) {
                order.insert(publication.target.digest, position);
            }
        }
    }
    order
}
