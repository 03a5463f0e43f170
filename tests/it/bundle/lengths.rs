//! A copy that was not finished, or that was compressed on the way, is recognised at once.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use crate::{
    bundle::small_bundle::{KEY, Scratch, ends_with, rune_bundle, signed},
    charts::support::tool,
};

#[test]
fn every_verb_says_how_much_of_a_bundle_is_missing() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let expected = fs::metadata(&bundle).unwrap().len();
    let short = expected - 1000;
    File::options()
        .write(true)
        .open(&bundle)
        .unwrap()
        .set_len(short)
        .unwrap();
    fs::write(scratch.path("release.key"), KEY).unwrap();
    let said = format!("the bundle is 1000 bytes short ({short} of {expected} bytes)");
    let path = |name: &str| scratch.path(name).to_str().unwrap().to_owned();
    let (bundle, key, helm) = (path("small.bundle.tar"), path("key.pub"), tool("helm4"));
    let (page, directory, receipts) = (path("page.html"), path("out"), path("receipts"));
    let with_key = [bundle.as_str(), "--key", &key];
    let verbs: [&[&str]; 9] = [
        &["verify"],
        &["unpack"],
        &["push", "127.0.0.1:1", "--receipts", &receipts],
        &["load", "--images-dir", &directory],
        &["serve", "--listen", "127.0.0.1:0"],
        &["cat", "INSTALL.md"],
        &["report", "--output", &page],
        &[
            "install",
            "--receipts",
            &receipts,
            "--helm",
            helm.to_str().unwrap(),
        ],
        &["diff", &bundle],
    ];
    for verb in verbs {
        // The bundle comes first.
        let arguments = [&verb[..1], &with_key[..1], &verb[1..], &with_key[1..]].concat();
        let output = ends_with(&rune_bundle(&arguments), 6);
        assert!(output.contains(&said), "{arguments:?}: {output}");
        assert!(output.contains("help: copy the file again"), "{output}");
    }
    let release = path("release.key");
    let output = ends_with(&rune_bundle(["sign", &bundle, "--key", &release]), 6);
    assert!(output.contains(&said), "{output}");
    let output = ends_with(&rune_bundle(["inspect", &bundle, "--key", &key]), 0);
    assert!(output.contains(&said), "{output}");
    let doctor = rune_bundle(["doctor", "receive", &bundle, "--key", &key]);
    let output = String::from_utf8(doctor.stdout).unwrap();
    assert!(output.contains(&said), "{output}");
    // A stream is read as far as it goes, and its length said then.
    let stream = Command::new(env!("CARGO_BIN_EXE_rune-bundle"))
        .args(["verify", "-", "--key", &key])
        .stdin(File::open(&bundle).unwrap())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let output = ends_with(&stream, 6);
    assert!(output.contains(&said), "{output}");
}

#[test]
fn what_follows_a_bundle_is_said_with_both_lengths() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let expected = fs::metadata(&bundle).unwrap().len();
    let longer = expected + 4096;
    File::options()
        .write(true)
        .open(&bundle)
        .unwrap()
        .set_len(longer)
        .unwrap();
    let key = scratch.path("key.pub");
    let arguments = [
        "verify",
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    let output = ends_with(&rune_bundle(arguments), 6);
    let said =
        format!("4096 bytes follow the end of the bundle ({longer} bytes instead of {expected})");
    assert!(output.contains(&said), "{output}");
    assert!(
        output.contains(&format!("head --bytes={expected}")),
        "{output}"
    );
}

#[test]
fn a_compressed_bundle_is_named_with_the_command_that_helps() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let bundle = bundle.to_str().unwrap();
    let key = scratch.path("key.pub");
    let zip = format!("import zipfile; zipfile.ZipFile('{bundle}.zip', 'w').write('{bundle}')");
    for (program, arguments, ending, name, way_out) in [
        ("gzip", vec!["--keep", bundle], "gz", "gzip", "gunzip"),
        (
            "zstd",
            vec!["--quiet", "--keep", bundle],
            "zst",
            "zstd",
            "unzstd",
        ),
        ("xz", vec!["--keep", bundle], "xz", "xz", "unxz"),
        ("python3", vec!["-c", &zip], "zip", "zip", "unzip"),
    ] {
        let made = Command::new(program).args(arguments).status();
        assert!(made.is_ok_and(|status| status.success()), "{program}");
        let packed = format!("{bundle}.{ending}");
        let output = ends_with(
            &rune_bundle(["verify", packed.as_str(), "--key", key.to_str().unwrap()]),
            3,
        );
        assert!(
            output.contains(&format!("this is not a bundle: it is a {name} file"))
                && output.contains(&format!("`{way_out} {packed}`")),
            "{output}"
        );
    }
}
