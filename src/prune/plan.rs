//! What goes of each repository, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fate, Held, PruneError, PruneSettings, Target, TargetKind,
    choice::{Choice, order_of_bundles},
    needs::Shelf,
    published::PublishedBundle,
    snapshot::Snapshot,
};
use crate::registry::{Client, RepositoryName};
use rune_core::{digest::Digest, progress::Progress};

pub(crate) struct Plan {
    pub(crate) bundles: Vec<Fate>,
    pub(crate) targets: Vec<Target>,
    pub(crate) held: Vec<Held>,
    pub(crate) notes: Vec<String>,
    pub(super) rooms: BTreeMap<RepositoryName, Room>,
}

/// A repository with something that may go.
pub(super) struct Room {
    pub(super) kept: Shelf,
    pub(super) old: Shelf,
    pub(super) snapshot: Snapshot,
}

impl Plan {
    pub(super) async fn new(
        client: &Client,
        settings: &PruneSettings,
        bundles: &[PublishedBundle],
        progress: &dyn Progress,
    ) -> Result<Self, PruneError> {
        let mut choice = Choice::new(settings, bundles)?;
        choice.keep_what_others_hold(client).await?;
        let (kept, old) = (choice.needs(true), choice.needs(false));
        let mut plan = Self {
            bundles: choice.fates(),
            targets: Vec::new(),
            held: Vec::new(),
            notes: choice.notes,
            rooms: BTreeMap::new(),
        };
        let repositories: BTreeSet<&RepositoryName> = kept
            .repositories()
            .chain(old.repositories())
            .map(|(name, _)| name)
            .collect();
        for name in repositories {
            progress.note(&format!("reading {name}"));
            let (kept, old) = (kept.shelf(name), old.shelf(name));
            let snapshot = look(client, name, &kept, &old).await?;
            let room = Room {
                kept,
                old,
                snapshot,
            };
            plan.rooms.insert(name.clone(), room);
        }
        plan.choose(&order_of_bundles(bundles));
        plan.count();
        Ok(plan)
    }

    fn choose(&mut self, bundles: &BTreeMap<Digest, usize>) {
        let mut targets = Vec::new();
        for (name, room) in &self.rooms {
            let staying = room.snapshot.staying(&room.kept, &room.old);
            let target = |digest, kind| Target {
                kind,
                repository: name.clone(),
                tags: room
                    .snapshot
                    .tags_of(digest)
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                digest,
                bytes: 0,
                deleted: false,
            };
            for (digest, item) in &room.old.manifests {
                if room.kept.manifests.contains_key(digest) || !room.snapshot.has(*digest) {
                    continue;
                }
                match staying.get(digest) {
                    None => {
                        let bundle = bundles.get(digest).copied();
                        targets.push(((bundle, item.rank), target(*digest, item.kind)));
                    }
                    Some(reason) => self.held.push(Held {
                        reference: format!("{name}@{digest}"),
                        why: reason.to_string(),
                    }),
                }
            }
            for (list, subject) in room.snapshot.lists_to_go(&room.old, &staying) {
                let bundle = bundles.get(&subject).copied();
                targets.push(((bundle, u8::MAX), target(list, TargetKind::List)));
            }
        }
        // Without a bundle it is content, which goes first.
        targets.sort_by_key(|(order, _)| *order);
        self.targets = targets.into_iter().map(|(_, target)| target).collect();
    }

    fn count(&mut self) {
        let going: BTreeSet<(&RepositoryName, Digest)> = self
            .targets
            .iter()
            .map(|target| (&target.repository, target.digest))
            .collect();
        let mut counted: BTreeSet<Digest> = BTreeSet::new();
        for (name, room) in &self.rooms {
            for digest in room.snapshot.digests() {
                if !going.contains(&(name, digest)) {
                    counted.extend(room.snapshot.blobs(digest).into_keys());
                }
            }
        }
        for target in &mut self.targets {
            let Some(room) = self.rooms.get(&target.repository) else {
                continue;
            };
            let blobs = room.snapshot.blobs(target.digest).into_iter();
            target.bytes = blobs
                .filter(|(blob, _)| counted.insert(*blob))
                .map(|(_, size)| size)
                .sum();
        }
    }
}

pub(super) async fn look(
    client: &Client,
    name: &RepositoryName,
    kept: &Shelf,
    old: &Shelf,
) -> Result<Snapshot, PruneError> {
    let writer = client.writer(name);
    let mut snapshot = Snapshot::take(&writer).await?;
    snapshot
        .fetch(&writer, kept.manifests.keys().copied())
        .await?;
    let mut items = kept.manifests.values().chain(old.manifests.values());
    if items.any(|item| item.kind == TargetKind::Index) {
        snapshot.find_dead_lists(&writer).await?;
    }
    let going = old.manifests.keys().copied();
    snapshot
        .look_at(
            &writer,
            going.filter(|digest| !kept.manifests.contains_key(digest)),
        )
        .await?;
    Ok(snapshot)
}
