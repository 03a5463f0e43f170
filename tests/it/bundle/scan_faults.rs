//! What cannot be scanned is an error and leaves no receipt and nothing else.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};

use rune_testkit::{
    poll::wait_until,
    process::Process,
    sample::{Image, Sample},
};
use serde_json::json;

use crate::{
    bundle::{
        scan_support::{Lab, SCANNERS},
        small_bundle::ends_with,
    },
    charts::support::tool,
};

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

/// An image of one platform whose layer is not what its media type says.
fn unreadable() -> Image {
    let sample = Sample {
        platforms: vec![("linux", "amd64", None)],
        layer_bytes: vec![3000],
        attestations: false,
        ..Sample::default()
    };
    let text = |image: &Image, document: &[u8]| {
        let mut text = String::from_utf8(document.to_vec()).unwrap();
        let layer = &image.blobs[0];
        let digest = |bytes: &[u8]| rune_testkit::sha256(bytes);
        let broken = vec![b'x'; layer.len()];
        text = text.replace(&digest(layer), &digest(&broken));
        text.into_bytes()
    };
    let mut image = sample.build();
    let manifest = text(&image, &image.manifests[0].bytes);
    let index = String::from_utf8(image.index.bytes.clone()).unwrap();
    let before = image.manifests[0].digest();
    image.manifests[0].bytes = manifest;
    image.index.bytes = index
        .replace(&before, &image.manifests[0].digest())
        .into_bytes();
    let length = image.blobs[0].len();
    image.blobs[0] = vec![b'x'; length];
    image
}

#[test]
fn an_image_that_a_scanner_cannot_read_is_an_error_and_not_an_image_without_findings() {
    let lab = Lab::with_image(&unreadable());
    lab.build();
    for scanner in SCANNERS {
        let output = lab.scan(scanner, &["--json"]);
        let said = ends_with(&output, 3);
        let image = format!(
            "{scanner} cannot scan {}/library/shop:1 (linux/amd64): ",
            lab.project.registry.host()
        );
        assert!(said.contains(&image), "{said}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("findings"));
        assert!(lab.receipts().is_empty() && is_empty(&lab.project.path("tmp")));
    }
}

#[test]
fn a_report_that_is_not_about_the_image_counts_for_nothing() {
    let lab = Lab::new();
    lab.build();
    let about = |digest: &str| {
        json!({"matches": [], "source": {"target": {"manifestDigest": digest}}, "distro": {"name": "", "version": ""}}).to_string()
    };
    let other = about(&rune_testkit::sha256(b"other"));
    for (script, expected) in [
        (
            format!("echo '{other}'"),
            "its report is about another image: sha256:",
        ),
        ("echo '{}'".to_owned(), "its report is not understood"),
        ("true".to_owned(), "its report is not understood"),
        ("echo so sad >&2; exit 1".to_owned(), "so sad"),
    ] {
        let scanner = lab.faulty(&script);
        let said = ends_with(&lab.command(&scanner, &[]).output().unwrap(), 3);
        assert!(said.contains(expected), "{script}: {said}");
    }
    assert!(lab.receipts().is_empty());
}

#[test]
fn a_damaged_layer_is_a_damaged_bundle_and_not_a_fault_of_the_scanner() {
    let lab = Lab::new();
    lab.build();
    let bundle = lab.project.path("shop.tar");
    let bytes = fs::read(&bundle).unwrap();
    let layer = &lab.image.blobs[0];
    let at = bytes
        .windows(layer.len())
        .position(|window| window == layer.as_slice())
        .unwrap();
    let file = OpenOptions::new().write(true).open(&bundle).unwrap();
    file.write_all_at(b"damage", (at + 1000) as u64).unwrap();
    for scanner in SCANNERS {
        let said = ends_with(&lab.scan(scanner, &[]), 6);
        assert!(said.contains("refusing `shop.tar`"), "{said}");
    }
    assert!(lab.receipts().is_empty());
}

#[test]
fn without_scanner_or_database_nothing_is_scanned_and_the_way_out_is_said() {
    let lab = Lab::new();
    lab.build();
    let nowhere = lab.project.path("empty");
    fs::create_dir(&nowhere).unwrap();
    let scan = ["scan", "shop.tar", "--key", "release.pub"];
    let mut command = lab.project.command(&scan);
    let said = ends_with(&command.env("PATH", &nowhere).output().unwrap(), 4);
    assert!(
        said.contains("neither `grype` nor `trivy` was found in PATH"),
        "{said}"
    );
    let said = ends_with(&lab.command(&tool("cosign"), &[]).output().unwrap(), 4);
    let line = "is neither grype nor Trivy: it does not say so";
    assert!(said.contains(line), "{said}");
    for (scanner, variable) in [
        ("grype", "GRYPE_DB_CACHE_DIR"),
        ("trivy", "TRIVY_CACHE_DIR"),
    ] {
        let mut command = lab.command(&tool(scanner), &[]);
        command.env(variable, &nowhere);
        let said = ends_with(&command.output().unwrap(), 4);
        let line = format!(
            "{scanner} has no valid vulnerability database in `{}`",
            nowhere.display()
        );
        assert!(said.contains(&line) && said.contains(variable), "{said}");
    }
    assert!(lab.receipts().is_empty() && is_empty(&nowhere));
}

#[test]
fn ctrl_c_ends_the_scanner_with_all_that_it_started() {
    let lab = Lab::new();
    lab.build();
    let started = lab.project.path("started");
    let scanner = lab.faulty(&format!(
        "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
        started.display()
    ));
    let mut command = lab.command(&scanner, &[]);
    let mut process = Process::start(&mut command);
    process.wait_until(Duration::from_mins(1), || started.exists());
    let child = fs::read_to_string(&started).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    let is_running = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(is_running());
    let id = i32::try_from(process.id()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    wait_until("the scanner is gone", Duration::from_mins(1), || {
        !is_running()
    });
    wait_until("its files are gone", Duration::from_mins(1), || {
        is_empty(&lab.project.path("tmp"))
    });
    assert!(lab.receipts().is_empty());
}
