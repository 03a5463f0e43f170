//! Durations: `90s`, `10m`, `2h`, `7d`, `1h30m`.

use std::time::Duration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("write a number and a unit, `90s`, `10m`, `2h`, `7d`, or several of them, `1h30m`")]
    Form,
    #[error("the time is too long")]
    TooLong,
}

/// Whole numbers with the units `d`, `h`, `m`, `s`, each at most once, the largest first. A number
/// without a unit is refused: it could be seconds or minutes.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let unit_at = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|position| *position > 0)
            .ok_or(DurationError::Form)?;
        let (number, tail) = rest.split_at(unit_at);
        let mut tail = tail.chars();
        let unit = tail.next().ok_or(DurationError::Form)?;
        let (_, factor) = units
            .find(|(name, _)| *name == unit)
            .ok_or(DurationError::Form)?;
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
        seconds = number
            .checked_mul(*factor)
            .and_then(|more| seconds.checked_add(more))
            .ok_or(DurationError::TooLong)?;
        rest = tail.as_str();
    }
    // A hundred years: sums with clocks stay far from overflow.
    match seconds {
        _ if text.is_empty() => Err(DurationError::Form),
        0..=3_155_760_000 => Ok(Duration::from_secs(seconds)),
        _ => Err(DurationError::TooLong),
    }
}

const SHORTEST_AGE: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    #[error(transparent)]
    Form(#[from] DurationError),
    #[error(
        "`{0}` means {1}: write `{2}` for months of 30 days, or hours for a short time, such as \
         `2h`"
    )]
    Minutes(String, String, String),
    #[error(
        "`{0}` would delete almost everything that has ended: the shortest age is `1h`; write \
         days, such as `90d`"
    )]
    TooShort(String),
}

/// Reads the age of rows to delete. `3m`, three minutes, and `0d`, everything, are refused: they
/// are likely mistakes.
pub fn parse_age(text: &str) -> Result<Duration, AgeError> {
    let age = parse_duration(text)?;
    if let Some(months) = text
        .strip_suffix('m')
        .and_then(|number| number.parse::<u64>().ok())
        .filter(|months| *months > 0)
    {
        let minutes = if months == 1 {
            "1 minute".to_owned()
        } else {
            format!("{months} minutes")
        };
        return Err(AgeError::Minutes(
            text.to_owned(),
            minutes,
            format!("{}d", months.saturating_mul(30)),
        ));
    }
    if age < SHORTEST_AGE {
        Err(AgeError::TooShort(text.to_owned()))
    } else {
        Ok(age)
    }
}

/// Writes a duration in the form that [`parse_duration`] reads; parts of a second are left out.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, factor) in UNITS {
        let count = rest.checked_div(factor).unwrap_or_default();
        rest = rest.saturating_sub(count.saturating_mul(factor));
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AgeError, DurationError, duration_text, parse_age, parse_duration};

    #[test]
    fn an_age_in_minutes_or_of_nothing_is_refused_with_what_is_meant() {
        for (text, message) in [
            ("3m", "`3m` means 3 minutes: write `90d`"),
            ("1m", "1 minute: write `30d`"),
            ("90m", "`2700d`"),
        ] {
            let error = parse_age(text).unwrap_err();
            assert!(
                matches!(error, AgeError::Minutes(..)) && error.to_string().contains(message),
                "{error}"
            );
        }
        for text in ["0d", "0s", "0m", "59s", "30m10s", "0d0h"] {
            assert_eq!(parse_age(text), Err(AgeError::TooShort(text.to_owned())));
        }
        for (text, seconds) in [("1h", 3_600), ("90d", 7_776_000), ("1h30m", 5_400)] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn numbers_with_units_are_added_up_and_written_back() {
        for (text, seconds) in [
            ("90s", 90),
            ("10m", 600),
            ("2h", 7_200),
            ("7d", 604_800),
            ("1h30m", 5_400),
            ("1d0h1s", 86_401),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
            assert_eq!(
                parse_duration(&duration_text(Duration::from_secs(seconds))),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(duration_text(Duration::from_millis(90_999)), "1m30s");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in [
            "", "10", "m", "1.5h", "-5m", "10 m", "5m2h", "1m1m", "10min", "5M", "+5m", "٣m",
        ] {
            assert_eq!(parse_duration(text), Err(DurationError::Form), "{text}");
        }
        for text in ["99999999999999999999d", "18446744073709551615d", "36526d"] {
            assert_eq!(parse_duration(text), Err(DurationError::TooLong), "{text}");
        }
    }
}
