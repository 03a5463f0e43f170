//! The two kinds of SQL that migrations are written in, and the marks in a file that tell them
//! apart.

use std::fmt;

/// A kind of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

impl Dialect {
    /// The name, as it stands in markers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownMarker {
    /// The line that it stands on, from 1.
    pub(super) line: usize,
    pub(super) marker: String,
}

/// The part of a file that is meant for a dialect; other lines are left empty, so that line numbers
/// stay right. What stands above the first marker is meant for both.
pub(super) fn section(text: &str, dialect: Dialect) -> String {
    let mut rendered = String::with_capacity(text.len());
    let mut is_meant = true;
    for line in text.split_inclusive('\n') {
        match marker(line) {
            Some(name) => is_meant = name == "all" || name == dialect.name(),
            None if is_meant => {
                rendered.push_str(line);
                continue;
            }
            None => {}
        }
        rendered.push('\n');
    }
    rendered
}

/// Whether any marker divides the file, and whether all of them are known.
pub(super) fn has_markers(text: &str) -> Result<bool, UnknownMarker> {
    let mut found = false;
    for (line, number) in text.lines().zip(1..) {
        if let Some(name) = marker(line) {
            if !matches!(name, "all" | "sqlite" | "postgres") {
                return Err(UnknownMarker {
                    line: number,
                    marker: name.to_owned(),
                });
            }
            found = true;
        }
    }
    Ok(found)
}

fn marker(line: &str) -> Option<&str> {
    line.trim()
        .strip_prefix("--")?
        .trim_start()
        .strip_prefix("migrate:")
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{Dialect, UnknownMarker, has_markers, section};

    const FILE: &str = "a\n-- migrate:sqlite\nb\n  --migrate:postgres  \nc\n-- migrate:all\nd";

    #[test]
    fn a_dialect_gets_its_sections_and_the_common_ones_on_their_lines() {
        assert_eq!(section(FILE, Dialect::Sqlite), "a\n\nb\n\n\n\nd");
        assert_eq!(section(FILE, Dialect::Postgres), "a\n\n\n\nc\n\nd");
    }

    #[test]
    fn a_marker_that_is_not_known_is_no_comment() {
        assert!(has_markers(FILE).unwrap());
        assert!(!has_markers("-- nothing to migrate: here\n").unwrap());
        assert_eq!(
            has_markers("\n-- migrate:mysql\n"),
            Err(UnknownMarker {
                line: 2,
                marker: "mysql".to_owned()
            })
        );
    }
}
