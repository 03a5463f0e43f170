//! `cat`: an entry of a bundle on standard output, checked before a byte of it is shown.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    process::{Command, Output},
};

use rune_bundle::bundle::{FileIngredient, FileOrigin};
use rune_core::digest::Digest;

use crate::bundle::{
    sign_support::Team,
    small_bundle::{Scratch, ends_with, entries_of, ingredients, rune_bundle, sign_and_write},
};

fn cat(team: &Team, path: &str, options: &[&str]) -> Output {
    team.run(
        "cat",
        &[&[path, "--key", &team.file("first.pub")], options].concat(),
    )
}

/// A team whose bundle has one more file.
fn with_file(content: &[u8]) -> Team {
    let scratch = Scratch::new();
    fs::write(scratch.path("more"), content).unwrap();
    let mut ingredients = ingredients(&scratch);
    let (source, size, digest) = (
        FileOrigin::Path(scratch.utf8("more")),
        content.len() as u64,
        Digest::of(content),
    );
    ingredients.files.push(FileIngredient {
        path: "more".to_owned(),
        source,
        size,
        digest,
    });
    let bundle = sign_and_write(&scratch, ingredients.compose().unwrap());
    fs::rename(scratch.path("key.pub"), scratch.path("first.pub")).unwrap();
    Team { scratch, bundle }
}

/// On a terminal of its own.
fn on_a_terminal(team: &Team, path: &str) -> (i32, Vec<u8>) {
    let (bundle, key) = (team.bundle.to_str().unwrap(), team.file("first.pub"));
    let line = format!(
        "{} cat {bundle} {path} --key {key} --quiet",
        env!("CARGO_BIN_EXE_rune-bundle")
    );
    let mut command = Command::new("timeout");
    command.args([
        "20",
        "script",
        "--quiet",
        "--return",
        "--command",
        &line,
        "/dev/null",
    ]);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), output.stdout)
}

/// Flips a bit of an entry.
fn damage(team: &Team, name: &str, offset: u64) {
    let entry = entries_of(&team.bundle)
        .into_iter()
        .find(|entry| entry.name == name)
        .unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&team.bundle)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, entry.content + offset)
        .unwrap();
    file.write_all_at(&[byte[0] ^ 1], entry.content + offset)
        .unwrap();
}

#[test]
fn an_entry_comes_as_it_is_and_nothing_but_it_is_on_standard_output() {
    let team = Team::new();
    let output = cat(&team, "INSTALL.md", &[]);
    ends_with(&output, 0);
    assert_eq!(output.stdout, b"# Install\n");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("first.pub` (--key)")
    );
    assert_eq!(
        cat(&team, "./bin/linux-amd64/rune-db", &["--quiet"]).stdout,
        vec![7; 700]
    );
    let index = cat(&team, "bundle.json", &["--quiet"]).stdout;
    let said = ends_with(&team.run("inspect", &[]), 0);
    assert!(said.contains(&Digest::of(&index).to_string()), "{said}");
}

#[test]
fn without_a_key_that_signed_nothing_comes() {
    let team = Team::new();
    team.join("second");
    let bundle = team.bundle.to_str().unwrap();
    for options in [
        &[][..],
        &["--key", &team.file("second.pub")],
        &["--bundle-digest", &format!("sha256:{}", "0".repeat(64))],
    ] {
        let output = rune_bundle([&["cat", bundle, "INSTALL.md"], options].concat());
        ends_with(&output, 7);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_entry_that_is_not_there_is_told_with_its_neighbour() {
    let team = Team::new();
    for path in [
        "INSTAL.md",
        "signatures/0.sigstore.json",
        "../x",
        "/etc/passwd",
        "",
    ] {
        let output = cat(&team, path, &[]);
        let said = ends_with(&output, 4);
        assert!(
            output.stdout.is_empty() && said.contains("inspect --entries"),
            "{said}"
        );
    }
    assert!(ends_with(&cat(&team, "INSTAL.md", &[]), 4).contains("did you mean `INSTALL.md`?"));
}

#[test]
fn a_damaged_entry_is_not_shown_whatever_its_size() {
    for size in [100, 9 << 20] {
        let team = with_file(&vec![b'a'; size]);
        assert_eq!(cat(&team, "files/more", &["--quiet"]).stdout.len(), size);
        damage(&team, "files/more", size as u64 - 1);
        let output = cat(&team, "files/more", &["--quiet"]);
        let said = ends_with(&output, 6);
        assert!(
            output.stdout.is_empty() && said.contains("refusing `files/more`"),
            "{said}"
        );
        // Another entry is no matter.
        ends_with(&cat(&team, "INSTALL.md", &[]), 0);
    }
}

#[test]
fn a_terminal_gets_text_without_tricks_and_no_bytes() {
    // A character in two pieces, too: the reader's pieces are of 256 KiB.
    let text = format!(
        "a\tb\u{1b}[2J\u{202e}{}ü{}\n",
        "x".repeat((256 << 10) - 9),
        "y".repeat(9 << 20)
    );
    for text in ["a\tb\u{1b}[2J\u{202e}ü\n", &text] {
        let team = with_file(text.as_bytes());
        let (code, screen) = on_a_terminal(&team, "files/more");
        let screen = String::from_utf8(screen).unwrap();
        assert_eq!(code, 0, "{}", &screen[..200.min(screen.len())]);
        assert!(
            screen.starts_with("a\tb\\u{1b}[2J\\u{202e}") && screen.contains('ü'),
            "{}",
            &screen[..100.min(screen.len())]
        );
        assert!(!screen.contains('\u{1b}'));
    }
    for bytes in [&[0xff, 0xfe][..], b"a\0b", &[b'a', 0xc3]] {
        let team = with_file(bytes);
        let (code, screen) = on_a_terminal(&team, "files/more");
        let screen = String::from_utf8(screen).unwrap();
        assert!(
            code == 2 && screen.contains("is not text, and standard output is a terminal"),
            "{screen}"
        );
        assert_eq!(cat(&team, "files/more", &["--quiet"]).stdout, bytes);
    }
}

#[test]
fn a_reader_that_stops_early_is_not_a_failure_and_a_full_disk_is_one() {
    let team = with_file(&vec![b'a'; 9 << 20]);
    let (bundle, key) = (team.bundle.to_str().unwrap(), team.file("first.pub"));
    let line = format!(
        "{} cat {bundle} files/more --key {key} | head -c 3",
        env!("CARGO_BIN_EXE_rune-bundle")
    );
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &line])
        .output()
        .unwrap();
    ends_with(&output, 0);
    assert_eq!(output.stdout, b"aaa");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    let output = command
        .args(["cat", bundle, "INSTALL.md", "--key", &key])
        .stdout(full)
        .output()
        .unwrap();
    ends_with(&output, 11);
}
