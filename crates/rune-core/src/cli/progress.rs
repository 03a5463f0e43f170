//! Progress for people: a bar on a terminal, a plain line every few seconds elsewhere.

use std::{
    io::{self, Write as _},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress on standard error.
pub(super) struct Terminal {
    interactive: bool,
    phase: Mutex<Option<Phase>>,
    done_bytes: AtomicU64,
}

struct Phase {
    name: String,
    note: String,
    total_bytes: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub(super) fn new(interactive: bool) -> Self {
        Self {
            interactive,
            phase: Mutex::new(None),
            done_bytes: AtomicU64::new(0),
        }
    }

    fn with_phase(&self, act: impl FnOnce(&mut Phase)) {
        let mut guard = self
            .phase
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(phase) = guard.as_mut() {
            act(phase);
        }
    }
}

impl Phase {
    fn bar(name: &str, total_bytes: u64) -> ProgressBar {
        let style = ProgressStyle::with_template(
            "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left  {msg}",
        );
        let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar
    }

    fn line(&self, done_bytes: u64) -> String {
        let elapsed = self.started.elapsed();
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = done_bytes.saturating_mul(1000) / millis;
        let left = self
            .total_bytes
            .saturating_sub(done_bytes)
            .checked_div(rate)
            .map(Duration::from_secs);
        let left = left.map_or_else(String::new, |left| {
            format!(", {} left", HumanDuration(left))
        });
        let (name, note) = (&self.name, &self.note);
        format!(
            "{name}: {} of {}, {}/s{left}; {note}\n",
            HumanBytes(done_bytes),
            HumanBytes(self.total_bytes),
            HumanBytes(rate)
        )
    }
}

impl Progress for Terminal {
    fn begin(&self, phase: &str, total_bytes: u64) {
        self.done_bytes.store(0, Ordering::Relaxed);
        let now = Instant::now();
        let bar = self.interactive.then(|| Phase::bar(phase, total_bytes));
        let phase = Phase {
            name: phase.to_owned(),
            note: String::new(),
            total_bytes,
            started: now,
            last_line: now,
            bar,
        };
        *self
            .phase
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(phase);
    }

    fn advance(&self, bytes: u64) {
        let done_bytes = self
            .done_bytes
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        self.with_phase(|phase| match &phase.bar {
            Some(bar) => bar.set_position(done_bytes),
            None if phase.last_line.elapsed() >= LINE_INTERVAL => {
                phase.last_line = Instant::now();
                let _ = io::stderr()
                    .lock()
                    .write_all(phase.line(done_bytes).as_bytes());
            }
            None => {}
        });
    }

    fn note(&self, text: &str) {
        self.with_phase(|phase| {
            text.clone_into(&mut phase.note);
            if let Some(bar) = &phase.bar {
                bar.set_message(text.to_owned());
            }
        });
    }

    fn announce(&self, text: &str) {
        let guard = self
            .phase
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match guard.as_ref().and_then(|phase| phase.bar.as_ref()) {
            Some(bar) => bar.println(text),
            None => {
                _ = io::stderr()
                    .lock()
                    .write_all(format!("{text}\n").as_bytes());
            }
        }
    }

    fn end(&self) {
        let mut guard = self
            .phase
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(Phase { bar: Some(bar), .. }) = guard.take() {
            bar.finish_and_clear();
        }
    }
}
