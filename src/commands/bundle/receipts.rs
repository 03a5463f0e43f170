//! `receipts`: what was done with bundles here, and whether the record is as it was written.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde_json::Value;

use super::{keys::load_public_key, receipt_place::RECEIPTS_BEFORE};
use crate::{
    receipt::{Chain, Stored},
    sign::{Signer, fingerprint_of_key_id},
};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    failure::Failure,
    fsx,
    text::shown,
};

#[derive(Debug, Clone)]
pub(crate) struct ReceiptsOptions {
    pub(crate) directory: Option<Utf8PathBuf>,
    pub(crate) head: Option<Digest>,
    pub(crate) keys: Vec<Utf8PathBuf>,
}

const ANOTHER_DIRECTORY: &str =
    "name the directory with --receipts; `push`, `install` and `scan` write one receipt each";

#[derive(Debug, thiserror::Error, Failure)]
#[failure(NotFound: ANOTHER_DIRECTORY)]
enum NoReceipts {
    #[error("there are no receipts in `{0}`")]
    #[failure(help: if .0 != RECEIPTS_BEFORE && fsx::is_dir(Utf8Path::new(RECEIPTS_BEFORE)) {
        format!("`{RECEIPTS_BEFORE}` of this directory has receipts of earlier runs: name it with \
            --receipts")
    } else {
        ANOTHER_DIRECTORY.to_owned()
    })]
    Here(Utf8PathBuf),
    #[error("no directory for receipts is known: HOME is not set")]
    NoPlace,
    #[error("there is no receipt {number} in `{directory}`: the last one is {last}")]
    #[failure(help: "list them with `rune-bundle receipts list`")]
    Number {
        directory: Utf8PathBuf,
        number: u64,
        last: u64,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptsReport {
    directory: Utf8PathBuf,
    head: Digest,
    receipts: Vec<ReceiptReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signed_by: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptReport {
    number: u64,
    digest: Digest,
    time: String,
    summary: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_receipt: Vec<String>,
}

/// What `receipts verify` says: the same, with another text.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct VerifiedReceipts(ReceiptsReport);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownReceipt {
    number: u64,
    digest: Digest,
    path: Utf8PathBuf,
    of: usize,
    /// What it says, also when a newer program wrote it.
    receipt: Value,
}

impl ReceiptsOptions {
    fn directory(&self) -> Result<Utf8PathBuf, NoReceipts> {
        self.directory.clone().ok_or(NoReceipts::NoPlace)
    }
}

impl ReceiptsReport {
    fn of(
        chain: &Chain,
        receipts: &[Stored],
        signed_by: Vec<String>,
    ) -> Result<Self, CommandError> {
        let directory = chain.directory().to_owned();
        let Some(last) = receipts.last() else {
            return Err(NoReceipts::Here(directory).into());
        };
        Ok(Self {
            directory,
            head: last.digest,
            receipts: receipts.iter().map(report).collect(),
            signed_by,
        })
    }
}

impl Report for ReceiptsReport {
    const VERB: &'static str = "receipts-list";

    fn text(&self) -> String {
        let mut text = String::new();
        for ReceiptReport {
            number,
            time,
            summary,
            without_receipt,
            ..
        } in &self.receipts
        {
            for run in without_receipt {
                let _ = writeln!(text, "   -  {run}, without a receipt");
            }
            let _ = writeln!(text, "{number:>4}  {time}  {summary}");
        }
        text
    }
}

impl Report for VerifiedReceipts {
    const VERB: &'static str = "receipts-verify";

    fn text(&self) -> String {
        let Self(ReceiptsReport {
            directory,
            head,
            receipts,
            signed_by,
        }) = self;
        let signed = match signed_by.as_slice() {
            [] => String::new(),
            names => format!(" and signed by {}", names.join(" or ")),
        };
        format!(
            "{} in `{directory}`, each as it was written{signed}\nthe last one is {head}\n",
            counted(receipts.len(), "receipt")
        )
    }
}

impl Report for ShownReceipt {
    const VERB: &'static str = "receipts-show";

    fn text(&self) -> String {
        let Self {
            number,
            digest,
            path,
            of,
            receipt,
        } = self;
        let mut text = format!(
            "receipt        {number} of {of}\nfile           {path}\ndigest         {}\n",
            digest.grouped()
        );
        let bundle = receipt.pointer("/bundle").unwrap_or(&Value::Null);
        let of = |key| shown(bundle.get(key).and_then(Value::as_str).unwrap_or("?"));
        let _ = writeln!(text, "bundle         {} {}", of("name"), of("version"));
        let _ = writeln!(text, "bundle digest  {}", grouped(&of("digest")));
        for signer in bundle
            .get("signers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let _ = writeln!(text, "signed by      {}", fingerprint(signer));
        }
        let _ = writeln!(text, "what           {}", summary(receipt));
        for run in without_receipt(receipt) {
            let _ = writeln!(text, "before it      {run}, without a receipt");
        }
        // What is said above, or by the place in the chain.
        let known = ["bundle", "format", "number", "previous", "withoutReceipt"];
        for (key, value) in receipt
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !known.contains(&key.as_str()))
        {
            describe(&mut text, key, value, 0);
        }
        text
    }
}

fn describe(text: &mut String, key: &str, value: &Value, depth: usize) {
    let (indent, key) = ("  ".repeat(depth), shown(key));
    let _ = match value {
        Value::Object(members) => {
            let _ = writeln!(text, "{indent}{key}:");
            members
                .iter()
                .for_each(|(key, value)| describe(text, key, value, depth.saturating_add(1)));
            Ok(())
        }
        Value::Array(items) => {
            let _ = writeln!(text, "{indent}{key}:");
            for item in items {
                describe(text, "-", item, depth.saturating_add(1));
            }
            Ok(())
        }
        Value::String(word) => writeln!(text, "{indent}{key}: {}", shown(word)),
        other => writeln!(text, "{indent}{key}: {other}"),
    };
}

pub(crate) fn list(options: &ReceiptsOptions) -> Result<ReceiptsReport, CommandError> {
    let chain = Chain::at(options.directory()?);
    let receipts = chain.verify(options.head)?;
    ReceiptsReport::of(&chain, &receipts, Vec::new())
}

pub(crate) fn verify(options: &ReceiptsOptions) -> Result<VerifiedReceipts, CommandError> {
    let signers = options.keys.iter().map(|path| load_public_key(path));
    let signers: Vec<Signer> = signers.collect::<Result<_, _>>()?;
    let chain = Chain::at(options.directory()?);
    let receipts = chain.verify(options.head)?;
    if !signers.is_empty() {
        for receipt in &receipts {
            receipt.verify_signature(&signers)?;
        }
    }
    let names = signers.into_iter().map(|signer| signer.name).collect();
    ReceiptsReport::of(&chain, &receipts, names).map(VerifiedReceipts)
}

/// Shows one receipt, after checking the whole chain.
pub(crate) fn show(options: &ReceiptsOptions, number: u64) -> Result<ShownReceipt, CommandError> {
    let directory = options.directory()?;
    let chain = Chain::at(&directory).verify(options.head)?;
    let of = chain.len();
    let Some(last) = chain.last().map(|last| last.number) else {
        return Err(NoReceipts::Here(directory).into());
    };
    let found = chain.into_iter().find(|receipt| receipt.number == number);
    let Stored {
        number,
        digest,
        path,
        content,
    } = found.ok_or(NoReceipts::Number {
        directory,
        number,
        last,
    })?;
    Ok(ShownReceipt {
        number,
        digest,
        path,
        of,
        receipt: content,
    })
}

fn report(receipt: &Stored) -> ReceiptReport {
    let content = &receipt.content;
    ReceiptReport {
        number: receipt.number,
        digest: receipt.digest,
        time: text(content, "/time").to_owned(),
        summary: summary(content),
        without_receipt: without_receipt(content),
    }
}

/// What was done before a receipt and left none, a line each.
fn without_receipt(content: &Value) -> Vec<String> {
    let runs = content
        .get("withoutReceipt")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let line = |run: &Value| {
        let of = |pointer| shown(text(run, pointer));
        let link = if of("/kind") == "scan" { "with" } else { "to" };
        format!(
            "{}  {} of {} {} {link} {}",
            of("/time"),
            of("/kind"),
            of("/name"),
            of("/version"),
            of("/destination")
        )
    };
    runs.map(line).collect()
}

/// One line about a receipt; of one that a newer program wrote, what is known.
fn summary(content: &Value) -> String {
    let of = |pointer| shown(text(content, pointer));
    let bundle = format!("{} {}", of("/bundle/name"), of("/bundle/version"));
    match text(content, "/act/kind") {
        "push" => {
            let references = content
                .pointer("/act/references")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            format!(
                "pushed {bundle} to {}: {}",
                of("/act/registry"),
                counted(references, "reference")
            )
        }
        "installSet" => {
            let what = installed(content);
            let releases = releases(content);
            format!(
                "{what} {bundle} as releases {releases} of {}",
                of("/act/cluster")
            )
        }
        "install" => {
            let what = installed(content);
            format!(
                "{what} {bundle} as release {} in namespace {} of {}",
                of("/act/release"),
                of("/act/namespace"),
                of("/act/cluster")
            )
        }
        "scan" => {
            let images = content.pointer("/act/images").and_then(Value::as_array);
            let images = images.map(Vec::as_slice).unwrap_or_default();
            let found = images
                .iter()
                .filter_map(|image| image.get("findings")?.as_object());
            let found: u64 = found
                .flat_map(|findings| findings.values().filter_map(Value::as_u64))
                .fold(0, u64::saturating_add);
            format!(
                "scanned {bundle} with {}: {}, {}",
                of("/act/scanner"),
                counted(images.len(), "image"),
                counted(found, "finding")
            )
        }
        "rollback" => {
            let what = match text(content, "/act/outcome") {
                "deployed" => "rolled back to",
                _ => "tried and could not roll back to",
            };
            let releases = releases(content);
            format!(
                "{what} {bundle}: release {releases} of {}",
                of("/act/cluster")
            )
        }
        _ => format!("{} {bundle}", of("/act/kind")),
    }
}

fn installed(content: &Value) -> &'static str {
    match text(content, "/act/outcome") {
        "deployed" => "installed",
        "rolledBack" => "tried and rolled back",
        _ => "tried and could not roll back",
    }
}

fn releases(content: &Value) -> String {
    let releases = content.pointer("/act/releases").and_then(Value::as_array);
    let releases = releases.into_iter().flatten();
    let names: Vec<String> = releases
        .map(|release| shown(text(release, "/release")))
        .collect();
    names.join(", ")
}

fn text<'a>(content: &'a Value, pointer: &str) -> &'a str {
    content
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("?")
}

/// A digest as people compare it, or the text as it is.
fn grouped(text: &str) -> String {
    text.parse()
        .map_or_else(|_| text.to_owned(), |digest: Digest| digest.grouped())
}

fn fingerprint(id: &str) -> String {
    fingerprint_of_key_id(id).map_or_else(|| shown(id), |digest| digest.grouped())
}
