//! When a request is repeated, and how long is waited before.

use std::time::Duration;

use http::{HeaderMap, header};

use super::{EndpointError, EndpointFailure, hosts::Endpoint};
use rune_core::text::without_error_numbers;

/// When and how often a request is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a request is made at most.
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

/// The attempts made at one endpoint.
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
    let until = http_date(value)?;
    let now = http_date(text(header::DATE)?)?;
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since 1970 of an HTTP date in the one form that RFC 9110 lets servers send:
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "every number is limited right after it is read"
)]
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: u64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok().filter(|part| *part < 61));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || clock.next().is_some() {
        return None;
    }
    // Leap years before this one, from year 0 on; 719 528 days lie before 1970.
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leaps(year) > leaps(year - 1);
    let lengths = [
        31,
        if is_leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let days = (year * 365 + leaps(year - 1) + lengths.iter().take(month).sum::<u64>() + day)
        .checked_sub(719_528)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{RetryPolicy, http_date, retry_after};

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
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Fri, 01 Mar 2024 00:00:00 GMT"),
            Some(1_709_251_200)
        );
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            ", 1 Jan",
        ] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }
}
