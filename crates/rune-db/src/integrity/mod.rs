//! Whether the stored rows are what RUNE could have written: tables, sequences, JSON texts,
//! artifacts, and on SQLite the file itself.
//!
//! Nothing is changed. What is found is named by table, column and key, never by content; of each
//! problem all rows are counted and the keys of the first are kept. Memory does not grow with the
//! database, nor with the size of an artifact.

mod findings;
mod postgres;
mod sqlite;

pub(crate) use findings::{Finding, Soundness, TableRows};
pub(crate) use postgres::check_server;
pub(crate) use sqlite::check_file;

use crate::transfer::TransferError;
use rune_storage::{
    json_text,
    schema::{Catalog, Column, Need, TABLES, Table},
};

const JSON: [&str; 5] = [
    "request_json",
    "result_json",
    "labels_json",
    "state_json",
    "value_json",
];

/// The tables whose rows belong to a job that may be gone, because RUNE removes none of them with
/// it.
const OF_A_JOB: [&str; 4] = [
    "idempotency_keys",
    "workflow_events",
    "chain_state",
    "audit_artifact",
];

const EVENTS: &str = "workflow_events";
const ARTIFACTS: &str = "audit_artifact";

fn is_json(column: &Column) -> bool {
    JSON.contains(&column.name)
}

/// What is wrong with a JSON text, if anything: where a value may be missing, RUNE reads the empty
/// text as none.
fn json_problem(column: &Column, text: &str) -> Option<String> {
    if text.is_empty() && column.need == Need::Optional {
        return None;
    }
    json_text::check(text)
        .err()
        .map(|_| "holds no valid JSON".to_owned())
}

/// Refuses what has none of RUNE's tables: nothing is wrong with it, and nothing is right.
fn check_is_rune(found: &Catalog, location: &str) -> Result<(), TransferError> {
    let is_rune = TABLES
        .iter()
        .any(|table| found.tables.contains_key(table.name));
    if is_rune {
        Ok(())
    } else {
        Err(TransferError::NotRune(location.to_owned()))
    }
}

/// Whether a table is there with all its columns; the others are findings already.
fn can_be_read(table: &Table, found: &Catalog) -> bool {
    let columns = found.tables.get(table.name);
    columns.is_some_and(|columns| {
        table
            .columns
            .iter()
            .all(|column| columns.iter().any(|found| found.name == column.name))
    })
}
