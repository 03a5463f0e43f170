//! Rounding to one decimal, the same for every engine.
//!
//! The rule is that of PostgreSQL's `round(x::numeric, 1)`, which RUNE uses: the 15 significant
//! decimal digits that a 64-bit float surely has are rounded half away from zero. So 0.15, which is
//! a little less in binary, becomes 0.2. SQLite's own `round` follows the binary value in some of
//! its versions, so it is not asked.

/// Rounds to one decimal; what is not finite stays as it is.
pub(super) fn to_tenth(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let text = format!("{value:.14e}");
    if value.abs() >= 1e15 {
        // There is no tenth in 15 digits.
        return text
            .parse()
            .ok()
            .filter(|rounded: &f64| rounded.is_finite())
            .unwrap_or(value);
    }
    let Some((digits, exponent)) = text
        .split_once('e')
        .and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)))
    else {
        return value;
    };
    let is_negative = digits.starts_with('-');
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    // All digits as one whole number; `shift` of them stand behind the first decimal.
    let Ok(whole) = digits.parse::<u64>() else {
        return value;
    };
    let shift = 13 - exponent;
    let tenths = match u32::try_from(shift) {
        Ok(shift) => match 10_u64.checked_pow(shift) {
            Some(unit) => whole / unit + u64::from(whole % unit >= unit / 2 && unit > 1),
            None => 0,
        },
        Err(_) => whole * 10_u64.pow(shift.unsigned_abs()),
    };
    let sign = if is_negative && tenths > 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
        .parse()
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::to_tenth;

    #[test]
    fn halves_go_away_from_zero_as_they_are_written_in_decimal() {
        for (value, expected) in [
            (12.25, 12.3),
            (0.05, 0.1),
            (0.15, 0.2),
            (0.049_999, 0.0),
            (-0.05, -0.1),
            (-0.01, 0.0),
            (0.0, 0.0),
            (12.0, 12.0),
            (1_234_567.25, 1_234_567.3),
            (1.05, 1.1),
            (2.675, 2.7),
            (1e-300, 0.0),
            (99_999_999_999_999.95, 100_000_000_000_000.0),
            (123_456_789_012_345.6, 123_456_789_012_346.0),
            (1e300, 1e300),
            (-2.542_730_050_316_608e247, -2.542_730_050_316_61e247),
            (f64::MAX, f64::MAX),
        ] {
            assert_eq!(
                to_tenth(value).to_bits(),
                f64::to_bits(expected),
                "{value}: {} is not {expected}",
                to_tenth(value)
            );
        }
    }
}
