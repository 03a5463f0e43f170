//! `apply` that was killed goes on where it was, and ends with the same bytes.

use std::process::Command;

use crate::bundle::delta_support::Pair;

const APPLY: [&str; 6] = ["apply", "delta.tar", "--from", "old.tar", "-o", "out.tar"];

/// Calls of the kernel, and at which of them a thread is killed. The frame is written by the first
/// thread; another one writes more than 50 pieces of the large layer. What is
/// unlinked first is how it is seen that the directory can be written.
const MOMENTS: [(&str, u32); 10] = [
    ("pwrite64", 1),
    ("pwrite64", 12),
    ("pwrite64", 24),
    ("pwrite64", 40),
    ("pwrite64", 44),
    ("pwrite64", 48),
    ("fdatasync", 1),
    ("fallocate", 1),
    ("renameat2", 1),
    ("unlink", 2),
];

#[test]
fn apply_killed_at_ten_moments_ends_with_the_same_bytes() {
    let pair = Pair::new(&[52 << 20, 30_000], 10_000);
    pair.delta();
    let expected = pair.sum("new.tar");
    for (call, count) in MOMENTS {
        let killed = Command::new("strace")
            .args([
                "-f",
                "-q",
                "-e",
                &format!("trace={call}"),
                "-o",
                "/dev/null",
            ])
            .args(["-e", &format!("inject={call}:signal=KILL:when={count}")])
            .arg(env!("CARGO_BIN_EXE_rune-bundle"))
            .args(pair.arguments(&APPLY))
            .output()
            .unwrap();
        assert!(
            !killed.status.success(),
            "it was not killed at {call} {count}"
        );
        let is_named = pair.file("out.tar").exists();
        assert_eq!(is_named, call == "unlink", "{call} {count}");
        pair.run(&APPLY, 0);
        assert_eq!(pair.sum("out.tar"), expected, "killed at {call} {count}");
        let names = pair.scratch.names();
        assert!(
            !names.iter().any(|name| name.starts_with("out.tar.")),
            "{call} {count}: {names:?}"
        );
        std::fs::remove_file(pair.file("out.tar")).unwrap();
    }
}
