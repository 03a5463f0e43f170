//! What is written within a string: YAML, JSON, base64, gzip, and these within each other.
//!
//! Everything is bounded: how deep, how many nodes, and how many bytes are decoded and read in one
//! rendering.

use std::io::Read as _;

use base64ct::{Base64Unpadded, Encoding as _};
use camino::Utf8Path;
use flate2::read::GzDecoder;

use super::{MAX_NODES, documents};
use rune_core::yaml::{self, Node, Value};

/// How often a string may lie within a string.
pub(super) const MAX_DEPTH: usize = 6;
/// How many bytes of strings are decoded or read as documents in one rendering.
const MAX_BYTES: usize = 128 << 20;
/// The shortest string that is tried as base64 without being said to be.
const MIN_ENCODED: usize = 16;

#[derive(Debug)]
pub(super) struct Budget(usize);

pub(super) enum Inside {
    Documents(Vec<Node>),
    Text(String),
    Plain,
}

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_BYTES)
    }
}

impl Budget {
    /// Whether everything that was to be read was.
    pub(super) const fn is_left(&self) -> bool {
        self.0 > 0
    }

    fn take(&mut self, bytes: usize) -> bool {
        let is_enough = bytes < self.0;
        self.0 = if is_enough { self.0 - bytes } else { 0 };
        is_enough
    }

    /// Looks into a string; `is_encoded` says that it is base64 by its place.
    pub(super) fn open(&mut self, text: &str, is_encoded: bool) -> Inside {
        if let Some(decoded) = self.decoded(text, is_encoded) {
            return Inside::Text(decoded);
        }
        let start = text.trim_start();
        let is_document = (start.contains('\n') || start.starts_with(['{', '[']))
            && start.contains([':', '-', '[']);
        if !is_document || start.starts_with("-----BEGIN") || !self.take(text.len()) {
            return Inside::Plain;
        }
        let read = |document| yaml::parse_rendered(Utf8Path::new("a string"), document, MAX_NODES);
        match documents(text).map(read).collect::<Result<Vec<Node>, _>>() {
            Ok(documents)
                if documents
                    .iter()
                    .any(|root| !matches!(root.value, Value::Null | Value::Scalar { .. })) =>
            {
                Inside::Documents(documents)
            }
            _ => Inside::Plain,
        }
    }

    /// The text that base64, and perhaps gzip in it, stands for: with or without padding, in either
    /// alphabet, or in a `data:` address.
    fn decoded(&mut self, text: &str, is_encoded: bool) -> Option<String> {
        let address = text
            .trim()
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(";base64,"));
        let (text, is_encoded) =
            address.map_or((text.trim(), is_encoded), |(_, data)| (data, true));
        if text.is_empty() || (!is_encoded && text.len() < MIN_ENCODED) {
            return None;
        }
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=\n\r".contains(&byte);
        if !text.bytes().all(is_base64) || !self.take(text.len()) {
            return None;
        }
        let digits = |byte: char| match byte {
            '\n' | '\r' | '=' => None,
            '-' => Some('+'),
            '_' => Some('/'),
            digit => Some(digit),
        };
        let compact: String = text.chars().filter_map(digits).collect();
        let bytes = Base64Unpadded::decode_vec(&compact).ok()?;
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            self.unzipped(&bytes)?
        } else {
            bytes
        };
        let text = String::from_utf8(bytes).ok()?;
        let is_text = text
            .chars()
            .all(|character| !character.is_control() || matches!(character, '\n' | '\r' | '\t'));
        is_text.then_some(text)
    }

    fn unzipped(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        // One more than is left, so that what is too large is noticed.
        GzDecoder::new(bytes)
            .take(self.0 as u64 + 1)
            .read_to_end(&mut text)
            .ok()?;
        self.take(text.len()).then_some(text)
    }
}
