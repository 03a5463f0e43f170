//! The verb that makes keys: `keygen`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::bundle::KeygenOptions;

/// Makes a key pair.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Write PREFIX.key and PREFIX.pub. The passphrase comes from COSIGN_PASSWORD or is asked for
    #[arg(long, value_name = "PREFIX", default_value = "cosign")]
    out: Utf8PathBuf,
    /// Check everything, say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl From<Keygen> for KeygenOptions {
    fn from(args: Keygen) -> Self {
        Self { prefix: args.out, is_dry_run: args.dry_run }
    }
}
