//! One line for each request, written when its response has ended, and one for everything that went
//! wrong.

use std::{
    error::Error,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use hyper::{Method, StatusCode};

use rune_core::progress::Progress;

#[derive(Clone)]
pub(super) struct Log {
    pub(super) lines: Arc<dyn Progress>,
    pub(super) client: IpAddr,
}

impl Log {
    fn announce(&self, line: &str) {
        self.lines.announce(&format!("{} {line}", self.client));
    }
}

/// Set when the connection that it belongs to must not end as if everything had been sent.
pub(super) type Reset = Arc<AtomicBool>;

pub(super) struct Account {
    log: Log,
    reset: Reset,
    started: Instant,
    request: String,
    status: StatusCode,
    size: u64,
    sent: u64,
}

impl Account {
    pub(super) fn begin(log: &Log, reset: &Reset, method: &Method, path: &str) -> Self {
        Self {
            log: log.clone(),
            reset: Arc::clone(reset),
            started: Instant::now(),
            request: format!("{} {}", shown(method.as_str()), shown(path)),
            status: StatusCode::OK,
            size: 0,
            sent: 0,
        }
    }

    pub(super) fn answered(&mut self, status: StatusCode, size: u64) {
        self.status = status;
        self.size = size;
    }

    /// Notes that bytes of the body left.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// Notes that the body cannot be sent to its end, and says why.
    pub(super) fn cut_off(&self, what: &str, why: &dyn Error) {
        self.reset.store(true, Ordering::Relaxed);
        self.log.announce(&format!(
            "error: {what} is not sent to its end, the connection is reset: {}",
            causes(why)
        ));
    }

    pub(super) fn refused(&self, what: &str, why: &dyn Error) {
        self.log
            .announce(&format!("error: {what} is refused: {}", causes(why)));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Self {
            request,
            status,
            sent,
            ..
        } = self;
        let millis = self.started.elapsed().as_millis();
        let rest = if *sent < self.size { " (cut off)" } else { "" };
        self.log.announce(&format!(
            "{request} {} {sent} bytes {millis} ms{rest}",
            status.as_u16()
        ));
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Account")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text of a client as it may be shown: what is not plain ASCII could paint over other lines of a
/// terminal.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_ascii_graphic() {
                vec![c]
            } else {
                c.escape_unicode().collect()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_a_client_sent_cannot_forge_a_line() {
        assert_eq!(
            shown("/v2/\u{1b}[2J\n\u{202e}ä x"),
            "/v2/\\u{1b}[2J\\u{a}\\u{202e}\\u{e4}\\u{20}x"
        );
    }
}
