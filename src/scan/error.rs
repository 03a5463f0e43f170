//! Why images cannot be scanned.

use std::io;

use camino::Utf8PathBuf;

use crate::process::{MORE_SPACE, MissingSpace, kind_of_end, kind_of_start};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
};

#[derive(Debug, thiserror::Error, Failure)]
#[failure(NotFound: "set --scanner to grype or trivy")]
pub(crate) enum ScanError {
    #[error("neither `grype` nor `trivy` was found in PATH")]
    NotFound,
    #[error("cannot start `{program}`")]
    #[failure(kind: kind_of_start(.source))]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("`{0}` is neither grype nor Trivy: it does not say so when asked for its version")]
    Unknown(Utf8PathBuf),
    #[error("no directory for the database of {0} is known: HOME is not set")]
    #[failure(help: "set HOME, or GRYPE_DB_CACHE_DIR or TRIVY_CACHE_DIR")]
    NoHome(&'static str),
    #[error("{scanner} has no valid vulnerability database in `{directory}`")]
    #[failure(help: *.help)]
    NoDatabase {
        scanner: &'static str,
        directory: Utf8PathBuf,
        help: &'static str,
    },
    #[error(
        "`{}` does not have enough space for {scanner} to unpack {image}: {missing}",
        .missing.directory
    )]
    #[failure(Space: MORE_SPACE)]
    Space {
        scanner: &'static str,
        image: String,
        missing: MissingSpace,
    },
    #[error("{scanner} cannot scan {image}: {what}")]
    #[failure(kind: kind_of_end(.what), help: match kind_of_end(.what) {
        FailureKind::Space => MORE_SPACE,
        _ => "set --scanner to another version or scanner; a report has a result for every image",
    })]
    Failed {
        scanner: &'static str,
        image: String,
        what: String,
    },
    #[error(transparent)]
    Path(#[from] PathError),
}
