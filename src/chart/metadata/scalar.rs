//! What a YAML scalar without quotes is to Helm, whose library follows YAML 1.1.

/// A scalar without quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text,
}

impl Scalar {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Self::Boolean(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => return Self::Boolean(false),
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Self::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            _ => {}
        }
        if !text
            .starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
        {
            return Self::Text;
        }
        let plain = if text.starts_with('.') {
            text.to_owned()
        } else {
            text.replace('_', "")
        };
        integer(&plain)
            .map(Self::Integer)
            .or_else(|| float(&plain).map(Self::Float))
            .unwrap_or(Self::Text)
    }

    /// The text where a string is wanted: `1.10` is `1.1`.
    pub(super) fn into_text(self, written: &str) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => float_text(value),
            Self::Text => written.to_owned(),
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    let (is_negative, is_signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, text.get(1..)?),
        b'+' => (false, true, text.get(1..)?),
        _ => (false, false, text),
    };
    let (base, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0o" | "0O") => (8, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        Some(two) if two.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // A second sign would be read as well.
    let value = i128::from_str_radix(
        digits
            .starts_with(|first: char| first.is_ascii_alphanumeric())
            .then_some(digits)?,
        base,
    )
    .ok()?;
    let value = if is_negative { -value } else { value };
    let largest = if is_signed {
        i128::from(i64::MAX)
    } else {
        i128::from(u64::MAX)
    };
    (i128::from(i64::MIN)..=largest)
        .contains(&value)
        .then_some(value)
}

fn float(text: &str) -> Option<f64> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-' | b'e' | b'E'));
    is_number.then(|| text.parse().ok()).flatten()
}

/// The shortest digits that name the same number of single precision; an exponent below -4 and from
/// 6 is written.
#[expect(
    clippy::cast_possible_truncation,
    reason = "Helm's library does the same"
)]
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let single = value as f32;
    if single.is_infinite() {
        return if single > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{single:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{single}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::Scalar;

    #[test]
    fn scalars_without_quotes_become_the_text_that_helm_makes_of_them() {
        for (written, text) in [
            ("1.10", "1.1"),
            ("2.0", "2"),
            ("1.2.3", "1.2.3"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("123456.5", "123456.5"),
            ("1234567.0", "1.234567e+06"),
            ("1e3", "1000"),
            ("1.", "1"),
            (".5", "0.5"),
            ("16777217.0", "1.6777216e+07"),
            ("010", "8"),
            ("08", "8"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("0o17", "15"),
            ("1_000", "1000"),
            ("-5", "-5"),
            ("+5", "5"),
            ("--5", "--5"),
            ("0x-1", "0x-1"),
            ("18446744073709551615", "18446744073709551615"),
            ("yes", "true"),
            ("Off", "false"),
            ("v1", "v1"),
            ("2024-01-02", "2024-01-02"),
            ("3.3.000", "3.3.000"),
            ("1e", "1e"),
            ("12:30", "12:30"),
            ("-", "-"),
            ("0", "0"),
            (".inf", "+Inf"),
        ] {
            assert_eq!(Scalar::of(written).into_text(written), text, "{written}");
        }
    }
}
