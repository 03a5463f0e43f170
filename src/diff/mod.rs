//! What changed between two bundles, in the words of whoever has to decide about it.
//!
//! Both are read in place and neither is unpacked. What is compared is what the indexes and the
//! documents say, and the few entries that people write: charts, values, lists of packages. Values
//! can hold secrets: what looks like one is said to have changed and never shown. The result is a
//! pure function of the two bundles. It is as the bundles have it: whoever shows it escapes it.

mod charts;
mod entries;
mod error;
mod images;
mod packages;
mod pairs;
mod releases;
mod secrecy;
mod summary;
mod values;

use serde::Serialize;

pub(crate) use charts::ChartDiff;
pub(crate) use entries::{Carry, FileDiff};
pub(crate) use error::DiffError;
pub(crate) use images::{ImageDiff, PlatformState, Tally};
pub(crate) use packages::{PackagesDiff, has_package_list};
pub(crate) use summary::Side;
pub(crate) use values::ValuesDiff;

use crate::bundle::BundleView;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diff {
    pub(crate) old: Side,
    pub(crate) new: Side,
    /// Whether anything differs: the bundle digest, or who signed.
    pub(crate) different: bool,
    /// What the bundles say about themselves: name, version, tool, schema version and so on.
    pub(crate) bundle: Vec<Difference>,
    pub(crate) signers: ListDiff,
    pub(crate) waivers: ListDiff,
    /// What the charts need in some profile and was left out with its component, one sentence each.
    pub(crate) left_out: ListDiff,
    pub(crate) exceptions: ListDiff,
    pub(crate) images: Vec<ImageDiff>,
    pub(crate) artifacts: Vec<ImageDiff>,
    pub(crate) charts: Vec<ChartDiff>,
    /// The profiles that changed, with the names of their values files.
    pub(crate) profiles: Vec<Difference>,
    pub(crate) releases: Vec<Difference>,
    pub(crate) namespaces: Vec<Difference>,
    pub(crate) values: Vec<ValuesDiff>,
    /// The migrations that changed. One that exists should not.
    pub(crate) migrations: Vec<FileDiff>,
    pub(crate) programs: Vec<FileDiff>,
    pub(crate) origins: Vec<Difference>,
    pub(crate) files: Vec<FileDiff>,
    pub(crate) carry: Carry,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// What it is about: a property, or a path in a file.
    pub(crate) subject: String,
    /// What it was; nothing when it was not there.
    pub(crate) old: Option<String>,
    /// What it is; nothing when it is gone.
    pub(crate) new: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    Added,
    Removed,
    /// Both have it, and it is not the same.
    Changed,
}

/// Texts of one list and not in the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ListDiff {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
}

impl Difference {
    /// The difference between two texts; nothing when they are the same.
    fn between(
        subject: impl Into<String>,
        old: Option<String>,
        new: Option<String>,
    ) -> Option<Self> {
        (old != new).then(|| Self {
            subject: subject.into(),
            old,
            new,
        })
    }
}

impl Change {
    /// What became of something of which this is known on both sides; nothing when it is the same.
    fn between<T: PartialEq + ?Sized>(old: Option<&T>, new: Option<&T>) -> Option<Self> {
        match (old, new) {
            (None, Some(_)) => Some(Self::Added),
            (Some(_), None) => Some(Self::Removed),
            (old, new) => (old != new).then_some(Self::Changed),
        }
    }
}

impl ListDiff {
    fn between(old: &[String], new: &[String]) -> Self {
        let missing = |from: &[String], list: &[String]| {
            list.iter()
                .filter(|text| !from.contains(text))
                .cloned()
                .collect()
        };
        Self {
            added: missing(old, new),
            removed: missing(new, old),
        }
    }
}

impl Diff {
    pub(crate) fn between(old: &BundleView, new: &BundleView) -> Result<Self, DiffError> {
        let (before, after) = (old.index(), new.index());
        let (left, right) = (Side::of(old), Side::of(new));
        let images = images::between(old, new, |index| &index.images)?;
        let artifacts = images::between(old, new, |index| &index.artifacts)?;
        let charts = charts::between(old, new)?;
        let signers = ListDiff::between(&left.signers, &right.signers);
        let different = left.digest != right.digest || signers != ListDiff::default();
        Ok(Self {
            different,
            bundle: summary::between(before, after),
            signers,
            waivers: ListDiff::between(&before.policy.waived, &after.policy.waived),
            left_out: ListDiff::between(
                &before.completeness.left_out,
                &after.completeness.left_out,
            ),
            exceptions: ListDiff::between(
                &before.completeness.exceptions(),
                &after.completeness.exceptions(),
            ),
            profiles: values::profiles(before, after),
            releases: releases::between(before, after),
            namespaces: releases::namespaces(before, after),
            values: values::between(old, new)?,
            migrations: entries::migrations(before, after),
            programs: entries::programs(before, after),
            origins: summary::origins(before, after),
            files: entries::others(
                before,
                after,
                !(images.is_empty() && artifacts.is_empty() && charts.is_empty()),
            ),
            carry: Carry::between(before, after),
            images,
            artifacts,
            charts,
            old: left,
            new: right,
        })
    }
}
