//! A Sigstore instance of the tests: a certificate authority, a log of certificates and a log of
//! signatures, each with a key of its own, and the trusted root that names them.

use std::{
    fs,
    process::{Command, Output},
};

use base64ct::{Base64, Encoding as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
    SerialNumber, SigningKey as _,
};
use rune_bundle::oci::media_type;
use rune_testkit::{process::succeeded, sha256};
use serde_json::{Value, json};

use crate::bundle::evidence_support::{BUNDLE, SIGN, SIMPLE_SIGNING, Shop, VERIFY};

/// Noon of the one day on which certificates are valid, in seconds since 1970.
pub(crate) const NOON: i64 = 1_767_268_800;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const SUBJECT: &str = "https://git.example/acme/shop/release.yml@refs/tags/v1";

/// Extensions of certificates: who vouches for the identity (Fulcio), and timestamps of
/// certificate logs (RFC 6962).
const ISSUER_TEXT_OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 1];
const ISSUER_OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 8];
const TIMESTAMPS_OID: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

pub(crate) struct Instance {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificate_log: KeyPair,
    pub(crate) log: KeyPair,
}

/// Somebody who has a certificate.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    key: KeyPair,
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    Base64::encode_string(bytes.as_ref())
}

/// The SHA-256 of some bytes, without the name of the algorithm.
fn hex(bytes: &[u8]) -> String {
    sha256(bytes).replace("sha256:", "")
}

fn raw_sha256(bytes: &[u8]) -> Vec<u8> {
    let hex = hex(bytes);
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..64).step_by(2).map(byte).collect()
}

/// A DER value with its tag and length.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut value = match u8::try_from(length) {
        Ok(short) if short < 128 => vec![tag, short],
        Ok(short) => vec![tag, 0x81, short],
        Err(_) => [
            &[tag, 0x82][..],
            &u16::try_from(length).unwrap().to_be_bytes(),
        ]
        .concat(),
    };
    value.extend(content);
    value
}

/// What is within the outermost value of a certificate first: what its signature is over.
fn signed_part(certificate: &[u8]) -> &[u8] {
    // Certificates have more than 255 bytes, so lengths have two.
    assert!(certificate[1] == 0x82 && certificate[5] == 0x82);
    let length = usize::from(u16::from_be_bytes([certificate[6], certificate[7]]));
    &certificate[4..8 + length]
}

impl Instance {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "CA of the test");
        let key = || KeyPair::generate().unwrap();
        Self {
            authority: CertifiedIssuer::self_signed(params, key()).unwrap(),
            certificate_log: key(),
            log: key(),
        }
    }

    /// The file that says whom to believe.
    pub(crate) fn trusted_root(&self) -> Value {
        let since = json!({"start": "2025-01-01T00:00:00Z"});
        let log = |name: &str, key: &KeyPair| {
            let public = key.subject_public_key_info();
            json!({
                "baseUrl": format!("https://{name}.example"),
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": base64(&public),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": since,
                },
                "logId": {"keyId": base64(raw_sha256(&public))},
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("rekor", &self.log)],
            "certificateAuthorities": [{
                "subject": {"organization": "test", "commonName": "CA of the test"},
                "uri": "https://fulcio.example",
                "certChain": {"certificates": [{"rawBytes": base64(self.authority.der())}]},
                "validFor": since,
            }],
            "ctlogs": [log("ctfe", &self.certificate_log)],
        })
    }

    /// A certificate for somebody, which is in the log of certificates or is not.
    pub(crate) fn identify(&self, issuer: &str, subject: &str, is_logged: bool) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&[7; 16]));
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 2);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let name = subject.try_into().unwrap();
        params.subject_alt_names = vec![if subject.contains("://") {
            SanType::URI(name)
        } else {
            SanType::Rfc822Name(name)
        }];
        // In the older form too, as Fulcio does.
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&ISSUER_TEXT_OID, issuer.as_bytes().to_vec()),
            CustomExtension::from_oid_content(&ISSUER_OID, der(0x0c, issuer.as_bytes())),
        ];
        if is_logged {
            let unlogged = params.signed_by(&key, &self.authority).unwrap();
            let timestamp = self.certificate_timestamp(signed_part(unlogged.der()));
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(
                    &TIMESTAMPS_OID,
                    der(0x04, &timestamp),
                ));
        }
        let certificate = params.signed_by(&key, &self.authority).unwrap().pem();
        Identity { certificate, key }
    }

    /// A list of one timestamp of a certificate: RFC 6962, section 3.
    fn certificate_timestamp(&self, certificate: &[u8]) -> Vec<u8> {
        let two = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let milliseconds = u64::try_from(NOON * 1000).unwrap().to_be_bytes();
        let authority = raw_sha256(&self.authority.key().subject_public_key_info());
        let message = [
            &[0, 0][..],
            &milliseconds,
            &[0, 1],
            &authority,
            &u32::try_from(certificate.len()).unwrap().to_be_bytes()[1..],
            certificate,
            &[0, 0],
        ];
        let signature = self.certificate_log.sign(&message.concat()).unwrap();
        let log = raw_sha256(&self.certificate_log.subject_public_key_info());
        let timestamp = [
            &[0][..],
            &log,
            &milliseconds,
            &[0, 0, 4, 3],
            &two(signature.len()),
            &signature,
        ]
        .concat();
        let entry = [&two(timestamp.len())[..], &timestamp].concat();
        [&two(entry.len())[..], &entry].concat()
    }

    /// An entry of the log, as it is in Sigstore bundles.
    fn entry(&self, body: &Value, time: i64) -> Value {
        let kind = json!({"kind": body["kind"], "version": body["apiVersion"]});
        let body = body.to_string();
        let public = self.log.subject_public_key_info();
        let log = raw_sha256(&public);
        let promised = json!({
            "body": base64(&body),
            "integratedTime": time,
            "logID": hex(&public),
            "logIndex": 0,
        });
        let promise = self.log.sign(promised.to_string().as_bytes()).unwrap();
        // Of a log with one entry the entry is the root.
        let root = base64(raw_sha256(&[&[0], body.as_bytes()].concat()));
        let note = format!("rekor.example - 1\n1\n{root}\n");
        let signature = self.log.sign(note.as_bytes()).unwrap();
        let signature = base64([&log[..4], &signature].concat());
        json!({
            "logIndex": "0",
            "logId": {"keyId": base64(&log)},
            "kindVersion": kind,
            "integratedTime": time.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": base64(promise)},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": root,
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": format!("{note}\n\u{2014} rekor.example {signature}\n")},
            },
            "canonicalizedBody": base64(&body),
        })
    }

    /// A statement about a digest in a Sigstore bundle, as cosign 3 signs without a key.
    pub(crate) fn statement(
        &self,
        signer: &Identity,
        digest: &str,
        predicate: &str,
        time: i64,
    ) -> Value {
        let sign = |message: &[u8]| signer.key.sign(message).unwrap();
        let envelope = Shop::envelope(digest, predicate, sign);
        let payload = Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap();
        let sha256 = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(bytes)});
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": sha256(envelope.to_string().as_bytes()),
                "payloadHash": sha256(&payload),
                "signatures": [{
                    "signature": envelope["signatures"][0]["sig"],
                    "verifier": base64(&signer.certificate),
                }],
            },
        });
        let certificate = signer
            .certificate
            .lines()
            .filter(|line| !line.starts_with("--"));
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": certificate.collect::<String>()},
                "tlogEntries": [self.entry(&body, time)],
            },
            "dsseEnvelope": envelope,
        })
    }

    /// An entry of the log as cosign 2 writes it into an annotation.
    pub(crate) fn log_annotation(&self, entry: &Value, time: i64) -> Value {
        json!({
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": time,
                "logIndex": 0,
                "logID": hex(&self.log.subject_public_key_info()),
            },
        })
    }

    /// The annotations with which cosign 2 signs without a key, and what they sign.
    pub(crate) fn simple_signing(
        &self,
        signer: &Identity,
        digest: &str,
        time: i64,
    ) -> (Vec<u8>, Value) {
        let payload = Shop::simple_signing_payload(digest);
        let signature = base64(signer.key.sign(&payload).unwrap());
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex(&payload)}},
                "signature": {
                    "content": signature,
                    "publicKey": {"content": base64(&signer.certificate)},
                },
            },
        });
        let entry = self.entry(&body, time);
        let bundle = self.log_annotation(&entry, time);
        let annotations = json!({
            "dev.cosignproject.cosign/signature": signature,
            "dev.sigstore.cosign/certificate": signer.certificate,
            "dev.sigstore.cosign/chain": self.authority.pem(),
            "dev.sigstore.cosign/bundle": bundle.to_string(),
        });
        (payload, annotations)
    }
}

impl Shop {
    /// Attaches a Sigstore bundle to the image.
    pub(crate) fn attach_bundle(&self, bundle: &Value, predicate: &str) {
        let root = self.root();
        let mut manifest = self.artifact(&root, BUNDLE, bundle.to_string().as_bytes());
        manifest["annotations"] = json!({"dev.sigstore.bundle.predicateType": predicate});
        self.attach(&root, &manifest);
    }

    /// Stores what was signed, with its annotations, under the tag of the image for signatures.
    pub(crate) fn tag_signature(&self, signed: (Vec<u8>, Value)) {
        self.tag_layer("sig", SIMPLE_SIGNING, signed);
    }

    /// Stores a layer with its annotations under a tag of cosign.
    pub(crate) fn tag_layer(
        &self,
        suffix: &str,
        kind: &str,
        (content, annotations): (Vec<u8>, Value),
    ) {
        let mut layer = self.blob(kind, &content);
        layer["annotations"] = annotations;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": self.blob(media_type::CONFIG, b"{\"architecture\":\"\",\"os\":\"\"}"),
            "layers": [layer],
        });
        self.put(Some(&self.tag(suffix)), &manifest);
    }

    /// Signs the image without a key, in a tag or in a bundle.
    pub(crate) fn sign_keyless(&self, instance: &Instance, signer: &Identity, in_tag: bool) {
        let root = self.root();
        if in_tag {
            self.tag_signature(instance.simple_signing(signer, &root, NOON));
        } else {
            self.attach_bundle(&instance.statement(signer, &root, SIGN, NOON), SIGN);
        }
    }

    /// Verifies the bundle with its policy on a machine with another clock.
    pub(crate) fn verify_at(&self, seconds: i64) -> Output {
        let (source, library) = (self.project.path("clock.c"), self.project.path("clock.so"));
        let text = format!(
            "#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
             int clock_gettime(clockid_t id, struct timespec *t) {{\n\
             if (id != CLOCK_REALTIME) return syscall(SYS_clock_gettime, id, t);\n\
             t->tv_sec = {seconds}; t->tv_nsec = 0; return 0; }}\n"
        );
        fs::write(&source, text).unwrap();
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
        succeeded(compile.arg(&source));
        let mut command = self.project.command(&VERIFY);
        command.env("LD_PRELOAD", &library).output().unwrap()
    }
}
