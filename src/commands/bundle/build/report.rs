//! What a build did, or would do.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{super::volumes::PartsList, CompletenessReport, image_signing::PayloadsReport};
use crate::{
    bundle::{BaseRecord, Tally, Transferred},
    oci::Platform,
};
use rune_core::{
    command::{Report, counted},
    digest::Digest,
    remark::Remark,
    text::{exact_size, shown, size},
};

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum BuildReport {
    Bundle(Box<BundleReport>),
    Payloads(PayloadsReport),
}

impl Report for BuildReport {
    const VERB: &'static str = "build";

    fn remarks(&self) -> Vec<Remark> {
        match self {
            Self::Bundle(report) => report.remarks.clone(),
            Self::Payloads(_) => Vec::new(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Bundle(report) => report.text(),
            Self::Payloads(report) => report.text(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BundleReport {
    pub(super) output: Utf8PathBuf,
    pub(super) name: String,
    pub(super) version: semver::Version,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) entries: usize,
    pub(super) images: Vec<BuiltImage>,
    pub(super) signed_by: Vec<String>,
    #[serde(skip)]
    pub(super) signers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provenance: Option<Utf8PathBuf>,
    /// How many images and charts are signed for clusters, and the fingerprint of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_signatures: Option<BuiltSignatures>,
    pub(super) waived: Vec<String>,
    pub(super) completeness: CompletenessReport,
    pub(super) remote_blobs: u64,
    pub(super) remote_bytes: u64,
    pub(super) dry_run: bool,
    #[serde(skip_serializing_if = "PartsList::is_empty")]
    pub(super) volumes: PartsList,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<BuiltDelta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transferred: Option<Transferred>,
    #[serde(skip)]
    pub(super) remarks: Vec<Remark>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuiltDelta {
    pub(super) included: Tally,
    pub(super) left_out: Tally,
    pub(super) bases: Vec<BaseRecord>,
}

#[derive(Debug, Serialize)]
pub(super) struct BuiltSignatures {
    pub(super) key: Digest,
    pub(super) count: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuiltImage {
    pub(super) reference: String,
    pub(super) digest: Digest,
    pub(super) platforms: Vec<Platform>,
    pub(super) platforms_left_out: Vec<Platform>,
}

impl BundleReport {
    fn text(&self) -> String {
        use std::fmt::Write as _;
        let Self {
            output,
            name,
            version,
            bytes,
            entries,
            ..
        } = self;
        let bytes = exact_size(*bytes);
        let name = match &self.delta {
            Some(_) => format!("a delta of {name}"),
            None => name.clone(),
        };
        let mut text = match &self.transferred {
            None => {
                let (blobs, fetched) = (self.remote_blobs, self.remote_bytes);
                format!(
                    "would write {name} {version} to `{output}`: {entries} entries, {bytes}, {} \
                     of them in {blobs} blobs to fetch\n",
                    size(fetched)
                )
            }
            Some(transferred) => {
                let mut text =
                    format!("wrote {name} {version} to `{output}`: {entries} entries, {bytes}\n");
                let Transferred {
                    fetched_blobs,
                    fetched_bytes,
                    kept_blobs,
                } = transferred;
                let _ = writeln!(
                    text,
                    "fetched        {fetched_blobs} blobs, {}; {kept_blobs} blobs were there from \
                     an earlier run",
                    size(*fetched_bytes)
                );
                text
            }
        };
        let _ = writeln!(text, "bundle digest  {}", self.digest);
        if let Some(delta) = &self.delta {
            let _ = writeln!(text, "included       {}", delta.included);
            let _ = writeln!(text, "left out       {}", delta.left_out);
            for base in &delta.bases {
                let _ = writeln!(text, "base           {}", shown(&base.to_string()));
            }
        }
        for image in &self.images {
            let _ = writeln!(text, "image          {}@{}", image.reference, image.digest);
            if !image.platforms_left_out.is_empty() {
                let _ = writeln!(
                    text,
                    "               {} platforms included, {} left out",
                    image.platforms.len(),
                    image.platforms_left_out.len()
                );
            }
        }
        for signer in &self.signers {
            let _ = writeln!(text, "signed by      {signer}");
        }
        if let Some(path) = &self.provenance {
            let _ = writeln!(text, "provenance     `{path}`");
        }
        if let Some(BuiltSignatures { key, count }) = &self.image_signatures {
            let _ = writeln!(
                text,
                "image key      {}: {}",
                key.grouped(),
                counted(*count, "image signature")
            );
        }
        if self.signed_by.is_empty() {
            text.push_str(
                "NOT SIGNED: pass --key to sign; verbs refuse an unsigned bundle unless its \
                 digest is given\n",
            );
        }
        for waived in &self.waived {
            let _ = writeln!(text, "waived         {waived}");
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "note: {remark}");
        }
        text.push_str(&self.completeness.text("completeness   "));
        text.push_str(&self.volumes.text());
        text
    }
}
