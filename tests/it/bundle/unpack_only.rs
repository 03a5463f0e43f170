//! `unpack --only`: a few entries, checked, all of them or none.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    process::{Command, Output},
};

use serde_json::Value;

use crate::bundle::{
    sign_support::Team,
    small_bundle::{ends_with, entries_of, rune_bundle},
};

fn unpack(team: &Team, options: &[&str]) -> Output {
    team.run(
        "unpack",
        &[
            &[&team.file("out"), "--key", &team.file("first.pub")],
            options,
        ]
        .concat(),
    )
}

fn files(team: &Team) -> Vec<String> {
    rune_core::fsx::list_files(&team.scratch.utf8("out"))
        .unwrap()
        .into_iter()
        .map(|path| path.to_string())
        .collect()
}

#[test]
fn what_matches_is_written_and_how_much_was_not_read_is_said() {
    for options in [
        &["--only", "values/*,INSTALL.md"][..],
        &["--only", "values/*", "--only", "./INSTALL.md"],
        &["--only", "**/lab.yaml,INSTALL.md"],
    ] {
        let team = Team::new();
        let said = ends_with(&unpack(&team, options), 0);
        assert_eq!(files(&team), ["INSTALL.md", "values/lab.yaml"]);
        assert_eq!(
            fs::read_to_string(team.scratch.path("out/INSTALL.md")).unwrap(),
            "# Install\n"
        );
        assert!(
            said.contains(": 2 files, 13 bytes\n")
                && said.contains("of the bundle were not read, so not checked"),
            "{said}"
        );
    }
    let team = Team::new();
    let output = unpack(&team, &["--only", "INSTALL.md", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = entries_of(&team.bundle);
    // The index and the slots are no entries of the index.
    let all: u64 = entries.iter().skip(9).map(|entry| entry.size).sum();
    assert_eq!(
        (&report["files"], &report["bytes"]),
        (&1.into(), &10.into())
    );
    assert_eq!(
        (&report["entriesLeftOut"], &report["bytesNotRead"]),
        (&(entries.len() - 10).into(), &(all - 10).into()),
        "{report:#}"
    );
}

#[test]
fn a_pattern_that_matches_nothing_fails_and_writes_nothing() {
    for only in ["nothing", "INSTALL.md,nothing/*", "", "../*", "*.yaml"] {
        let team = Team::new();
        let said = ends_with(&unpack(&team, &["--only", only]), 4);
        assert!(
            said.contains("no entry of the bundle matches `") && !team.scratch.path("out").exists(),
            "{said}"
        );
    }
}

#[test]
fn what_is_written_is_checked_and_what_is_not_may_be_damaged() {
    let team = Team::new();
    let entry = entries_of(&team.bundle)
        .into_iter()
        .find(|entry| entry.name == "values/lab.yaml")
        .unwrap();
    OpenOptions::new()
        .write(true)
        .open(&team.bundle)
        .unwrap()
        .write_all_at(b"[", entry.content)
        .unwrap();
    ends_with(&unpack(&team, &["--only", "values/*,INSTALL.md"]), 6);
    assert!(!team.scratch.path("out").exists() && !team.scratch.path("out.partial").exists());
    ends_with(&unpack(&team, &["--only", "INSTALL.md"]), 0);
    assert_eq!(files(&team), ["INSTALL.md"]);
}

#[test]
fn it_needs_a_key_and_an_empty_place_like_all_unpacking() {
    let team = Team::new();
    let bundle = team.bundle.to_str().unwrap();
    ends_with(
        &rune_bundle(["unpack", bundle, &team.file("out"), "--only", "INSTALL.md"]),
        7,
    );
    let said = ends_with(&unpack(&team, &["--only", "INSTALL.md", "--dry-run"]), 0);
    assert!(
        said.starts_with("would unpack") && !team.scratch.path("out").exists(),
        "{said}"
    );
    fs::create_dir(team.scratch.path("out")).unwrap();
    ends_with(&unpack(&team, &["--only", "INSTALL.md"]), 12);
}

#[test]
fn a_stream_is_read_to_its_end_and_checked_whole() {
    let team = Team::new();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command.args([
            "unpack",
            "-",
            &team.file("out"),
            "--key",
            &team.file("first.pub"),
            "--only",
            "INSTALL.md",
        ]);
        command
            .stdin(File::open(&team.bundle).unwrap())
            .output()
            .unwrap()
    };
    let said = ends_with(&run(), 0);
    assert!(
        said.contains("0 bytes of the bundle were not read"),
        "{said}"
    );
    assert_eq!(files(&team), ["INSTALL.md"]);
    fs::remove_dir_all(team.scratch.path("out")).unwrap();
    let entry = entries_of(&team.bundle)
        .into_iter()
        .find(|entry| entry.name == "values/lab.yaml")
        .unwrap();
    OpenOptions::new()
        .write(true)
        .open(&team.bundle)
        .unwrap()
        .write_all_at(b"[", entry.content)
        .unwrap();
    ends_with(&run(), 6);
    assert!(!team.scratch.path("out").exists());
}
