//! How long work tells how far it is.
//!
//! The library reports through [`Progress`]; only `cli` knows whether that becomes a bar, lines in
//! a log, or nothing.

/// Receives the progress of one piece of work. Implementations are cheap and never block for long.
pub trait Progress: Send + Sync {
    /// Announces how many phases there will be, so that each can be numbered.
    fn plan(&self, _phases: usize) {}

    /// Starts a phase: what is being done, and how many bytes it will take in all.
    fn begin(&self, phase: &str, total_bytes: u64);

    fn begin_steps(&self, _phase: &str, _total: u64) {}

    /// Adds bytes, or steps, that the current phase has completed.
    fn advance(&self, done: u64);

    fn note(&self, text: &str);

    /// Says something that is to stay readable, whether or not a phase goes on.
    fn announce(&self, text: &str);

    fn end(&self);
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: &str, _total_bytes: u64) {}
    fn advance(&self, _done: u64) {}
    fn note(&self, _text: &str) {}
    fn announce(&self, _text: &str) {}
    fn end(&self) {}
}
