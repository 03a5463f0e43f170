//! What has entries that a delta leaves out: a file, a directory, or a registry.

use std::str::FromStr;

use camino::Utf8PathBuf;

use crate::{
    bundle::{Base, BundleIndex, DeltaContents, RegistryBase},
    push::Destination,
    registry::Client,
};
use rune_core::{
    command::CommandError,
    failure::{Failure, FailureKind},
};

/// What a registry is named with; everything else is a path.
const REGISTRY: &str = "oci://";

/// Something that has entries.
#[derive(Debug, Clone)]
pub(crate) enum BaseSource {
    Path(Utf8PathBuf),
    /// A registry with its prefix, without the scheme.
    Registry(String),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseSourceError {
    #[error("`oci://{0}` does not say which bundle was pushed")]
    NoBundle(String),
    // What stands before `@` is a user, and perhaps a password: it is not repeated.
    #[error("a registry is written without a user or a digest: `oci://…@{0}`")]
    Credentials(String),
    #[error("standard input is not read here; store it in a file first")]
    StandardInput,
}

impl Failure for BaseSourceError {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoBundle(text) => format!("write oci://{text}/bundles/NAME:VERSION"),
            Self::Credentials(_) => {
                "write the host alone; credentials come from `rune-bundle login`".to_owned()
            }
            Self::StandardInput => return None,
        })
    }
}

impl FromStr for BaseSource {
    type Err = BaseSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(REGISTRY) {
            Some(registry) => Ok(Self::Registry(registry.to_owned())),
            None if text == "-" => Err(BaseSourceError::StandardInput),
            None => Ok(Self::Path(text.into())),
        }
    }
}

impl BaseSource {
    /// The host of the registry, with port if any.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::Registry(text) => text.split('/').next(),
        }
    }

    pub(super) async fn for_delta(
        &self,
        client: &Client,
        index: &BundleIndex,
        delta: &DeltaContents<'_>,
        more: &[Utf8PathBuf],
    ) -> Result<Base, CommandError> {
        match self {
            Self::Path(path) => Ok(Base::open(path, more)?),
            Self::Registry(text) => {
                let destination = destination(text)?;
                let registry = registry(client, &destination, REGISTRY);
                Ok(registry.base(index, Some(delta)).await?)
            }
        }
    }

    /// Everything that it has, of a registry what it has of a bundle that was pushed there.
    pub(super) async fn everything(&self, client: &Client) -> Result<Base, CommandError> {
        let text = match self {
            Self::Path(path) => return Ok(Base::open(path, &[])?),
            Self::Registry(text) => text,
        };
        check_no_credentials(text)?;
        let no_bundle = || BaseSourceError::NoBundle(text.clone());
        let (before, bundle) = text.rsplit_once("/bundles/").ok_or_else(no_bundle)?;
        let (name, tag) = bundle.rsplit_once(':').ok_or_else(no_bundle)?;
        let destination = destination(before)?;
        let registry = registry(client, &destination, REGISTRY);
        let index = registry.index(name, tag).await?;
        Ok(registry.base(&index, None).await?)
    }
}

fn destination(text: &str) -> Result<Destination, CommandError> {
    check_no_credentials(text)?;
    Ok(text.parse()?)
}

fn check_no_credentials(text: &str) -> Result<(), BaseSourceError> {
    match text.rsplit_once('@') {
        Some((_, host)) => Err(BaseSourceError::Credentials(host.to_owned())),
        None => Ok(()),
    }
}

/// The registry where `push` writes to this destination; `scheme` goes before its name.
pub(super) fn registry<'a>(
    client: &'a Client,
    destination: &'a Destination,
    scheme: &str,
) -> RegistryBase<'a> {
    RegistryBase {
        client,
        name: format!("{scheme}{destination}"),
        repository: Box::new(|name| destination.name(name)),
    }
}
