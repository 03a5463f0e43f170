//! Signing the images and charts of a bundle: with a key at hand, or with signatures that were made
//! elsewhere over payloads that were written before.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::super::{
    keys::{Passphrase, load_private_key, load_public_key},
    open::{Origin, Parts, SignerOptions},
    view::ViewOptions,
};
use crate::{
    bundle::{BundlePayload, BundleView, Draft, ImageSigner, OwnSignature},
    sign::ForeignSignature,
};
use rune_core::{
    command::{CommandError, counted},
    digest::Digest,
    fsx::{self, Action, PathError},
};

const MAX_SIGNATURE_BYTES: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) enum ImageSigning {
    Key(Utf8PathBuf),
    /// Signatures that were made before, and the file with the public key that made them.
    Finished {
        key: Utf8PathBuf,
        source: Utf8PathBuf,
    },
    /// Nobody: what is to be signed is written into this new directory, and nothing is built.
    Emit(Utf8PathBuf),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PayloadsReport {
    directory: Utf8PathBuf,
    payloads: Vec<WrittenPayload>,
}

#[derive(Debug, Serialize)]
struct WrittenPayload {
    file: String,
    name: String,
    subject: Digest,
}

impl ImageSigning {
    pub(super) fn signer(
        &self,
        passphrase: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
    ) -> Result<Option<ImageSigner>, CommandError> {
        match self {
            Self::Key(path) => {
                load_private_key(path, passphrase).map(|key| Some(ImageSigner::Key(key)))
            }
            Self::Finished { key, source } => Ok(Some(ImageSigner::Finished {
                key: load_public_key(key)?.key,
                signatures: if fsx::is_dir(source) {
                    in_directory(source)?
                } else {
                    in_bundle(source)?
                },
            })),
            Self::Emit(_) => Ok(None),
        }
    }
}

/// The signatures in `sha256-<digest>.sig`, each of the manifest of that digest.
fn in_directory(directory: &Utf8Path) -> Result<BTreeMap<Digest, ForeignSignature>, CommandError> {
    let mut found = BTreeMap::new();
    for file in fsx::file_names(directory)? {
        let hex = file
            .strip_prefix("sha256-")
            .and_then(|rest| rest.strip_suffix(".sig"));
        let Some(subject) = hex.and_then(|hex| Digest::from_hex(hex).ok()) else {
            continue;
        };
        let path = directory.join(&file);
        let bytes = fsx::read(&path, MAX_SIGNATURE_BYTES)?;
        let signature = ForeignSignature::parse(&bytes).map_err(|error| {
            CommandError::from(error).context(format!("cannot use the signature `{path}`"))
        })?;
        found.insert(subject, signature);
    }
    Ok(found)
}

/// Those of another bundle. It need not be trusted: each signature is checked by itself.
fn in_bundle(path: &Utf8PathBuf) -> Result<BTreeMap<Digest, ForeignSignature>, CommandError> {
    let options = ViewOptions {
        parts: Parts::default(),
        signers: SignerOptions {
            keys: Vec::new(),
            threshold: 1,
            trust_file: None,
            origin: Origin::Options,
        },
        digests: Vec::new(),
    };
    let view: BundleView = options.open(path)?;
    let found = view.own_image_signatures().map_err(|error| {
        CommandError::from(error).context(format!("cannot read the signatures in `{path}`"))
    })?;
    let pairs = found
        .into_iter()
        .map(|OwnSignature { subject, signature }| (subject, signature));
    Ok(pairs.collect())
}

pub(super) fn write_payloads(
    draft: &Draft,
    directory: &Utf8Path,
) -> Result<PayloadsReport, CommandError> {
    let staging = fsx::StagingDirectory::create(directory)?;
    let mut payloads = Vec::new();
    for payload in draft.payloads() {
        let file = format!("{}.payload", payload.file_stem());
        staging
            .handle()
            .write(&file, payload.message())
            .map_err(PathError::of(Action::Write, &directory.join(&file)))?;
        payloads.push(WrittenPayload::of(payload, file));
    }
    staging.finish()?;
    Ok(PayloadsReport {
        directory: directory.to_owned(),
        payloads,
    })
}

impl WrittenPayload {
    fn of(payload: &BundlePayload, file: String) -> Self {
        Self {
            file,
            name: payload.name.clone(),
            subject: payload.subject(),
        }
    }
}

impl PayloadsReport {
    pub(super) fn text(&self) -> String {
        let count = counted(self.payloads.len(), "payload");
        let mut text = format!("wrote {count} to `{}`\n", self.directory);
        for WrittenPayload { file, name, .. } in &self.payloads {
            text.push_str(&format!("payload        {file}  {name}\n"));
        }
        text.push_str(
            "next: sign each file, write its signature to the same name with `.sig` instead of \
             `.payload`, and build with --image-signatures\n",
        );
        text
    }
}
