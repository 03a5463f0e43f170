//! When a request is repeated, and how long is waited before.

use std::time::Duration;

use http::{HeaderMap, header};

use super::{EndpointError, EndpointFailure, hosts::Endpoint};
use rune_core::text::without_error_numbers;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    pub max_attempts: u32,
    /// The longest pause before the second attempt; doubled for each further one.
    pub base_delay: Duration,
    /// The longest pause ever, whatever a server asks for.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// The pause after `attempts` attempts. What the server asks for is honoured up to the limit;
    /// otherwise the pause doubles and is shortened by up to half, so that many clients do not come
    /// back at the same moment. `jitter` is random, from 0 to 255.
    fn pause(&self, attempts: u32, asked: Option<Duration>, jitter: u8) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let longest = self.base_delay.saturating_mul(doubled).min(self.max_delay);
        let shortened = longest.saturating_sub(longest.mul_f64(f64::from(jitter) / 512.0));
        asked.map_or(shortened, |asked| asked.max(shortened).min(self.max_delay))
    }
}

#[derive(Debug)]
pub(super) struct Attempts<'a> {
    policy: &'a RetryPolicy,
    made: u32,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(policy: &'a RetryPolicy, made: u32) -> Self {
        Self { policy, made }
    }

    /// Counts a failed attempt. Gives how long to wait before the next, or the failure if there is
    /// to be none.
    pub(super) fn failed(
        &mut self,
        endpoint: &Endpoint,
        cause: EndpointError,
        may_help: bool,
    ) -> Result<Duration, EndpointFailure> {
        self.made = self.made.saturating_add(1);
        if !may_help || self.made >= self.policy.max_attempts {
            return Err(endpoint.failure(self.made, cause));
        }
        let mut jitter = [0];
        // Without randomness the pause is merely not shortened.
        let _ = getrandom::fill(&mut jitter);
        let pause = self.policy.pause(
            self.made,
            cause.retry_after(),
            jitter.first().copied().unwrap_or_default(),
        );
        tracing::debug!(
            "attempt {} at {} failed: {}; next attempt in {}s",
            self.made,
            endpoint.label(),
            without_error_numbers(&cause.to_string()),
            pause.as_secs_f32()
        );
        Ok(pause)
    }

    pub(super) fn made(&self) -> u32 {
        self.made
    }
}

/// How long the server asks us to wait: seconds, or a date measured against the date of the
/// response itself, because the clock of this machine may be wrong and is not needed.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let value = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    // A moment that has passed asks for no pause.
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{RetryPolicy, retry_after};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_are_shortened_by_at_most_half() {
        let policy = RetryPolicy {
            max_attempts: 9,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(10),
        };
        let pauses: Vec<u64> = (1..=6)
            .map(|attempts| policy.pause(attempts, None, 0).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        assert!(policy.pause(1, None, 255) >= Duration::from_millis(500));
        assert_eq!(policy.pause(u32::MAX, None, 0).as_secs(), 10);
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_up_to_the_limit() {
        let policy = RetryPolicy {
            max_delay: Duration::from_secs(30),
            ..RetryPolicy::default()
        };
        assert_eq!(
            policy.pause(1, Some(Duration::from_secs(7)), 0).as_secs(),
            7
        );
        assert_eq!(
            policy.pause(1, Some(Duration::from_hours(1)), 0).as_secs(),
            30
        );
    }

    #[test]
    fn reads_seconds_and_dates() {
        assert_eq!(
            retry_after(&headers(&[("retry-after", " 120 ")])),
            Some(Duration::from_mins(2))
        );
        let date = ("date", "Wed, 28 Feb 2024 23:59:30 GMT");
        let later = headers(&[("retry-after", "Thu, 29 Feb 2024 00:00:30 GMT"), date]);
        assert_eq!(retry_after(&later), Some(Duration::from_mins(1)));
        let earlier = headers(&[("retry-after", "Wed, 28 Feb 2024 00:00:00 GMT"), date]);
        assert_eq!(retry_after(&earlier), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn reads_dates_as_the_specification_gives_them() {
        let date = ("date", "Thu, 29 Feb 2024 23:59:59 GMT");
        let wait = |until| retry_after(&headers(&[("retry-after", until), date]));
        assert_eq!(
            wait("Fri, 01 Mar 2024 00:00:00 GMT"),
            Some(Duration::from_secs(1))
        );
        for bad in [
            "",
            "Fri, 01 Mar 2024 00:00:00 CET",
            "Fri, 01 Mar 0000 00:00:00 GMT",
            "Fri, 32 Mar 2024 00:00:00 GMT",
            ", 1 Mar",
        ] {
            assert_eq!(wait(bad), None, "{bad}");
        }
    }
}
