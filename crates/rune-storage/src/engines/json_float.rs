//! Numbers in JSON reports. JSON has no NaN and no infinities, and writing `null` for them would
//! look like a value that is missing: they are the texts `"NaN"`, `"Infinity"` and `"-Infinity"`.

use serde::Serializer;

/// Writes a number.
///
/// # Errors
/// When the serializer fails.
pub fn json_float<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *number {
        number if number.is_finite() => serializer.serialize_f64(number),
        number if number.is_nan() => serializer.serialize_str("NaN"),
        number => serializer.serialize_str(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }),
    }
}

/// Writes a number, or `null` when there is none.
///
/// # Errors
/// When the serializer fails.
pub fn json_optional_float<S: Serializer>(
    number: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => json_float(number, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    #[derive(Serialize)]
    struct Report(#[serde(serialize_with = "super::json_optional_float")] Option<f64>);

    #[test]
    fn numbers_that_json_does_not_have_are_texts_and_nothing_is_null() {
        for (number, text) in [
            (Some(1.5), "1.5"),
            (Some(f64::NAN), "\"NaN\""),
            (Some(f64::INFINITY), "\"Infinity\""),
            (Some(f64::NEG_INFINITY), "\"-Infinity\""),
            (None, "null"),
        ] {
            assert_eq!(serde_json::to_string(&Report(number)).unwrap(), text);
        }
    }
}
