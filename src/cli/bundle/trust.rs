//! The options that say which bundle is meant and what it is checked with.

use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::bundle::{BundleOptions, Digest, SignerOptions};

/// A bundle that is needed at any position, and what it is checked with.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// The bundle
    bundle: Utf8PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A bundle that is read once, from beginning to end, and what it is checked with.
#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// The bundle; - reads standard input
    bundle: Utf8PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Keys or a digest from outside a bundle.
#[derive(Debug, Args)]
struct TrustArgs {
    #[command(flatten)]
    signers: SignerArgs,
    /// The bundle digest (sha256:…), known from elsewhere
    #[arg(long, value_name = "DIGEST", help_heading = "Trust")]
    bundle_digest: Option<Digest>,
}

/// Keys from outside a bundle.
#[derive(Debug, Args)]
pub(super) struct SignerArgs {
    /// Public key of a signer, got from them and not from the bundle; may be repeated
    #[arg(long = "key", value_name = "FILE", help_heading = "Trust")]
    keys: Vec<Utf8PathBuf>,
    /// How many of the given keys must have signed
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Trust")]
    threshold: usize,
    /// The keys that count, by name, how many of them must have signed, and which are revoked
    #[arg(long, value_name = "FILE", help_heading = "Trust", conflicts_with_all = ["keys", "threshold"])]
    trust: Option<Utf8PathBuf>,
}

impl From<BundleArgs> for BundleOptions {
    fn from(BundleArgs { bundle, trust }: BundleArgs) -> Self {
        trust.of(bundle)
    }
}

impl From<StreamArgs> for BundleOptions {
    fn from(StreamArgs { bundle, trust }: StreamArgs) -> Self {
        trust.of(bundle)
    }
}

impl TrustArgs {
    fn of(self, bundle: Utf8PathBuf) -> BundleOptions {
        BundleOptions { bundle, signers: self.signers.into(), digest: self.bundle_digest }
    }
}

impl From<SignerArgs> for SignerOptions {
    fn from(args: SignerArgs) -> Self {
        Self { keys: args.keys, threshold: args.threshold, trust_file: args.trust }
    }
}
