//! The verbs that show what is in bundles to those who decide: `diff`, `report`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::bundle::{DiffOptions, Digest, ReportOptions, ViewOptions};

/// Keys or digests from outside the bundles; without any, they are shown as unverified.
#[derive(Debug, Args)]
struct ViewArgs {
    /// Public key of a signer, got from them and not from a bundle; may be repeated
    #[arg(long = "key", value_name = "FILE", help_heading = "Trust")]
    keys: Vec<Utf8PathBuf>,
    /// How many of the given keys must have signed each bundle
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Trust")]
    threshold: usize,
    /// The keys that count, by name, how many of them must have signed, and which are revoked
    #[arg(long, value_name = "FILE", help_heading = "Trust", conflicts_with_all = ["keys", "threshold"])]
    trust: Option<Utf8PathBuf>,
    /// A bundle digest (sha256:…), known from elsewhere; once for each bundle
    #[arg(long = "bundle-digest", value_name = "DIGEST", help_heading = "Trust")]
    digests: Vec<Digest>,
}

/// Compares two bundles.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The bundle that is there
    old: Utf8PathBuf,
    /// The bundle that is to come
    new: Utf8PathBuf,
    #[command(flatten)]
    trust: ViewArgs,
    /// End with 5 when anything differs
    #[arg(long)]
    exit_code: bool,
}

/// Writes a page for a change board.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The bundle
    bundle: Utf8PathBuf,
    /// The bundle that is there, to show what changes
    #[arg(long, value_name = "BUNDLE")]
    against: Option<Utf8PathBuf>,
    /// The HTML file to create
    #[arg(long, short, value_name = "FILE")]
    output: Utf8PathBuf,
    #[command(flatten)]
    trust: ViewArgs,
}

impl From<ViewArgs> for ViewOptions {
    fn from(args: ViewArgs) -> Self {
        Self { keys: args.keys, threshold: args.threshold, trust_file: args.trust, digests: args.digests }
    }
}

impl From<Diff> for DiffOptions {
    fn from(args: Diff) -> Self {
        Self { old: args.old, new: args.new, trust: args.trust.into(), is_failure: args.exit_code }
    }
}

impl From<Report> for ReportOptions {
    fn from(args: Report) -> Self {
        Self { bundle: args.bundle, against: args.against, output: args.output, trust: args.trust.into() }
    }
}
