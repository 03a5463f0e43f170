//! Signatures by certificate (keyless): a certificate that is valid for minutes says who signed,
//! and an entry of a transparency log or the token of a TSA says when.
//!
//! Certificates, log entries and timestamps are verified by `sigstore-verify` against a trusted root
//! from outside. A signature needs what the root names: an entry in a log if it names transparency
//! logs, a signed certificate timestamp if it names certificate logs.
//!
//! No check takes the clock for the time of a signature. The library refuses times of log entries
//! after the clock all the same, and keys that are trusted from later on: nothing of it that would
//! take a time from its caller is public. A clock that is before the root is therefore an error of
//! its own, and one that is before the signing refuses good signatures and is named; no clock
//! accepts a bad one.
//!
//! Sources: sigstore/protobuf-specs, `sigstore_bundle.proto` and `sigstore_trustroot.proto`;
//! sigstore/cosign, `specs/SIGNATURE_SPEC.md` (annotations of simple signing); sigstore/rekor,
//! `openapi.yaml` (signed entry timestamp).

mod provider;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::{
    Error, TransparencyLogError, VerificationPolicy, Verifier,
    types::{Artifact, Bundle, Sha256Hash, SignatureContent},
};

use rune_core::digest::Digest;

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// The versions of Sigstore bundles as which annotations are read: with the promise of a log, and
/// without.
const PROMISED: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
const TIMESTAMPED: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";

/// The roots in a file, one for each instance of Sigstore.
#[derive(Clone)]
pub(crate) struct TrustedRoot {
    digest: Digest,
    instances: Arc<[Instance]>,
}

struct Instance {
    verifier: Verifier,
    policy: VerificationPolicy,
}

/// What a signature has of certificates, log entries and timestamps.
#[derive(Debug, Clone)]
pub(super) struct Certified(Result<Box<Bundle>, String>);

/// Who signed, as a certificate of a trusted CA says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signer {
    /// The URL of the `OpenID` Connect issuer of the identity.
    pub(crate) issuer: String,
    /// The identity: an e-mail address, or the URI of a workflow.
    pub(crate) subject: String,
    /// When it was signed at the latest, in seconds since 1970.
    pub(crate) seconds: i64,
    pub(crate) time: String,
}

/// Why a trusted root cannot be used.
#[derive(Debug)]
pub(crate) enum TrustedRootError {
    Invalid(String),
    /// The clock of this machine is before the time from which the first CA is trusted.
    NotYet(String),
}

impl TrustedRoot {
    pub(crate) fn parse(text: &str) -> Result<Self, TrustedRootError> {
        provider::install();
        let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let documents = documents.collect::<Result<Vec<_>, _>>();
        let documents = documents.map_err(|error| TrustedRootError::Invalid(error.to_string()))?;
        let instances = documents.iter().map(Instance::of);
        let instances = instances.collect::<Result<Vec<_>, _>>()?;
        if instances.is_empty() {
            return Err(TrustedRootError::Invalid("it is empty".to_owned()));
        }
        Ok(Self {
            digest: Digest::of(text.as_bytes()),
            instances: instances.into(),
        })
    }
}

impl Instance {
    fn of(document: &Value) -> Result<Self, TrustedRootError> {
        let invalid = |error: &dyn fmt::Display| TrustedRootError::Invalid(error.to_string());
        let root = sigstore_verify::trust_root::TrustedRoot::from_json(&document.to_string())
            .map_err(|error| invalid(&error))?;
        if !root
            .media_type
            .starts_with("application/vnd.dev.sigstore.trustedroot")
        {
            return Err(invalid(&"it is not a trusted root of Sigstore"));
        }
        if root.certificate_authorities.is_empty() {
            return Err(invalid(&"it names no CA"));
        }
        let verifier = Verifier::new(&root).map_err(|error| invalid(&error))?;
        let windows = root.certificate_authorities.iter();
        let windows = windows.filter_map(|authority| authority.valid_for);
        if let Some(first) = windows.map(|window| window.start).min()
            && root.fulcio_certs().is_empty()
        {
            return Err(TrustedRootError::NotYet(first.to_string()));
        }
        let mut policy = VerificationPolicy::any_identity();
        if root.tlogs.is_empty() {
            policy = policy.skip_tlog_unsafe();
        }
        if root.ctlogs.is_empty() {
            policy = policy.skip_sct();
        }
        Ok(Self { verifier, policy })
    }
}

impl PartialEq for TrustedRoot {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for TrustedRoot {}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("TrustedRoot")
            .field(&self.digest)
            .finish()
    }
}

impl Certified {
    /// What a Sigstore bundle has, if it is not signed by a bare key.
    pub(super) fn in_bundle(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            verification_material: BTreeMap<String, Value>,
        }
        let document: Document = serde_json::from_slice(bytes).ok()?;
        let by_key = document.verification_material.contains_key("publicKey");
        (!by_key).then(|| Self::parse(&String::from_utf8_lossy(bytes)))
    }

    /// `content` is what is signed, under the name that it has in a Sigstore bundle.
    pub(super) fn in_annotations(
        annotations: &BTreeMap<String, String>,
        content: (&str, Value),
    ) -> Option<Self> {
        let certificate = annotations.get(CERTIFICATE)?;
        Some(match as_bundle(annotations, certificate, content) {
            Some(bundle) => Self::parse(&bundle.to_string()),
            None => Self(Err("its annotations are malformed".to_owned())),
        })
    }

    fn parse(text: &str) -> Self {
        let parsed = Bundle::from_json(text).map(Box::new);
        Self(parsed.map_err(|error| error.to_string()))
    }

    /// Verifies it; `message` is what was signed, and `image` the image that it has to be about.
    pub(super) fn verify(
        &self,
        message: &[u8],
        image: Digest,
        root: &TrustedRoot,
    ) -> Result<Signer, String> {
        let bundle = self.0.as_deref().map_err(Clone::clone)?;
        let mut refusals = Vec::new();
        for instance in root.instances.iter() {
            match instance.verify(bundle, message, image) {
                Ok(signer) => return Ok(signer),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(refusals.join("; by the next root: "))
    }
}

impl Instance {
    fn verify(&self, bundle: &Bundle, message: &[u8], image: Digest) -> Result<Signer, String> {
        let artifact = match &bundle.content {
            // What the image and the predicate type were read from must be what is verified.
            SignatureContent::DsseEnvelope(envelope) if envelope.pae() != message => {
                return Err("its envelope is ambiguous".to_owned());
            }
            SignatureContent::DsseEnvelope(_) => Artifact::from(Sha256Hash::new(*image.as_bytes())),
            _ => Artifact::from(message),
        };
        let verified = self.verifier.verify(artifact, bundle, &self.policy);
        let verified = verified.map_err(|error| match error {
            Error::TransparencyLog(TransparencyLogError::IntegratedTime(_)) => {
                format!("{error}; if the clock of this machine is wrong, set it")
            }
            _ => error.to_string(),
        })?;
        // The latest of them: an earlier one could be what somebody wants to be believed.
        let time = verified.verified_timestamps().iter().max();
        let time = time.ok_or("no time is proven")?;
        let subject = verified.identity().ok_or("its certificate names nobody")?;
        let issuer = verified.issuer().ok_or("its certificate names no issuer")?;
        Ok(Signer {
            issuer: issuer.to_owned(),
            subject: subject.as_str().to_owned(),
            seconds: time.as_second(),
            time: time.to_string(),
        })
    }
}

/// The log entry that cosign writes into an annotation.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogEntry {
    signed_entry_timestamp: String,
    payload: LogPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogPayload {
    body: String,
    integrated_time: i64,
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogBody {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
struct Timestamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

/// Annotations as a Sigstore bundle. Their chain of certificates is left out:
/// CAs come from the trusted root alone.
fn as_bundle(
    annotations: &BTreeMap<String, String>,
    certificate: &str,
    (name, content): (&str, Value),
) -> Option<Value> {
    let (_, certificate) = pem_rfc7468::decode_vec(certificate.trim().as_bytes()).ok()?;
    let entry = annotations.get(LOG_ENTRY);
    let entries: Vec<Value> = match entry {
        Some(entry) => vec![log_entry(entry)?],
        None => Vec::new(),
    };
    let tokens: Vec<Value> = match annotations.get(TIMESTAMP) {
        Some(token) => {
            let Timestamp { token } = serde_json::from_str(token).ok()?;
            vec![json!({ "signedTimestamp": token })]
        }
        None => Vec::new(),
    };
    Some(json!({
        "mediaType": if entries.is_empty() { TIMESTAMPED } else { PROMISED },
        "verificationMaterial": {
            "x509CertificateChain": {
                "certificates": [{ "rawBytes": Base64::encode_string(&certificate) }],
            },
            "tlogEntries": entries,
            "timestampVerificationData": { "rfc3161Timestamps": tokens },
        },
        (name): content,
    }))
}

fn log_entry(text: &str) -> Option<Value> {
    let LogEntry {
        signed_entry_timestamp,
        payload,
    } = serde_json::from_str(text).ok()?;
    let body: LogBody = serde_json::from_slice(&Base64::decode_vec(&payload.body).ok()?).ok()?;
    let log = Digest::from_hex(&payload.log_id).ok()?;
    Some(json!({
        "logIndex": payload.log_index.to_string(),
        "logId": { "keyId": Base64::encode_string(log.as_bytes()) },
        "kindVersion": { "kind": body.kind, "version": body.api_version },
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": signed_entry_timestamp },
        "canonicalizedBody": payload.body,
    }))
}
