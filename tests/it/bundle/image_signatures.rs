//! Signatures that the builder makes of images: the same bytes from the same key, from elsewhere
//! and from an earlier bundle, and never without being checked.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use rune_bundle::bundle::{ImageSignatures, ImageSigner, Ingredients};
use rune_core::digest::Digest;
use rune_testkit::process::succeeded;
use serde_json::Value;

use crate::bundle::{
    evidence_support::{Shop, VERIFY},
    hostile_bundle::write_head,
    small_bundle::{
        Scratch, ends_with, index_of, ingredients, private_key, rune_bundle, sign_and_write,
    },
};

/// A locked shop with a P-256 key for images in `image.key` and `image.pub`.
fn shop() -> Shop {
    let shop = Shop::new(true);
    shop.project.lock();
    let openssl = |arguments: &str| openssl(&shop, arguments);
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out image.key");
    openssl("pkey -in image.key -pubout -out image.pub");
    shop
}

fn openssl(shop: &Shop, arguments: &str) {
    let mut command = Command::new("openssl");
    command
        .args(arguments.split(' '))
        .current_dir(shop.project.path(""));
    succeeded(&mut command);
}

const ACCESS: [&str; 2] = ["--registry-config", "registries.yaml"];

/// Builds into a file; gives the report.
fn build(shop: &Shop, output: &str, more: &[&str]) -> Value {
    let arguments = ["build", "--output", output, "--json"];
    let built = shop.project.run(&[&arguments, &ACCESS[..], more].concat());
    ends_with(&built, 0);
    serde_json::from_slice(&built.stdout).unwrap()
}

/// Builds in vain; gives what a person sees.
fn refused(shop: &Shop, more: &[&str], code: i32) -> String {
    let arguments = [&["build", "--output", "no.tar"], &ACCESS[..], more].concat();
    let said = ends_with(&shop.project.run(&arguments), code);
    assert!(!shop.project.path("no.tar").exists(), "{said}");
    said
}

/// Writes what is to be signed into `payloads`.
fn emit(shop: &Shop) -> Vec<String> {
    let arguments = [
        &["build", "--emit-image-payloads", "payloads", "--json"],
        &ACCESS[..],
    ];
    let output = shop.project.run(&arguments.concat());
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let payloads = report["payloads"].as_array().unwrap().iter();
    payloads
        .map(|payload| payload["file"].as_str().unwrap().to_owned())
        .collect()
}

/// Signs what was written, as somebody does who has the key and not this program.
fn sign_payloads(shop: &Shop, payloads: &[String], key: &str) {
    for payload in payloads {
        let signature = payload.replace(".payload", ".sig");
        openssl(
            shop,
            &format!("dgst -sha256 -sign {key} -out payloads/{signature} payloads/{payload}"),
        );
    }
}

const BY_KEY: [&str; 2] = ["--image-key", "image.key"];

fn finished(source: &str) -> [&str; 4] {
    ["--image-key", "image.pub", "--image-signatures", source]
}

#[test]
fn a_second_builder_without_the_key_gets_the_same_digest_from_the_signatures_of_the_first() {
    let shop = shop();
    let first = build(&shop, "first.tar", &BY_KEY);
    assert_eq!(first["imageSignatures"]["count"], 2, "{first:#}");
    let again = build(&shop, "again.tar", &BY_KEY);
    let signed = [&BY_KEY[..], &["--key", "release.key"]].concat();
    let signed = build(&shop, "signed.tar", &signed);
    fs::remove_file(shop.project.path("image.key")).unwrap();
    let second = build(&shop, "second.tar", &finished("first.tar"));
    for other in [&again, &signed, &second] {
        assert_eq!(other["digest"], first["digest"]);
    }
    assert_ne!(build(&shop, "plain.tar", &[])["digest"], first["digest"]);
}

#[test]
fn signatures_by_openssl_over_the_payloads_are_taken_and_kept_for_the_next_builder() {
    let shop = shop();
    let payloads = emit(&shop);
    assert_eq!(payloads.len(), 2);
    assert!(!shop.project.path("shop-0.1.0.bundle.tar").exists());
    sign_payloads(&shop, &payloads, "image.key");
    let first = build(&shop, "first.tar", &finished("payloads"));
    // These signatures are not the deterministic ones, and the second builder has them all the same.
    let second = build(&shop, "second.tar", &finished("first.tar"));
    assert_eq!(second["digest"], first["digest"]);
    // The form of a signature does not matter.
    for payload in &payloads {
        let path = shop
            .project
            .path(format!("payloads/{}", payload.replace(".payload", ".sig")));
        let mut encode = Command::new("base64");
        let text = succeeded(encode.arg(&path));
        fs::write(&path, text).unwrap();
    }
    let third = build(&shop, "third.tar", &finished("payloads"));
    assert_eq!(third["digest"], first["digest"]);
}

#[test]
fn a_signature_that_is_missing_or_by_another_key_or_of_other_bytes_ends_with_7() {
    let shop = shop();
    let payloads = emit(&shop);
    sign_payloads(&shop, &payloads[..1], "image.key");
    let said = refused(&shop, &finished("payloads"), 7);
    let missing = payloads[1].replace("sha256-", "sha256:");
    let missing = missing.strip_suffix(".payload").unwrap();
    assert!(
        said.contains("there is no signature of") && said.contains(missing),
        "{said}"
    );
    openssl(
        &shop,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key",
    );
    sign_payloads(&shop, &payloads, "other.key");
    let said = refused(&shop, &finished("payloads"), 7);
    assert!(said.contains("cannot be used"), "{said}");
    sign_payloads(&shop, &payloads, "image.key");
    let [one, other] = [&payloads[0], &payloads[1]].map(|payload| {
        shop.project
            .path(format!("payloads/{}", payload.replace(".payload", ".sig")))
    });
    fs::copy(one, other).unwrap();
    refused(&shop, &finished("payloads"), 7);
}

#[test]
fn what_is_to_be_signed_is_written_into_a_new_directory_and_with_no_key() {
    let shop = shop();
    emit(&shop);
    let emit = ["--emit-image-payloads", "payloads"];
    let arguments = [&["build"], &emit[..], &ACCESS[..]].concat();
    ends_with(&shop.project.run(&arguments), 12);
    refused(
        &shop,
        &["--emit-image-payloads", "more", "--image-key", "image.key"],
        2,
    );
    refused(&shop, &["--image-signatures", "payloads"], 2);
    let said = refused(&shop, &["--image-key", "image.pub"], 3);
    assert!(said.contains("image.pub"), "{said}");
}

#[test]
fn they_are_entries_that_older_programs_refuse_and_that_a_policy_can_demand() {
    let shop = shop();
    let built = build(
        &shop,
        "shop.tar",
        &[&BY_KEY[..], &["--key", "release.key"]].concat(),
    );
    let project = &shop.project;
    let tar = |name: &str| -> Value {
        let mut command = Command::new("tar");
        command
            .args(["--occurrence=1", "-xOf"])
            .arg(project.path("shop.tar"))
            .arg(name);
        serde_json::from_str(&succeeded(&mut command)).unwrap()
    };
    let index = tar("bundle.json");
    assert_eq!(index["requires"], serde_json::json!(["image-signatures"]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let stated = index["imageSignatures"]["manifests"].as_array().unwrap();
    let subjects: BTreeSet<String> = stated.iter().map(|entry| text(&entry["subject"])).collect();
    assert_eq!(subjects, BTreeSet::from([shop.root(), shop.child()]));
    let listed: BTreeSet<String> = tar("artifacts/index.json")["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|root| root["annotations"]["rune-bundle.artifact.kind"] == "image-signature")
        .map(|root| text(&root["digest"]))
        .collect();
    let targets: BTreeSet<String> = stated
        .iter()
        .map(|entry| text(&entry["target"]["digest"]))
        .collect();
    assert_eq!(listed, targets);
    shop.policy("signatures: [{ match: '**', keys: [image.pub] }]\n");
    ends_with(&project.run(&VERIFY), 0);
    shop.policy("signatures: [{ match: '**', keys: [other.pub] }]\n");
    ends_with(&project.run(&VERIFY), 8);
    let key = text(&built["imageSignatures"]["key"]);
    shows_them(&shop, &key);
}

/// `inspect`, `diff` and `report` say who signed.
fn shows_them(shop: &Shop, key: &str) {
    let project = &shop.project;
    let trust = ["--key", "release.pub"];
    let said = ends_with(
        &project.run(&[&["inspect", "shop.tar"], &trust[..]].concat()),
        0,
    );
    assert!(said.contains("2 image signatures"), "{said}");
    shop.policy("");
    build(shop, "plain.tar", &["--key", "release.key"]);
    let diff = ["diff", "plain.tar", "shop.tar"];
    let said = ends_with(&project.run(&[&diff, &trust[..]].concat()), 0);
    assert!(said.contains(&format!("2 with the key {key}")), "{said}");
    let report = ["report", "shop.tar", "--output", "page.html"];
    ends_with(&project.run(&[&report, &trust[..]].concat()), 0);
    let page = fs::read_to_string(project.path(Path::new("page.html"))).unwrap();
    assert!(page.contains("Image signatures"), "{page}");
}

#[test]
fn an_index_that_lists_others_than_the_bundle_has_is_refused() {
    type Change = fn(&mut ImageSignatures);
    let cases: [(Change, &str); 3] = [
        (
            |signatures| drop(signatures.manifests.pop()),
            "does not list the image signatures",
        ),
        (
            |signatures| signatures.manifests[0].subject = Digest::of(b"elsewhere"),
            "which is not in the bundle",
        ),
        (
            |signatures| {
                let [first, second, ..] = &mut signatures.manifests[..] else {
                    panic!("too few")
                };
                std::mem::swap(&mut first.subject, &mut second.subject);
            },
            "says that it is about",
        ),
    ];
    for (change, expected) in cases {
        let scratch = Scratch::new();
        let signed = Ingredients {
            image_signer: Some(ImageSigner::Key(private_key())),
            ..ingredients(&scratch)
        };
        let path = sign_and_write(&scratch, signed.compose().unwrap());
        let key = scratch.path("key.pub");
        let verify = |code: i32| {
            let arguments = [
                "verify".as_ref(),
                path.as_os_str(),
                "--key".as_ref(),
                key.as_ref(),
            ];
            ends_with(&rune_bundle(arguments), code)
        };
        verify(0);
        let mut index = index_of(&path);
        change(index.image_signatures.as_mut().unwrap());
        write_head(&scratch, &path, &index.to_bytes().unwrap());
        let said = verify(8);
        assert!(said.contains(expected), "{said}");
    }
}
