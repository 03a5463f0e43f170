//! The image of `rune-db` is one that programs nobody here wrote can read.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use rune_bundle::{
    bundle::{ImageProgram, program_image},
    oci::Descriptor,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const MIGRATION: &[u8] = b"-- migrate:all\nSELECT 1;\n";

/// An OCI layout with the image for two platforms. The programs in it are mere words: nothing here
/// runs them. `index` names the whole index, `amd64` and `arm64` the manifest of one platform.
fn layout() -> (TempDir, PathBuf) {
    let programs = ["linux/amd64", "linux/arm64/v8"].map(|platform| {
        let program = ImageProgram {
            name: "rune-db".to_owned(),
            bytes: platform.as_bytes().to_vec(),
        };
        (platform.parse().unwrap(), vec![program])
    });
    let image = program_image(
        "Apache-2.0",
        programs.to_vec(),
        [("0001_first.sql", MIGRATION)].into_iter(),
    )
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    for (descriptor, bytes) in &image.blobs {
        fs::write(
            layout.join("blobs/sha256").join(descriptor.digest.hex()),
            bytes,
        )
        .unwrap();
    }
    let named = |descriptor: &Descriptor, name: &str| {
        let mut descriptor = descriptor.clone();
        descriptor.annotations.insert(
            "org.opencontainers.image.ref.name".to_owned(),
            name.to_owned(),
        );
        descriptor
    };
    let manifest = |position: usize| {
        let (_, digest) = image.manifests[position];
        &image
            .blobs
            .iter()
            .find(|(descriptor, _)| descriptor.digest == digest)
            .unwrap()
            .0
    };
    let manifests = [
        named(&image.target, "index"),
        named(manifest(0), "amd64"),
        named(manifest(1), "arm64"),
    ];
    fs::write(
        layout.join("index.json"),
        json!({"schemaVersion": 2, "manifests": manifests}).to_string(),
    )
    .unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    (place, layout)
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot start `{program}`: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn skopeo_finds_the_configuration_of_each_platform_in_the_image_index() {
    let (_place, layout) = layout();
    let source = format!("oci:{}:index", layout.display());
    for (architecture, variant) in [("amd64", None), ("arm64", Some("v8"))] {
        let mut arguments = vec!["--override-arch", architecture];
        arguments.extend(
            variant
                .map(|variant| ["--override-variant", variant])
                .into_iter()
                .flatten(),
        );
        arguments.extend(["inspect", "--config", &source]);
        let config: Value = serde_json::from_slice(&run("skopeo", &arguments)).unwrap();
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(
            config["config"]["Entrypoint"],
            json!(["/usr/local/bin/rune-db"])
        );
    }
}

#[test]
fn skopeo_copies_the_image_index_with_all_platforms_unchanged() {
    let (place, layout) = layout();
    let copy = place.path().join("copy");
    let (from, to) = (
        format!("oci:{}:index", layout.display()),
        format!("oci:{}:index", copy.display()),
    );
    run(
        "skopeo",
        &["copy", "--all", "--preserve-digests", &from, &to],
    );
    let blobs = |layout: &PathBuf| fs::read_dir(layout.join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs(&copy), blobs(&layout));
}

#[test]
fn umoci_unpacks_the_program_the_migrations_and_ca_roots_that_openssl_reads() {
    let (place, layout) = layout();
    let bundle = place.path().join("bundle");
    run(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &format!("{}:amd64", layout.display()),
            bundle.to_str().unwrap(),
        ],
    );
    let root = bundle.join("rootfs");

    let program = root.join("usr/local/bin/rune-db");
    assert_eq!(fs::read(&program).unwrap(), b"linux/amd64");
    assert_eq!(
        fs::metadata(&program).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    assert_eq!(
        fs::read(root.join("usr/share/rune-db/migrations/0001_first.sql")).unwrap(),
        MIGRATION
    );

    let roots = root.join("etc/ssl/certs/ca-certificates.crt");
    let arguments = [
        "crl2pkcs7",
        "-nocrl",
        "-certfile",
        roots.to_str().unwrap(),
        "-out",
        "/dev/stdout",
    ];
    assert!(run("openssl", &arguments).starts_with(b"-----BEGIN PKCS7-----"));
    let certificates = fs::read_to_string(&roots)
        .unwrap()
        .matches("BEGIN CERTIFICATE")
        .count();
    assert!(certificates > 100, "only {certificates} CA certificates");

    let found = run(
        "find",
        &[root.to_str().unwrap(), "-type", "f", "-printf", "%P\n"],
    );
    let mut found: Vec<_> = String::from_utf8(found)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "etc/ssl/certs/ca-certificates.crt",
            "usr/local/bin/rune-db",
            "usr/share/rune-db/migrations/0001_first.sql"
        ]
    );
}
