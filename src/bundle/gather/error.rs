//! Why a project and its lock do not make a bundle.

use camino::Utf8PathBuf;

use crate::{
    bundle::NotStatic, chart::ChartError, evidence::AdvisoryError, manifest, oci::Platform,
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
    yaml::YamlError,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    #[error(transparent)]
    Lock(#[from] manifest::LockCheckError),
    #[error(transparent)]
    Sbom(#[from] manifest::SbomFileError),
    /// The lock lacks a program, file or chart, although it was found to be current: a bug.
    #[error("the lock lacks `{0}`")]
    NotLocked(String),
    /// A chart from elsewhere was not fetched before: a bug.
    #[error("the chart `{0}` was not fetched")]
    NotFetched(String),
    #[error("`{path}` has changed since it was locked: expected {expected}, found {actual}")]
    Drift {
        path: Utf8PathBuf,
        /// The digest in the lock.
        expected: Digest,
        /// The digest of the file.
        actual: Digest,
    },
    #[error("`{path}` cannot run in the image of {platform}")]
    NotStatic {
        path: Utf8PathBuf,
        platform: Platform,
        source: NotStatic,
    },
    #[error("the advisory `{path}` of kind `{kind}` cannot be used")]
    Advisory {
        path: Utf8PathBuf,
        kind: &'static str,
        source: AdvisoryError,
    },
    #[error("the manifest has no component `{name}`; it has {known}")]
    UnknownComponent { name: String, known: String },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("`{0}` is there, and templates are read from `templates/` alone")]
    TemplateElsewhere(Utf8PathBuf),
    #[error("`{path}` renders to a values file that is not YAML")]
    Values {
        path: Utf8PathBuf,
        has_braces: bool,
        source: YamlError,
    },
    #[error(transparent)]
    Image(#[from] crate::oci::ImageBuilderError),
}

impl Failure for GatherError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Lock(error) => error.kind(),
            Self::Sbom(error) => error.kind(),
            Self::NotLocked(_) | Self::NotFetched(_) => FailureKind::Internal,
            Self::NotStatic { .. }
            | Self::Advisory { .. }
            | Self::TemplateElsewhere(_)
            | Self::Values { .. } => FailureKind::Input,
            Self::Drift { .. } => FailureKind::Drift,
            Self::UnknownComponent { .. } => FailureKind::Usage,
            Self::Path(error) => error.kind(),
            Self::Chart(error) => error.kind(),
            Self::Image(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.help(),
            Self::Sbom(error) => error.help(),
            Self::Drift { .. } => Some(
                "restore the file, or run `rune-bundle lock` again if the change is meant"
                    .to_owned(),
            ),
            Self::NotStatic { .. } => {
                Some("build it with `make release`, which links statically".to_owned())
            }
            Self::Advisory { .. } => {
                Some("correct the file, or its `kind` in the manifest".to_owned())
            }
            Self::TemplateElsewhere(path) => Some(format!(
                "move it to `templates/{path}`, and correct the path in the manifest"
            )),
            Self::Values {
                has_braces: true, ..
            } => Some(
                "write `<@ … @>`; `{{ }}` is for templates of the chart, and stands in quotes here"
                    .to_owned(),
            ),
            Self::Values { .. } => Some(
                "a value is written with its quotes: inside other text write `<@ … | raw @>`"
                    .to_owned(),
            ),
            Self::UnknownComponent { .. } | Self::NotLocked(_) | Self::NotFetched(_) => None,
            Self::Path(error) => error.help(),
            Self::Chart(error) => error.help(),
            Self::Image(error) => error.help(),
        }
    }

    fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::Lock(error) => error.details(),
            _ => None,
        }
    }
}
