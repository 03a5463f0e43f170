//! What becomes of bundles and manifests.

use std::fmt;

use semver::Version;
use serde::Serialize;

use crate::registry::RepositoryName;
use rune_core::digest::Digest;

#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    pub(crate) kind: UseKind,
    pub(crate) place: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UseKind {
    Installed,
    InProgress,
    Rollback,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fate {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    pub(crate) kept: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum TargetKind {
    Image,
    Artifact,
    Chart,
    /// An artifact about an image: a signature, an attestation, an SBOM.
    Referrer,
    Index,
    Signature,
    Provenance,
    Files,
    List,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) kind: TargetKind,
    #[serde(serialize_with = "as_text")]
    pub(super) repository: RepositoryName,
    pub(super) tags: Vec<String>,
    pub(super) digest: Digest,
    /// What nothing else needs that is read here. What several manifests share counts for the
    /// first.
    pub(super) bytes: u64,
    pub(super) deleted: bool,
}

/// A manifest that only older bundles need, and that stays all the same.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    pub(super) reference: String,
    pub(super) why: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A bundle that stays needs it, or something that this one needs names it.
    Needed,
    /// A tag leads to it that no bundle has for it.
    Tag(String),
    /// An artifact of others is about it, or is it.
    Referrer(Digest),
    About(Digest),
}

fn as_text<S: serde::Serializer>(name: &RepositoryName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

impl fmt::Display for UseKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Installed => "installed as",
            Self::InProgress => "being installed as",
            Self::Rollback => "before the installed one of",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed => formatter.write_str("something that stays names it"),
            Self::Tag(tag) => write!(formatter, "the tag {tag} leads to it"),
            Self::Referrer(digest) => write!(formatter, "{digest} is about it"),
            Self::About(digest) => write!(formatter, "it is about {digest}, which stays"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            repository,
            tags,
            digest,
            ..
        } = self;
        match tags.as_slice() {
            [] => write!(formatter, "{repository}@{digest}"),
            tags => write!(formatter, "{repository}:{}  {digest}", tags.join(",")),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reference, self.why)
    }
}

impl Target {
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn is_deleted(&self) -> bool {
        self.deleted
    }
}
