//! The programs for linux/arm64, run by `qemu-user`: they read what was made on amd64, and the image of `rune-db` for that platform runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rune_testkit::process::succeeded;
use serde_json::{Value, json};

use crate::bundle::{
    foreign_support::Foreign,
    project::{Project, repository},
    small_bundle::{Scratch, ends_with, rune_bundle, signed},
};

/// A program for arm64; `tools/arm64-programs` says where they are.
fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os("RUNE_ARM64_PROGRAMS")
        .expect("nextest runs `tools/arm64-programs` before this test");
    PathBuf::from(directory).join(name)
}

/// A program for arm64, ready to run on this machine.
fn emulated(program: &Path) -> Command {
    let mut command = Command::new("qemu-aarch64");
    command.arg(program);
    command
}

#[test]
fn a_bundle_made_on_amd64_is_verified_on_arm64_with_the_same_words() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let key = scratch.path("key.pub");
    let arguments = [
        "verify",
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    let verify = || {
        let mut command = emulated(&program("rune-bundle"));
        command.args(arguments).output().unwrap()
    };
    let said = ends_with(&verify(), 0);
    assert!(said.contains("is intact"), "{said}");
    assert_eq!(said, ends_with(&rune_bundle(arguments), 0));

    let mut bytes = fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let refused = rune_bundle(arguments);
    let code = refused.status.code().unwrap();
    assert_ne!(code, 0);
    assert_eq!(ends_with(&refused, code), ends_with(&verify(), code));
}

/// The schema of a new SQLite file that a command migrates, as sqlite3 shows it.
fn schema_after(mut command: Command, file: &Path) -> String {
    let url = format!("sqlite:///{}", file.display());
    let output = command.args(["migrate", "--db-url", &url]).output();
    ends_with(&output.unwrap(), 0);
    succeeded(Command::new("sqlite3").arg(file).arg(".schema"))
}

#[test]
fn migrate_makes_the_schema_of_amd64_in_an_sqlite_file_on_arm64() {
    let scratch = Scratch::new();
    let here = Command::new(rune_testkit::programs::rune_db());
    let expected = schema_after(here, &scratch.path("amd64.db"));
    assert!(expected.contains("CREATE TABLE"), "{expected}");
    let found = schema_after(emulated(&program("rune-db")), &scratch.path("arm64.db"));
    assert_eq!(found, expected);
}

#[test]
fn the_multiarch_manifest_includes_rune_db_for_both_platforms_and_that_of_arm64_runs() {
    let project = Project::new();
    fs::create_dir(project.path("dist/linux-arm64")).unwrap();
    fs::copy(program("rune-db"), project.path("dist/linux-arm64/rune-db")).unwrap();
    let (manifest, bundle) = ("bundle-manifests/rune-multiarch.yaml", "multiarch.tar");
    let access = ["--registry-config", "registries.yaml"];
    let key = ["--key", "release.key", "--output", bundle];
    for verb in [
        &["lock", manifest][..],
        &[&["build", manifest], &key[..]].concat(),
    ] {
        ends_with(&project.run(&[verb, &access].concat()), 0);
    }

    let tools = Foreign::new();
    let source = format!(
        "oci-archive:{}:ghcr.io/lpasquali/rune-db:0.1.0",
        project.path(bundle).display()
    );
    let index: Value =
        serde_json::from_str(&tools.run("skopeo", ["inspect", "--raw", &source])).unwrap();
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let listing = tools.run("tar", ["-tf", project.path(bundle).to_str().unwrap()]);
    for platform in ["linux-amd64", "linux-arm64"] {
        let entry = format!("bin/{platform}/rune-db");
        assert!(listing.lines().any(|line| line == entry), "{listing}");
    }

    let arm64 = ["--override-os", "linux", "--override-arch", "arm64"];
    let inspect = [&arm64[..], &["inspect", "--config", &source]].concat();
    let config: Value = serde_json::from_str(&tools.run("skopeo", inspect)).unwrap();
    assert_eq!(config["architecture"], "arm64");
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/usr/local/bin/rune-db"])
    );
    let copy = [
        &arm64[..],
        &["copy", "--quiet", &source, "oci:layout:arm64"],
    ]
    .concat();
    tools.run("skopeo", copy);
    tools.run("umoci", ["unpack", "--image", "layout:arm64", "image"]);
    let entrypoint = tools.path("image/rootfs/usr/local/bin/rune-db");
    let schema = schema_after(emulated(&entrypoint), &tools.path("jobs.db"));
    assert!(schema.contains("CREATE TABLE"), "{schema}");
}

#[test]
fn a_release_for_an_unknown_platform_is_refused_before_anything_is_compiled() {
    let mut release = Command::new(repository().join("tools/release"));
    release.env("PLATFORMS", "linux/amd64 linux/s390x");
    let said = ends_with(&release.output().unwrap(), 1);
    assert_eq!(
        said,
        "release: unknown platform `linux/s390x`; known are linux/amd64 and linux/arm64\n"
    );
}
