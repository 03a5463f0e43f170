//! The verbs for nodes: `load`, `mirror`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{
    containerd::ContainerdArgs,
    registry,
    trust::{BundleArgs, StreamArgs},
};
use crate::{
    cli::site::Site,
    commands::bundle::{
        LoadDestination, LoadOptions, MirrorDestination, MirrorFormat, MirrorOptions, Platform,
    },
    oci::PlatformError,
};
use rune_core::cli::output_path::output_path;
use rune_core::command::CommandError;

/// Load images into containerd, k3s, RKE2 or k0s without a registry.
///
/// Images keep their names and get one with their digest too, under which the kubelet looks for
/// pinned ones. Only what this node can run is loaded; nothing is unpacked on the way. A delta is
/// loaded when containerd has the rest of what the node needs.
#[derive(Debug, Args)]
pub(super) struct Load {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Platform of the node [default: the one of this machine]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    /// Write a file that k3s, RKE2 or k0s imports, such as into /var/lib/rancher/k3s/agent/images
    /// or /var/lib/k0s/images
    #[arg(long, value_name = "DIR", conflicts_with_all = ["ctr", "address", "namespace"],
        value_parser = output_path)]
    images_dir: Option<Utf8PathBuf>,
    #[command(flatten)]
    containerd: ContainerdArgs,
}

/// Write the configuration with which nodes pull from your registry, so that charts need no change.
///
/// For every registry that images of the bundle are from, nodes go to REGISTRY/PREFIX instead,
/// where `push` or `serve` has them under the same repository.
#[derive(Debug, Args)]
pub(super) struct Mirror {
    /// Program to configure
    #[arg(value_enum)]
    format: FormatArg,
    #[command(flatten)]
    bundle: StreamArgs,
    /// Registry that has the images, as nodes reach it [env: RUNE_BUNDLE_REGISTRY]
    #[arg(value_name = "REGISTRY[/PREFIX]")]
    registry: Option<String>,
    /// Write the files into this directory; existing files are never overwritten
    #[arg(long, short, alias = "out", value_name = "DIR", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Path of the registry's CA certificate on the nodes
    #[arg(long, value_name = "FILE", value_parser = absolute_path, conflicts_with = "plain_http")]
    ca_file: Option<Utf8PathBuf>,
    /// Use plain HTTP for the registry
    #[arg(long)]
    plain_http: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// A hosts.toml for each source registry, for /etc/containerd/certs.d
    Containerd,
    /// registries.yaml of k3s and RKE2
    #[value(alias = "rke2")]
    K3s,
    /// registries.conf.d of CRI-O, podman and skopeo
    #[value(aliases = ["cri-o", "podman", "skopeo"])]
    Crio,
    /// daemon.json of Docker, which can be sent elsewhere for docker.io only
    Docker,
    /// `ImageDigestMirrorSet` and `ImageTagMirrorSet` of OpenShift, for oc apply
    #[value(name = "openshift", aliases = ["idms", "okd"])]
    OpenShift,
}

impl Load {
    pub(super) fn options(self, site: &Site) -> LoadOptions {
        let destination = self.images_dir.map_or_else(
            || LoadDestination::Containerd(self.containerd.into()),
            LoadDestination::ImagesDirectory,
        );
        LoadOptions {
            bundle: self.bundle.options(site),
            platform: self.platform,
            destination,
        }
    }
}

impl Mirror {
    pub(super) fn options(self, site: &Site) -> Result<MirrorOptions, CommandError> {
        let format = match self.format {
            FormatArg::Containerd => MirrorFormat::Containerd,
            FormatArg::K3s => MirrorFormat::K3s,
            FormatArg::Crio => MirrorFormat::Crio,
            FormatArg::Docker => MirrorFormat::Docker,
            FormatArg::OpenShift => MirrorFormat::OpenShift,
        };
        registry::check_order(self.bundle.path(), self.registry.as_deref())?;
        let registry: MirrorDestination = registry::required(site.registry(self.registry))?;
        let destination = MirrorDestination {
            is_plain: self.plain_http,
            ca_file: self.ca_file,
            ..registry
        };
        Ok(MirrorOptions {
            bundle: self.bundle.options(site),
            format,
            destination,
            out: self.output,
        })
    }
}

/// A platform; of Linux, when it is an architecture alone.
fn platform(text: &str) -> Result<Platform, PlatformError> {
    if text.contains('/') {
        text.parse()
    } else {
        format!("linux/{text}").parse()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("expected the absolute path of the file on the nodes")]
struct PathOnNodesError;

fn absolute_path(text: &str) -> Result<Utf8PathBuf, PathOnNodesError> {
    let is_fine = text.starts_with('/') && !text.chars().any(char::is_control);
    if is_fine {
        Ok(text.into())
    } else {
        Err(PathOnNodesError)
    }
}
