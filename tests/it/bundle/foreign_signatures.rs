//! Signatures on a real bundle hold for programs that nobody here wrote.

use std::fs;

use crate::{bundle::foreign_shipment::Shipment, bundle::foreign_support::Foreign};
use rune_testkit::process::succeeded;

/// Takes the index and a signature slot out of the bundle, as the format's page says.
fn take_out(slot: usize) -> (Shipment, Foreign) {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    for (entry, name) in [
        ("bundle.json".to_owned(), "bundle.json"),
        (format!("signatures/{slot}.sigstore.json"), "signature.json"),
    ] {
        let content = tools.run(
            "tar",
            ["--occurrence=1", "-xOf", &shipment.bundle(), &entry],
        );
        fs::write(tools.path(name), content).unwrap();
    }
    let decode =
        r#"sed -n 's/.*"signature":"\([^"]*\)".*/\1/p' signature.json | base64 -d > signature"#;
    tools.run("sh", ["-c", decode]);
    (shipment, tools)
}

/// Whether cosign takes the signature as one by this key.
fn cosign_verifies(tools: &Foreign, key: &str) -> bool {
    let arguments = [
        "verify-blob",
        "--key",
        key,
        "--bundle",
        "signature.json",
        "--insecure-ignore-tlog=true",
        "bundle.json",
    ];
    tools
        .command("cosign", arguments)
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn cosign_and_openssl_verify_the_release_key() {
    let (shipment, tools) = take_out(0);
    let key = shipment.text_path("release.pub");
    assert!(cosign_verifies(&tools, &key), "cosign");
    assert!(
        !cosign_verifies(&tools, &shipment.text_path("second.pub")),
        "cosign takes the key of somebody else"
    );
    tools.run(
        "openssl",
        [
            "dgst",
            "-sha256",
            "-verify",
            &key,
            "-signature",
            "signature",
            "bundle.json",
        ],
    );
}

#[test]
fn cosign_and_openssl_verify_the_second_signer() {
    let (shipment, tools) = take_out(1);
    let key = shipment.text_path("second.pub");
    assert!(cosign_verifies(&tools, &key), "cosign");
    tools.run(
        "openssl",
        [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            &key,
            "-rawin",
            "-in",
            "bundle.json",
            "-sigfile",
            "signature",
        ],
    );
}

#[test]
fn neither_cosign_nor_openssl_takes_an_index_that_was_changed() {
    let (shipment, tools) = take_out(0);
    let key = shipment.text_path("release.pub");
    let index = fs::read_to_string(tools.path("bundle.json")).unwrap();
    fs::write(
        tools.path("bundle.json"),
        index.replacen("\"version\":\"0.1.0\"", "\"version\":\"0.1.1\"", 1),
    )
    .unwrap();
    assert!(!cosign_verifies(&tools, &key), "cosign");
    let mut openssl = tools.command(
        "openssl",
        [
            "dgst",
            "-sha256",
            "-verify",
            &key,
            "-signature",
            "signature",
            "bundle.json",
        ],
    );
    assert!(!openssl.output().unwrap().status.success(), "openssl");
    fs::write(tools.path("bundle.json"), index).unwrap();
    succeeded(&mut openssl);
}
