//! The registry of a command: from an option, the environment or the site file.

use std::str::FromStr;

use rune_core::{
    command::CommandError,
    failure::{Failure, FailureKind},
};

/// Why a text names no registry.
#[derive(Debug, thiserror::Error)]
enum RegistryArgError {
    #[error("no registry was given")]
    Missing,
    // What stands before `@` is a user, and perhaps a password: it is not repeated.
    #[error("a registry is written without a user or a digest: `…@{0}`")]
    Credentials(String),
}

impl Failure for RegistryArgError {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Missing => {
                "name REGISTRY[/PREFIX], or set it with RUNE_BUNDLE_REGISTRY or in the site file"
                    .to_owned()
            }
            Self::Credentials(_) => {
                "write the host alone; credentials come from `rune-bundle login`".to_owned()
            }
        })
    }
}

/// A registry that a command cannot do without.
pub(super) fn required<T: FromStr<Err: Failure>>(text: Option<String>) -> Result<T, CommandError> {
    read(&text.ok_or(RegistryArgError::Missing)?)
}

/// A registry, when one was given.
pub(super) fn optional<T: FromStr<Err: Failure>>(
    text: Option<String>,
) -> Result<Option<T>, CommandError> {
    text.map(|text| read(&text)).transpose()
}

fn read<T: FromStr<Err: Failure>>(text: &str) -> Result<T, CommandError> {
    if let Some((_, host)) = text.rsplit_once('@') {
        return Err(RegistryArgError::Credentials(host.to_owned()).into());
    }
    Ok(text.parse()?)
}
