//! `keygen` as a person runs it: two files or none, a passphrase from the environment or typed
//! twice.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use rune_bundle::sign::{PrivateKey, PublicKey, SignError};
use rune_core::secret::Secret;
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_rune-bundle");

/// Runs `keygen` without a terminal: `setsid` takes away the one that the test may have.
fn keygen(directory: &Path, passphrase: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new("setsid");
    command
        .args(["--wait", TOOL, "keygen"])
        .args(arguments)
        .current_dir(directory)
        .env_remove("COSIGN_PASSWORD");
    if let Some(passphrase) = passphrase {
        command.env("COSIGN_PASSWORD", passphrase);
    }
    command.output().unwrap()
}

/// Runs `keygen` at a terminal of its own and types one line after each prompt.
fn keygen_at_a_terminal(directory: &Path, lines: &[&str]) -> (Option<i32>, String) {
    let shown_prompts = [
        "Passphrase for the new private key: ",
        "The same passphrase again: ",
    ];
    let mut command = Command::new("script");
    // What the terminal is like afterwards is on the screen too.
    let typed = format!("{TOOL} keygen; code=$?; stty -a; exit $code");
    command.args(["--quiet", "--return", "--command", &typed, "/dev/null"]);
    command
        .current_dir(directory)
        .env_remove("COSIGN_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    for (prompt, line) in shown_prompts.iter().zip(lines) {
        while !shown.ends_with(prompt.as_bytes()) {
            let mut byte = [0];
            screen
                .read_exact(&mut byte)
                .unwrap_or_else(|_| panic!("no prompt in {:?}", String::from_utf8_lossy(&shown)));
            shown.extend(byte);
        }
        keyboard.write_all(line.as_bytes()).unwrap();
    }
    screen.read_to_end(&mut shown).unwrap();
    (
        child.wait().unwrap().code(),
        String::from_utf8(shown).unwrap(),
    )
}

/// Whether `stty` reported a terminal that echoes and sends signals.
fn shows_what_is_typed(screen: &str) -> bool {
    screen.contains(" echo ") && screen.contains("isig ") && !screen.contains("-isig")
}

fn loads_with(directory: &Path, passphrase: &str) -> bool {
    let pem = fs::read(directory.join("cosign.key")).unwrap();
    PrivateKey::load(&pem, || Ok::<_, SignError>(Secret::new(passphrase))).is_ok()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn writes_a_closed_private_key_and_an_open_public_key_and_reports_their_id() {
    let place = tempfile::tempdir().unwrap();
    let output = keygen(
        place.path(),
        Some("secret words"),
        &["--out", "release", "--json"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mode = |name| {
        fs::metadata(place.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("release.key"), mode("release.pub")), (0o600, 0o644));

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let public =
        PublicKey::from_pem(&fs::read_to_string(place.path().join("release.pub")).unwrap())
            .unwrap();
    assert_eq!(report["schema"], "rune-bundle/report/keygen/v1");
    assert_eq!(report["keyId"], public.key_id());
    assert_eq!(report["fingerprint"], public.fingerprint().to_string());
    assert_eq!(
        (&report["privateKey"], &report["publicKey"]),
        (&"release.key".into(), &"release.pub".into())
    );
}

#[test]
fn tells_to_keep_one_file_and_to_hand_over_the_other() {
    let place = tempfile::tempdir().unwrap();
    let output = keygen(place.path(), Some("secret words"), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("Keep cosign.key") && text.contains("Hand cosign.pub"),
        "{text}"
    );
    assert!(!text.contains("secret words"));
}

#[test]
fn never_overwrites_and_writes_neither_file_when_one_is_there() {
    for taken in ["cosign.key", "cosign.pub"] {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(taken), "mine").unwrap();
        let output = keygen(place.path(), Some("x"), &[]);
        assert_eq!(output.status.code(), Some(12));
        assert!(stderr(&output).contains(taken), "{}", stderr(&output));
        assert_eq!(names(place.path()), [taken]);
        assert_eq!(
            fs::read_to_string(place.path().join(taken)).unwrap(),
            "mine"
        );
    }
}

#[test]
fn a_dry_run_asks_nothing_and_writes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let output = keygen(place.path(), None, &["--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("would write cosign.key and cosign.pub")
    );
    assert!(names(place.path()).is_empty());
}

#[test]
fn says_what_is_missing_without_a_terminal_or_a_directory() {
    let place = tempfile::tempdir().unwrap();
    let unasked = keygen(place.path(), None, &[]);
    assert_eq!(unasked.status.code(), Some(2));
    assert!(
        stderr(&unasked).contains("COSIGN_PASSWORD"),
        "{}",
        stderr(&unasked)
    );
    let homeless = keygen(place.path(), Some("x"), &["--out", "missing/cosign"]);
    assert_eq!(homeless.status.code(), Some(4));
    assert!(
        stderr(&homeless).contains("`missing`"),
        "{}",
        stderr(&homeless)
    );
    assert!(names(place.path()).is_empty());
}

#[test]
fn an_empty_passphrase_counts_when_the_variable_is_set_to_it() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(keygen(place.path(), Some(""), &[]).status.code(), Some(0));
    assert!(loads_with(place.path(), ""));
}

#[test]
fn takes_a_passphrase_that_is_typed_twice_and_does_not_show_it() {
    let place = tempfile::tempdir().unwrap();
    let (code, screen) = keygen_at_a_terminal(place.path(), &["hush hush\n", "hush hush\n"]);
    assert_eq!(code, Some(0), "{screen}");
    assert!(loads_with(place.path(), "hush hush"));
    assert!(
        !screen.contains("hush") && shows_what_is_typed(&screen),
        "{screen}"
    );
}

#[test]
fn refuses_a_typed_passphrase_that_is_empty_or_not_repeated() {
    for (lines, word) in [(&["\n"][..], "empty"), (&["one\n", "two\n"], "differ")] {
        let place = tempfile::tempdir().unwrap();
        let (code, screen) = keygen_at_a_terminal(place.path(), lines);
        assert_eq!(code, Some(2), "{screen}");
        assert!(screen.contains(word), "{screen}");
        assert!(names(place.path()).is_empty());
    }
}

#[test]
fn ctrl_c_at_the_prompt_ends_with_exit_code_130_no_file_and_a_terminal_that_works() {
    let place = tempfile::tempdir().unwrap();
    let (code, screen) = keygen_at_a_terminal(place.path(), &["half\x03"]);
    assert_eq!(code, Some(130), "{screen}");
    assert!(shows_what_is_typed(&screen), "{screen}");
    assert!(names(place.path()).is_empty());
}
