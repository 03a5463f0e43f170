//! A passphrase that is typed: at a real terminal, of a key that is named, three times at most.

use std::process::Command;

use crate::bundle::small_bundle::{Scratch, ends_with, signed};

/// Runs a command in a pseudo terminal, types a line at each prompt, shows what the terminal showed
/// and ends as the command did.
const TERMINAL: &str = r#"
import os, pty, sys
lines = sys.argv[1].split(",")
child, terminal = pty.fork()
if child == 0:
    os.environ.pop("COSIGN_PASSWORD", None)
    os.execv(sys.argv[2], sys.argv[2:])
shown, prompts = b"", 0
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    shown += more
    if shown.count(b"`: ") > prompts and prompts < len(lines):
        os.write(terminal, lines[prompts].encode() + b"\n")
        prompts += 1
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

fn sign(scratch: &Scratch, bundle: &str, typed: &str, code: i32) -> String {
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL, typed, env!("CARGO_BIN_EXE_rune-bundle")])
        .args(["sign", bundle, "--key", "second.key", "--dry-run"])
        .current_dir(scratch.path(""));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_prompt_names_the_key_and_a_wrong_passphrase_is_asked_for_again() {
    let scratch = Scratch::new();
    let mut keygen = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    keygen
        .args(["keygen", "--output", "second"])
        .current_dir(scratch.path(""))
        .env("COSIGN_PASSWORD", "right");
    ends_with(&keygen.output().unwrap(), 0);
    let bundle = signed(&scratch);
    let bundle = bundle.to_str().unwrap();
    let said = sign(&scratch, bundle, "wrong,right", 0);
    assert!(
        said.contains("Passphrase of `second.key`: ")
            && said.contains("The passphrase is wrong. Passphrase of `second.key`: ")
            && !said.contains("right"),
        "{said}"
    );
    let said = sign(&scratch, bundle, "a,b,c,right", 9);
    assert_eq!(said.matches("Passphrase of").count(), 3, "{said}");
}
