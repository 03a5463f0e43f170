//! Waiting for a database that is not ready yet.
//!
//! What may go away by waiting is for each error to say (`Failure::may_pass`): a server that is
//! down, starting or full, a name that does not resolve yet, and what a bootstrap that runs at the
//! same time has yet to do, the role, its password, its rights, the database. Everything else ends
//! the waiting at once.

use std::time::{Duration, Instant};

use rune_core::{
    command::{CommandError, block_on},
    duration::duration_text,
    progress::Progress,
};
use rune_storage::LOCK_TIMEOUT;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the same reason is not repeated.
const SILENCE: Duration = Duration::from_secs(30);

/// How long an attempt waits for a locked SQLite file when this much time is left; without a limit
/// as long as RUNE does.
pub(super) fn lock_timeout(left: Option<Duration>) -> Duration {
    left.map_or(LOCK_TIMEOUT, |left| left.min(LOCK_TIMEOUT))
}

pub(super) struct RetryDeadline<'a> {
    /// `None` is not at all.
    pub(super) limit: Option<Duration>,
    pub(super) passes: fn(&CommandError) -> bool,
    pub(super) progress: &'a dyn Progress,
}

pub(super) struct Patient<T> {
    pub(super) outcome: T,
    pub(super) attempts: u32,
    pub(super) waited: Duration,
}

impl RetryDeadline<'_> {
    /// Tries something until it works, fails for good, or the time is up. An attempt is told how
    /// much time is left, if there is a limit.
    pub(super) fn until<T>(
        &self,
        location: &str,
        mut attempt: impl FnMut(Option<Duration>) -> Result<T, CommandError>,
    ) -> Result<Patient<T>, CommandError> {
        let started = Instant::now();
        let left = |limit: Duration| limit.saturating_sub(started.elapsed());
        let (mut pause, mut said, mut attempts) = (FIRST_PAUSE, None, 0_u32);
        loop {
            attempts = attempts.saturating_add(1);
            // Even when no time is left a server gets a moment to answer.
            let error = match attempt(
                self.limit
                    .map(|limit| left(limit).max(Duration::from_secs(1))),
            ) {
                Ok(outcome) => {
                    return Ok(Patient {
                        outcome,
                        attempts,
                        waited: started.elapsed(),
                    });
                }
                Err(error) => error,
            };
            let Some(limit) = self.limit.filter(|_| (self.passes)(&error)) else {
                return Err(error);
            };
            if left(limit).is_zero() {
                return Err(error.context(format!(
                    "timed out after {} waiting for `{location}`",
                    duration_text(limit)
                )));
            }
            let reason = error.messages().join(": ");
            if said.as_ref().is_none_or(|(last, at): &(String, Instant)| {
                *last != reason || at.elapsed() >= SILENCE
            }) {
                self.progress.announce(&format!(
                    "waiting for `{location}`, at most {} more: {reason}",
                    duration_text(left(limit))
                ));
                said = Some((reason, Instant::now()));
            }
            // On the runtime, so that Ctrl-C is heard.
            block_on(async {
                tokio::time::sleep(pause.min(left(limit))).await;
                Ok::<_, CommandError>(())
            })?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
