//! The verbs about keys and signatures: `keygen`, `sign`, `attach`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::{PartArgs, bundle_digest};
use crate::commands::bundle::{AttachOptions, Digest, KeygenOptions, SignOptions};
use rune_core::cli::output_path::output_path;

/// Generate a key pair that signs bundles, in cosign's format.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Write PREFIX.key and PREFIX.pub. The passphrase is read from COSIGN_PASSWORD or the terminal
    #[arg(long, short, alias = "out", value_name = "PREFIX", default_value = "cosign",
        value_parser = output_path)]
    output: Utf8PathBuf,
    /// Check everything, show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Add a signature to a bundle, after verifying all of it.
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// Bundle file, or one of its volumes; it is verified to its last byte, and one blank signature
    /// slot of it is written, in every volume
    bundle: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    /// Private key to sign with. The passphrase is read from `COSIGN_PASSWORD` or the terminal
    #[arg(long, value_name = "FILE")]
    key: Utf8PathBuf,
    /// Trust file of the receivers: the key must be a trusted one, and the file says how many must
    /// sign
    #[arg(long, value_name = "FILE")]
    trust: Option<Utf8PathBuf>,
    /// Digest (sha256:…) that the bundle must have, known out of band
    #[arg(long, value_name = "DIGEST", value_parser = bundle_digest)]
    bundle_digest: Option<Digest>,
    /// Check everything, show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Add a signature that an HSM, a KMS, cosign or openssl created.
#[derive(Debug, Args)]
pub(super) struct Attach {
    /// Bundle file, or one of its volumes; it is verified to its last byte, and one blank signature
    /// slot of it is written, in every volume
    bundle: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    /// Signature over `bundle.json`: a Sigstore bundle, or a bare signature as bytes or base64
    #[arg(long, value_name = "FILE")]
    signature: Utf8PathBuf,
    /// Public key of the signature
    #[arg(long, value_name = "FILE", required_unless_present = "trust")]
    key: Option<Utf8PathBuf>,
    /// Trust file of the receivers: the signature must be by a trusted key
    #[arg(long, value_name = "FILE")]
    trust: Option<Utf8PathBuf>,
    /// Check everything, show what would be written, and write nothing
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
            prefix: args.output,
            is_dry_run: args.dry_run,
        }
    }
}
