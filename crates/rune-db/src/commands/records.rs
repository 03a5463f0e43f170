//! What the verbs have in common that look into RUNE's tables: opening the store, pages, tables for
//! people.

use std::sync::Arc;

use super::{
    DatabaseOptions, TimeSpec,
    target::{Place, Target},
};
use rune_core::{
    command::CommandError,
    failure::{Failure, FailureKind},
    secret::Secret,
};
use rune_storage::{
    port::{Listed, OperatorPort, PoolLimits, PostgresStore, SqliteStore, TimeRange, Unreadable},
    schema::{SiteGuard, Verb},
};

pub(crate) type Now = fn() -> f64;

#[derive(Debug)]
pub(crate) struct StoreOptions {
    pub(crate) database: DatabaseOptions,
    /// Gives the time, in seconds since 1970: only the command line knows it.
    pub(crate) now: Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    ReadOnly,
    ReadWrite,
}

#[derive(Debug, Clone)]
pub(crate) struct PageOptions {
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeRangeOptions {
    pub(crate) since: Option<TimeSpec>,
    pub(crate) until: Option<TimeSpec>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("there is no {what} `{name}`")]
#[failure(NotFound)]
pub(super) struct Missing {
    pub(super) what: &'static str,
    pub(super) name: String,
}

impl StoreOptions {
    pub(super) fn read_store<T>(
        &self,
        act: impl FnOnce(&dyn OperatorPort) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        self.with_store(Use::ReadOnly, &Arc::new(SiteGuard::new(Verb::Read)), act)
    }

    /// Opens the store, does something with it, and adds to a failure what is worth knowing about
    /// the choice. The guard inspects what the site has put on RUNE's tables.
    pub(super) fn with_store<T>(
        &self,
        purpose: Use,
        guard: &Arc<SiteGuard>,
        act: impl FnOnce(&dyn OperatorPort) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let target = self.database.resolve()?;
        let outcome = self.open(&target, purpose, guard).and_then(|store| {
            let outcome = act(&*store);
            store.close();
            outcome
        });
        outcome.map_err(|error| target.explain(error))
    }

    fn open(
        &self,
        target: &Target,
        purpose: Use,
        guard: &Arc<SiteGuard>,
    ) -> Result<Box<dyn OperatorPort>, CommandError> {
        let clock = || Box::new(self.now) as _;
        let guard = || Arc::clone(guard) as _;
        Ok(match (&target.place, purpose) {
            (Place::File(path), Use::ReadOnly) => {
                Box::new(SqliteStore::open_for_looking(path, clock(), guard())?)
            }
            (Place::File(path), Use::ReadWrite) => {
                Box::new(SqliteStore::open(path, clock(), guard())?)
            }
            (Place::Server(url), _) => {
                let variable = |name| (self.database.environment.variable)(name);
                let (min, max) = (variable("RUNE_PG_POOL_MIN"), variable("RUNE_PG_POOL_MAX"));
                let limits = PoolLimits::parse(
                    min.as_ref().map(Secret::expose),
                    max.as_ref().map(Secret::expose),
                )?;
                // One command does one thing at a time.
                Box::new(PostgresStore::open(
                    url,
                    PoolLimits {
                        min: 1,
                        ends_on_signals: true,
                        ..limits
                    },
                    clock(),
                    guard(),
                )?)
            }
        })
    }
}

pub(super) fn effects(guard: &SiteGuard) -> Vec<String> {
    let (site, verb) = (guard.seen(), guard.verb());
    let unknown = site.unknown_effects(verb);
    let text = |note: String| {
        if unknown.contains(&note) {
            format!("{note}; what it does elsewhere is unknown")
        } else {
            note
        }
    };
    site.notes(verb).into_iter().map(text).collect()
}

impl TimeRangeOptions {
    pub(super) fn span(self, now: f64) -> TimeRange {
        TimeRange {
            since: self.since.map(|moment| moment.seconds(now)),
            until: self.until.map(|moment| moment.seconds(now)),
        }
    }
}

pub(super) struct Cut<T> {
    pub(super) rows: Vec<T>,
    pub(super) unreadable: Vec<Unreadable>,
    /// The key to go on after, when more follow.
    pub(super) next: Option<String>,
}

/// Cuts a list to its page, when one more was asked for than the page holds.
pub(super) fn cut<T>(mut listed: Vec<Listed<T>>, limit: u32, key: impl Fn(&T) -> String) -> Cut<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = listed.len() > limit;
    listed.truncate(limit);
    // A row whose key cannot be read is not a place to go on after.
    let key_of = |row: &Listed<T>| {
        row.as_ref()
            .map_or_else(|unreadable| unreadable.key.clone(), |row| Some(key(row)))
    };
    let next = if more {
        listed.iter().rev().find_map(key_of)
    } else {
        None
    };
    let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
    for row in listed {
        match row {
            Ok(row) => rows.push(row),
            Err(row) => unreadable.push(row),
        }
    }
    Cut {
        rows,
        unreadable,
        next,
    }
}

pub(super) fn unreadable_lines(rows: &[Unreadable]) -> String {
    let key = |row: &Unreadable| {
        row.key.as_deref().map_or_else(
            || "(no readable key)".to_owned(),
            |key| format!("`{}`", shown(key)),
        )
    };
    let line = |row: &Unreadable| {
        let Unreadable {
            table,
            column,
            expected,
            ..
        } = row;
        format!(
            "unreadable: {table} {}: the column `{column}` holds something other than {expected}\n",
            key(row)
        )
    };
    let mut text: String = rows.iter().map(line).collect();
    if !rows.is_empty() {
        text.push_str("run `rune-db verify` to list every such row\n");
    }
    text
}

pub(super) fn unreadable_verdict(rows: &[Unreadable]) -> Option<FailureKind> {
    (!rows.is_empty()).then_some(FailureKind::Input)
}

/// A number for people, never longer than its digits.
pub(super) fn number_text(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && number.is_finite() && !(1e-5..1e16).contains(&size) {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// The line below a page that is not the last.
pub(super) fn next_line(next: Option<&str>) -> String {
    next.map_or_else(String::new, |key| {
        format!("more follow: `--after {}`\n", shown(key))
    })
}

pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.map(|row| row.map(|cell| shown(&cell))))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A text that others chose, fit for a terminal: nothing in it can move the cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{cut, number_text, shown, table};
    use rune_storage::port::Unreadable;

    #[test]
    fn columns_are_as_wide_as_they_need_be() {
        let rows = [
            ["a".to_owned(), "bb\u{1b}[2J".to_owned()],
            ["cccc".to_owned(), String::new()],
        ];
        assert_eq!(
            table(["X", "Y"], rows.into_iter()),
            "X     Y\na     bb\u{fffd}[2J\ncccc\n"
        );
        assert_eq!(shown("a\nb"), "a\u{fffd}b");
    }

    #[test]
    fn a_page_says_what_to_go_on_after() {
        let rows = || vec![Ok(1), Ok(2), Ok(3)];
        assert_eq!(cut(rows(), 3, ToString::to_string).next, None);
        let page = cut(rows(), 2, ToString::to_string);
        assert_eq!((page.rows, page.next.as_deref()), (vec![1, 2], Some("2")));
    }

    #[test]
    fn a_row_without_a_readable_key_counts_and_is_no_place_to_go_on_after() {
        let bad = |key: Option<&str>| {
            Err(Unreadable {
                table: "jobs",
                key: key.map(str::to_owned),
                column: "kind".to_owned(),
                expected: "text",
            })
        };
        let page = cut(vec![Ok(1), bad(None), Ok(3)], 2, ToString::to_string);
        assert_eq!(
            (page.rows, page.unreadable.len(), page.next.as_deref()),
            (vec![1], 1, Some("1"))
        );
        let page = cut(vec![Ok(1), bad(Some("x")), Ok(3)], 2, ToString::to_string);
        assert_eq!(page.next.as_deref(), Some("x"));
    }

    #[test]
    fn a_number_is_never_as_wide_as_its_zeros() {
        for (number, text) in [
            (0.0, "0"),
            (1.1, "1.1"),
            (5e-324, "5e-324"),
            (-1e300, "-1e300"),
            (1e-5, "0.00001"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number_text(number), text);
        }
    }
}
