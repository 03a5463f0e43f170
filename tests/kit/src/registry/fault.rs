//! Failures that the registry plays on request.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use futures_util::stream;

/// A failure, the requests it is for, and how often it is played.
///
/// ```
/// use rune_testkit::registry::Fault;
/// let three_times_busy = Fault::on("GET", "/v2/*/manifests/*").times(3).status(503).header("retry-after", "1");
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    method: String,
    pattern: String,
    remaining: u32,
    effects: Vec<Effect>,
    headers: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum Effect {
    Status(u16, String),
    CutAt(usize),
    StallAt(usize),
    Append(usize),
    Truncate(usize),
    FlipBit(usize),
    IgnoreRange,
    NoLength,
    CutRequestAt(usize),
    Act,
}

impl Fault {
    /// A fault for requests with this method (`*` for any) and a path that fits the pattern, in
    /// which `*` stands for anything. It is played once unless [`Self::times`] says otherwise.
    pub fn on(method: &str, pattern: &str) -> Self {
        let (method, pattern) = (method.to_owned(), pattern.to_owned());
        Self {
            method,
            pattern,
            remaining: 1,
            effects: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Plays it this often.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.remaining = times;
        self
    }

    /// Plays it for ever.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Answers with a status and nothing else.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.answer(status, "")
    }

    /// Answers with a status and a body.
    #[must_use]
    pub fn answer(self, status: u16, body: &str) -> Self {
        self.with(Effect::Status(status, body.to_owned()))
    }

    /// Redirects to another place.
    #[must_use]
    pub fn redirect(self, location: &str) -> Self {
        self.status(307).header("location", location)
    }

    /// Sets a header of the answer, in place of what it would be.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Breaks the connection after this many bytes of the body.
    #[must_use]
    pub fn cut_at(self, bytes: usize) -> Self {
        self.with(Effect::CutAt(bytes))
    }

    /// Says nothing more after this many bytes of the body, but keeps the connection.
    #[must_use]
    pub fn stall_at(self, bytes: usize) -> Self {
        self.with(Effect::StallAt(bytes))
    }

    /// Adds bytes to the end of the body.
    #[must_use]
    pub fn longer_by(self, bytes: usize) -> Self {
        self.with(Effect::Append(bytes))
    }

    /// Takes bytes off the end of the body.
    #[must_use]
    pub fn shorter_by(self, bytes: usize) -> Self {
        self.with(Effect::Truncate(bytes))
    }

    /// Flips a bit of this byte of the body.
    #[must_use]
    pub fn wrong_at(self, byte: usize) -> Self {
        self.with(Effect::FlipBit(byte))
    }

    /// Answers a request for a range with everything.
    #[must_use]
    pub fn ignore_range(self) -> Self {
        self.with(Effect::IgnoreRange)
    }

    /// Sends the body without saying how long it is.
    #[must_use]
    pub fn without_length(self) -> Self {
        self.with(Effect::NoLength)
    }

    /// Breaks the connection after this many bytes of the body of the request, without an answer.
    /// What came of an upload is kept.
    #[must_use]
    pub fn cut_request_at(self, bytes: usize) -> Self {
        self.with(Effect::CutRequestAt(bytes))
    }

    /// Does what was asked for, whatever it answers.
    #[must_use]
    pub fn after_acting(self) -> Self {
        self.with(Effect::Act)
    }

    fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Takes the first fault that fits out of a list, once.
    pub(super) fn take(faults: &mut [Self], method: &str, path: &str) -> Option<Self> {
        let fitting = |fault: &&mut Self| {
            fault.remaining > 0
                && (fault.method == "*" || fault.method == method)
                && fits(&fault.pattern, path)
        };
        let fault = faults.iter_mut().find(fitting)?;
        fault.remaining = fault.remaining.saturating_sub(1);
        Some(fault.clone())
    }

    /// Whether the request is not even looked at.
    pub(super) fn replaces_answer(&self) -> bool {
        let has = |wanted: fn(&Effect) -> bool| self.effects.iter().any(wanted);
        has(|effect| matches!(effect, Effect::Status(..)))
            && !has(|effect| matches!(effect, Effect::Act))
    }

    /// After how many bytes of the body of the request the connection breaks.
    pub(super) fn end_of_request(&self) -> Option<usize> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::CutRequestAt(bytes) => Some(*bytes),
            _ => None,
        })
    }

    /// Changes what the request says before it is answered.
    pub(super) fn change_request(&self, headers: &mut HeaderMap) {
        if self
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::IgnoreRange))
        {
            headers.remove(header::RANGE);
        }
    }

    /// Changes the answer.
    pub(super) fn change_answer(
        &self,
        status: StatusCode,
        mut headers: HeaderMap,
        body: &Bytes,
    ) -> Response<Body> {
        let mut status = status;
        let mut content = body.to_vec();
        let (mut end, mut has_length) = (None, true);
        for effect in &self.effects {
            match effect {
                Effect::Status(code, text) => {
                    status = StatusCode::from_u16(*code).expect("a fault names a status code");
                    content = text.clone().into_bytes();
                }
                Effect::Append(bytes) => content.resize(content.len() + bytes, b'x'),
                Effect::Truncate(bytes) => content.truncate(content.len().saturating_sub(*bytes)),
                Effect::FlipBit(byte) => {
                    if let Some(byte) = content.get_mut(*byte) {
                        *byte ^= 1;
                    }
                }
                Effect::CutAt(bytes) => end = Some((*bytes, true)),
                Effect::StallAt(bytes) => end = Some((*bytes, false)),
                Effect::NoLength => has_length = false,
                Effect::IgnoreRange | Effect::CutRequestAt(_) | Effect::Act => {}
            }
        }
        if has_length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
        }
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a fault names a header");
            headers.insert(name, value.parse().expect("a fault gives a header value"));
        }
        let mut response = Response::new(unfinished(content.into(), end, has_length));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// A body that ends early by breaking the connection (`true`) or by silence.
fn unfinished(content: Bytes, end: Option<(usize, bool)>, has_length: bool) -> Body {
    let chunk = Ok::<_, std::io::Error>;
    let Some((bytes, breaks)) = end.filter(|(bytes, _)| *bytes < content.len()) else {
        return if has_length {
            Body::from(content)
        } else {
            Body::from_stream(stream::iter([chunk(content)]))
        };
    };
    // Two steps, so that the first bytes are on their way before the connection ends.
    let state = (content.slice(..bytes), 0);
    Body::from_stream(stream::unfold(state, move |(first, step)| async move {
        match step {
            0 => Some((Ok(first), (Bytes::new(), 1))),
            _ if breaks => {
                tokio::task::yield_now().await;
                Some((Err(std::io::Error::other("cut")), (Bytes::new(), 2)))
            }
            _ => std::future::pending().await,
        }
    }))
}

/// Whether a text fits a pattern in which `*` stands for anything, slashes included.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(position) = text.find(part) else {
            return false;
        };
        text = text.get(position + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits(
            "/v2/*/blobs/*",
            "/v2/library/postgres/blobs/sha256:ab"
        ));
        assert!(fits("*", "") && fits("/token", "/token"));
        assert!(!fits("/v2/*/blobs/*", "/v2/library/manifests/x") && !fits("/token", "/token/x"));
    }
}
