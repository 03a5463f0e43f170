//! The verb that makes a bundle: `build`.

use camino::Utf8PathBuf;
use clap::Args;

use super::{chart_check::ChartCheckArgs, planning::ProjectArgs};
use crate::{
    cli::{registry_args::RegistryArgs, site::Site},
    commands::bundle::{BuildOptions, ComponentChoice, VolumeSize},
};
use rune_core::cli::output_path::output_path;

/// Makes one signed file of everything that the manifest names.
#[derive(Debug, Args)]
pub(super) struct Build {
    #[command(flatten)]
    project: ProjectArgs,
    /// The file to write; NAME-VERSION.bundle.tar unless given
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Write volumes of at most SIZE instead of one file: fat32 (4 GiB - 1), github (2 GiB - 1), dvd,
    /// or a number such as 650MiB
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<VolumeSize>,
    /// Private key to sign with; may be repeated. The passphrase comes from `COSIGN_PASSWORD` or is
    /// asked for
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<Utf8PathBuf>,
    /// `OpenPGP` private key, armored, that signs the charts for `helm verify`; needs a program
    /// with the feature `openpgp`
    #[arg(long, value_name = "FILE")]
    chart_key: Option<Utf8PathBuf>,
    /// Component to leave out; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    without: Vec<String>,
    /// Component to carry although it is off by default; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    with: Vec<String>,
    /// How many downloads at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    downloads: u16,
    /// Check everything, say what would be fetched and written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    chart_check: ChartCheckArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Build {
    pub(super) fn options(self, site: &Site) -> BuildOptions {
        let args = self;
        BuildOptions {
            project: args.project.into(),
            output: args.output,
            volume_size: args.volume_size,
            keys: args.keys,
            chart_key: args.chart_key,
            components: ComponentChoice {
                with: args.with,
                without: args.without,
            },
            chart_check: args.chart_check.into(),
            downloads: usize::from(args.downloads),
            is_dry_run: args.dry_run,
            registry: args.registry.into_online_config(site),
        }
    }
}
