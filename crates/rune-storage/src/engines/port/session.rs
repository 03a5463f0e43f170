//! What an engine does for the port: run a statement in a transaction.
//!
//! The port's SQL is written once, in SQLite's spelling. An adapter translates the few words that
//! differ and converts values; what is done, in which order and under which lock, is the same
//! everywhere.

use super::{error::StoreError, guard::Guard};

#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Integer(i64),
    OptionalInteger(Option<i64>),
    Float(f64),
    OptionalFloat(Option<f64>),
    Bytes(&'a [u8]),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    /// Of a type that the port never asks for.
    Other,
}

/// A row that was read, with the names of its columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<(String, Cell)>,
}

impl Row {
    fn cell(&self, column: &'static str) -> Result<&Cell, StoreError> {
        let found = self
            .cells
            .iter()
            .find(|(name, _)| name == column)
            .map(|(_, cell)| cell);
        found.ok_or_else(|| StoreError::Cell {
            column: column.to_owned(),
            expected: "anything",
        })
    }

    /// The key of the row as it is shown, when it can be read.
    pub(super) fn key(&self, column: &'static str) -> Option<String> {
        match self.cell(column).ok()? {
            Cell::Text(text) => Some(text.clone()),
            Cell::Integer(number) => Some(number.to_string()),
            Cell::Null | Cell::Float(_) | Cell::Other => None,
        }
    }

    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text.clone())),
            _ => Err(StoreError::Cell {
                column: column.to_owned(),
                expected: "text",
            }),
        }
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.optional_text(column)?.ok_or_else(|| StoreError::Cell {
            column: column.to_owned(),
            expected: "text",
        })
    }

    pub(super) fn optional_float(&self, column: &'static str) -> Result<Option<f64>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Float(number) => Ok(Some(*number)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "SQLite stores whole floats as integers below 2^53"
            )]
            Cell::Integer(number) => Ok(Some(*number as f64)),
            _ => Err(StoreError::Cell {
                column: column.to_owned(),
                expected: "a number",
            }),
        }
    }

    pub(super) fn float(&self, column: &'static str) -> Result<f64, StoreError> {
        self.optional_float(column)?
            .ok_or_else(|| StoreError::Cell {
                column: column.to_owned(),
                expected: "a number",
            })
    }

    pub(super) fn integer(&self, column: &'static str) -> Result<i64, StoreError> {
        match self.cell(column)? {
            Cell::Integer(number) => Ok(*number),
            _ => Err(StoreError::Cell {
                column: column.to_owned(),
                expected: "a whole number",
            }),
        }
    }
}

/// `?3, ?4, ?5` for three parameters of a list, the first of which has the number 3.
pub(super) fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count)
        .map(|number| format!("?{number}"))
        .collect();
    names.join(", ")
}

pub(super) type PieceSink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), StoreError>;

/// An open transaction.
pub(super) trait Session {
    /// Runs a statement; gives the number of rows it changed.
    fn execute(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<u64, StoreError>;

    /// Runs a statement and gives its rows. The statement limits how many there are, or the caller
    /// needs all.
    fn query(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, StoreError>;

    /// Tables that deletes reach by foreign keys, as the guard found them in this transaction;
    /// names in SQL.
    fn reached(&self) -> &[String];

    /// Passes on the content of an artifact in pieces, from the first byte to the last.
    fn read_content(&mut self, artifact_id: &str, sink: PieceSink<'_>) -> Result<(), StoreError>;
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Everything it reads is of one moment.
    Reading,
    /// What it reads and then writes cannot change in between: SQLite's only writer, or rows that
    /// are locked.
    Writing,
    /// Writing that sees one moment and its own changes, those that a site deferred to the end
    /// included.
    Counting,
}

pub(super) trait Engine: Send + Sync {
    /// Runs something in a transaction, after its guard, and ends it: kept when it succeeds, undone
    /// when it fails.
    fn transaction<T>(
        &self,
        purpose: Purpose,
        guard: &dyn Guard,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError>;

    /// The first of some tables that the database lacks.
    fn missing_table(
        session: &mut dyn Session,
        tables: &[&'static str],
    ) -> Result<Option<&'static str>, StoreError>;

    /// Lets go of all connections.
    fn close(&self);
}
