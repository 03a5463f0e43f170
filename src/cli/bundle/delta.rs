//! The verbs for what a receiver lacks of a bundle: `have`, `delta`, `apply`.

use camino::Utf8PathBuf;
use clap::{ArgGroup, Args};

use super::{
    containerd::ContainerdArgs,
    trust::{BundleArgs, DeltaArgs, input_file},
};
use crate::{
    cli::{registry_args::OfflineRegistryArgs, site::Site},
    commands::bundle::{
        ApplyOptions, BaseSource, DeltaOptions, HaveOptions, HeldOptions, VolumeSize,
    },
};
use rune_core::cli::output_path::output_path;

/// List the entries that a site has, for a delta that leaves them out.
///
/// Everything is read, and only what is as it should be is listed.
#[derive(Debug, Args)]
pub(super) struct Have {
    /// Bundle, directory that one was unpacked into, what was pushed into a registry:
    /// `oci://HOST[:PORT][/PREFIX]/bundles/NAME:VERSION`, or `containerd`: that of this node
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<BaseSource>,
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "have.json",
        value_parser = output_path)]
    output: Utf8PathBuf,
    #[command(flatten)]
    containerd: ContainerdArgs,
    #[command(flatten)]
    registry: OfflineRegistryArgs,
}

/// Write what a receiver lacks of a bundle.
///
/// The delta has the signed bundle index and the entries that no base has. `apply` creates the
/// bundle of it, byte for byte.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("held").required(true).multiple(true).args(["bases", "lists"])))]
pub(super) struct Delta {
    #[command(flatten)]
    bundle: BundleArgs,
    #[command(flatten)]
    held: HeldArgs,
    /// File to write [default: NAME-VERSION.delta.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Write volumes of at most SIZE instead of one file: fat32 (4 GiB - 1), github (2 GiB - 1),
    /// dvd, or a number such as 650MiB
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<VolumeSize>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What the receiver has.
#[derive(Debug, Args)]
pub(super) struct HeldArgs {
    /// Leave out what this bundle has, or a directory that one was unpacked into; may be repeated
    #[arg(long = "base", value_name = "PATH", value_parser = input_file)]
    bases: Vec<Utf8PathBuf>,
    /// Leave out what a list of `have` has; may be repeated
    #[arg(long = "have", value_name = "LIST", value_parser = input_file)]
    lists: Vec<Utf8PathBuf>,
}

/// Create the bundle of a delta and what it was created for.
///
/// The bundle is the one that was signed, byte for byte, whatever it is put together from. A run
/// that was interrupted continues where it stopped.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    delta: DeltaArgs,
    /// Source of the entries that the delta lacks: a bundle, a directory with an unpacked one, a
    /// registry that one was pushed to, `oci://HOST[:PORT][/PREFIX]`, or `containerd`: that of this
    /// node; may be repeated
    #[arg(long = "from", value_name = "SOURCE")]
    bases: Vec<BaseSource>,
    /// File to write [default: NAME-VERSION.bundle.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Check that nothing is missing, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    containerd: ContainerdArgs,
    #[command(flatten)]
    registry: OfflineRegistryArgs,
}

impl From<HeldArgs> for HeldOptions {
    fn from(args: HeldArgs) -> Self {
        Self {
            bases: args.bases,
            lists: args.lists,
        }
    }
}

/// The registry among the sources, which a bare `--plain-http` means.
fn host(sources: &[BaseSource]) -> Option<&str> {
    sources.iter().find_map(BaseSource::host)
}

impl Have {
    pub(super) fn options(self, site: &Site) -> HaveOptions {
        HaveOptions {
            registry: self.registry.into_offline_config(site, host(&self.sources)),
            containerd: self.containerd.into(),
            sources: self.sources,
            output: self.output,
        }
    }
}

impl Delta {
    pub(super) fn options(self, site: &Site) -> DeltaOptions {
        let mut bundle = self.bundle.options(site);
        // Some may be of a base.
        bundle.parts.are_shared = true;
        DeltaOptions {
            bundle,
            held: self.held.into(),
            output: self.output,
            volume_size: self.volume_size,
            is_dry_run: self.dry_run,
        }
    }
}

impl Apply {
    pub(super) fn options(self, site: &Site) -> ApplyOptions {
        ApplyOptions {
            registry: self.registry.into_offline_config(site, host(&self.bases)),
            containerd: self.containerd.into(),
            delta: self.delta.options(site),
            bases: self.bases,
            output: self.output,
            is_dry_run: self.dry_run,
        }
    }
}
