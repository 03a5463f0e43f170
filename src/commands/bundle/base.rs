//! What has entries that a delta leaves out: a file, a directory, a registry, or a containerd.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use camino::Utf8PathBuf;

use crate::{
    bundle::{Base, BundleIndex, DeltaContents, Held, RegistryBase},
    containerd::{Containerd, ContainerdOptions},
    push::Destination,
    registry::Client,
};
use rune_core::{
    command::{CommandError, block_on, counted},
    digest::Digest,
    failure::Failure,
    progress::Progress,
    text::shown,
};

const REGISTRY: &str = "oci://";

/// The containerd of this machine; everything else is a path.
const CONTAINERD: &str = "containerd";

#[derive(Debug, Clone)]
pub(crate) enum BaseSource {
    Path(Utf8PathBuf),
    /// A registry with its prefix, without the scheme.
    Registry(String),
    Containerd,
}

pub(super) struct BaseAccess<'a> {
    pub(super) client: &'a Client,
    pub(super) containerd: &'a ContainerdOptions,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
pub(crate) enum BaseSourceError {
    #[error("`oci://{0}` does not say which bundle was pushed")]
    #[failure(help: "write oci://{0}/bundles/NAME:VERSION")]
    NoBundle(String),
    // What stands before `@` is a user, and perhaps a password: it is not repeated.
    #[error("a registry is written without a user or a digest: `oci://…@{0}`")]
    #[failure(help: "write the host alone; credentials come from `rune-bundle login`")]
    Credentials(String),
    #[error("standard input is not read here; store it in a file first")]
    StandardInput,
}

impl FromStr for BaseSource {
    type Err = BaseSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(REGISTRY) {
            Some(registry) => Ok(Self::Registry(registry.to_owned())),
            None if text == CONTAINERD => Ok(Self::Containerd),
            None if text == "-" => Err(BaseSourceError::StandardInput),
            None => Ok(Self::Path(text.into())),
        }
    }
}

impl BaseSource {
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Path(_) | Self::Containerd => None,
            Self::Registry(text) => text.split('/').next(),
        }
    }

    pub(super) async fn for_delta(
        &self,
        access: &BaseAccess<'_>,
        index: &BundleIndex,
        delta: &DeltaContents<'_>,
        more: &[Utf8PathBuf],
    ) -> Result<Base, CommandError> {
        match self {
            Self::Path(path) => Ok(Base::open(path, more)?),
            Self::Registry(text) => {
                let destination = destination(text)?;
                let registry = registry(access.client, &destination, REGISTRY);
                Ok(registry.base(index, Some(delta)).await?)
            }
            Self::Containerd => {
                let containerd = Containerd::find(access.containerd)?;
                Ok(Base::of_containerd(&Arc::new(containerd), index)?)
            }
        }
    }

    /// Adds everything that it has and that is as it should be, of a registry what it has of a
    /// bundle that was pushed there. Says which digests are something else, and where.
    pub(super) fn check_into(
        &self,
        held: &mut Held,
        access: &BaseAccess<'_>,
        progress: &dyn Progress,
    ) -> Result<(String, Vec<Digest>), CommandError> {
        let base = match self {
            Self::Path(path) => Base::open(path, &[])?,
            Self::Registry(text) => block_on(pushed(text, access.client))?,
            Self::Containerd => {
                let containerd = Containerd::find(access.containerd)?;
                let wrong = held.add_containerd(&containerd, progress)?;
                let discarded = containerd.discarded()?;
                if !discarded.is_empty() {
                    progress.announce(&discarded_note(&discarded));
                }
                return Ok((containerd.to_string(), wrong));
            }
        };
        let wrong = base.check_into(held, progress)?;
        Ok((base.name().to_owned(), wrong))
    }
}

/// What is said of images whose layers containerd has unpacked and not as they came.
fn discarded_note(images: &BTreeSet<String>) -> String {
    let names: Vec<String> = images.iter().map(|name| shown(name)).collect();
    format!(
        "note: containerd discarded layers of {} after it had unpacked them, so they are not \
         listed: {}",
        counted(images.len(), "image name"),
        names.join(", ")
    )
}

/// What a registry has of a bundle that was pushed there.
async fn pushed(text: &str, client: &Client) -> Result<Base, CommandError> {
    check_no_credentials(text)?;
    let no_bundle = || BaseSourceError::NoBundle(text.to_owned());
    let (before, bundle) = text.rsplit_once("/bundles/").ok_or_else(no_bundle)?;
    let (name, tag) = bundle.rsplit_once(':').ok_or_else(no_bundle)?;
    let destination = destination(before)?;
    let registry = registry(client, &destination, REGISTRY);
    let index = registry.index(name, tag).await?;
    Ok(registry.base(&index, None).await?)
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
