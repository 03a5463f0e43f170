//! A policy that demands signed attestations, and keys that only others sign with. The real cosign 2
//! and 3 attest and sign.

use std::{fs, process::Command};

use rune_testkit::process::succeeded;
use serde_json::json;

use crate::bundle::{
    evidence_support::{SPDX, Shop, VERIFY},
    foreign_support::Foreign,
    keyless_support::{ISSUER, Instance, NOON, SUBJECT},
    small_bundle::ends_with,
};

const LOCK: [&str; 3] = ["lock", "--registry-config", "registries.yaml"];
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// What keeps a version of cosign from asking a log, and makes it write tags (2) or referrers (3).
const COSIGN: [(&str, &[&str]); 2] = [
    ("cosign2", &["--tlog-upload=false"]),
    (
        "cosign",
        &["--tlog-upload=false", "--use-signing-config=false"],
    ),
];

fn cosign(tools: &Foreign, program: &str, arguments: &[&str]) {
    let mut command = tools.command(program, arguments.iter().copied());
    succeeded(command.env("COSIGN_PASSWORD", "of the test"));
}

/// Makes a key pair that cosign signs with, and gives the public half to the policy.
fn key_pair(tools: &Foreign, shop: &Shop, openssl: &[&str]) {
    let mut command = Command::new("openssl");
    succeeded(command.current_dir(tools.path("")).args(openssl));
    cosign(
        tools,
        "cosign",
        &["import-key-pair", "--yes", "--key", "plain.pem"],
    );
    let public = tools.path("import-cosign.pub");
    fs::copy(public, shop.project.path("theirs.pub")).unwrap();
}

/// A shop whose policy demands an attestation by a rule.
fn demand(shop: &Shop, rule: &str) {
    shop.policy(&format!("attestations: [{{ match: '**', {rule} }}]\n"));
}

fn demand_by(shop: &Shop, predicate_type: &str, key: &str) {
    demand(
        shop,
        &format!("predicateType: '{predicate_type}', keys: [{key}]"),
    );
}

fn verified(shop: &Shop, code: i32) -> String {
    ends_with(&shop.project.run(&VERIFY), code)
}

#[test]
fn what_cosign_attests_in_a_tag_or_as_a_referrer_is_verified_on_both_sides() {
    for (program, offline) in COSIGN {
        let (tools, shop) = (Foreign::new(), Shop::new(true));
        let curve = "ec_paramgen_curve:P-256";
        let p256 = ["genpkey", "-algorithm", "EC", "-pkeyopt", curve];
        key_pair(&tools, &shop, &[&p256[..], &["-out", "plain.pem"]].concat());
        let image = format!("{}/library/shop@{}", shop.registry().host(), shop.root());
        fs::write(tools.path("predicate.json"), "{\"buildDefinition\": {}}").unwrap();
        let attest = [
            "attest",
            "--yes",
            "--key",
            "import-cosign.key",
            "--type",
            PROVENANCE,
            "--predicate",
            "predicate.json",
            &image,
        ];
        cosign(&tools, program, &[&attest[..], offline].concat());

        demand_by(&shop, PROVENANCE, "theirs.pub");
        ends_with(&shop.project.run(&LOCK), 0);
        shop.project.build("shop.tar");
        let said = verified(&shop, 0);
        let attested = format!("`{PROVENANCE}`: signed with `theirs.pub`");
        assert!(
            said.contains("signed         image `shop`: rule `attestations`")
                && said.contains(&attested),
            "{program}: {said}"
        );
        // The same key and another type, the same type and another key.
        demand_by(&shop, SPDX, "theirs.pub");
        let said = verified(&shop, 8);
        assert!(
            said.contains("image `shop`: rule `attestations`")
                && said.contains("no attestation of this type is there"),
            "{program}: {said}"
        );
        demand_by(&shop, PROVENANCE, "signer.pub");
        for said in [verified(&shop, 8), ends_with(&shop.project.run(&LOCK), 8)] {
            assert!(
                said.contains("no signature is by a key of the policy"),
                "{program}: {said}"
            );
        }
        // An attestation is no signature of the image.
        shop.policy("signatures: [{ match: '**', keys: [theirs.pub] }]\n");
        verified(&shop, 8);
    }
}

#[test]
fn an_attestation_is_about_the_image_or_about_every_platform_of_it() {
    let shop = Shop::new(true);
    demand_by(&shop, SPDX, "signer.pub");
    // The statement says what it is about, whatever it hangs on.
    let (root, child) = (shop.root(), shop.child());
    let other = format!("sha256:{}", "0".repeat(64));
    let mut manifest = shop.bundle(&other, SPDX, &shop.key);
    manifest["subject"]["digest"] = json!(root);
    shop.put(None, &manifest);
    let said = ends_with(&shop.project.run(&LOCK), 8);
    assert!(
        said.contains("no attestation of this type is about it; linux/amd64: no attestation"),
        "{said}"
    );
    // Nothing beside the statement says of which type it is.
    let mut unlabelled = shop.bundle(&child, SPDX, &shop.key);
    unlabelled.as_object_mut().unwrap().remove("annotations");
    shop.put(None, &unlabelled);
    ends_with(&shop.project.run(&LOCK), 0);
    shop.project.build("shop.tar");
    verified(&shop, 0);
    // It is read after the rest was verified.
    let bundle = fs::File::open(shop.project.path("shop.tar")).unwrap();
    let mut streamed = shop.project.command(&VERIFY.map(|word| match word {
        "shop.tar" => "-",
        other => other,
    }));
    let said = ends_with(&streamed.stdin(bundle).output().unwrap(), 2);
    assert!(said.contains("store the bundle in a file first"), "{said}");
}

#[test]
fn an_attestation_by_certificate_is_verified_in_a_tag_and_as_a_referrer() {
    for in_tag in [true, false] {
        let (shop, instance) = (Shop::new(true), Instance::new());
        let signer = instance.identify(ISSUER, SUBJECT, true);
        let root = instance.trusted_root().to_string();
        fs::write(shop.project.path("root.json"), root).unwrap();
        let identity = |subject: &str| {
            format!(
                "predicateType: '{PROVENANCE}', identity: {{ issuer: '{ISSUER}', subject: '{subject}' }}, trustedRoot: root.json"
            )
        };
        let bundle = instance.statement(&signer, &shop.root(), PROVENANCE, NOON);
        if in_tag {
            let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
            let annotations = json!({
                "predicateType": PROVENANCE,
                "dev.cosignproject.cosign/signature": "",
                "dev.sigstore.cosign/certificate": signer.certificate,
                "dev.sigstore.cosign/bundle": instance.log_annotation(entry, NOON).to_string(),
            });
            let envelope = bundle["dsseEnvelope"].to_string().into_bytes();
            shop.tag_layer("att", ENVELOPE, (envelope, annotations));
        } else {
            shop.attach_bundle(&bundle, PROVENANCE);
        }
        demand(&shop, &identity(SUBJECT));
        ends_with(&shop.project.run(&LOCK), 0);
        shop.project.build("shop.tar");
        verified(&shop, 0);
        demand(&shop, &identity("somebody@else.example"));
        let said = verified(&shop, 8);
        assert!(
            said.contains(&format!("it is signed by `{SUBJECT}`")),
            "{in_tag}: {said}"
        );
    }
}

#[test]
fn keys_of_key_management_services_verify_what_cosign_signs_with_them() {
    let keys: [&[&str]; 3] = [
        &["genrsa", "-out", "plain.pem", "2048"],
        &["genrsa", "-out", "plain.pem", "4096"],
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-384",
            "-out",
            "plain.pem",
        ],
    ];
    for (openssl, (program, offline)) in keys
        .into_iter()
        .flat_map(|key| COSIGN.map(|cosign| (key, cosign)))
    {
        let (tools, shop) = (Foreign::new(), Shop::new(true));
        key_pair(&tools, &shop, openssl);
        let image = format!("{}/library/shop@{}", shop.registry().host(), shop.root());
        let sign = ["sign", "--yes", "--key", "import-cosign.key", &image];
        cosign(&tools, program, &[&sign[..], offline].concat());
        let place = format!("{openssl:?} {program}");
        shop.policy("signatures: [{ match: '**', keys: [theirs.pub] }]\n");
        let said = ends_with(&shop.project.run(&LOCK), 0);
        assert!(said.contains("signed with `theirs.pub`"), "{place}: {said}");
        shop.project.build("shop.tar");
        verified(&shop, 0);
        // Another key of the same kind.
        key_pair(&tools, &shop, openssl);
        verified(&shop, 8);
    }
}

#[test]
fn one_key_in_two_encodings_counts_once_and_a_short_one_is_refused() {
    let (tools, shop) = (Foreign::new(), Shop::new(true));
    key_pair(&tools, &shop, &["genrsa", "-out", "plain.pem", "2048"]);
    let image = format!("{}/library/shop@{}", shop.registry().host(), shop.root());
    let sign = ["sign", "--yes", "--key", "import-cosign.key", &image];
    cosign(&tools, "cosign2", &[&sign[..], COSIGN[0].1].concat());
    let mut again = Command::new("openssl");
    again.args(["rsa", "-pubin", "-RSAPublicKey_out", "-in", "theirs.pub"]);
    again.args(["-out", "again.pub"]);
    succeeded(again.current_dir(shop.project.path("")));
    shop.policy("signatures: [{ match: '**', keys: [again.pub] }]\n");
    ends_with(&shop.project.run(&LOCK), 0);
    let both = "keys: [theirs.pub, again.pub], threshold: 2";
    shop.policy(&format!("signatures: [{{ match: '**', {both} }}]\n"));
    let said = ends_with(&shop.project.run(&LOCK), 8);
    assert!(
        said.contains("it is signed with `theirs.pub` alone"),
        "{said}"
    );
    let mut short = Command::new("sh");
    let script = "openssl genrsa 1024 | openssl rsa -pubout -out short.pub";
    succeeded(
        short
            .args(["-c", script])
            .current_dir(shop.project.path("")),
    );
    shop.policy("signatures: [{ match: '**', keys: [short.pub] }]\n");
    let said = ends_with(&shop.project.run(&LOCK), 3);
    assert!(said.contains("an RSA key has 2048 to 8192 bits"), "{said}");
}

#[test]
fn mistakes_in_a_rule_about_attestations_are_named_with_their_place() {
    let shop = Shop::new(true);
    for (rule, expected) in [
        (
            "require: [sbom], predicateType: a",
            "`predicateType` does not belong to a rule with `require`",
        ),
        (
            "require: [sbom], keys: [signer.pub]",
            "`keys` does not belong to a rule with `require`",
        ),
        ("keys: [signer.pub]", "predicateType"),
        ("predicateType: a", "keys"),
        ("predicateType: a, keys: [signer.pub], name: b", "name"),
    ] {
        demand(&shop, rule);
        let said = ends_with(&shop.project.run(&LOCK), 3);
        assert!(
            said.contains(expected) && said.contains("policy.yaml"),
            "{rule}: {said}"
        );
    }
}
