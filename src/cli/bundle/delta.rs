//! The verbs for what a receiver lacks of a bundle: `delta`, `apply`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::{BundleArgs, DeltaArgs};
use crate::{
    cli::site::Site,
    commands::bundle::{ApplyOptions, DeltaOptions, HeldOptions},
};
use rune_core::cli::output_path::output_path;

/// Write what a receiver lacks of a bundle.
///
/// The delta has the signed bundle index and the contents that no base has. `apply` creates the
/// bundle of it, byte for byte.
#[derive(Debug, Args)]
pub(super) struct Delta {
    #[command(flatten)]
    bundle: BundleArgs,
    #[command(flatten)]
    held: HeldArgs,
    /// File to write [default: NAME-VERSION.delta.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What the receiver has.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct HeldArgs {
    /// Bundle that the receiver has; may be repeated
    #[arg(long = "base", value_name = "BUNDLE")]
    bases: Vec<Utf8PathBuf>,
}

/// Create the bundle of a delta and what it was created for.
///
/// The bundle is the one that was signed, byte for byte, whatever it is put together from. A run
/// that was interrupted continues where it stopped.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    delta: DeltaArgs,
    /// Where the contents are that the delta lacks: a bundle; may be repeated
    #[arg(long = "from", value_name = "BUNDLE")]
    bases: Vec<Utf8PathBuf>,
    /// File to write [default: NAME-VERSION.bundle.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Check that nothing is missing, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl From<HeldArgs> for HeldOptions {
    fn from(args: HeldArgs) -> Self {
        Self { bases: args.bases }
    }
}

impl Delta {
    pub(super) fn options(self, site: &Site) -> DeltaOptions {
        DeltaOptions {
            bundle: self.bundle.options(site),
            held: self.held.into(),
            output: self.output,
            is_dry_run: self.dry_run,
        }
    }
}

impl Apply {
    pub(super) fn options(self, site: &Site) -> ApplyOptions {
        ApplyOptions {
            delta: self.delta.options(site),
            bases: self.bases,
            output: self.output,
            is_dry_run: self.dry_run,
        }
    }
}
