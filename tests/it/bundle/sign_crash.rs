//! `sign` that was cut off: never mistaken for a signature, and completed by running it again.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use rune_bundle::sign::SlotSignature;

use crate::{
    bundle::sign_support::Team,
    bundle::small_bundle::{ends_with, index_of, rune_bundle},
};

/// What a program may ask the kernel for while it signs.
const CALLS: &str = "openat,read,pread64,lseek,write,pwrite64,fsync,fdatasync,close";

/// What the bundle is before and after `second` signs it, and where the difference begins.
fn before_and_after(team: &Team) -> (Vec<u8>, Vec<u8>, usize) {
    team.join("second");
    let before = team.bytes();
    ends_with(&team.sign("second", &[]), 0);
    (before, team.bytes(), team.slot(1))
}

#[test]
fn a_slot_that_was_written_in_part_is_refused_by_verifiers_and_completed_by_its_signer() {
    let team = Team::new();
    let (before, after, slot) = before_and_after(&team);
    let third = SlotSignature::sign(
        &team.join("third"),
        &index_of(&team.bundle).to_bytes().unwrap(),
    )
    .to_canonical_json();
    let length = after[slot..].iter().position(|byte| *byte == b' ').unwrap();
    let sector = (512 - slot % 512).min(length);
    // What a disk may have of a write: a beginning, an end, or anything between.
    let parts = [
        0..1,
        0..length / 2,
        0..length - 1,
        1..length,
        sector.min(length - 1)..length,
        length / 3..length - 60,
    ];
    for part in parts {
        let mut torn = before.clone();
        torn[slot + part.start..slot + part.end]
            .copy_from_slice(&after[slot + part.start..slot + part.end]);
        fs::write(&team.bundle, &torn).unwrap();
        for (keys, threshold) in [
            (&["first"][..], 1),
            (&["second"], 1),
            (&["first", "second"], 2),
        ] {
            let said = ends_with(&team.verify(keys, threshold), 7);
            assert!(
                said.contains("slot 1") && said.contains("run the same `sign`"),
                "{part:?}: {said}"
            );
        }
        // All signatures of one index begin alike; in such a part nobody's signature is lost.
        if torn[slot + part.start..slot + part.end] != third[part.clone()] {
            let said = ends_with(&team.sign("third", &[]), 7);
            assert!(
                said.contains("slot 1") && said.contains("cut off"),
                "{part:?}: {said}"
            );
        }
        assert!(ends_with(&team.sign("second", &["--dry-run"]), 0).contains("would put"));
        assert_eq!(team.bytes(), torn, "{part:?}");

        let said = ends_with(&team.sign("second", &[]), 0);
        assert!(said.contains("completed the signature"), "{part:?}: {said}");
        assert_eq!(team.bytes(), after, "{part:?}");
    }
}

#[test]
fn rubbish_in_a_slot_is_nobodys_part() {
    let team = Team::new();
    let (before, _, slot) = before_and_after(&team);
    for (at, byte) in [(0, b'x'), (8191, b'}'), (4000, 0)] {
        let mut damaged = before.clone();
        damaged[slot + at] = byte;
        fs::write(&team.bundle, &damaged).unwrap();
        ends_with(&team.sign("second", &[]), 7);
        ends_with(&team.sign("first", &[]), 7);
        assert_eq!(team.bytes(), damaged);
    }
}

/// A signature under `strace`, which does something at certain calls of the kernel.
fn traced(team: &Team, options: &[&str]) -> Output {
    let mut strace = Command::new("strace");
    strace
        .args(["-q", "-e", &format!("trace={CALLS}")])
        .args(options)
        .arg(env!("CARGO_BIN_EXE_rune-bundle"));
    strace
        .arg("sign")
        .arg(&team.bundle)
        .args(["--key", &team.file("second.key")])
        .output()
        .unwrap()
}

/// The calls of a whole run, each by its name and how often it was made before.
fn calls_of_a_whole_run(team: &Team) -> Vec<(String, usize)> {
    let log = team.file("trace");
    ends_with(&traced(team, &["-o", &log]), 0);
    let mut counts = BTreeMap::new();
    let named = |line: &str| {
        let name = line.split_once('(')?.0.to_owned();
        let count = counts.entry(name.clone()).or_insert(0);
        *count += 1;
        Some((name, *count))
    };
    fs::read_to_string(log)
        .unwrap()
        .lines()
        .filter_map(named)
        .collect()
}

#[test]
fn killed_at_any_of_twenty_calls_the_file_is_unsigned_or_signed_and_a_rerun_ends_right() {
    let team = Team::new();
    let (before, after, slot) = before_and_after(&team);
    fs::write(&team.bundle, &before).unwrap();
    let calls = calls_of_a_whole_run(&team);
    let last = calls.len() - 1;
    let mut signed = Vec::new();
    for moment in 0..20 {
        fs::write(&team.bundle, &before).unwrap();
        let (call, count) = &calls[last * moment / 19];
        let killed = traced(
            &team,
            &[
                "-o",
                "/dev/null",
                "-e",
                &format!("inject={call}:signal=KILL:when={count}"),
            ],
        );
        assert!(
            !killed.status.success(),
            "`sign` ended before {call} number {count}"
        );

        let left = team.bytes();
        let said = team.verify(&["first", "second"], 2);
        assert_eq!(
            said.status.code() == Some(0),
            left == after,
            "killed at moment {moment}"
        );
        assert!(
            left == after || said.status.code() == Some(7),
            "killed at moment {moment}"
        );
        let mut outside = left.clone();
        outside[slot..slot + 8192].copy_from_slice(&before[slot..slot + 8192]);
        assert!(
            outside == before,
            "killed at moment {moment}: bytes outside of the slot changed"
        );
        ends_with(&team.sign("second", &[]), 0);
        assert!(team.bytes() == after, "killed at moment {moment}");
        signed.push(left == after);
    }
    assert!(
        signed.contains(&true) && signed.contains(&false),
        "no moment before, or none after the slot was written: {signed:?}"
    );
    ends_with(
        &rune_bundle([
            "verify",
            team.bundle.to_str().unwrap(),
            "--key",
            &team.file("second.pub"),
        ]),
        0,
    );
}
