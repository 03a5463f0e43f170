//! `sign`: one more person signs in place.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use rune_core::{digest::Digest, secret::Secret};
use serde_json::Value;

use crate::{
    bundle::sign_support::Team,
    bundle::small_bundle::{ends_with, entries_of, index_of, rune_bundle},
};

const TOOL: &str = env!("CARGO_BIN_EXE_rune-bundle");

#[test]
fn a_second_person_signs_in_place_and_nothing_but_the_slot_changes() {
    let team = Team::new();
    let second = team.join("second");
    let (before, digest) = (
        team.bytes(),
        Digest::of(&index_of(&team.bundle).to_bytes().unwrap()),
    );
    ends_with(&team.verify(&["first", "second"], 2), 7);

    let output = team.sign("second", &["--json"]);
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["outcome"], &report["slot"], &report["dryRun"]),
        (&"added".into(), &1.into(), &false.into())
    );
    assert_eq!(
        (&report["keyId"], &report["digest"]),
        (
            &second.public_key().key_id().into(),
            &digest.to_string().into()
        )
    );
    assert_eq!(report["signatures"][1]["state"], "verified");

    let after = team.bytes();
    let slot = team.slot(1);
    assert_eq!(before.len(), after.len());
    assert_eq!(
        (&before[..slot], &before[slot + 8192..]),
        (&after[..slot], &after[slot + 8192..])
    );
    assert!(
        before[slot..slot + 8192].iter().all(|byte| *byte == b' ')
            && after[slot..].starts_with(b"{\"mediaType\"")
    );
    let said = ends_with(&team.verify(&["first", "second"], 2), 0);
    assert!(
        said.contains(&digest.to_string())
            && said.contains(&second.public_key().fingerprint().grouped()),
        "{said}"
    );
}

#[test]
fn the_same_key_twice_changes_nothing_and_says_so() {
    let team = Team::new();
    for (name, slot) in [("first", 0), ("second", 1)] {
        team.join("second");
        ends_with(&team.sign(name, &[]), 0);
        let before = team.bytes();
        let said = ends_with(&team.sign(name, &[]), 0);
        assert!(
            said.contains(&format!("already, in slot {slot}"))
                && said.contains("nothing was written"),
            "{said}"
        );
        assert_eq!(team.bytes(), before);
    }
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let team = Team::new();
    team.join("second");
    let before = team.bytes();
    let said = ends_with(&team.sign("second", &["--dry-run"]), 0);
    assert!(
        said.contains("would put the signature") && said.contains("slot 1"),
        "{said}"
    );
    assert_eq!(team.bytes(), before);
}

#[test]
fn the_ninth_signer_finds_no_slot() {
    let team = Team::new();
    for number in 2..=8 {
        let name = format!("n{number}");
        team.join(&name);
        ends_with(&team.sign(&name, &[]), 0);
    }
    let before = team.bytes();
    team.join("ninth");
    let said = ends_with(&team.sign("ninth", &[]), 12);
    assert!(said.contains("all 8 signature slots are taken"), "{said}");
    assert!(ends_with(&team.sign("n8", &[]), 0).contains("already, in slot 7"));
    assert_eq!(team.bytes(), before);
}

#[test]
fn signers_who_come_at_the_same_time_take_different_slots() {
    let team = Team::new();
    let names: Vec<String> = (2..=8).map(|number| format!("n{number}")).collect();
    for name in &names {
        team.join(name);
    }
    let start = |name: &String| {
        let key = team.file(&format!("{name}.key"));
        Command::new(TOOL)
            .arg("sign")
            .arg(&team.bundle)
            .args(["--key", &key, "--quiet"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = names.iter().map(start).collect();
    for signer in running {
        ends_with(&signer.wait_with_output().unwrap(), 0);
    }
    let everybody: Vec<&str> = std::iter::once("first")
        .chain(names.iter().map(String::as_str))
        .collect();
    ends_with(&team.verify(&everybody, 8), 0);
}

#[test]
fn a_damaged_bundle_is_not_signed() {
    let team = Team::new();
    team.join("second");
    let good = team.bytes();
    for entry in entries_of(&team.bundle).iter().skip(9) {
        let mut bytes = good.clone();
        bytes[usize::try_from(entry.content + entry.size / 2).unwrap()] ^= 1;
        fs::write(&team.bundle, &bytes).unwrap();
        let said = ends_with(&team.sign("second", &[]), 6);
        assert!(said.contains(&entry.name), "{said}");
        assert_eq!(team.bytes(), bytes, "something was written");
    }
    fs::write(&team.bundle, &good[..good.len() - 512]).unwrap();
    ends_with(&team.sign("second", &[]), 6);
    fs::write(&team.bundle, &good[..2000]).unwrap();
    ends_with(&team.sign("second", &[]), 3);
}

#[test]
fn an_index_that_was_changed_after_it_was_signed_is_not_signed_again() {
    let team = Team::new();
    team.join("second");
    let mut bytes = team.bytes();
    let text = b"\"version\":\"1.2.3\"";
    let at = bytes
        .windows(text.len())
        .position(|window| window == text)
        .unwrap()
        + text.len()
        - 2;
    bytes[at] = b'4';
    fs::write(&team.bundle, &bytes).unwrap();
    // The contents still are what the index says, so only the first signature shows what happened.
    let said = ends_with(&team.sign("second", &[]), 7);
    assert!(
        said.contains("slot 0") && said.contains("changed after it was signed"),
        "{said}"
    );
    let said = ends_with(&team.sign("first", &[]), 7);
    assert!(said.contains("signature is bad"), "{said}");
    assert_eq!(team.bytes(), bytes);
}

#[test]
fn another_bundle_than_meant_is_not_signed() {
    let team = Team::new();
    team.join("second");
    let digest = Digest::of(&index_of(&team.bundle).to_bytes().unwrap()).to_string();
    let other = Digest::of(b"").to_string();
    let said = ends_with(&team.sign("second", &["--bundle-digest", &other]), 7);
    assert!(said.contains(&digest) && said.contains(&other), "{said}");
    ends_with(&team.sign("second", &["--bundle-digest", &digest]), 0);
}

#[test]
fn a_passphrase_opens_the_key_or_nothing_is_written() {
    let team = Team::new();
    let pem = team
        .join("second")
        .to_encrypted_pem(&Secret::new("right"))
        .unwrap();
    fs::write(team.scratch.path("second.key"), pem).unwrap();
    let before = team.bytes();
    let sign = |passphrase: &str| {
        let mut command = Command::new(TOOL);
        command
            .arg("sign")
            .arg(&team.bundle)
            .args(["--key", &team.file("second.key")])
            .env("COSIGN_PASSWORD", passphrase)
            .output()
            .unwrap()
    };
    let said = ends_with(&sign("wrong"), 9);
    assert!(
        said.contains("passphrase is wrong") && !said.contains("`wrong`"),
        "{said}"
    );
    assert_eq!(team.bytes(), before);
    ends_with(&sign("right"), 0);
    ends_with(&team.verify(&["second"], 1), 0);
}

#[test]
fn a_file_that_may_not_be_written_is_said_to_be_one() {
    let team = Team::new();
    team.join("second");
    let before = team.bytes();
    // In a mount namespace of its own, which ends with the command: permission bits alone do not
    // stop root.
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .arg(team.scratch.path(""));
    command
        .args([TOOL, "sign"])
        .arg(&team.bundle)
        .args(["--key", &team.file("second.key")]);
    let said = ends_with(&command.output().unwrap(), 9);
    assert!(
        said.contains("small.bundle.tar") && said.contains("writable"),
        "{said}"
    );

    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) != 0) {
        fs::set_permissions(&team.bundle, fs::Permissions::from_mode(0o444)).unwrap();
        ends_with(&team.sign("second", &[]), 9);
    }
    assert_eq!(team.bytes(), before);
}

#[test]
fn what_is_not_a_bundle_file_is_not_signed() {
    let team = Team::new();
    team.join("second");
    let key = team.file("second.key");
    let directory = team.file("");
    for (file, code) in [
        ("-", 2),
        (&*team.file("nothing"), 4),
        (&directory, 3),
        (&team.file("first.pub"), 3),
        ("/dev/null", 3),
    ] {
        ends_with(&rune_bundle(["sign", file, "--key", &key]), code);
    }
    for (key, code) in [(team.file("no.key"), 4), (team.file("first.pub"), 3)] {
        ends_with(&team.run("sign", &["--key", &key]), code);
    }
}
