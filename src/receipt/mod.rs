//! Receipts: what was done with a bundle, in a chain that shows when somebody changed it
//! afterwards.
//!
//! A receipt is one file of canonical JSON that says which bundle was verified, by whom it was
//! signed, and what was pushed or installed where, or scanned. It names the SHA-256 of the receipt before it,
//! and its own SHA-256 is part of its name. Whoever knows the digest of the last receipt knows all
//! of them; `install` keeps that digest in the cluster. A receipt proves nothing alone: whoever can
//! write the directory can write a new chain. That is what the digest from elsewhere is for, or a
//! signature by a key that whoever can write the directory does not have.

mod chain;
mod error;

pub use chain::{Appended, Chain};
pub(crate) use chain::{Earlier, Stored};
pub(crate) use error::ReceiptError;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bundle::{AuthenticatedHead, SlotState};
use rune_core::digest::Digest;

pub(crate) const FORMAT: u64 = 1;

/// What a receipt says, but for its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// When it was done, by the clock of the machine: RFC 3339 in UTC.
    pub time: String,
    pub tool: String,
    pub bundle: VerifiedBundle,
    pub act: Act,
}

/// Something that was done and left no receipt, because somebody wanted none. The next receipt says
/// so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WithoutReceipt {
    /// When it began, by the clock of the machine: RFC 3339 in UTC.
    pub(crate) time: String,
    pub(crate) tool: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: semver::Version,
    pub(crate) digest: Digest,
    pub(crate) destination: String,
}

/// A bundle, and what of it was verified; nothing of one that was rolled back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBundle {
    pub name: String,
    pub version: semver::Version,
    pub digest: Digest,
    /// The keys whose signatures were verified: base64 of the SHA-256 of each. None when it was
    /// trusted by its digest.
    pub signers: Vec<String>,
    pub verified_bytes: u64,
}

impl BundleId {
    pub(crate) fn of(head: &AuthenticatedHead) -> Self {
        Self {
            name: head.index().name.clone(),
            version: head.index().version.clone(),
            digest: head.digest(),
        }
    }
}

impl VerifiedBundle {
    /// A bundle that is on record and was not there to be verified.
    pub(crate) fn on_record(bundle: BundleId) -> Self {
        let BundleId {
            name,
            version,
            digest,
        } = bundle;
        Self {
            name,
            version,
            digest,
            signers: Vec::new(),
            verified_bytes: 0,
        }
    }

    /// What the head says, with the number of bytes that were verified.
    pub(crate) fn of(head: &AuthenticatedHead, verified_bytes: u64) -> Self {
        let signer = |slot: &SlotState| match slot {
            SlotState::Verified { key, .. } => Some(key.clone()),
            _ => None,
        };
        Self {
            name: head.index().name.clone(),
            version: head.index().version.clone(),
            digest: head.digest(),
            signers: head.slots().iter().filter_map(signer).collect(),
            verified_bytes,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Act {
    Push {
        /// The registry, with the prefix if there is one.
        registry: String,
        references: Vec<PushedReference>,
        sent_bytes: u64,
    },
    Install {
        cluster: String,
        /// The unique id of the cluster's namespace `kube-system`, which stays when its address
        /// changes.
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster_id: Option<String>,
        #[serde(flatten)]
        release: InstalledRelease,
        /// The registry that the images come from, when it was named.
        #[serde(skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
        outcome: Outcome,
    },
    InstallSet {
        cluster: String,
        /// The unique id of the cluster's namespace `kube-system`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster_id: Option<String>,
        releases: Vec<InstalledRelease>,
        #[serde(skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
        outcome: Outcome,
    },
    Scan {
        scanner: String,
        /// When its database was built, as the scanner says it.
        database_built: String,
        images: Vec<ScannedImage>,
    },
    Rollback {
        cluster: String,
        /// The unique id of the cluster's namespace `kube-system`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster_id: Option<String>,
        releases: Vec<RolledBackRelease>,
        outcome: Outcome,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledRelease {
    pub(crate) namespace: String,
    pub(crate) release: String,
    pub(crate) revision: u64,
    /// The chart, `name-version`.
    pub(crate) chart: String,
    pub(crate) chart_digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// The SHA-256 of all objects as Helm rendered them, so that nothing secret is said and a
    /// change shows.
    pub(crate) manifest_digest: Digest,
    /// The schema version that the migrations of the bundle reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema_version: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBackRelease {
    pub(crate) namespace: String,
    pub(crate) release: String,
    pub(crate) from: BundleId,
    /// The bundle of before; none when the release was removed, because there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<BundleId>,
    /// The revision of the release that this made; none when it was removed or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BundleId {
    pub(crate) name: String,
    pub(crate) version: semver::Version,
    pub(crate) digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedReference {
    pub reference: String,
    pub source: Digest,
    /// The digest at the destination: another one when a reduced index was pushed.
    pub destination: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScannedImage {
    pub(crate) reference: String,
    pub(crate) platform: String,
    pub(crate) digest: Digest,
    /// How many findings there are of each severity that there are any of.
    pub(crate) findings: BTreeMap<String, u64>,
    pub(crate) not_affected: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Deployed,
    RolledBack,
    Failed,
}
