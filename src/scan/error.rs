//! Why images cannot be scanned.

use std::io;

use camino::Utf8PathBuf;

use crate::process::{MissingSpace, kind_of_start};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
};

const MORE_SPACE: &str = "set TMPDIR to a directory with more space";

#[derive(Debug, thiserror::Error, Failure)]
#[failure(NotFound: "set --scanner to grype")]
pub(crate) enum ScanError {
    #[error("`grype` was not found in PATH")]
    NotFound,
    #[error("cannot start `{program}`")]
    #[failure(kind: kind_of_start(.source))]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("`{0}` is not grype: it does not say so when asked for its version")]
    Unknown(Utf8PathBuf),
    #[error("no directory for the database of grype is known: HOME is not set")]
    #[failure(help: "set HOME or GRYPE_DB_CACHE_DIR")]
    NoHome,
    #[error("grype has no valid vulnerability database in `{0}`")]
    #[failure(help: "import one with `grype db import FILE`, or set GRYPE_DB_CACHE_DIR to the \
        directory that has one")]
    NoDatabase(Utf8PathBuf),
    #[error("`{}` does not have enough space for grype to unpack {image}: {missing}", .missing.directory)]
    #[failure(Space: MORE_SPACE)]
    Space {
        image: String,
        missing: MissingSpace,
    },
    #[error("grype cannot scan {image}: {what}")]
    #[failure(kind: kind_of_failure(.what), help: match kind_of_failure(.what) {
        FailureKind::Space => MORE_SPACE,
        _ => "set --scanner to another version of grype; a report has a result for every image",
    })]
    Failed { image: String, what: String },
    #[error(transparent)]
    Path(#[from] PathError),
}

fn kind_of_failure(what: &str) -> FailureKind {
    if what.contains("no space left on device") {
        FailureKind::Space
    } else {
        FailureKind::Input
    }
}
