//! Waiting for what another process does and announces nowhere.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// The pause between two looks: short for a person, long for two processors.
const PAUSE: Duration = Duration::from_millis(20);
/// How many times as long as the look itself the pause is at least: what starts a program to look
/// is not to load the machine.
const REST: u32 = 4;

/// Looks again and again until `holds`, or until `limit` has passed; says whether it held.
pub fn poll(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        let look = Instant::now();
        if holds() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        sleep(PAUSE.max(look.elapsed() * REST));
    }
}

/// Waits until `holds`.
///
/// # Panics
/// When it does not within `limit`; says `what` was waited for.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, holds: impl FnMut() -> bool) {
    assert!(poll(limit, holds), "{what}: not after {limit:?}");
}
