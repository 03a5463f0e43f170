//! `receipts`: what was done with bundles here, and whether the record is as it was written.

use camino::Utf8PathBuf;
use serde::Serialize;
use serde_json::Value;

use crate::{
    commands::{CommandError, Report, counted},
    failure::{Failure, FailureKind},
    oci::Digest,
    receipt::{Act, Appended, Chain, ReceiptError, Statement, Stored, VerifiedBundle},
};

/// Where a receipt is written, and when that is.
#[derive(Debug, Clone)]
pub struct ReceiptPlace {
    /// The directory.
    pub directory: Utf8PathBuf,
    /// The moment, as RFC 3339.
    pub now: String,
}

impl ReceiptPlace {
    /// Makes sure that a receipt can be written, before something is done that needs one.
    pub(super) fn prepare(&self) -> Result<(), CommandError> {
        Chain::at(&self.directory).prepare().map_err(|error| CommandError::from(error).context("no receipt could be written"))
    }

    /// Writes a receipt.
    pub(super) fn append(&self, bundle: VerifiedBundle, act: Act) -> Result<Appended, CommandError> {
        let tool = tool();
        Ok(Chain::at(&self.directory).append(&Statement { time: self.now.clone(), tool, bundle, act })?)
    }
}

/// Name and version of this program.
pub(super) fn tool() -> String {
    format!("rune-bundle {}", env!("CARGO_PKG_VERSION"))
}

/// Which receipts.
#[derive(Debug, Clone)]
pub struct ReceiptsOptions {
    /// The directory.
    pub directory: Utf8PathBuf,
    /// The digest that the last one must have.
    pub head: Option<Digest>,
}

/// There is nothing to check.
#[derive(Debug, thiserror::Error)]
#[error("there are no receipts in `{0}`")]
struct NoReceipts(Utf8PathBuf);

impl Failure for NoReceipts {
    fn kind(&self) -> FailureKind {
        FailureKind::NotFound
    }

    fn help(&self) -> Option<String> {
        Some("name the directory with --receipts; `push` and `install` write one receipt each".to_owned())
    }
}

/// The receipts of a directory.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptsReport {
    directory: Utf8PathBuf,
    /// The digest of the last receipt.
    head: Digest,
    receipts: Vec<ReceiptReport>,
}

#[derive(Debug, Serialize)]
struct ReceiptReport {
    number: u64,
    digest: Digest,
    time: String,
    /// What was done, for people.
    summary: String,
}

/// What `receipts verify` says: the same, with another text.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct VerifiedReceipts(ReceiptsReport);

impl Report for ReceiptsReport {
    const VERB: &'static str = "receipts-list";

    fn text(&self) -> String {
        self.receipts.iter().map(|ReceiptReport { number, time, summary, .. }| format!("{number:>4}  {time}  {summary}\n")).collect()
    }
}

impl Report for VerifiedReceipts {
    const VERB: &'static str = "receipts-verify";

    fn text(&self) -> String {
        let Self(ReceiptsReport { directory, head, receipts }) = self;
        format!("{} in `{directory}`, each as it was written\nthe last one is {head}\n", counted(receipts.len(), "receipt"))
    }
}

/// Lists the receipts of a directory, after checking them.
///
/// # Errors
/// When there are none, or they are not as they were written.
pub fn list(options: &ReceiptsOptions) -> Result<ReceiptsReport, CommandError> {
    let chain = Chain::at(&options.directory).verify(options.head)?;
    let Some(last) = chain.last() else { return Err(NoReceipts(options.directory.clone()).into()) };
    let head = last.digest;
    Ok(ReceiptsReport { directory: options.directory.clone(), head, receipts: chain.iter().map(report).collect() })
}

/// Checks the receipts of a directory.
///
/// # Errors
/// When there are none, or they are not as they were written.
pub fn verify(options: &ReceiptsOptions) -> Result<VerifiedReceipts, CommandError> {
    match list(options) {
        // With a digest to compare with, a directory without receipts has lost them all.
        Err(error) if error.kind() == FailureKind::NotFound && options.head.is_some() => {
            let expected = options.head.unwrap_or_else(|| Digest::of(&[]));
            Err(ReceiptError::Cut { expected, last: None }.into())
        }
        outcome => outcome.map(VerifiedReceipts),
    }
}

fn report(receipt: &Stored) -> ReceiptReport {
    let time = text(&receipt.content, "/time").to_owned();
    ReceiptReport { number: receipt.number, digest: receipt.digest, time, summary: summary(&receipt.content) }
}

/// One line about a receipt; of one that a newer program wrote, what is known.
fn summary(content: &Value) -> String {
    let of = |pointer| text(content, pointer);
    let bundle = format!("{} {}", of("/bundle/name"), of("/bundle/version"));
    match of("/act/kind") {
        "push" => {
            let references = content.pointer("/act/references").and_then(Value::as_array).map_or(0, Vec::len);
            format!("pushed {bundle} to {}: {}", of("/act/registry"), counted(references, "reference"))
        }
        "install" => {
            let what = match of("/act/outcome") {
                "deployed" => "installed",
                "rolledBack" => "tried and took back",
                _ => "tried and could not take back",
            };
            format!("{what} {bundle} as release {} in namespace {} of {}", of("/act/release"), of("/act/namespace"), of("/act/cluster"))
        }
        other => format!("{other} {bundle}"),
    }
}

fn text<'a>(content: &'a Value, pointer: &str) -> &'a str {
    content.pointer(pointer).and_then(Value::as_str).unwrap_or("?")
}
