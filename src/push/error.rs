//! How pushing fails.

use std::fmt::Write as _;

use crate::{
    bundle::{ContentError, StreamError},
    oci::ManifestError,
    registry::{RegistryError, RepositoryName},
};
use rune_core::{digest::Digest, failure::Failure};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum PushError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A document of the bundle is not a manifest; does not happen once it is open.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("nothing was pushed: {} to different content:{}",
        if .0.len() == 1 { "this tag exists and points" } else { "these tags exist and point" },
        taken(.0))]
    #[failure(Conflict: "push below another prefix, or overwrite the tags with `rune-bundle push \
        --overwrite-tags`")]
    TagsTaken(Vec<TakenTag>),
    #[error("nothing was pushed: platforms were left out of {}", named(.0))]
    #[failure(Policy: "use `rune-bundle push --index auto`, `sparse` or `reduced`, or a bundle of \
        all platforms")]
    Incomplete(Vec<String>),
    #[error(
        "`{name}` would hold an index that lacks platforms, and the registry does not take one"
    )]
    #[failure(inner: "use `rune-bundle push --index reduced`, or `auto`, which does so when it has \
        to")]
    SparseRefused {
        name: RepositoryName,
        source: Box<RegistryError>,
    },
    #[error("nothing was pushed: `{first}` and `{second}` would both be `{name}`")]
    #[failure(Input: "push without --flatten")]
    Collision {
        first: String,
        second: String,
        name: String,
    },
    #[error(
        "`{name}:{tag}` is not a list of referrers, but should be by the distribution specification"
    )]
    #[failure(Conflict: "see what pushed the tag `{tag}`, and delete it")]
    ReferrersTag { name: RepositoryName, tag: String },
    #[error("the registry did not mount what the delta lacks:{}", not_mounted(.0))]
    #[failure(NotFound: "create the bundle with `rune-bundle apply DELTA --from BASE --output \
        FILE`, and use that")]
    NotMounted(Vec<(RepositoryName, Digest)>),
    #[error("a part of the push did not end")]
    #[failure(Internal)]
    Task(#[source] tokio::task::JoinError),
}

impl From<StreamError> for PushError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Content(error) => Self::Content(error),
            StreamError::Stopped(error) => Self::Task(error),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenTag {
    pub(super) reference: String,
    pub(super) existing: Digest,
    pub(super) here: Digest,
}

fn taken(tags: &[TakenTag]) -> String {
    tags.iter().fold(
        String::new(),
        |mut text,
         TakenTag {
             reference,
             existing,
             here,
         }| {
            let _ = write!(text, "\n  `{reference}` is {existing}, and would be {here}");
            text
        },
    )
}

fn not_mounted(blobs: &[(RepositoryName, Digest)]) -> String {
    blobs
        .iter()
        .fold(String::new(), |mut text, (name, digest)| {
            let _ = write!(text, "\n  {digest} in `{name}`");
            text
        })
}

fn named(references: &[String]) -> String {
    references
        .iter()
        .map(|reference| format!("`{reference}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
