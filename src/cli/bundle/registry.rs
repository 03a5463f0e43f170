//! The registry of a command: from an option, the environment or the site file.

use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};

use rune_core::{command::CommandError, failure::Failure, fsx};

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
enum RegistryArgError {
    #[error("no registry was given")]
    #[failure(help: "name REGISTRY[/PREFIX], or set it with RUNE_BUNDLE_REGISTRY or in the site \
        file")]
    Missing,
    // What stands before `@` is a user, and perhaps a password: it is not repeated.
    #[error("a registry is written without a user or a digest: `…@{0}`")]
    #[failure(help: "write the host alone; credentials come from `rune-bundle login`")]
    Credentials(String),
    #[error("`{0}` is a file, and the registry is the argument behind the bundle")]
    #[failure(help: "name the bundle first, then the registry")]
    Swapped(Utf8PathBuf),
}

pub(super) fn check_order(bundle: &Utf8Path, registry: Option<&str>) -> Result<(), CommandError> {
    match registry.map(Utf8Path::new) {
        Some(file) if fsx::is_file(file) && bundle != "-" && !fsx::exists(bundle) => {
            Err(RegistryArgError::Swapped(file.to_owned()).into())
        }
        _ => Ok(()),
    }
}

pub(super) fn required<T: FromStr<Err: Failure>>(text: Option<String>) -> Result<T, CommandError> {
    read(&text.ok_or(RegistryArgError::Missing)?)
}

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
