//! The verbs that show what is in bundles to those who decide: `diff`, `report`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::{PartArgs, SignerArgs, bundle_digest};
use crate::{
    cli::site::Site,
    commands::bundle::{DiffOptions, Digest, ReportOptions, ViewOptions},
};
use rune_core::cli::output_path::output_path;

/// Keys or digests from outside the bundles; without any, they are shown as unverified.
#[derive(Debug, Args)]
struct ViewArgs {
    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    signers: SignerArgs,
    /// Bundle digest (sha256:…), known out of band; once for each bundle
    #[arg(long = "bundle-digest", value_name = "DIGEST", value_parser = bundle_digest, help_heading = "Trust")]
    digests: Vec<Digest>,
}

/// Show what changed between two bundles: images down to layers and packages, charts, values,
/// migrations, bytes to transfer.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// Current bundle
    old: Utf8PathBuf,
    /// New bundle
    new: Utf8PathBuf,
    #[command(flatten)]
    trust: ViewArgs,
    /// Exit with 5 when anything differs
    #[arg(long)]
    exit_code: bool,
}

/// Write an HTML page about a bundle for a change board.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The bundle
    bundle: Utf8PathBuf,
    /// Current bundle, to show what changes
    #[arg(long, value_name = "BUNDLE")]
    against: Option<Utf8PathBuf>,
    /// HTML file to create
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Utf8PathBuf,
    #[command(flatten)]
    trust: ViewArgs,
}

impl ViewArgs {
    fn options(self, site: &Site) -> ViewOptions {
        ViewOptions {
            parts: self.parts.shared(),
            signers: self.signers.options(site, !self.digests.is_empty()),
            digests: self.digests,
        }
    }
}

impl Diff {
    pub(super) fn options(self, site: &Site) -> DiffOptions {
        DiffOptions {
            old: self.old,
            new: self.new,
            trust: self.trust.options(site),
            is_failure: self.exit_code,
        }
    }
}

impl Report {
    pub(super) fn options(self, site: &Site) -> ReportOptions {
        ReportOptions {
            bundle: self.bundle,
            against: self.against,
            output: self.output,
            trust: self.trust.options(site),
        }
    }
}
