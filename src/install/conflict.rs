//! What must not be installed over what is installed.

use semver::Version;

use rune_core::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Conflict)]
pub enum Conflict {
    #[error("{version} of {bundle} is older than {current}, which {}", how(*.is_attempt))]
    #[failure(help: "an older RUNE may not know the schema of the database; with a backup at hand, \
        --allow-downgrade does it")]
    Downgrade {
        bundle: String,
        version: Version,
        current: Version,
        is_attempt: bool,
    },
    #[error("{bundle} {version} {} with the bundle digest {current}, and this file has {digest}",
        how(*.is_attempt))]
    #[failure(help: "two different bundles must not have one version: ask whoever made them which \
        is right; a rebuilt one needs a version of its own")]
    OtherDigest {
        bundle: String,
        version: Version,
        current: String,
        digest: String,
        is_attempt: bool,
    },
    #[error("the release is of the bundle {current}, not of {bundle}")]
    #[failure(help: "give this one a release of its own with --release")]
    OtherBundle { bundle: String, current: String },
}

fn how(is_attempt: bool) -> &'static str {
    if is_attempt {
        "was begun to be installed and not finished"
    } else {
        "is installed"
    }
}
