//! The verbs that cut bundles into volumes and put them together: `split`, `join`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::BundleArgs;
use crate::{
    cli::site::Site,
    commands::bundle::{JoinOptions, SplitOptions, VolumeSize},
};
use rune_core::cli::output_path::output_path;

/// Split a bundle, or a delta, into volumes, for media and size limits.
#[derive(Debug, Args)]
pub(super) struct Split {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Largest size of a volume: fat32 (4 GiB - 1), github (2 GiB - 1), dvd, or a number such as
    /// 650MiB
    #[arg(long, value_name = "SIZE")]
    volume_size: VolumeSize,
    /// Name of the bundle, to which each volume adds its number [default: NAME-VERSION.bundle.tar,
    /// of a delta NAME-VERSION.delta.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Show which volumes would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Join volumes to one bundle, or to one delta.
///
/// Volumes may come in any order and one at a time, from one drive: run the same command again with
/// each. The bundle gets its name when all are in and everything is as signed.
#[derive(Debug, Args)]
pub(super) struct Join {
    #[command(flatten)]
    volumes: BundleArgs,
    /// More volumes of the set; those beside the first are found
    #[arg(value_name = "VOLUME")]
    more: Vec<Utf8PathBuf>,
    /// File to write [default: the name of the volumes without their numbers]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
}

impl Split {
    pub(super) fn options(self, site: &Site) -> SplitOptions {
        SplitOptions {
            bundle: self.bundle.options(site),
            volume_size: self.volume_size,
            output: self.output,
            is_dry_run: self.dry_run,
        }
    }
}

impl Join {
    pub(super) fn options(self, site: &Site) -> JoinOptions {
        let mut volumes = self.volumes.options(site);
        volumes.parts.places.extend(self.more);
        JoinOptions {
            volumes,
            output: self.output,
        }
    }
}
