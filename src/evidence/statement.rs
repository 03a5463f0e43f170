//! In-toto statements in the form of cosign 3: an envelope in a Sigstore bundle.
//!
//! Sources: cosign, `specs/BUNDLE_SPEC.md`; those of [`super::signature`].

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    canonical_json::{self, CanonicalJsonError},
    oci::{ArtifactManifest, Descriptor, EMPTY_CONFIG, TITLE},
    sign::{ForeignSignature, PublicKey, SIGSTORE_BUNDLE, SlotSignature},
};
use rune_core::digest::Digest;

const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
const STATEMENTS: [&str; 2] = ["https://in-toto.io/Statement/v0.1", STATEMENT_V1];

#[derive(Debug, Clone)]
pub(crate) struct UnsignedStatement(Vec<u8>);

/// A statement that says that it is signed, verified by nobody yet.
#[derive(Debug)]
pub(crate) struct SignedStatement {
    pub(crate) predicate_type: String,
    pub(crate) subjects: Vec<Digest>,
    pub(super) message: Vec<u8>,
    pub(super) signatures: Vec<ForeignSignature>,
}

/// A signature as an artifact: a manifest and the blobs that it names.
#[derive(Debug)]
pub(crate) struct SignatureArtifact {
    pub(crate) manifest: Descriptor,
    pub(crate) statement: Digest,
    pub(crate) blobs: Vec<(Descriptor, Vec<u8>)>,
}

impl UnsignedStatement {
    /// Fails when the statement has no canonical form; does not happen.
    pub(crate) fn new(
        predicate_type: &str,
        subject: &Value,
        predicate: &Value,
    ) -> Result<Self, CanonicalJsonError> {
        let statement = json!({
            "_type": STATEMENT_V1,
            "subject": subject,
            "predicateType": predicate_type,
            "predicate": predicate,
        });
        canonical_json::to_bytes(&statement).map(Self)
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        authenticated(IN_TOTO, &self.0)
    }

    /// The Sigstore bundle with a signature over [`UnsignedStatement::message`].
    pub(crate) fn signed(&self, signature: &SlotSignature) -> Result<Vec<u8>, CanonicalJsonError> {
        let bundle = json!({
            "mediaType": SIGSTORE_BUNDLE,
            "verificationMaterial": { "publicKey": { "hint": signature.hint() } },
            "dsseEnvelope": {
                "payload": Base64::encode_string(&self.0),
                "payloadType": IN_TOTO,
                "signatures": [{ "sig": Base64::encode_string(signature.signature()) }],
            },
        });
        canonical_json::to_bytes(&bundle)
    }
}

impl SignatureArtifact {
    /// The artifact by which cosign finds a Sigstore bundle with a statement about a manifest.
    pub(crate) fn new(
        bundle: Vec<u8>,
        predicate_type: &str,
        title: Option<&str>,
        subject: &Descriptor,
    ) -> Result<Self, CanonicalJsonError> {
        let mut layer = Descriptor::of(SIGSTORE_BUNDLE, &bundle);
        let title = title.map(|title| (TITLE.to_owned(), title.to_owned()));
        layer.annotations.extend(title);
        let annotations = BTreeMap::from([
            ("dev.sigstore.bundle.content", "dsse-envelope"),
            ("dev.sigstore.bundle.predicateType", predicate_type),
        ]);
        let (manifest, bytes) = ArtifactManifest::new(SIGSTORE_BUNDLE, &layer)
            .about(subject)
            .with_annotations(annotations)
            .write()?;
        Ok(Self {
            manifest: manifest.clone(),
            statement: layer.digest,
            blobs: vec![
                (ArtifactManifest::empty_config(), EMPTY_CONFIG.to_vec()),
                (layer, bundle),
                (manifest, bytes),
            ],
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<StatementSubject>,
}

#[derive(Deserialize)]
struct StatementSubject {
    digest: StatementDigest,
}

#[derive(Deserialize)]
struct StatementDigest {
    sha256: Option<String>,
}

impl SignedStatement {
    /// Reads a Sigstore bundle; nothing when it is something else or malformed.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bundle: Bundle = serde_json::from_slice(bytes).ok()?;
        let envelope = bundle
            .dsse_envelope
            .filter(|_| bundle.media_type == SIGSTORE_BUNDLE)?;
        Self::of(envelope)
    }

    pub(super) fn read_envelope(bytes: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice(bytes).ok()?)
    }

    fn of(envelope: Envelope) -> Option<Self> {
        let payload = Base64::decode_vec(&envelope.payload).ok()?;
        let statement: Statement = serde_json::from_slice(&payload).ok()?;
        let is_statement =
            envelope.payload_type == IN_TOTO && STATEMENTS.contains(&statement.kind.as_str());
        let subjects = statement
            .subject
            .iter()
            .filter_map(|subject| Digest::from_hex(subject.digest.sha256.as_deref()?).ok());
        let signatures = envelope.signatures.into_iter().filter_map(|signature| {
            let signature = Base64::decode_vec(&signature.sig).ok()?;
            Some(ForeignSignature::bare(signature))
        });
        is_statement.then(|| Self {
            predicate_type: statement.predicate_type,
            subjects: subjects.collect(),
            message: authenticated(&envelope.payload_type, &payload),
            signatures: signatures.collect(),
        })
    }

    pub(crate) fn is_by(&self, key: &PublicKey) -> bool {
        let mut signatures = self.signatures.iter();
        signatures.any(|signature| signature.check(key, &self.message).is_ok())
    }
}

/// The bytes that a signature in an envelope is over.
fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}
