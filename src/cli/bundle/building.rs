//! The verb that builds a bundle: `build`.

use camino::Utf8PathBuf;
use clap::Args;

use super::{chart_check::ChartCheckArgs, delta::HeldArgs, project::ProjectArgs};
use crate::{
    cli::{
        annotation::{AnnotateArgs, Annotator},
        registry_args::RegistryArgs,
        site::Site,
    },
    commands::bundle::{BuildOptions, ComponentChoice, ImageSigning, VolumeSize},
};
use rune_core::cli::output_path::output_path;

/// Build one signed file of everything that the manifest names.
///
/// A build that was interrupted continues where it stopped.
#[derive(Debug, Args)]
pub(super) struct Build {
    #[command(flatten)]
    project: ProjectArgs,
    /// File to write [default: NAME-VERSION.bundle.tar, NAME-VERSION.delta.tar with --base or
    /// --have]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    #[command(flatten)]
    held: HeldArgs,
    /// Write volumes of at most SIZE instead of one file: fat32 (4 GiB - 1), github (2 GiB - 1),
    /// dvd, or a number such as 650MiB
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<VolumeSize>,
    /// Private key to sign with; may be repeated. The passphrase is read from `COSIGN_PASSWORD` or
    /// the terminal
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<Utf8PathBuf>,
    /// Write provenance beside the bundle, signed with the first key: what it was built of, as
    /// `cosign verify-blob-attestation` reads it
    #[arg(long, requires = "keys")]
    provenance: bool,
    /// Key that signs images and charts for clusters that check signatures: a private key, or with
    /// `--image-signatures` the public key that made them
    #[arg(long, value_name = "FILE")]
    image_key: Option<Utf8PathBuf>,
    /// Use finished image signatures instead of a private key: a directory of them, or a bundle
    /// that has them
    #[arg(long, value_name = "DIR|BUNDLE", requires = "image_key")]
    image_signatures: Option<Utf8PathBuf>,
    /// Write what is to be signed for `--image-signatures` into a new directory, and build nothing
    #[arg(long, value_name = "DIR", value_parser = output_path,
        conflicts_with_all = ["image_key", "keys", "output", "volume_size", "dry_run"])]
    emit_image_payloads: Option<Utf8PathBuf>,
    /// `OpenPGP` private key, armored, that signs the charts for `helm verify`; needs a program
    /// with the feature `openpgp`
    #[arg(long, value_name = "FILE")]
    chart_key: Option<Utf8PathBuf>,
    /// Component to leave out; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    without: Vec<String>,
    /// Component to include although it is off by default; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    with: Vec<String>,
    /// Number of downloads at the same time
    #[arg(long, alias = "downloads", value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Check everything, show what would be fetched and written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    chart_check: ChartCheckArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

impl Build {
    pub(super) fn annotator(&self) -> Annotator {
        self.project.annotator(&self.annotate)
    }

    pub(super) fn options(self, site: &Site) -> BuildOptions {
        let args = self;
        let image_signing = match (args.image_key, args.image_signatures) {
            (Some(key), Some(source)) => Some(ImageSigning::Finished { key, source }),
            (Some(key), None) => Some(ImageSigning::Key(key)),
            (None, _) => args.emit_image_payloads.map(ImageSigning::Emit),
        };
        BuildOptions {
            project: args.project.into(),
            output: args.output,
            held: args.held.into(),
            volume_size: args.volume_size,
            keys: args.keys,
            has_provenance: args.provenance,
            image_signing,
            chart_key: args.chart_key,
            components: ComponentChoice {
                with: args.with,
                without: args.without,
            },
            chart_check: args.chart_check.into(),
            jobs: usize::from(args.jobs),
            is_dry_run: args.dry_run,
            registry: args.registry.into_online_config(site),
        }
    }
}
