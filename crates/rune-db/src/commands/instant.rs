//! Moments as people type and read them: RFC 3339, or an age like `7d`.

use std::time::Duration;

use super::records::number_text;
use rune_core::duration::{DurationError, parse_duration};

const DAY: i64 = 86_400;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TimeSpec {
    /// In seconds since 1970.
    At(f64),
    Ago(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a time with its zone, `2026-05-01T12:00:00Z`, a day, `2026-05-01`, or an age, `7d`, \
     `12h`"
)]
pub(crate) struct MomentError;

impl From<DurationError> for MomentError {
    fn from(_: DurationError) -> Self {
        Self
    }
}

impl TimeSpec {
    pub(crate) fn parse(text: &str) -> Result<Self, MomentError> {
        if text.contains('-') {
            timestamp(text).map(Self::At).ok_or(MomentError)
        } else {
            Ok(Self::Ago(parse_duration(text)?))
        }
    }

    /// In seconds since 1970.
    pub(crate) fn seconds(self, now: f64) -> f64 {
        match self {
            Self::At(seconds) => seconds,
            Self::Ago(age) => now - age.as_secs_f64(),
        }
    }
}

fn timestamp(text: &str) -> Option<f64> {
    let (date, time) = text
        .split_once(['T', 't', ' '])
        .map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some()
        || date.len() != 10
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
    {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * DAY;
    let Some(time) = time else {
        return float(midnight);
    };
    let (clock, offset) = if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        (clock, 0)
    } else {
        let (clock, zone) = time.split_at_checked(time.rfind(['+', '-'])?)?;
        let sign = if zone.starts_with('-') { -1 } else { 1 };
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        (
            clock,
            sign * (bounded(hours, 23)? * 3600 + bounded(minutes, 59)? * 60),
        )
    };
    let (clock, fraction) = clock
        .split_once('.')
        .map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (
        bounded(parts.next()?, 23)?,
        bounded(parts.next()?, 59)?,
        bounded(parts.next()?, 60)?,
    );
    if parts.next().is_some() {
        return None;
    }
    let fraction = match fraction {
        None => 0.0,
        Some(fraction) => {
            digits(fraction.get(..fraction.len().min(15))?)?;
            format!("0.{fraction}").parse::<f64>().ok()?
        }
    };
    Some(float(midnight + hour * 3600 + minute * 60 + second - offset)? + fraction)
}

fn digits(text: &str) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn bounded(text: &str, max: i64) -> Option<i64> {
    digits(text).filter(|number| text.len() == 2 && *number <= max)
}

fn float(seconds: i64) -> Option<f64> {
    seconds.to_string().parse().ok()
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, counted in years that begin in March,
/// so that the leap day is the last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// A moment in UTC to the second, as RFC 3339; the number itself when it is not a moment that
/// people write.
pub(super) fn moment_text(seconds: f64) -> String {
    const LAST: f64 = 253_402_300_800.0;
    if !(0.0..LAST).contains(&seconds) {
        return number_text(seconds);
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the bounds above")]
    let whole = seconds.floor() as i64;
    let (days, second) = (whole.div_euclid(DAY), whole.rem_euclid(DAY));
    let mut year = 1970 + days / 366;
    while days_from_civil(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days_from_civil(year, month + 1, 1) <= days {
        month += 1;
    }
    let day = days - days_from_civil(year, month, 1) + 1;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MomentError, TimeSpec, moment_text};

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2026-05-01", 1_777_593_600.0),
            ("2026-05-01T02:00:00+02:00", 1_777_593_600.0),
            ("2026-04-30 22:30:00-01:30", 1_777_593_600.0),
            ("2024-02-29T12:00:00.250Z", 1_709_208_000.25),
            ("2000-12-31t23:59:60z", 978_307_200.0),
        ] {
            assert_eq!(TimeSpec::parse(text), Ok(TimeSpec::At(seconds)), "{text}");
        }
        assert_eq!(
            TimeSpec::parse("7d"),
            Ok(TimeSpec::Ago(Duration::from_hours(168)))
        );
        for text in [
            "",
            "2026-05-01T00:00:00",
            "2026-02-29",
            "2026-13-01",
            "26-05-01",
            "7",
            "-7d",
            "2026-05-01T24:00:00Z",
            "2026-05-01TZ",
        ] {
            assert_eq!(TimeSpec::parse(text), Err(MomentError), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for day in (0..2_932_896).step_by(97) {
            let seconds = f64::from(day) * 86_400.0 + 3_723.0;
            assert_eq!(
                TimeSpec::parse(&moment_text(seconds)),
                Ok(TimeSpec::At(seconds))
            );
        }
        assert_eq!(moment_text(1_777_593_600.9), "2026-05-01T00:00:00Z");
        assert_eq!(
            (moment_text(-1.5), moment_text(f64::NAN)),
            ("-1.5".to_owned(), "NaN".to_owned())
        );
    }
}
