//! Progress for people: a bar on a terminal, a plain line every few seconds elsewhere.
//!
//! A bar is one line on terminals from 40 columns on: what does not fit is cut off.

use std::{
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::help::terminal_width;
use crate::progress::Progress;

const LINE_INTERVAL: Duration = Duration::from_secs(5);

const SHORT_DIGEST: usize = 12;

pub(super) struct Terminal {
    has_bars: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    number: usize,
    planned: usize,
    phase: Option<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Steps,
}

struct Phase {
    name: String,
    note: String,
    unit: Unit,
    total: u64,
    done: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub(super) fn new(has_bars: bool) -> Self {
        Self {
            has_bars,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_phase(&self, name: &str, unit: Unit, total: u64) {
        self.end();
        let mut state = self.state();
        state.number += 1;
        let name = if (2..100).contains(&state.planned) && state.number <= state.planned {
            format!("{}/{} {name}", state.number, state.planned)
        } else {
            name.to_owned()
        };
        let now = Instant::now();
        state.phase = Some(Phase {
            bar: self.has_bars.then(|| bar(&name, unit, total)),
            name,
            note: String::new(),
            unit,
            total,
            done: 0,
            started: now,
            last_line: now,
        });
    }
}

fn bar(name: &str, unit: Unit, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template(terminal_width(), unit, total)) {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar.tick();
    bar
}

/// What fits into a line of so many columns. The message takes the rest and is cut to it.
const fn template(width: usize, unit: Unit, total: u64) -> &'static str {
    match (unit, total, width) {
        (_, 0, _) => "{prefix}  {wide_msg}",
        (Unit::Bytes, _, 0..60) => "{prefix} {percent:>3}%  {wide_msg}",
        (Unit::Bytes, _, 60..100) => {
            "{prefix} {bar:12} {decimal_bytes}/{decimal_total_bytes}  {wide_msg}"
        }
        (Unit::Bytes, ..) => {
            "{prefix} {bar:20} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} \
             {eta} left  {wide_msg}"
        }
        (Unit::Steps, _, 0..60) => "{prefix} {pos}/{len}  {wide_msg}",
        (Unit::Steps, ..) => "{prefix} {bar:12} {pos}/{len}  {wide_msg}",
    }
}

fn with_short_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hex = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digest, rest) = part.split_at(hex);
        short.push_str("sha256:");
        match digest.get(..SHORT_DIGEST) {
            Some(beginning) if hex == 64 => short.extend([beginning, "…"]),
            _ => short.push_str(digest),
        }
        short.push_str(rest);
    }
    short
}

impl Phase {
    fn line(&self) -> String {
        let done = self.done;
        let Self { name, note, .. } = self;
        if self.unit == Unit::Steps {
            return format!("{name}: {done} of {}; {note}\n", self.total);
        }
        let elapsed = self.started.elapsed();
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = done.saturating_mul(1000) / millis;
        let left = self
            .total
            .saturating_sub(done)
            .checked_div(rate)
            .map(Duration::from_secs);
        let left = left.map_or_else(String::new, |left| {
            format!(", {} left", HumanDuration(left))
        });
        format!(
            "{name}: {} of {}, {}/s{left}; {note}\n",
            DecimalBytes(done),
            DecimalBytes(self.total),
            DecimalBytes(rate)
        )
    }
}

fn write(text: &str) {
    // A closed standard error cannot be reported anywhere.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

impl Progress for Terminal {
    fn plan(&self, phases: usize) {
        let mut state = self.state();
        (state.number, state.planned) = (0, phases);
    }

    fn begin(&self, phase: &str, total_bytes: u64) {
        self.begin_phase(phase, Unit::Bytes, total_bytes);
    }

    fn begin_steps(&self, phase: &str, total: u64) {
        self.begin_phase(phase, Unit::Steps, total);
    }

    // Counted and shown under one lock: with several threads a bar would go back otherwise.
    fn advance(&self, done: u64) {
        let mut state = self.state();
        let Some(phase) = &mut state.phase else {
            return;
        };
        phase.done = phase.done.saturating_add(done);
        match &phase.bar {
            Some(bar) => bar.set_position(phase.done),
            None if phase.last_line.elapsed() >= LINE_INTERVAL => {
                phase.last_line = Instant::now();
                write(&phase.line());
            }
            None => {}
        }
    }

    fn note(&self, text: &str) {
        if let Some(phase) = &mut self.state().phase {
            phase.note = with_short_digests(text);
            if let Some(bar) = &phase.bar {
                bar.set_message(phase.note.clone());
            }
        }
    }

    fn announce(&self, text: &str) {
        match &self.state().phase {
            Some(Phase { bar: Some(bar), .. }) => bar.println(text),
            _ => write(&format!("{text}\n")),
        }
    }

    fn end(&self) {
        if let Some(Phase { bar: Some(bar), .. }) = self.state().phase.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::with_short_digests;

    #[test]
    fn digests_are_cut_short_and_nothing_else() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(
            with_short_digests(&format!("layer of a/b@sha256:{digest}, sha256:12")),
            "layer of a/b@sha256:0123456789ab…, sha256:12"
        );
    }
}
