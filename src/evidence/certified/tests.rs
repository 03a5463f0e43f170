//! Bundles that others signed with public Sigstore instances, and the trusted roots of these.
//!
//! Recorded: the test data of sigstore-rust (Apache-2.0). Both are attestations about one package:
//! one with a Rekor v1 entry, and one from staging with a Rekor v2 entry and an RFC 3161 timestamp.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use sigstore_verify::trust_root::{
    SIGSTORE_PRODUCTION_TRUSTED_ROOT, SIGSTORE_STAGING_TRUSTED_ROOT,
};

use super::{Certified, Signer, TrustedRoot};
use rune_core::digest::Digest;

const REKOR1: &[u8] = include_bytes!("recorded/rekor1.sigstore.json");
const REKOR2: &[u8] = include_bytes!("recorded/rekor2.sigstore.json");
const PACKAGE: &str = "sha256:54303491a8418fbed24344b513546182c29b43bf282ceb433af65e2299f9271f";

fn message(bundle: &[u8]) -> Vec<u8> {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    let envelope = &bundle["dsseEnvelope"];
    let kind = envelope["payloadType"].as_str().unwrap();
    let payload = Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap();
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), &payload].concat()
}

fn root_of(bundle: &[u8]) -> Value {
    let root = if bundle == REKOR1 {
        SIGSTORE_PRODUCTION_TRUSTED_ROOT
    } else {
        SIGSTORE_STAGING_TRUSTED_ROOT
    };
    serde_json::from_str(root).unwrap()
}

fn verify(bundle: &[u8], root: &Value) -> Result<Signer, String> {
    let root = TrustedRoot::parse(&root.to_string()).map_err(|error| format!("{error:?}"))?;
    let certified = Certified::in_bundle(bundle).unwrap();
    certified.verify(&message(bundle), PACKAGE.parse().unwrap(), &root)
}

#[test]
fn recorded_bundles_of_both_versions_of_the_log_are_accepted_with_signer_and_time() {
    let signer = verify(REKOR1, &root_of(REKOR1)).unwrap();
    let github = "https://token.actions.githubusercontent.com";
    let workflow = "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml";
    assert_eq!(signer.issuer, github);
    assert_eq!(signer.subject, format!("{workflow}@refs/heads/main"));
    assert_eq!(signer.time, "2025-09-01T12:13:59Z");
    let signer = verify(REKOR2, &root_of(REKOR2)).unwrap();
    assert!(signer.time.starts_with("2026-05-26T07:42:"), "{signer:?}");
}

#[test]
fn a_file_with_the_roots_of_two_instances_accepts_the_signatures_of_both() {
    let file = format!("{}\n{}\n", root_of(REKOR1), root_of(REKOR2));
    let root = TrustedRoot::parse(&file).unwrap();
    for bundle in [REKOR1, REKOR2] {
        let certified = Certified::in_bundle(bundle).unwrap();
        let verified = certified.verify(&message(bundle), PACKAGE.parse().unwrap(), &root);
        verified.unwrap();
        let other = certified.verify(&message(bundle), Digest::of(b"other"), &root);
        assert!(other.unwrap_err().contains("; by the next root: "));
    }
    for file in ["", "{} {}", "[]"] {
        assert!(TrustedRoot::parse(file).is_err(), "{file}");
    }
}

#[test]
fn a_recorded_bundle_is_of_its_package_alone_and_needs_each_part_of_the_root() {
    for bundle in [REKOR1, REKOR2] {
        let root = TrustedRoot::parse(&root_of(bundle).to_string()).unwrap();
        let certified = Certified::in_bundle(bundle).unwrap();
        let other = certified.verify(&message(bundle), Digest::of(b"other"), &root);
        let other = other.unwrap_err();
        assert!(other.contains("match"), "another package: {other}");
        let ambiguous = certified.verify(b"other", PACKAGE.parse().unwrap(), &root);
        assert_eq!(ambiguous.unwrap_err(), "its envelope is ambiguous");
    }
    let parts = [
        (REKOR1, "tlogs"),
        (REKOR1, "certificateAuthorities"),
        (REKOR2, "timestampAuthorities"),
        (REKOR2, "certificateAuthorities"),
    ];
    for (bundle, part) in parts {
        let mut root = root_of(bundle);
        let ended = json!({"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"});
        for item in root[part].as_array_mut().unwrap() {
            match part {
                "tlogs" => item["publicKey"]["validFor"] = ended.clone(),
                _ => item["validFor"] = ended.clone(),
            }
        }
        assert!(verify(bundle, &root).is_err(), "{part}");
    }
}
