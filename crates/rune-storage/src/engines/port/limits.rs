//! What may be stored: the limits of lengths, and the values that one of the engines could not give
//! back.
//!
//! The engines are more generous, each in its own way. SQLite takes U+0000 in text and turns NaN
//! into NULL; PostgreSQL does neither, and its indexes take keys of up to 2.7 kB. Values are
//! checked here, so that both store the same.

use super::error::{Problem, StoreError};
use crate::json_text::{self, JsonKind};

/// The most characters of a job's id.
pub const MAX_JOB_ID: usize = 64;
/// The most characters of a tenant's id.
pub const MAX_TENANT_ID: usize = 64;
/// The most characters of an error or a message.
pub const MAX_ERROR: usize = 10_000;
/// The most characters of a kind, a status, and other words.
pub const MAX_WORD: usize = 64;
/// The most characters of a key, a name, an event: what an index can hold in every engine.
pub const MAX_KEY: usize = 255;
/// The most bytes of a JSON text.
pub const MAX_JSON_BYTES: usize = 64 << 20;
/// The most bytes of an artifact's content: it travels in one message, and a message of PostgreSQL
/// ends at 1 GiB.
pub const MAX_ARTIFACT_BYTES: usize = 500_000_000;

/// The longest duration, in milliseconds: sums of them stay far from where floats end.
const MAX_DURATION_MS: f64 = 1e15;

const fn refused(field: &'static str, problem: Problem) -> StoreError {
    StoreError::Refused { field, problem }
}

/// A text that must say something.
pub(super) fn word(
    field: &'static str,
    text: &str,
    max_characters: usize,
) -> Result<(), StoreError> {
    if text.is_empty() {
        return Err(refused(field, Problem::Empty));
    }
    free(field, text, max_characters)
}

/// A text that may be empty.
pub(super) fn free(
    field: &'static str,
    text: &str,
    max_characters: usize,
) -> Result<(), StoreError> {
    if text.contains('\0') {
        return Err(refused(field, Problem::Nul));
    }
    if text.len() > max_characters && text.chars().nth(max_characters).is_some() {
        return Err(refused(field, Problem::Characters(max_characters)));
    }
    Ok(())
}

/// A text to look for: RUNE itself may have stored longer ones.
pub(super) fn lookup(field: &'static str, text: &str) -> Result<(), StoreError> {
    free(field, text, usize::MAX)
}

pub(super) fn object(field: &'static str, text: &str) -> Result<(), StoreError> {
    if text.len() > MAX_JSON_BYTES {
        return Err(refused(field, Problem::Bytes(MAX_JSON_BYTES)));
    }
    match json_text::check(text) {
        Ok(JsonKind::Object) => Ok(()),
        Ok(_) => Err(refused(field, Problem::NotObject)),
        Err(error) => Err(refused(field, Problem::NotJson(error.offset))),
    }
}

/// A number that is one; -0.0 becomes 0.0.
pub(super) fn number(field: &'static str, value: f64) -> Result<f64, StoreError> {
    if value.is_finite() {
        Ok(value + 0.0)
    } else {
        Err(refused(field, Problem::NotFinite))
    }
}

/// A duration in milliseconds that can be added to others.
pub(super) fn duration(field: &'static str, milliseconds: f64) -> Result<f64, StoreError> {
    if milliseconds.abs() > MAX_DURATION_MS && milliseconds.is_finite() {
        return Err(refused(field, Problem::TooLong));
    }
    number(field, milliseconds)
}

/// Content that every engine can hold.
pub(super) fn content(content: &[u8]) -> Result<(), StoreError> {
    if content.len() > MAX_ARTIFACT_BYTES {
        Err(refused("content", Problem::Bytes(MAX_ARTIFACT_BYTES)))
    } else {
        Ok(())
    }
}
