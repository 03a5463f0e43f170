//! The verbs that show what is in bundles to those who decide: `diff`, `report`, `evidence`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::{BundleArgs, PartArgs, SignerArgs, bundle_digest};
use crate::{
    cli::site::Site,
    commands::bundle::{DiffOptions, Digest, EvidenceOptions, ReportOptions, ViewOptions},
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
    #[arg(long = "bundle-digest", value_name = "DIGEST", value_parser = bundle_digest,
        help_heading = "Trust")]
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

/// Write an HTML page about a bundle or delta for a change board.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Bundle or delta
    bundle: Utf8PathBuf,
    /// Current bundle, to show what changes
    #[arg(long, value_name = "BUNDLE")]
    against: Option<Utf8PathBuf>,
    /// HTML file to create [default: NAME-VERSION.html]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    #[command(flatten)]
    trust: ViewArgs,
}

/// Write what a reviewer needs of a bundle into a new directory.
///
/// Signers, policy and waivers, SBOMs, signatures and attestations of images, advisories,
/// provenance and the page of `report`, with `SHA256SUMS`. The bundle is verified to its last byte
/// first.
#[derive(Debug, Args)]
pub(super) struct Evidence {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Policy of your own: the signatures of images are verified as it demands
    #[arg(long, value_name = "FILE")]
    policy: Option<Utf8PathBuf>,
    /// Provenance that `build --provenance` wrote
    #[arg(long, value_name = "FILE")]
    provenance: Option<Utf8PathBuf>,
    /// Directory to create [default: NAME-VERSION-evidence]
    #[arg(long, short, alias = "out", value_name = "DIR", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
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

impl Evidence {
    pub(super) fn options(self, site: &Site) -> EvidenceOptions {
        EvidenceOptions {
            bundle: self.bundle.options(site),
            policy: self.policy,
            provenance: self.provenance,
            output: self.output,
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
