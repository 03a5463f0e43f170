//! The verbs that make keys and signatures: `keygen`, `sign`, `attach`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::PartArgs;
use crate::commands::bundle::{AttachOptions, Digest, KeygenOptions, SignOptions};
use rune_core::cli::output_path::output_path;

/// Makes a key pair.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Write PREFIX.key and PREFIX.pub. The passphrase comes from COSIGN_PASSWORD or is asked for
    #[arg(long, value_name = "PREFIX", default_value = "cosign", value_parser = output_path)]
    out: Utf8PathBuf,
    /// Check everything, say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Adds a signature to a bundle that is there already.
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The bundle, or one of its volumes; it is checked to its last byte, and one blank signature
    /// slot of it is written, in every volume
    bundle: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    /// Private key to sign with. The passphrase comes from `COSIGN_PASSWORD` or is asked for
    #[arg(long, value_name = "FILE")]
    key: Utf8PathBuf,
    /// The trust file of those who will receive the bundle: the key must count by it, and it says
    /// how many must sign
    #[arg(long, value_name = "FILE")]
    trust: Option<Utf8PathBuf>,
    /// The digest (sha256:…) that the bundle must have, known from elsewhere
    #[arg(long, value_name = "DIGEST")]
    bundle_digest: Option<Digest>,
    /// Check everything, say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Adds a signature that was made elsewhere.
#[derive(Debug, Args)]
pub(super) struct Attach {
    /// The bundle, or one of its volumes; it is checked to its last byte, and one blank signature
    /// slot of it is written, in every volume
    bundle: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    /// The signature over `bundle.json`: a Sigstore bundle, or a bare signature as bytes or base64
    #[arg(long, value_name = "FILE")]
    signature: Utf8PathBuf,
    /// The public key that the signature was made with
    #[arg(long, value_name = "FILE", required_unless_present = "trust")]
    key: Option<Utf8PathBuf>,
    /// The trust file of those who will receive the bundle: the signature must count by it
    #[arg(long, value_name = "FILE")]
    trust: Option<Utf8PathBuf>,
    /// Check everything, say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl From<Sign> for SignOptions {
    fn from(args: Sign) -> Self {
        Self {
            bundle: args.bundle,
            parts: args.parts.into(),
            key: args.key,
            trust_file: args.trust,
            digest: args.bundle_digest,
            is_dry_run: args.dry_run,
        }
    }
}

impl From<Attach> for AttachOptions {
    fn from(args: Attach) -> Self {
        Self {
            bundle: args.bundle,
            parts: args.parts.into(),
            signature: args.signature,
            key: args.key,
            trust_file: args.trust,
            is_dry_run: args.dry_run,
        }
    }
}

impl From<Keygen> for KeygenOptions {
    fn from(args: Keygen) -> Self {
        Self {
            prefix: args.out,
            is_dry_run: args.dry_run,
        }
    }
}
