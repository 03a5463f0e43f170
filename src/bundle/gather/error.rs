//! Why a project and its lock do not make a bundle.

use camino::Utf8PathBuf;

use crate::{
    bundle::NotStatic, chart::ChartError, evidence::AdvisoryError, manifest, oci::Platform,
};
use rune_core::{digest::Digest, failure::Failure, fsx::PathError, yaml::YamlError};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum GatherError {
    #[error(transparent)]
    Lock(#[from] manifest::LockCheckError),
    #[error(transparent)]
    Sbom(#[from] manifest::SbomFileError),
    /// The lock lacks a program, file or chart, although it was found to be current: a bug.
    #[error("the lock lacks `{0}`")]
    #[failure(Internal)]
    NotLocked(String),
    /// A chart from elsewhere was not fetched before: a bug.
    #[error("the chart `{0}` was not fetched")]
    #[failure(Internal)]
    NotFetched(String),
    #[error("`{path}` has changed since it was locked: expected {expected}, found {actual}")]
    #[failure(Drift: "restore the file, or run `rune-bundle lock` again if the change is meant")]
    Drift {
        path: Utf8PathBuf,
        expected: Digest,
        actual: Digest,
    },
    #[error("`{path}` cannot run in the image of {platform}")]
    #[failure(Input: "build it with `make release`, which links statically")]
    NotStatic {
        path: Utf8PathBuf,
        platform: Platform,
        source: NotStatic,
    },
    #[error("the advisory `{path}` of kind `{kind}` cannot be used")]
    #[failure(Input: "correct the file, or its `kind` in the manifest")]
    Advisory {
        path: Utf8PathBuf,
        kind: &'static str,
        source: AdvisoryError,
    },
    #[error("the manifest has no component `{name}`; it has {known}")]
    #[failure(Usage)]
    UnknownComponent { name: String, known: String },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("`{0}` is there, and templates are read from `templates/` alone")]
    #[failure(Input: "move it to `templates/{0}`, and correct the path in the manifest")]
    TemplateElsewhere(Utf8PathBuf),
    #[error("`{path}` renders to a values file that is not YAML")]
    #[failure(Input: if *.has_braces {
        "write `<@ … @>`; `{{ }}` is for templates of the chart, and stands in quotes here"
    } else {
        "a value is written with its quotes: inside other text write `<@ … | raw @>`"
    })]
    Values {
        path: Utf8PathBuf,
        has_braces: bool,
        source: YamlError,
    },
    #[error(transparent)]
    Image(#[from] crate::oci::ImageBuilderError),
}
