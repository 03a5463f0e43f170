//! Why something that a manifest names cannot be locked.

use std::{error::Error as _, fmt};

use camino::Utf8PathBuf;

use crate::{
    chart::ChartError,
    manifest::Contradiction,
    registry::{RegistryError, RepositoryName},
    remote::RemoteError,
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum ResolveError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry no longer has the digest that the manifest pins")]
    #[failure(inner: "in the manifest, give the `reference` of this image a tag or digest that the \
        registry has, then lock again")]
    PinnedGone(#[source] RegistryError),
    #[error(transparent)]
    File(#[from] PathError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("`{url}` has the SHA-256 {actual}, the manifest says {expected}")]
    #[failure(Content: "compare with what its publisher says; if the file was meant to change, \
        correct `sha256`")]
    OtherContent {
        url: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("another chart is named `{0}` too")]
    #[failure(Input)]
    DuplicateChart(String),
    #[error(
        "the image index has more than {count} nested indexes, or nests them more than {depth} deep"
    )]
    #[failure(Content)]
    TooManyIndexes { depth: usize, count: usize },
    #[error("{0} is an index, and is listed as something else")]
    #[failure(Content)]
    UnexpectedIndex(Digest),
    #[error("the image index lists `{0}`; only sha256 digests are supported")]
    #[failure(Input: "choose `platforms`: what is not chosen does not matter")]
    UnsupportedDigest(String),
    #[error("it lists {digest}, a manifest of the unknown type `{media_type}`")]
    #[failure(Input)]
    UnknownManifest { digest: Digest, media_type: String },
    #[error("it consists of more than {0} manifests")]
    #[failure(Content)]
    TooManyManifests(usize),
    #[error("the image index lists no image")]
    #[failure(Content)]
    EmptyIndex,
    #[error("{digest} is not a container image: its configuration is `{config_type}`")]
    #[failure(Input: "name it under `artifacts`; `images` are container images")]
    NotAnImage { digest: Digest, config_type: String },
    #[error(
        "layer {layer} of {manifest} is of type `{media_type}`, which is not distributed with the \
         image"
    )]
    #[failure(Input: "choose `platforms` without that image, or ask its publisher for one that is \
        whole")]
    ForeignLayer {
        manifest: Digest,
        layer: Digest,
        media_type: String,
    },
    #[error("manifest {manifest} has {actual} bytes, the image index says {expected}")]
    #[failure(Content)]
    ManifestSize {
        manifest: Digest,
        expected: u64,
        actual: u64,
    },
    #[error("the configuration {0} is not that of a container image")]
    #[failure(Content)]
    Config(Digest, #[source] serde_json::Error),
    #[error("it has none of the chosen platforms ({wanted}), only {available}")]
    #[failure(Input: "add one of its platforms to `platforms`, or remove the image")]
    NoChosenPlatform { wanted: String, available: String },
    #[error("`{0}` is not named as a migration")]
    #[failure(Input: "name migrations NNNN_name.sql, such as 0007_add_tags.sql")]
    MigrationName(Utf8PathBuf),
    #[error("`{one}` and `{other}` have the same number")]
    #[failure(Input: "give one of them the next free number")]
    MigrationNumber { one: String, other: String },
    #[error("there are no migrations")]
    #[failure(Input)]
    NoMigrations,
    #[error("more than {0} artifacts are about the image")]
    #[failure(Content)]
    TooManyReferrers(usize),
    #[error(
        "`{name}:{tag}` is not a list of referrers, but should be by the distribution specification"
    )]
    #[failure(Content)]
    ReferrersTag { name: RepositoryName, tag: String },
    #[error("what was found contradicts itself: {0}")]
    #[failure(Content)]
    Contradiction(#[source] Contradiction),
    #[error("a task of this tool failed")]
    #[failure(Internal)]
    Task(#[source] tokio::task::JoinError),
}

#[derive(Debug)]
pub(crate) struct ResolveProblem {
    pub(crate) subject: String,
    pub(crate) error: ResolveError,
}

#[derive(Debug, thiserror::Error)]
pub(crate) struct ResolveFailures {
    problems: Vec<ResolveProblem>,
}

impl fmt::Display for ResolveProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}: {}", self.subject, self.error);
        let mut source = self.error.source();
        while let Some(error) = source {
            let cause = error.to_string();
            // Several errors print their source as part of themselves.
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        formatter.write_str(&text)
    }
}

impl fmt::Display for ResolveFailures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(formatter, "cannot lock {only}"),
            problems => {
                write!(formatter, "cannot lock {} things", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl Failure for ResolveFailures {
    /// The kind of the first: they are shown in the same order.
    fn kind(&self) -> FailureKind {
        self.problems
            .first()
            .map_or(FailureKind::Internal, |problem| problem.error.kind())
    }

    fn help(&self) -> Option<String> {
        self.problems
            .iter()
            .find_map(|problem| problem.error.help())
    }

    fn details(&self) -> Option<serde_json::Value> {
        let list = self.problems.iter().map(|problem| {
            serde_json::json!({
                "subject": problem.subject,
                "kind": problem.error.kind(),
                "message": problem.to_string(),
                "help": problem.error.help(),
            })
        });
        Some(list.collect())
    }
}

#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<ResolveProblem>,
}

impl Problems {
    pub(super) fn keep<T>(
        &mut self,
        subject: String,
        result: Result<T, ResolveError>,
    ) -> Option<T> {
        result
            .map_err(|error| self.list.push(ResolveProblem { subject, error }))
            .ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_result<T>(mut self, value: T) -> Result<T, ResolveFailures> {
        if self.list.is_empty() {
            return Ok(value);
        }
        // Answers of registries come in any order; what is reported does not.
        self.list
            .sort_by(|one, other| one.subject.cmp(&other.subject));
        Err(ResolveFailures {
            problems: self.list,
        })
    }
}
