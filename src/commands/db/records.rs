//! What the verbs have in common that look into RUNE's tables: opening the store, pages, tables for people.

use super::{
    DatabaseOptions, Moment,
    target::{Place, Target},
};
use crate::{
    commands::CommandError,
    failure::{Failure, FailureKind},
    secret::Secret,
    storage::port::{OperatorPort, PoolLimits, PostgresStore, Span, SqliteStore},
};

/// Gives the time, in seconds since 1970.
pub type Now = fn() -> f64;

/// Which database, and what time it is.
#[derive(Debug)]
pub struct StoreOptions {
    /// Which database.
    pub database: DatabaseOptions,
    /// Gives the time, in seconds since 1970: only the command line knows it.
    pub now: Now,
}

/// What the store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Looking,
    Changing,
}

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct PageOptions {
    /// The key of the last row that was seen.
    pub after: Option<String>,
    /// How many rows at most.
    pub limit: u32,
}

/// From when to when.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpanOptions {
    /// From this moment on.
    pub since: Option<Moment>,
    /// Up to this moment.
    pub until: Option<Moment>,
}

/// Something named that is not there.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} `{name}`")]
pub(super) struct Missing {
    pub(super) what: &'static str,
    pub(super) name: String,
}

impl Failure for Missing {
    fn kind(&self) -> FailureKind {
        FailureKind::NotFound
    }
}

impl StoreOptions {
    /// Opens the store, does something with it, and adds to a failure what is worth knowing about the choice.
    pub(super) fn with_store<T>(
        &self,
        purpose: Use,
        act: impl FnOnce(&dyn OperatorPort) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let target = self.database.resolve()?;
        let outcome = self.open(&target, purpose).and_then(|store| {
            let outcome = act(&*store);
            store.close();
            outcome
        });
        outcome.map_err(|error| target.explain(error))
    }

    fn open(&self, target: &Target, purpose: Use) -> Result<Box<dyn OperatorPort>, CommandError> {
        let clock = || Box::new(self.now) as _;
        Ok(match (&target.place, purpose) {
            (Place::File(path), Use::Looking) => Box::new(SqliteStore::open_for_looking(path, clock())?),
            (Place::File(path), Use::Changing) => Box::new(SqliteStore::open(path, clock())?),
            (Place::Server(url), _) => {
                let variable = |name| (self.database.environment.variable)(name);
                let (min, max) = (variable("RUNE_PG_POOL_MIN"), variable("RUNE_PG_POOL_MAX"));
                let limits = PoolLimits::parse(min.as_ref().map(Secret::expose), max.as_ref().map(Secret::expose))?;
                // One command does one thing at a time.
                Box::new(PostgresStore::open(url, PoolLimits { min: 1, ends_on_signals: true, ..limits }, clock())?)
            }
        })
    }
}

impl SpanOptions {
    pub(super) fn span(self, now: f64) -> Span {
        Span { since: self.since.map(|moment| moment.seconds(now)), until: self.until.map(|moment| moment.seconds(now)) }
    }
}

/// Cuts a list to its page, when one more was asked for than the page holds; gives the key to go on after.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: u32, key: impl FnOnce(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().map(key)
}

/// The line below a page that is not the last.
pub(super) fn next_line(next: Option<&str>) -> String {
    next.map_or_else(String::new, |key| format!("more follow: `--after {}`\n", shown(key)))
}

/// A table for people: columns as wide as they need be, the head above them.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows.map(|row| row.map(|cell| shown(&cell)))).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A text that others chose, fit for a terminal: nothing in it can move the cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::{cut, shown, table};

    #[test]
    fn columns_are_as_wide_as_they_need_be() {
        let rows = [["a".to_owned(), "bb\u{1b}[2J".to_owned()], ["cccc".to_owned(), String::new()]];
        assert_eq!(table(["X", "Y"], rows.into_iter()), "X     Y\na     bb\u{fffd}[2J\ncccc\n");
        assert_eq!(shown("a\nb"), "a\u{fffd}b");
    }

    #[test]
    fn a_page_says_what_to_go_on_after() {
        let mut rows = vec![1, 2, 3];
        assert_eq!(cut(&mut rows, 3, ToString::to_string), None);
        assert_eq!(cut(&mut rows, 2, ToString::to_string).as_deref(), Some("2"));
        assert_eq!(rows, [1, 2]);
    }
}
