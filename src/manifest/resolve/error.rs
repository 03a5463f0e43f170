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

#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry no longer has the digest that the manifest pins")]
    PinnedGone(#[source] RegistryError),
    #[error(transparent)]
    File(#[from] PathError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("`{url}` has the SHA-256 {actual}, the manifest says {expected}")]
    OtherContent {
        url: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("another chart is named `{0}` too")]
    DuplicateChart(String),
    #[error(
        "the image index has more than {count} nested indexes, or nests them more than {depth} deep"
    )]
    TooManyIndexes {
        /// How deep they may lie.
        depth: usize,
        /// How many there may be.
        count: usize,
    },
    #[error("{0} is an index, and is listed as something else")]
    UnexpectedIndex(Digest),
    #[error("the image index lists `{0}`; only sha256 digests are supported")]
    UnsupportedDigest(String),
    #[error("it lists {digest}, a manifest of the unknown type `{media_type}`")]
    UnknownManifest { digest: Digest, media_type: String },
    #[error("it consists of more than {0} manifests")]
    TooManyManifests(usize),
    #[error("the image index lists no image")]
    EmptyIndex,
    #[error("{digest} is not a container image: its configuration is `{config_type}`")]
    NotAnImage { digest: Digest, config_type: String },
    #[error(
        "layer {layer} of {manifest} is of type `{media_type}`, which is not distributed with the \
         image"
    )]
    ForeignLayer {
        manifest: Digest,
        layer: Digest,
        media_type: String,
    },
    #[error("manifest {manifest} has {actual} bytes, the image index says {expected}")]
    ManifestSize {
        manifest: Digest,
        expected: u64,
        actual: u64,
    },
    #[error("the configuration {0} is not that of a container image")]
    Config(Digest, #[source] serde_json::Error),
    #[error("it has none of the chosen platforms ({wanted}), only {available}")]
    NoChosenPlatform { wanted: String, available: String },
    #[error("`{0}` is not named as a migration")]
    MigrationName(Utf8PathBuf),
    #[error("`{one}` and `{other}` have the same number")]
    MigrationNumber { one: String, other: String },
    #[error("there are no migrations")]
    NoMigrations,
    #[error("more than {0} artifacts are about the image")]
    TooManyReferrers(usize),
    #[error(
        "`{name}:{tag}` is not a list of referrers, but should be by the distribution specification"
    )]
    ReferrersTag { name: RepositoryName, tag: String },
    #[error("what was found contradicts itself: {0}")]
    Contradiction(#[source] Contradiction),
    #[error("a task of this tool failed")]
    Task(#[source] tokio::task::JoinError),
}

impl Failure for ResolveError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Registry(error) | Self::PinnedGone(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Chart(error) => error.kind(),
            Self::Remote(error) => error.kind(),
            Self::NotAnImage { .. }
            | Self::UnknownManifest { .. }
            | Self::DuplicateChart(_)
            | Self::ForeignLayer { .. }
            | Self::UnsupportedDigest(_)
            | Self::NoChosenPlatform { .. }
            | Self::MigrationName(_)
            | Self::MigrationNumber { .. }
            | Self::NoMigrations => FailureKind::Input,
            Self::OtherContent { .. }
            | Self::EmptyIndex
            | Self::TooManyIndexes { .. }
            | Self::TooManyManifests(_)
            | Self::TooManyReferrers(_)
            | Self::ReferrersTag { .. }
            | Self::UnexpectedIndex(_)
            | Self::ManifestSize { .. }
            | Self::Config(..)
            | Self::Contradiction(_) => FailureKind::Content,
            Self::Task(_) => FailureKind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.help(),
            Self::PinnedGone(_) => Some(
                "in the manifest, give the `reference` of this image a tag or digest that the \
                 registry has, then lock again"
                    .to_owned(),
            ),
            Self::File(error) => error.help(),
            Self::Chart(error) => error.help(),
            Self::Remote(error) => error.help(),
            Self::OtherContent { .. } => Some(
                "compare with what its publisher says; if the file was meant to change, correct \
                 `sha256`"
                    .to_owned(),
            ),
            Self::UnsupportedDigest(_) => {
                Some("choose `platforms`: what is not chosen does not matter".to_owned())
            }
            Self::NotAnImage { .. } => {
                Some("name it under `artifacts`; `images` are container images".to_owned())
            }
            Self::ForeignLayer { .. } => Some(
                "choose `platforms` without that image, or ask its publisher for one that is whole"
                    .to_owned(),
            ),
            Self::NoChosenPlatform { .. } => {
                Some("add one of its platforms to `platforms`, or remove the image".to_owned())
            }
            Self::MigrationName(_) => {
                Some("name migrations NNNN_name.sql, such as 0007_add_tags.sql".to_owned())
            }
            Self::MigrationNumber { .. } => {
                Some("give one of them the next free number".to_owned())
            }
            _ => None,
        }
    }
}

/// One thing that cannot be locked, and why.
#[derive(Debug)]
pub(crate) struct ResolveProblem {
    /// What it is: an image, a chart, a program.
    pub(crate) subject: String,
    pub(crate) error: ResolveError,
}

/// Everything that cannot be locked.
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
    /// Keeps the problem, if there is one, and gives the value back otherwise.
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
