//! `load --images-dir`: a file that k3s and RKE2 import, whole or not at all, the same every time.

use std::{fs, process::Command};

use crate::{
    bundle::foreign_support::Foreign,
    bundle::project::Project,
    bundle::small_bundle::{Scratch, ends_with, entries_of, index_of},
    registry::load_support::{Containerd, built, damaged, load, on_a_disk_of, report, with_key},
};

const FILE: &str = "rune-0.1.0-linux-amd64.tar";

fn write(project: &Project, bundle: &str, directory: &str, more: &[&str]) -> std::process::Output {
    let [bundle, key, file] = with_key(project, bundle);
    load(
        &[
            &[bundle.as_str(), &key, &file, "--images-dir", directory],
            more,
        ]
        .concat(),
    )
}

#[test]
fn the_file_is_the_same_every_time_and_is_not_written_twice() {
    let (project, scratch) = (built("all"), Scratch::new());
    let (one, other) = (scratch.path("one"), scratch.path("other"));
    for directory in [&one, &other] {
        fs::create_dir(directory).unwrap();
        let [bundle, key, file] = with_key(&project, "bundle.tar");
        let script = "umask 077; TZ=Asia/Tokyo exec \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        command.args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_rune-bundle"),
            "load",
            &bundle,
            &key,
            &file,
            "--images-dir",
        ]);
        ends_with(&command.arg(directory).output().unwrap(), 0);
    }
    let written = fs::read(one.join(FILE)).unwrap();
    assert!(
        written == fs::read(other.join(FILE)).unwrap(),
        "two files differ"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(one.join(FILE)).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o644);
    // k3s imports again what has another time or size.
    let times = || {
        let file = fs::metadata(one.join(FILE)).unwrap();
        (file.modified().unwrap(), file.len())
    };
    let before = times();
    let again = report(
        &write(&project, "bundle.tar", one.to_str().unwrap(), &["--json"]),
        0,
    );
    assert_eq!(times(), before);
    assert_eq!(
        (
            &again["bytes"],
            again["images"][0]["names"][0]["state"].as_str()
        ),
        (&0.into(), Some("alreadyThere"))
    );

    for other in [
        &written[..written.len() - 1],
        &[&written[..], b"x"].concat(),
        b"mine",
    ] {
        fs::write(one.join(FILE), other).unwrap();
        let said = ends_with(
            &write(&project, "bundle.tar", one.to_str().unwrap(), &[]),
            12,
        );
        assert!(
            said.contains("already exists and is not what would be written"),
            "{said}"
        );
        assert!(
            fs::read(one.join(FILE)).unwrap() == other,
            "a file that was there was changed"
        );
    }
}

#[test]
fn containerd_and_skopeo_read_the_file() {
    let (project, scratch, containerd) =
        (built("[linux/amd64]"), Scratch::new(), Containerd::start());
    let directory = scratch.path("").to_str().unwrap().to_owned();
    let report = report(&write(&project, "bundle.tar", &directory, &["--json"]), 0);
    let file = scratch.path(FILE);
    assert_eq!(
        report["destination"],
        serde_json::json!({"kind": "file", "path": file.to_str().unwrap()})
    );
    assert_eq!(report["bytes"], fs::metadata(&file).unwrap().len());
    containerd.ctr(&[
        "images",
        "import",
        "--platform",
        "linux/amd64",
        file.to_str().unwrap(),
    ]);
    assert_eq!(containerd.names().len(), 6);
    let postgres = &index_of(&project.path("bundle.tar")).images[0];
    let source = format!("oci-archive:{}:{}", file.display(), postgres.reference);
    let tools = Foreign::new();
    tools.run(
        "skopeo",
        [
            "copy",
            "--quiet",
            "--override-arch",
            "amd64",
            &source,
            "dir:image",
        ],
    );
}

#[test]
fn a_damaged_bundle_or_a_full_disk_leaves_nothing() {
    let (project, scratch) = (built("[linux/amd64]"), Scratch::new());
    let bundle = project.path("bundle.tar");
    let blobs = entries_of(&bundle)
        .into_iter()
        .filter(|entry| entry.name.starts_with("blobs/"));
    let layer = blobs.max_by_key(|entry| entry.size).unwrap();
    damaged(&bundle, &layer.name);
    let directory = scratch.path("").to_str().unwrap().to_owned();
    let said = ends_with(&write(&project, "damaged.tar", &directory, &[]), 6);
    assert!(said.contains(&layer.name), "{said}");
    assert_eq!(scratch.names(), Vec::<String>::new());
    let [bundle, key, file] = with_key(&project, "bundle.tar");
    let full = on_a_disk_of(
        32 << 10,
        &scratch.path(""),
        &["load", &bundle, &key, &file, "--images-dir", &directory],
    );
    assert!(ends_with(&full, 11).contains("are free"));
    let nowhere = format!("{directory}/missing");
    assert!(ends_with(&write(&project, "bundle.tar", &nowhere, &[]), 4).contains(&nowhere));
}

#[test]
fn what_the_bundle_does_not_have_for_a_platform_is_said_and_fails() {
    let (project, scratch) = (built("all"), Scratch::new());
    let directory = scratch.path("").to_str().unwrap().to_owned();
    // The program of the example is there for amd64 alone.
    let report = report(
        &write(
            &project,
            "bundle.tar",
            &directory,
            &["--platform", "linux/arm64", "--json"],
        ),
        4,
    );
    assert_eq!(
        report["leftOut"],
        serde_json::json!(["ghcr.io/lpasquali/rune-db:0.1.0"])
    );
    assert_eq!(scratch.names(), ["rune-0.1.0-linux-arm64.tar"]);
    let said = ends_with(
        &write(
            &project,
            "bundle.tar",
            &directory,
            &["--platform", "linux/s390x"],
        ),
        4,
    );
    assert!(
        said.contains("the bundle has no image for linux/s390x, only for linux/386, linux/amd64, linux/arm/v7, linux/arm64/v8"),
        "{said}"
    );
}
