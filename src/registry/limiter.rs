//! How many requests one host is busy with at a time.
//!
//! Starts at the limit; a host that says it is overloaded (429, 503) gets half as many, and nothing
//! at all until the pause it asked for is over. Each run of successes gives one back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Limiter {
    permits: Arc<Semaphore>,
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    excess: usize,
    successes: usize,
    quiet_until: Option<Instant>,
}

/// The right to be busy with the host. Given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<Limiter>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    pub(super) fn new(max: usize) -> Arc<Self> {
        let max = max.max(1);
        let state = Mutex::new(State {
            limit: max,
            excess: 0,
            successes: 0,
            quiet_until: None,
        });
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(max)),
            max,
            state,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the host may be asked.
    pub(super) async fn enter(self: &Arc<Self>) -> Permit {
        // The semaphore is never closed; without a permit the pass is merely not counted.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let permit = Permit {
            limiter: Arc::clone(self),
            permit,
        };
        loop {
            let quiet_until = self.state().quiet_until;
            match quiet_until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return permit,
            }
        }
    }

    /// The host is overloaded: half as many requests, and none before the pause is over.
    pub(super) fn slow_down(&self, pause: Duration) {
        let mut state = self.state();
        let less = (state.limit / 2).max(1);
        state.excess = state
            .excess
            .saturating_add(state.limit.saturating_sub(less));
        state.limit = less;
        state.successes = 0;
        let until = Instant::now().checked_add(pause);
        state.quiet_until = state.quiet_until.max(until);
    }

    /// The host answered well. As many good answers as requests at a time allow one more.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.successes = state.successes.saturating_add(1);
        if state.limit < self.max && state.successes >= state.limit {
            state.successes = 0;
            state.limit = state.limit.saturating_add(1);
            if state.excess > 0 {
                state.excess = state.excess.saturating_sub(1);
            } else {
                self.permits.add_permits(1);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        if state.excess > 0
            && let Some(permit) = self.permit.take()
        {
            state.excess = state.excess.saturating_sub(1);
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::Limiter;

    fn free(limiter: &Arc<Limiter>) -> usize {
        limiter.permits.available_permits()
    }

    #[tokio::test]
    async fn an_overloaded_host_gets_half_and_earns_it_back() {
        let limiter = Limiter::new(4);
        let passes = [
            limiter.enter().await,
            limiter.enter().await,
            limiter.enter().await,
            limiter.enter().await,
        ];
        limiter.slow_down(Duration::ZERO);
        drop(passes);
        assert_eq!(free(&limiter), 2);
        limiter.slow_down(Duration::ZERO);
        limiter.slow_down(Duration::ZERO);
        drop(limiter.enter().await);
        assert_eq!(free(&limiter), 1);
        for _ in 0..20 {
            limiter.succeeded();
        }
        assert_eq!(free(&limiter), 4);
    }
}
