//! The verbs for what a receiver lacks of a bundle: `have`, `delta`, `apply`.

use camino::Utf8PathBuf;
use clap::{ArgGroup, Args};

use super::trust::{BundleArgs, DeltaArgs};
use crate::{
    cli::site::Site,
    commands::bundle::{ApplyOptions, DeltaOptions, HaveOptions, HeldOptions},
};
use rune_core::cli::output_path::output_path;

/// List the contents that a site has, for a delta that leaves them out.
///
/// Everything is read, and only what is as it should be is listed.
#[derive(Debug, Args)]
pub(super) struct Have {
    /// Bundle, or directory that one was unpacked into
    #[arg(required = true, value_name = "PATH")]
    sources: Vec<Utf8PathBuf>,
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "have.json", value_parser = output_path)]
    output: Utf8PathBuf,
}

/// Write what a receiver lacks of a bundle.
///
/// The delta has the signed bundle index and the contents that no base has. `apply` creates the
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
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What the receiver has.
#[derive(Debug, Args)]
pub(super) struct HeldArgs {
    /// Leave out what this bundle has, or a directory that one was unpacked into; may be repeated
    #[arg(long = "base", value_name = "PATH")]
    bases: Vec<Utf8PathBuf>,
    /// Leave out what a list of `have` has; may be repeated
    #[arg(long = "have", value_name = "LIST")]
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
    /// Where the contents are that the delta lacks: a bundle, or a directory that one was unpacked
    /// into; may be repeated
    #[arg(long = "from", value_name = "PATH")]
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
        Self {
            bases: args.bases,
            lists: args.lists,
        }
    }
}

impl From<Have> for HaveOptions {
    fn from(args: Have) -> Self {
        Self {
            sources: args.sources,
            output: args.output,
        }
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
