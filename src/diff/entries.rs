//! What changed among the entries of the archive: migrations, programs, other files, and what is to
//! be transferred.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Change, pairs::paired};
use crate::{
    archive::EntryName,
    bundle::{BinaryRecord, BundleIndex, EntryRecord, MigrationRecord, SBOM_NAME},
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileDiff {
    pub(crate) path: String,
    pub(crate) change: Change,
    pub(crate) old_bytes: Option<u64>,
    pub(crate) new_bytes: Option<u64>,
}

/// What has to be transferred to where the old bundle is; blobs of the new bundle that the old one
/// does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Carry {
    pub(crate) contents: usize,
    pub(crate) bytes: u64,
    /// How many blobs the new bundle has in all.
    pub(crate) total_contents: usize,
    pub(crate) total_bytes: u64,
}

fn contents(index: &BundleIndex) -> BTreeMap<Digest, u64> {
    index
        .entries
        .iter()
        .map(|entry| (entry.sha256, entry.size))
        .collect()
}

impl Carry {
    pub(super) fn between(old: &BundleIndex, new: &BundleIndex) -> Self {
        let (old, new) = (contents(old), contents(new));
        let missing: Vec<u64> = new
            .iter()
            .filter(|(digest, _)| !old.contains_key(*digest))
            .map(|(_, size)| *size)
            .collect();
        Self {
            contents: missing.len(),
            bytes: missing.iter().sum(),
            total_contents: new.len(),
            total_bytes: new.values().sum(),
        }
    }
}

fn entry<'a>(index: &'a BundleIndex, path: Option<&EntryName>) -> Option<&'a EntryRecord> {
    index.entries.iter().find(|entry| path == Some(&entry.path))
}

fn file(old: Option<&EntryRecord>, new: Option<&EntryRecord>) -> Option<FileDiff> {
    let change = Change::between(
        old.map(|entry| &entry.sha256),
        new.map(|entry| &entry.sha256),
    )?;
    let (old_bytes, new_bytes) = (old.map(|entry| entry.size), new.map(|entry| entry.size));
    Some(FileDiff {
        path: new.or(old)?.path.to_string(),
        change,
        old_bytes,
        new_bytes,
    })
}

pub(super) fn migrations(old: &BundleIndex, new: &BundleIndex) -> Vec<FileDiff> {
    let files = |index: &BundleIndex| {
        index
            .migrations
            .as_ref()
            .map(|migrations| migrations.files.clone())
            .unwrap_or_default()
    };
    let (before, after) = (files(old), files(new));
    let path = |migration: &MigrationRecord| migration.path.clone();
    let pairs = paired(&before, &after, |file| file.version).into_iter();
    let pairs = pairs.map(|(left, right)| {
        (
            entry(old, left.map(path).as_ref()),
            entry(new, right.map(path).as_ref()),
        )
    });
    pairs
        .filter_map(|(left, right)| file(left, right))
        .collect()
}

pub(super) fn programs(old: &BundleIndex, new: &BundleIndex) -> Vec<FileDiff> {
    let path = |program: &BinaryRecord| program.path.clone();
    let pairs = paired(&old.binaries, &new.binaries, |program| {
        (program.name.clone(), program.platform.clone())
    })
    .into_iter();
    let pairs = pairs.map(|(left, right)| {
        (
            entry(old, left.map(path).as_ref()),
            entry(new, right.map(path).as_ref()),
        )
    });
    pairs
        .filter_map(|(left, right)| file(left, right))
        .collect()
}

/// Every named entry that no other part of the comparison is about. What merely lists the others
/// (`SHA256SUMS`, the SBOM, and the two OCI indexes when images or charts changed) follows from
/// them.
pub(super) fn others(old: &BundleIndex, new: &BundleIndex, lists_changed: bool) -> Vec<FileDiff> {
    let told: BTreeSet<&str> = [old, new].into_iter().flat_map(told_elsewhere).collect();
    let is_other = |entry: &&EntryRecord| {
        let path = entry.path.as_str();
        let follows = ["SHA256SUMS", SBOM_NAME].contains(&path)
            || (lists_changed && ["index.json", "artifacts/index.json"].contains(&path));
        !(follows || path.starts_with("blobs/") || told.contains(path))
    };
    let pairs = paired(
        old.entries.iter().filter(is_other),
        new.entries.iter().filter(is_other),
        |entry| entry.path.to_string(),
    );
    pairs
        .into_iter()
        .filter_map(|(left, right)| file(left, right))
        .collect()
}

fn told_elsewhere(index: &BundleIndex) -> impl Iterator<Item = &str> {
    let charts = index.charts.iter().map(|chart| chart.path.as_str());
    let values = index
        .profiles
        .iter()
        .flat_map(|profile| &profile.values)
        .map(EntryName::as_str);
    let migrations = index
        .migrations
        .iter()
        .flat_map(|migrations| &migrations.files)
        .map(|file| file.path.as_str());
    charts
        .chain(values)
        .chain(migrations)
        .chain(index.binaries.iter().map(|program| program.path.as_str()))
}
