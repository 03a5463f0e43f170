//! The verb about what was done: `receipts`.

#![expect(clippy::disallowed_methods, reason = "cli is where the clock is read")]

use std::{process::ExitCode, time::SystemTime};

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use k8s_openapi::jiff::Timestamp;

use crate::{
    cli::{output::Printer, output_path::output_path},
    commands::bundle::{Digest, ReceiptPlace, ReceiptsOptions, receipts},
};

/// Where receipts are.
#[derive(Debug, Clone, Args)]
pub(super) struct ReceiptArgs {
    /// Directory of the receipts: what was pushed and installed, by which bundle
    #[arg(
        long,
        value_name = "DIR",
        env = "RUNE_BUNDLE_RECEIPTS",
        hide_env_values = true,
        default_value = "rune-bundle-receipts",
        value_parser = output_path
    )]
    receipts: Utf8PathBuf,
}

impl From<ReceiptArgs> for ReceiptPlace {
    fn from(args: ReceiptArgs) -> Self {
        Self { directory: args.receipts, now: now() }
    }
}

/// This moment, as receipts say it.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let moment = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.unwrap_or_default().to_string()
}

/// Shows and checks receipts.
#[derive(Debug, Args)]
pub(super) struct Receipts {
    #[command(subcommand)]
    verb: ReceiptsVerb,
}

#[derive(Debug, Subcommand)]
enum ReceiptsVerb {
    /// List the receipts, oldest first, after checking them
    List {
        #[command(flatten)]
        directory: ReceiptArgs,
    },
    /// Check that no receipt was changed, removed or moved
    Verify {
        #[command(flatten)]
        directory: ReceiptArgs,
        /// The digest (sha256:…) of the last receipt, known from elsewhere: shows that none was cut off at the end
        #[arg(long, value_name = "DIGEST")]
        head: Option<Digest>,
    },
}

impl Receipts {
    pub(super) fn run(self, printer: Printer) -> ExitCode {
        match self.verb {
            ReceiptsVerb::List { directory } => {
                printer.finish(receipts::list(&ReceiptsOptions { directory: directory.receipts, head: None }))
            }
            ReceiptsVerb::Verify { directory, head } => {
                printer.finish(receipts::verify(&ReceiptsOptions { directory: directory.receipts, head }))
            }
        }
    }
}
