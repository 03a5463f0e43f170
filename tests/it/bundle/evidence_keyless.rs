//! A policy that demands signatures by somebody whom a certificate names (keyless): verified when a
//! bundle is locked, and again by whoever receives it, with a trusted root of their own.

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use rune_bundle::commands::bundle::LockMode;
use serde_json::{Value, json};

use crate::bundle::{
    evidence_support::{SIGN, SPDX, Shop, VERIFY},
    keyless_support::{ISSUER, Identity, Instance, NOON, SUBJECT},
    small_bundle::ends_with,
};

const LOCK: [&str; 3] = ["lock", "--registry-config", "registries.yaml"];
const DAY: Duration = Duration::from_hours(24);

/// A shop whose policy demands a signature by somebody of an instance, and that somebody.
fn shop() -> (Shop, Instance, Identity) {
    let (shop, instance) = (Shop::new(true), Instance::new());
    let signer = instance.identify(ISSUER, SUBJECT, true);
    trust(&shop, "root.json", &instance.trusted_root());
    demand(&shop, "");
    (shop, instance, signer)
}

fn trust(shop: &Shop, file: &str, root: &Value) {
    fs::write(shop.project.path(file), root.to_string()).unwrap();
}

/// Demands the signature, with more in the rule.
fn demand(shop: &Shop, more: &str) {
    demand_of(shop, &format!("subject: '{SUBJECT}'"), more);
}

fn demand_of(shop: &Shop, subject: &str, more: &str) {
    shop.policy(&format!(
        "signatures: [{{ match: '**', identity: {{ issuer: '{ISSUER}', {subject} }}, trustedRoot: root.json{more} }}]\n"
    ));
}

fn verified(shop: &Shop, code: i32) -> String {
    ends_with(&shop.project.run(&VERIFY), code)
}

#[test]
fn an_image_that_is_signed_without_a_key_in_a_tag_or_in_a_bundle_is_accepted_on_both_sides() {
    for in_tag in [true, false] {
        let (shop, instance, signer) = shop();
        shop.sign_keyless(&instance, &signer, in_tag);
        let expected = format!("signed by `{SUBJECT}` of `{ISSUER}` at 2026-01-01T12:00:00Z");
        let said = ends_with(&shop.project.run(&LOCK), 0);
        assert!(said.contains(&expected), "{in_tag}: {said}");
        shop.project.build("shop.tar");
        let said = verified(&shop, 0);
        assert!(said.contains(&expected), "{in_tag}: {said}");
    }
}

#[test]
fn whoever_receives_a_bundle_decides_by_a_root_and_identity_of_their_own() {
    let (shop, instance, signer) = shop();
    shop.sign_keyless(&instance, &signer, true);
    shop.project.lock();
    shop.project.build("shop.tar");
    let refused = |expected: &str| {
        let said = verified(&shop, 8);
        let names = ["image `shop`: rule `signatures`", &shop.root(), expected];
        assert!(
            names.iter().all(|name| said.contains(name)),
            "{expected}: {said}"
        );
    };
    trust(&shop, "root.json", &Instance::new().trusted_root());
    refused("No log key valid at integrated time");
    let mut other = instance.trusted_root();
    other["certificateAuthorities"] =
        Instance::new().trusted_root()["certificateAuthorities"].take();
    trust(&shop, "root.json", &other);
    refused("certificate chain is invalid");
    let mut other = instance.trusted_root();
    other["ctlogs"] = Instance::new().trusted_root()["ctlogs"].take();
    trust(&shop, "root.json", &other);
    refused("invalid signed certificate timestamp");
    trust(&shop, "root.json", &instance.trusted_root());
    let alike = [
        &SUBJECT[..SUBJECT.len() - 1],
        &format!("{SUBJECT}0"),
        &SUBJECT.replace("acme", "\u{430}cme"),
        &SUBJECT.to_uppercase(),
        "https://git.example/*",
    ];
    for subject in alike {
        demand_of(&shop, &format!("subject: '{subject}'"), "");
        refused("it is signed by");
    }
    demand_of(
        &shop,
        "subjectPattern: 'https://git\\.example/acme/shop'",
        "",
    );
    refused("it is signed by");
    demand_of(
        &shop,
        "subjectPattern: 'https://git\\.example/acme/shop/release\\.yml@refs/tags/v.*'",
        "",
    );
    verified(&shop, 0);
    let policy = shop.project.path("policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace(ISSUER, "https://issuer.example.evil")).unwrap();
    refused("it is signed by");
}

/// What `lock` says of an image about which something was forged.
fn refused(prepare: impl FnOnce(&Shop, &Instance, &Identity)) -> String {
    let (shop, instance, signer) = shop();
    prepare(&shop, &instance, &signer);
    let said = ends_with(&shop.project.run(&LOCK), 8);
    let names = ["image `shop`: rule `signatures`", &shop.root()];
    assert!(names.iter().all(|name| said.contains(name)), "{said}");
    said
}

#[test]
fn a_forged_certificate_log_entry_time_or_signature_is_refused_with_its_reason() {
    type Forge = fn(&mut Value);
    let forged: [(&str, Forge); 5] = [
        ("invalid inclusion promise", |entry| {
            entry["integratedTime"] = json!((NOON + 1).to_string());
        }),
        ("invalid inclusion proof", |entry| {
            entry["inclusionProof"]["hashes"] =
                json!(["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]);
        }),
        ("invalid checkpoint", |entry| {
            let note = entry["inclusionProof"]["checkpoint"]["envelope"]
                .as_str()
                .unwrap();
            let note = note.replace("rekor.example - 1\n", "rekor.example - 2\n");
            entry["inclusionProof"]["checkpoint"]["envelope"] = json!(note);
        }),
        ("no verified timestamp", |entry| {
            entry["inclusionPromise"].take();
        }),
        ("unsupported Rekor entry format", |entry| {
            entry["kindVersion"]["version"] = json!("0.0.9");
        }),
    ];
    for (expected, forge) in forged {
        let said = refused(|shop, instance, signer| {
            let mut bundle = instance.statement(signer, &shop.root(), SIGN, NOON);
            forge(&mut bundle["verificationMaterial"]["tlogEntries"][0]);
            shop.attach_bundle(&bundle, SIGN);
        });
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // An entry of another signature by the same person.
    let said = refused(|shop, instance, signer| {
        let mut bundle = instance.statement(signer, &shop.root(), SIGN, NOON);
        let mut other = instance.statement(signer, &shop.child(), SIGN, NOON);
        bundle["verificationMaterial"]["tlogEntries"] =
            other["verificationMaterial"]["tlogEntries"].take();
        shop.attach_bundle(&bundle, SIGN);
    });
    assert!(
        said.contains("log entry does not match the bundle"),
        "{said}"
    );
    // Not in any log.
    let said = refused(|shop, instance, signer| {
        let mut bundle = instance.statement(signer, &shop.root(), SIGN, NOON);
        bundle["verificationMaterial"]["tlogEntries"] = json!([]);
        shop.attach_bundle(&bundle, SIGN);
    });
    assert!(said.contains("inclusion proof"), "{said}");
    // Signed a day after the certificate ended, in both forms.
    for in_tag in [true, false] {
        let said = refused(|shop, instance, signer| {
            let (root, late) = (shop.root(), NOON + 86_400);
            if in_tag {
                shop.tag_signature(instance.simple_signing(signer, &root, late));
            } else {
                shop.attach_bundle(&instance.statement(signer, &root, SIGN, late), SIGN);
            }
        });
        assert!(said.contains("CertExpired"), "{in_tag}: {said}");
    }
}

#[test]
fn other_signatures_and_certificates_that_are_not_logged_are_refused_with_their_reason() {
    let of_another = refused(|shop, instance, signer| {
        let other = instance.statement(signer, &shop.child(), SIGN, NOON);
        shop.attach_bundle(&other, SIGN);
    });
    assert!(of_another.contains("are of other images"), "{of_another}");
    let tag_of_another = refused(|shop, instance, signer| {
        shop.tag_signature(instance.simple_signing(signer, &shop.child(), NOON));
    });
    assert!(
        tag_of_another.contains("are of other images"),
        "{tag_of_another}"
    );
    let sbom = refused(|shop, instance, signer| {
        let sbom = instance.statement(signer, &shop.root(), SPDX, NOON);
        shop.attach_bundle(&sbom, SIGN);
    });
    assert!(sbom.contains("no signature of it is there"), "{sbom}");
    let by_key = refused(|shop, _, _| _ = shop.sign_in_tag(&shop.key));
    assert!(by_key.contains("has a certificate"), "{by_key}");
    let unlogged = refused(|shop, instance, _| {
        let signer = instance.identify(ISSUER, SUBJECT, false);
        shop.sign_keyless(instance, &signer, true);
    });
    assert!(
        unlogged.contains("invalid signed certificate timestamp"),
        "{unlogged}"
    );
    let malformed = refused(|shop, instance, signer| {
        let (payload, mut annotations) = instance.simple_signing(signer, &shop.root(), NOON);
        annotations["dev.sigstore.cosign/bundle"] = json!("{}");
        shop.tag_signature((payload, annotations));
    });
    assert!(
        malformed.contains("annotations are malformed"),
        "{malformed}"
    );
    let swapped = refused(|shop, instance, signer| {
        let (_, annotations) = instance.simple_signing(signer, &shop.child(), NOON);
        let (payload, _) = instance.simple_signing(signer, &shop.root(), NOON);
        shop.tag_signature((payload, annotations));
    });
    assert!(swapped.contains("invalid signature"), "{swapped}");
}

#[test]
fn a_signature_that_is_younger_than_the_policy_allows_is_refused_by_lock_alone() {
    let (mut shop, instance, signer) = shop();
    shop.sign_keyless(&instance, &signer, true);
    demand(&shop, ", minAge: 7d");
    let signed = SystemTime::UNIX_EPOCH + Duration::from_secs(NOON.unsigned_abs());
    for early in [
        signed - DAY,
        signed,
        signed + 7 * DAY - Duration::from_secs(1),
    ] {
        shop.now = early;
        let said = shop.lock(LockMode::Write).unwrap_err();
        let expected = "it was signed at 2026-01-01T12:00:00Z, which is less than 7d ago";
        assert!(
            said.contains(expected) && said.ends_with("exit: 8"),
            "{said}"
        );
    }
    shop.now = signed + 7 * DAY;
    shop.lock(LockMode::Write).unwrap();
    shop.project.build("shop.tar");
    // Here no clock is asked how old it is.
    demand(&shop, ", minAge: 36500d");
    verified(&shop, 0);
}

#[test]
fn mistakes_in_a_rule_about_an_identity_are_named_with_their_place() {
    let (shop, instance, _) = shop();
    let mut without = instance.trusted_root();
    without["certificateAuthorities"] = json!([]);
    trust(&shop, "empty.json", &without);
    trust(
        &shop,
        "other.json",
        &json!({"mediaType": "application/json"}),
    );
    let identity = "identity: { issuer: a, subject: b }";
    for (rule, expected) in [
        (identity.to_owned(), "trustedRoot"),
        (
            format!("{identity}, trustedRoot: missing.json"),
            "missing.json",
        ),
        (
            format!("{identity}, trustedRoot: signer.pub"),
            "the trusted root cannot be used",
        ),
        (
            format!("{identity}, trustedRoot: empty.json"),
            "names no CA",
        ),
        (
            format!("{identity}, trustedRoot: other.json"),
            "not a trusted root of Sigstore",
        ),
        (
            format!("{identity}, trustedRoot: root.json, minAge: 7"),
            "`7` is not a duration",
        ),
        (
            format!("{identity}, trustedRoot: root.json, threshold: 1"),
            "`threshold` does not belong",
        ),
        (
            "keys: [signer.pub], minAge: 7d".to_owned(),
            "`minAge` does not belong",
        ),
        (
            "identity: { subject: b }, trustedRoot: root.json".to_owned(),
            "issuer",
        ),
        (
            "identity: { issuer: a }, trustedRoot: root.json".to_owned(),
            "subject",
        ),
        (
            "identity: { issuer: a, subject: b, subjectPattern: c }, trustedRoot: root.json"
                .to_owned(),
            "exclude each other",
        ),
        (
            "identity: { issuer: a, subjectPattern: 'a)|(b' }, trustedRoot: root.json".to_owned(),
            "is not a regular expression",
        ),
    ] {
        shop.policy(&format!("signatures: [{{ match: '**', {rule} }}]\n"));
        let said = shop.lock(LockMode::Write).unwrap_err();
        assert!(
            said.contains(expected) && said.contains("policy.yaml") && said.ends_with("exit: 3"),
            "{rule}: {said}"
        );
    }
}

#[test]
fn a_clock_that_is_wrong_never_makes_a_bad_signature_good() {
    let (shop, instance, signer) = shop();
    shop.sign_keyless(&instance, &signer, true);
    shop.project.lock();
    shop.project.build("shop.tar");
    let at = |seconds: i64, code: i32| ends_with(&shop.verify_at(seconds), code);
    let (in_1990, in_2090) = (631_152_000, 3_786_912_000);
    // Certificates ended long ago, and were valid when it was signed.
    at(in_2090, 0);
    let said = at(in_1990, 3);
    let names = [
        "`root.json` is trusted from 2025-01-01T00:00:00Z, and the clock of this machine is before",
        "set the clock of this machine",
    ];
    assert!(names.iter().all(|name| said.contains(name)), "{said}");
    let said = at(NOON - 1, 8);
    let expected = "is in the future (current time: 2026-01-01T11:59:59Z); if the clock of this machine is wrong, set it";
    assert!(said.contains(expected), "{said}");
    // A time between the end of the certificate and a forged entry saves nobody.
    trust(&shop, "root.json", &Instance::new().trusted_root());
    at(in_2090, 8);
    at(NOON, 8);
}

#[test]
fn cosign_accepts_what_is_accepted_here_and_refuses_what_is_refused() {
    let (shop, instance, signer) = shop();
    shop.sign_keyless(&instance, &signer, true);
    shop.sign_keyless(&instance, &signer, false);
    let image = format!("{}/library/shop@{}", shop.registry().host(), shop.root());
    let cosign = |subject: &str, form: &str| {
        let mut command = Command::new("cosign");
        command
            .args([
                "verify",
                "--allow-http-registry",
                "--trusted-root",
                "root.json",
            ])
            .args([
                "--certificate-oidc-issuer",
                ISSUER,
                "--certificate-identity",
                subject,
            ])
            .args([form, &image])
            .current_dir(shop.project.path("."))
            .env("HOME", shop.project.path("."));
        command.output().unwrap()
    };
    for form in ["--new-bundle-format=true", "--new-bundle-format=false"] {
        let accepted = cosign(SUBJECT, form);
        assert!(accepted.status.success(), "{form}: {accepted:?}");
        let refused = cosign("https://git.example/acme/shop", form);
        assert!(!refused.status.success(), "{form}: {refused:?}");
    }
    shop.project.lock();
}
