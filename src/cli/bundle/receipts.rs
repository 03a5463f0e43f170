//! The verb about what was done: `receipts`.

#![expect(clippy::disallowed_methods, reason = "cli is where the clock is read")]

use std::{process::ExitCode, time::SystemTime};

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use k8s_openapi::jiff::Timestamp;

use crate::{
    cli::{
        passphrase,
        site::{ReceiptDirectory, Site},
    },
    commands::bundle::{Digest, ReceiptKey, ReceiptPlace, ReceiptsOptions, receipts},
};
use rune_core::cli::output_path::output_path;
use rune_core::{cli::output::Printer, command::CommandError};

/// Where receipts are.
#[derive(Debug, Clone, Args)]
struct ReceiptDirectoryArgs {
    /// Directory of the receipts: what was pushed and installed, by which bundle [env:
    /// RUNE_BUNDLE_RECEIPTS] [default: /var/lib/rune-bundle/receipts for root, else
    /// rune-bundle/receipts in `XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, value_name = "DIR", help_heading = "Receipt", value_parser = output_path)]
    receipts: Option<Utf8PathBuf>,
}

/// Where a receipt is written, if at all.
#[derive(Debug, Clone, Args)]
pub(super) struct ReceiptArgs {
    #[command(flatten)]
    directory: ReceiptDirectoryArgs,
    /// Write no receipt; the next one shows the gap
    #[arg(long, help_heading = "Receipt")]
    no_receipt: bool,
    /// Private key of your site, which signs the receipt. The passphrase is read from
    /// `COSIGN_PASSWORD` or the terminal
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Receipt",
        conflicts_with = "no_receipt"
    )]
    receipt_key: Option<Utf8PathBuf>,
}

impl ReceiptArgs {
    /// Fails when the key cannot be used: before anything is done.
    pub(super) fn place(self, site: &Site) -> Result<ReceiptPlace, CommandError> {
        let ReceiptDirectory { directory, before } = site.receipts(self.directory.receipts);
        let key = self.receipt_key.as_deref();
        let key = key.map(|path| ReceiptKey::load(path, passphrase::existing));
        Ok(ReceiptPlace {
            directory,
            now: now(),
            is_wanted: !self.no_receipt,
            key: key.transpose()?,
            before,
        })
    }
}

impl ReceiptDirectoryArgs {
    fn options(self, site: &Site) -> ReceiptsOptions {
        ReceiptsOptions {
            directory: site.receipts(self.receipts).directory,
            head: None,
            keys: Vec::new(),
        }
    }
}

/// This moment, as receipts and the log of `serve` say it.
pub(super) fn now() -> String {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let moment = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.unwrap_or_default().to_string()
}

/// Show and verify receipts of pushes and installations.
#[derive(Debug, Args)]
pub(super) struct Receipts {
    #[command(subcommand)]
    verb: ReceiptsVerb,
}

#[derive(Debug, Subcommand)]
enum ReceiptsVerb {
    /// List the receipts, oldest first, after verifying them
    List {
        #[command(flatten)]
        directory: ReceiptDirectoryArgs,
    },
    /// Show one receipt, after verifying all of them
    Show {
        /// Number of the receipt
        number: u64,
        #[command(flatten)]
        directory: ReceiptDirectoryArgs,
    },
    /// Verify that no receipt was changed, removed or moved
    Verify {
        #[command(flatten)]
        directory: ReceiptDirectoryArgs,
        /// Digest (sha256:…) of the last receipt, known out of band: shows that none is missing at
        /// the end
        #[arg(long, value_name = "DIGEST")]
        head: Option<Digest>,
        /// Public key of your site: each receipt must be signed with it; may be repeated, then with
        /// one of them
        #[arg(long = "key", value_name = "FILE")]
        keys: Vec<Utf8PathBuf>,
    },
}

impl Receipts {
    pub(super) fn run(
        self,
        printer: Printer,
        site: impl FnOnce() -> Result<Site, CommandError>,
    ) -> ExitCode {
        let site = match site() {
            Ok(site) => site,
            Err(error) => return printer.fail(&error),
        };
        match self.verb {
            ReceiptsVerb::List { directory } => {
                printer.finish(receipts::list(&directory.options(&site)))
            }
            ReceiptsVerb::Show { number, directory } => {
                printer.finish(receipts::show(&directory.options(&site), number))
            }
            ReceiptsVerb::Verify {
                directory,
                head,
                keys,
            } => printer.finish(receipts::verify(&ReceiptsOptions {
                head,
                keys,
                ..directory.options(&site)
            })),
        }
    }
}
