//! Canonical JSON: one value, one sequence of bytes.
//!
//! The subset of RFC 8785 (JSON Canonicalization Scheme) that this project's formats need: object
//! keys are ASCII and sorted by byte, integers lie in `[-(2^53-1), 2^53-1]`, there are no
//! floating-point numbers, no insignificant white space and no trailing newline. Values outside the
//! subset are refused, not bent.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use rune_core::failure::Failure;

/// The largest integer that every JSON reader keeps exactly: 2^53 - 1.
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum CanonicalJsonError {
    #[error("not the expected JSON")]
    Syntax(#[source] serde_json::Error),
    #[error("valid JSON, but not in canonical form")]
    NotCanonical,
    #[error("the key `{0}` is not ASCII")]
    Key(String),
    #[error("the number {0} is not an integer of at most 53 bits")]
    Number(serde_json::Number),
}

pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalJsonError> {
    let value = serde_json::to_value(value).map_err(CanonicalJsonError::Syntax)?;
    let mut out = Vec::new();
    write_value(&value, &mut out)?;
    Ok(out)
}

/// Decodes bytes that must be the canonical form of their value.
pub fn from_bytes<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalJsonError> {
    let value: T = serde_json::from_slice(bytes).map_err(CanonicalJsonError::Syntax)?;
    if to_bytes(&value)? == bytes {
        Ok(value)
    } else {
        Err(CanonicalJsonError::NotCanonical)
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalJsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let is_safe = number.as_u64().is_some_and(|n| n <= MAX_SAFE_INTEGER)
                || number
                    .as_i64()
                    .is_some_and(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER);
            if !is_safe {
                return Err(CanonicalJsonError::Number(number.clone()));
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_unstable();
            out.push(b'{');
            for (position, key) in keys.into_iter().enumerate() {
                if !key.is_ascii() {
                    return Err(CanonicalJsonError::Key(key.clone()));
                }
                if position > 0 {
                    out.push(b',');
                }
                write_string(key, out)?;
                out.push(b':');
                write_value(members.get(key).unwrap_or(&Value::Null), out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785 section 3.2.2.2: the short escapes and `\u00xx` for other control characters, all else
/// as is; `serde_json` escapes in exactly that way.
fn write_string(text: &str, out: &mut Vec<u8>) -> Result<(), CanonicalJsonError> {
    serde_json::to_writer(out, text).map_err(CanonicalJsonError::Syntax)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{CanonicalJsonError, from_bytes, to_bytes};

    fn text(value: &Value) -> String {
        String::from_utf8(to_bytes(value).unwrap()).unwrap()
    }

    #[test]
    fn sorts_keys_and_leaves_no_white_space() {
        assert_eq!(
            text(&json!({"b": [1, true, null], "a": {"d": "x", "c": -2}})),
            r#"{"a":{"c":-2,"d":"x"},"b":[1,true,null]}"#
        );
    }

    #[test]
    fn escapes_as_rfc_8785_does() {
        assert_eq!(
            text(&json!("€$\u{f}\nA'B\"\\\"/\u{7f}")),
            "\"€$\\u000f\\nA'B\\\"\\\\\\\"/\u{7f}\""
        );
    }

    #[test]
    fn refuses_floats_large_integers_and_foreign_keys() {
        assert!(matches!(
            to_bytes(&json!(1.5)),
            Err(CanonicalJsonError::Number(_))
        ));
        assert!(matches!(
            to_bytes(&json!(1_u64 << 53)),
            Err(CanonicalJsonError::Number(_))
        ));
        assert!(to_bytes(&json!((1_u64 << 53) - 1)).is_ok());
        assert!(matches!(
            to_bytes(&json!({"é": 1})),
            Err(CanonicalJsonError::Key(_))
        ));
    }

    #[test]
    fn refuses_bytes_that_are_valid_but_not_canonical() {
        for bytes in [
            &b"{\"a\":1} "[..],
            b"{ \"a\":1}",
            b"{\"b\":1,\"a\":1}",
            b"{\"a\":1,\"a\":1}",
            b"\"\\u0041\"",
            b"1e0",
        ] {
            assert!(
                from_bytes::<Value>(bytes).is_err(),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_value(keys in proptest::collection::btree_map("[ -~]{0,8}", ".*", 0..8), number in 0_u64..(1 << 53)) {
            let value = json!({"keys": keys, "number": number});
            let bytes = to_bytes(&value).unwrap();
            prop_assert_eq!(from_bytes::<Value>(&bytes).unwrap(), value);
        }
    }
}
