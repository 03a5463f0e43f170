//! Signatures of algorithms that this version does not know: they lock nobody out, count for
//! nothing and stay where they are.

use std::fs;

use base64ct::{Base64, Encoding as _};
use rune_bundle::sign::SLOT_BYTES;
use rune_core::digest::Digest;
use serde_json::{Value, json};

use crate::bundle::{
    sign_support::Team,
    small_bundle::{ends_with, index_of},
};

/// A key with the object identifier of ML-DSA-65 (FIPS 204); its bits are not that of one.
const ML_DSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MDAwCwYJYIZIAWUDBAMSAyEAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd
Hh8=
-----END PUBLIC KEY-----
";

/// The size of a signature of ML-DSA-87, the largest of those that replace ECDSA.
const ML_DSA_87_BYTES: usize = 4627;

fn digest_of(team: &Team) -> Digest {
    Digest::of(&index_of(&team.bundle).to_bytes().unwrap())
}

/// Writes a signature that claims to be by a key of this fingerprint, over bytes of this digest,
/// into a slot.
fn fill(team: &Team, slot: usize, key: Digest, message: Digest) {
    let signature: Vec<u8> = (0..ML_DSA_87_BYTES)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let document = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "messageSignature": {
            "messageDigest": { "algorithm": "SHA2_256", "digest": Base64::encode_string(message.as_bytes()) },
            "signature": Base64::encode_string(&signature),
        },
        "verificationMaterial": { "publicKey": { "hint": Base64::encode_string(key.as_bytes()) } },
    });
    let mut content = rune_bundle::canonical_json::to_bytes(&document).unwrap();
    content.resize(SLOT_BYTES, b' ');
    let (mut bytes, at) = (team.bytes(), team.slot(slot));
    bytes[at..at + SLOT_BYTES].copy_from_slice(&content);
    fs::write(&team.bundle, bytes).unwrap();
}

fn report(output: &std::process::Output) -> Value {
    ends_with(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_second_signature_of_an_unknown_algorithm_locks_nobody_out_and_does_not_count() {
    let team = Team::new();
    team.join("second");
    let (key, digest) = (Digest::of(b"a key of another algorithm"), digest_of(&team));
    fill(&team, 1, key, digest);
    let unknown = json!({ "state": "unknown", "key": Base64::encode_string(key.as_bytes()), "fingerprint": key.to_string() });
    let first = team.file("first.pub");
    for verb in ["verify", "inspect"] {
        assert_eq!(
            report(&team.run(verb, &["--key", &first, "--json"]))["signatures"][1],
            unknown,
            "{verb}"
        );
        let digest = digest.to_string();
        assert_eq!(
            report(&team.run(verb, &["--bundle-digest", &digest, "--json"]))["signatures"][1],
            unknown,
            "{verb}"
        );
    }
    ends_with(
        &team.run("unpack", &[&team.file("unpacked"), "--key", &first]),
        0,
    );
    assert!(
        ends_with(&team.verify(&["first", "second"], 2), 7)
            .contains("signed by 1 of the given keys, 2 are needed")
    );
    assert!(
        ends_with(&team.verify(&["second"], 1), 7)
            .contains("the bundle is not signed by the given key")
    );
}

#[test]
fn sign_and_attach_leave_a_signature_of_an_unknown_algorithm_alone() {
    let team = Team::new();
    fill(
        &team,
        1,
        Digest::of(b"a key of another algorithm"),
        digest_of(&team),
    );
    let slot = team.slot(1);
    let before = team.bytes()[slot..slot + SLOT_BYTES].to_vec();
    for (name, place) in [("second", 2), ("third", 3)] {
        team.join(name);
        assert_eq!(report(&team.sign(name, &["--json"]))["slot"], place);
    }
    // The signature of the third, taken out and put into the same bundle before the third had
    // signed.
    let (mut bytes, third) = (team.bytes(), team.slot(3));
    fs::write(
        team.scratch.path("third.json"),
        bytes[third..third + SLOT_BYTES].trim_ascii_end(),
    )
    .unwrap();
    bytes[third..third + SLOT_BYTES].fill(b' ');
    fs::write(&team.bundle, bytes).unwrap();
    let attach = [
        "--signature",
        &team.file("third.json"),
        "--key",
        &team.file("third.pub"),
        "--json",
    ];
    assert_eq!(report(&team.run("attach", &attach))["slot"], 3);
    assert!(
        team.bytes()[slot..slot + SLOT_BYTES] == before,
        "the slot was changed"
    );
    ends_with(&team.verify(&["first", "second", "third"], 3), 0);
}

#[test]
fn a_signature_over_another_index_is_refused_whoever_made_it() {
    let team = Team::new();
    team.join("second");
    let digest = digest_of(&team).to_string();
    fill(
        &team,
        1,
        Digest::of(b"a key of another algorithm"),
        Digest::of(b"another index"),
    );
    let before = team.bytes();
    let revoking = format!(
        "apiVersion: rune-bundle/v1\nkind: Trust\nthreshold: 1\nkeys: [{{ name: first, file: first.pub }}]\nrevoked: [{{ id: '{}', reason: lost }}]\n",
        Digest::of(b"a key of another algorithm")
    );
    fs::write(team.scratch.path("trust.yaml"), revoking).unwrap();
    for output in [
        team.verify(&["first"], 1),
        team.run("verify", &["--bundle-digest", &digest]),
        team.run("verify", &["--trust", &team.file("trust.yaml")]),
        team.sign("second", &[]),
    ] {
        let said = ends_with(&output, 7);
        assert!(
            said.contains("signature slot 1 holds a signature over another `bundle.json`"),
            "{said}"
        );
    }
    assert!(team.bytes() == before, "something was written");
    assert_eq!(
        report(&team.run("inspect", &["--json"]))["signatures"][1]["state"],
        "malformed"
    );
}

#[test]
fn under_the_id_of_a_given_key_a_signature_of_another_form_is_bad() {
    let team = Team::new();
    fill(
        &team,
        1,
        team.join("second").public_key().fingerprint(),
        digest_of(&team),
    );
    let said = ends_with(&team.verify(&["first", "second"], 1), 7);
    assert!(
        said.contains("signature slot 1 names the given key")
            && said.contains("its signature is bad"),
        "{said}"
    );
    ends_with(&team.sign("second", &[]), 7);
    ends_with(&team.verify(&["first"], 1), 0);
}

#[test]
fn a_public_key_of_an_unknown_algorithm_is_an_unsupported_algorithm() {
    let team = Team::new();
    fs::write(team.scratch.path("new.pub"), ML_DSA_PUBLIC).unwrap();
    let said = ends_with(&team.verify(&["first", "new"], 1), 3);
    assert!(
        said.contains("unsupported algorithm: 2.16.840.1.101.3.4.3.18") && said.contains("new.pub"),
        "{said}"
    );
    let trust = "apiVersion: rune-bundle/v1\nkind: Trust\nthreshold: 1\nkeys: [{ name: first, file: first.pub }, { name: new, file: new.pub }]\n";
    fs::write(team.scratch.path("trust.yaml"), trust).unwrap();
    let said = ends_with(
        &team.run("verify", &["--trust", &team.file("trust.yaml")]),
        3,
    );
    assert!(
        said.contains("unsupported algorithm") && said.contains(":4:"),
        "{said}"
    );
}
