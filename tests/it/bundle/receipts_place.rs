//! Where receipts go, what is said about it, and what is not left without a word.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use rune_testkit::registry::Registry;
use serde_json::Value;

use crate::bundle::{
    sign_support::Team,
    small_bundle::{ends_with, rune_bundle},
};

/// Somebody who pushes: not root, with a home and a working directory.
struct Person {
    team: Team,
    registry: Registry,
}

impl Person {
    fn new() -> Self {
        let person = Self {
            team: Team::new(),
            registry: Registry::start(),
        };
        for name in ["home", "work"] {
            fs::create_dir(person.path(name)).unwrap();
        }
        succeed(
            Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(person.path("")),
        );
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.team.scratch.path(name)
    }

    /// `rune-bundle` in the working directory, as this person and not as whoever runs the test.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_rune-bundle"),
        ]);
        command
            .args(arguments)
            .current_dir(self.path("work"))
            .env_clear();
        command
            .env("HOME", self.path("home"))
            .env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    fn push_command(&self, options: &[&str]) -> Command {
        let (bundle, key) = (
            self.team.file("small.bundle.tar"),
            self.team.file("first.pub"),
        );
        self.command(
            &[
                &["push", &bundle, &self.registry.host(), "--key", &key],
                options,
            ]
            .concat(),
        )
    }

    fn push(&self, options: &[&str]) -> Output {
        self.push_command(options).output().unwrap()
    }

    fn receipts(&self, arguments: &[&str]) -> Output {
        self.command(&[&["receipts"], arguments].concat())
            .output()
            .unwrap()
    }
}

fn succeed(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[test]
fn a_receipt_goes_to_the_state_directory_and_its_path_is_said() {
    let person = Person::new();
    let said = ends_with(&person.push(&[]), 0);
    let place = person.path("home/.local/state/rune-bundle/receipts");
    assert!(
        said.contains(&format!("receipt    1 in `{}/000001-", place.display())),
        "{said}"
    );
    let mut command = person.push_command(&[]);
    let said = ends_with(
        &command
            .env("XDG_STATE_HOME", person.path("home/other"))
            .output()
            .unwrap(),
        0,
    );
    assert!(
        said.contains(&format!(
            "receipt    1 in `{}/000001-",
            person.path("home/other/rune-bundle/receipts").display()
        )),
        "{said}"
    );
    assert!(
        fs::read_dir(person.path("work")).unwrap().next().is_none(),
        "nothing is left in the working directory"
    );
    let said = ends_with(&person.receipts(&["list"]), 0);
    assert!(said.contains("pushed small 1.2.3 to"), "{said}");
    // Nobody knows a place.
    let said = ends_with(
        &person
            .push_command(&[])
            .env_remove("HOME")
            .output()
            .unwrap(),
        2,
    );
    assert!(
        said.contains("HOME is not set") && said.contains("--no-receipt"),
        "{said}"
    );
}

#[test]
fn root_keeps_receipts_in_var_lib() {
    let said = String::from_utf8(rune_bundle(["push", "--help"]).stdout).unwrap();
    let words: Vec<_> = said.split_whitespace().collect();
    assert!(
        words
            .join(" ")
            .contains("[default: /var/lib/rune-bundle/receipts for root,"),
        "{said}"
    );
    // The directory of this machine is not for tests: one of their own is in its place.
    let person = Person::new();
    fs::create_dir(person.path("lib")).unwrap();
    let script = format!(
        "mount --bind {} /var/lib && exec {} push {} {} --key {}",
        person.path("lib").display(),
        env!("CARGO_BIN_EXE_rune-bundle"),
        person.team.file("small.bundle.tar"),
        person.registry.host(),
        person.team.file("first.pub"),
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    let said = ends_with(&command.output().unwrap(), 0);
    assert!(
        said.contains("receipt    1 in `/var/lib/rune-bundle/receipts/000001-"),
        "{said}"
    );
    assert_eq!(
        fs::read_dir(person.path("lib/rune-bundle/receipts"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
            .count(),
        1
    );
}

#[test]
fn without_a_place_to_write_nothing_is_sent_and_the_way_out_is_said() {
    let person = Person::new();
    fs::create_dir_all(person.path("closed")).unwrap();
    let directory = person.path("closed/receipts");
    let said = ends_with(
        &person.push(&["--receipts", directory.to_str().unwrap()]),
        9,
    );
    assert!(
        said.contains(&format!(
            "no receipt can be written to `{}`",
            directory.display()
        )),
        "{said}"
    );
    assert!(said.contains("help: nothing was done; give --receipts DIR on a disk that can be written, or --no-receipt"), "{said}");
    assert!(person.registry.requests().is_empty());
    let said = ends_with(
        &person.push(&["--receipts", directory.to_str().unwrap(), "--no-receipt"]),
        0,
    );
    assert!(
        said.contains("note: no receipt of this, and the next one will not say so"),
        "{said}"
    );
}

#[test]
fn what_left_no_receipt_is_said_by_the_next_one() {
    let person = Person::new();
    let said = ends_with(&person.push(&["--no-receipt"]), 0);
    assert!(
        said.contains("note: no receipt of this; the next one in `")
            && !said.contains("\nreceipt "),
        "{said}"
    );
    ends_with(&person.receipts(&["list"]), 4);
    ends_with(&person.push(&["--no-receipt", "--dry-run"]), 0);
    ends_with(&person.push(&[]), 0);
    ends_with(&person.push(&[]), 0);
    let said = ends_with(&person.receipts(&["list"]), 0);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].starts_with("   -  ")
            && lines[0].ends_with(&format!(
                "push of small 1.2.3 to {}, without a receipt",
                person.registry.host()
            )),
        "{said}"
    );
    let said = ends_with(&person.receipts(&["show", "1"]), 0);
    for part in [
        "receipt        1 of 2\n",
        "bundle         small 1.2.3\n",
        "before it      ",
        "signed by      sha256:",
        "act:\n  kind: push\n",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let report: Value =
        serde_json::from_slice(&person.receipts(&["show", "1", "--json"]).stdout).unwrap();
    let runs = report["receipt"]["withoutReceipt"].as_array().unwrap();
    assert_eq!(
        (runs.len(), &runs[0]["kind"], &runs[0]["name"]),
        (1, &"push".into(), &"small".into()),
        "{report:#}"
    );
    assert!(!ends_with(&person.receipts(&["show", "2"]), 0).contains("before it"));
    let said = ends_with(&person.receipts(&["show", "3"]), 4);
    assert!(
        said.contains("there is no receipt 3 in") && said.contains("the last one is 2"),
        "{said}"
    );
    ends_with(&person.receipts(&["verify"]), 0);
}

#[test]
fn receipts_of_earlier_versions_in_the_working_directory_are_named_and_linked() {
    let person = Person::new();
    ends_with(&person.push(&["--receipts", "rune-bundle-receipts"]), 0);
    let head: Value = serde_json::from_slice(
        &person
            .receipts(&["list", "--receipts", "rune-bundle-receipts", "--json"])
            .stdout,
    )
    .unwrap();
    // Nothing is at the new place yet: the old one is not forgotten.
    let said = ends_with(&person.receipts(&["list"]), 4);
    assert!(
        said.contains("`rune-bundle-receipts` of this directory has receipts of earlier runs"),
        "{said}"
    );
    for options in [&[][..], &["--quiet"]] {
        let said = ends_with(&person.push(options), 0);
        let before = person.path("work/rune-bundle-receipts");
        assert!(
            said.contains(&format!(
                "note: `{}` has 1 receipt of earlier runs",
                before.display()
            )),
            "{said}"
        );
        assert!(
            said.contains("--receipts rune-bundle-receipts goes on there"),
            "{said}"
        );
    }
    let show = |number: &str| -> Value {
        serde_json::from_slice(&person.receipts(&["show", number, "--json"]).stdout).unwrap()
    };
    let first = show("1");
    assert_eq!(
        (
            &first["receipt"]["earlier"]["digest"],
            &first["receipt"]["earlier"]["number"]
        ),
        (&head["head"], &1.into()),
        "{first:#}"
    );
    assert!(show("2")["receipt"].get("earlier").is_none());
    // Whoever goes on there is told nothing.
    assert!(!ends_with(&person.push(&["--receipts", "rune-bundle-receipts"]), 0).contains("note:"));
}

#[test]
fn two_runs_at_once_keep_one_chain() {
    let person = Person::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ends_with(&person.push(&[]), 0));
        }
    });
    let said = ends_with(&person.receipts(&["verify"]), 0);
    assert!(said.starts_with("4 receipts in `"), "{said}");
}
