//! Configuration of nodes: which registry holds what the charts look for at others.
//!
//! Pushing and serving keep the repository of an image and drop its registry, so one rule for each
//! source registry is enough, and charts need no change. The rules name no second place: in an
//! air-gapped environment, asking one would only hide what is wrong with the first. This module
//! makes texts and files; it contacts nobody, and knows no password.

mod containerd;
mod containers;
mod destination;
mod docker;
mod error;
mod files;
mod k3s;
mod openshift;

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::oci::Reference;

pub(crate) use destination::Destination;
pub(crate) use error::MirrorError;
pub(crate) use files::{FileState, write_files};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// containerd: a `hosts.toml` for each source registry.
    Containerd,
    K3s,
    /// CRI-O, podman and skopeo: a file of `registries.conf.d`.
    Crio,
    Docker,
    /// OpenShift: an `ImageDigestMirrorSet` and an `ImageTagMirrorSet`.
    OpenShift,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) place: &'static str,
    pub(crate) files: Vec<ConfigurationFile>,
    /// The source registries for which the runtime cannot be told another place.
    pub(crate) left_out: Vec<String>,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigurationFile {
    pub(crate) path: Utf8PathBuf,
    pub(crate) text: String,
}

impl Format {
    pub(crate) fn configuration(
        self,
        bundle: &str,
        images: &[&Reference],
        destination: &Destination,
    ) -> Result<Configuration, MirrorError> {
        if images.is_empty() {
            return Err(MirrorError::NoImages);
        }
        let sources = &source_registries(images);
        match self {
            Self::Containerd => Ok(containerd::configuration(sources, destination)),
            Self::K3s => Ok(k3s::configuration(sources, destination)),
            Self::Crio => Ok(containers::configuration(sources, destination)),
            Self::Docker => docker::configuration(sources, destination),
            Self::OpenShift => Ok(openshift::configuration(bundle, images, destination)),
        }
    }
}

pub(crate) fn source_registries<'a>(images: &[&'a Reference]) -> BTreeSet<&'a str> {
    images.iter().map(|image| image.registry()).collect()
}

/// A text in double quotes, which YAML and TOML read as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
