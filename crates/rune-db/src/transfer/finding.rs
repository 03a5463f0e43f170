//! What cannot be transferred exactly, and where it stands.

use std::fmt;

use serde::Serialize;

use rune_storage::schema::{Column, Table};

/// How many keys of one kind of finding are named.
const NAMED_KEYS: usize = 5;
/// How much of a key is shown, in characters.
const SHOWN_KEY: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FindingKind {
    /// U+0000 in a text; PostgreSQL has no such text.
    Nul,
    InvalidUtf8,
    /// A text with characters that the encoding of the target does not have.
    NoLike,
    /// A value of another type than the column's: SQLite stores what it is given.
    WrongType,
    MissingValue,
    NullKey,
    OutOfRange,
    /// A key that may not fit into an entry of an index.
    KeyTooLong,
    /// A value of more bytes than are transferred.
    TooLarge,
    /// NaN; SQLite would store NULL.
    NotANumber,
    /// -0.0; SQLite would store 0.0.
    NegativeZero,
}

impl FindingKind {
    /// What is wrong, as words behind "holds".
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Nul => "text with U+0000",
            Self::InvalidUtf8 => "text that is not UTF-8",
            Self::NoLike => "characters that the encoding does not have",
            Self::WrongType => "values of another type",
            Self::MissingValue => "NULL where a value must be",
            Self::NullKey => "NULL in the primary key",
            Self::OutOfRange => "numbers beyond the range of the column",
            Self::KeyTooLong => "keys of more than 2600 bytes, too long for an index",
            Self::TooLarge => "values of more than 500,000,000 bytes",
            Self::NotANumber => "NaN, which SQLite would turn into NULL",
            Self::NegativeZero => "-0.0, which SQLite would turn into 0.0",
        }
    }
}

/// Cells that cannot be transferred exactly, all for one reason in one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) kind: FindingKind,
    pub(crate) count: u64,
    /// Those of the first rows, never any other content.
    pub(crate) keys: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("`{key}`")).collect();
        let more = if self.count > self.keys.len() as u64 {
            " and others"
        } else {
            ""
        };
        write!(
            formatter,
            "{}.{}: {} (count {}; key {}{more})",
            self.table,
            self.column,
            self.kind.text(),
            self.count,
            keys.join(", ")
        )
    }
}

#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Notes a cell. The key is asked for only when it is shown.
    pub(super) fn add(
        &mut self,
        table: &Table,
        column: &Column,
        kind: FindingKind,
        key: impl FnOnce() -> String,
    ) {
        let is_same = |one: &&mut Finding| {
            one.table == table.name && one.column == column.name && one.kind == kind
        };
        match self.0.iter_mut().find(is_same) {
            Some(finding) => {
                finding.count = finding.count.saturating_add(1);
                if finding.keys.len() < NAMED_KEYS {
                    finding.keys.push(key());
                }
            }
            None => self.0.push(Finding {
                table: table.name,
                column: column.name,
                kind,
                count: 1,
                keys: vec![key()],
            }),
        }
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.0
    }
}

/// A part of a key as it is shown: on one line, without control characters, not too long.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_KEY)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_KEY).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_key_is_shown_on_one_line_and_not_too_long() {
        assert_eq!(shown("a\n\u{1b}[31mb"), "a\\n\\u{1b}[31mb");
        assert_eq!(shown(&"x".repeat(200)), format!("{}…", "x".repeat(80)));
    }
}
