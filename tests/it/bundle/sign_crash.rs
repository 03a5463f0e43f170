//! `sign` that was cut off: never mistaken for a signature, and completed by running it again.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use rune_bundle::sign::SlotSignature;

use crate::{
    bundle::sign_support::Team,
    bundle::small_bundle::{ends_with, index_of, rune_bundle},
};

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
    let third = SlotSignature::sign(&team.join("third"), &index_of(&team.bundle).to_bytes().unwrap()).to_canonical_json();
    let length = after[slot..].iter().position(|byte| *byte == b' ').unwrap();
    let sector = (512 - slot % 512).min(length);
    // What a disk may have of a write: a beginning, an end, or anything between.
    let parts = [0..1, 0..length / 2, 0..length - 1, 1..length, sector.min(length - 1)..length, length / 3..length - 60];
    for part in parts {
        let mut torn = before.clone();
        torn[slot + part.start..slot + part.end].copy_from_slice(&after[slot + part.start..slot + part.end]);
        fs::write(&team.bundle, &torn).unwrap();
        for (keys, threshold) in [(&["first"][..], 1), (&["second"], 1), (&["first", "second"], 2)] {
            let said = ends_with(&team.verify(keys, threshold), 7);
            assert!(said.contains("slot 1") && said.contains("run the same `sign`"), "{part:?}: {said}");
        }
        // All signatures of one index begin alike; in such a part nobody's signature is lost.
        if torn[slot + part.start..slot + part.end] != third[part.clone()] {
            let said = ends_with(&team.sign("third", &[]), 7);
            assert!(said.contains("slot 1") && said.contains("cut off"), "{part:?}: {said}");
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

#[test]
fn killed_at_ten_moments_the_file_is_unsigned_or_signed_and_a_rerun_ends_right() {
    let team = Team::new();
    let started = Instant::now();
    let (before, after, slot) = before_and_after(&team);
    // The moments are spread over the time that a whole run takes; in the last ones the first byte of the slot is awaited too.
    let whole_run = started.elapsed();
    for moment in 0..10 {
        fs::write(&team.bundle, &before).unwrap();
        let key = team.file("second.key");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        let mut signer =
            command.arg("sign").arg(&team.bundle).args(["--key", &key]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        let is_written = || moment >= 7 && team.bytes()[slot] != b' ';
        while started.elapsed() < whole_run * moment / 7 && !is_written() && signer.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = signer.kill();
        signer.wait().unwrap();

        let left = team.bytes();
        let said = team.verify(&["first", "second"], 2);
        assert_eq!(said.status.code() == Some(0), left == after, "killed at moment {moment}");
        assert!(left == after || said.status.code() == Some(7), "killed at moment {moment}");
        let mut outside = left;
        outside[slot..slot + 8192].copy_from_slice(&before[slot..slot + 8192]);
        assert!(outside == before, "killed at moment {moment}: bytes outside of the slot changed");
        ends_with(&team.sign("second", &[]), 0);
        assert!(team.bytes() == after, "killed at moment {moment}");
    }
    ends_with(&rune_bundle(["verify", team.bundle.to_str().unwrap(), "--key", &team.file("second.pub")]), 0);
}
