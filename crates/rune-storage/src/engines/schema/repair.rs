//! Repairing what RUNE's own releases got wrong: 32-bit columns on PostgreSQL, missing and
//! misplaced indexes.
//!
//! One transaction: lock, look, alter, compare the values of the columns now with those before,
//! write the log, look again. Digits that a 32-bit column never kept are not invented. Nothing here
//! has a number in `schema_version`, because RUNE gives out those; the log is a table of its own.

use serde::Serialize;

use super::{
    assessment::Assessment,
    drift::DriftKind,
    shape::{ColumnKind, TABLES, Table},
};
use crate::migrations::Dialect;
use crate::{ServerError, SqliteError, schema::SchemaError};
use rune_core::failure::Failure;

/// Something that was repaired, or would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// What: `table.column`, or the name of an index or sequence.
    pub subject: String,
    /// What it was.
    pub was: String,
    /// What it is now.
    pub became: String,
    /// How many values were in it; for an index or sequence there is nothing to count.
    pub rows: Option<i64>,
    /// How far a value may be from what RUNE once wrote, in the unit of the column: seconds or
    /// milliseconds. Lost for good.
    pub lost_precision: Option<f64>,
}

/// What a repair did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Repaired {
    /// What was repaired.
    pub repairs: Vec<Repair>,
    /// What is not right and cannot be repaired here.
    pub left: Vec<String>,
    /// What of the site's a repair touches.
    pub notes: Vec<String>,
}

/// Why nothing was repaired.
#[derive(Debug, thiserror::Error, Failure)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RepairError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The values of a column differ from those before.
    #[error("the values of `{0}` would not be the same afterwards; everything is as it was")]
    #[failure(Internal)]
    Changed(String),
    /// The tables changed between the look and the locks.
    #[error("the tables were changed by another session at the same time; everything is as it was")]
    #[failure(Conflict: "run the same command again", may_pass)]
    Moved,
    #[error("`{0}` would still not be right afterwards; everything is as it was")]
    #[failure(Internal)]
    Unrepaired(String),
}

impl From<ServerError> for RepairError {
    fn from(error: ServerError) -> Self {
        Self::Schema(error.into())
    }
}

impl From<SqliteError> for RepairError {
    fn from(error: SqliteError) -> Self {
        Self::Schema(error.into())
    }
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Columns with 32 bits that should have 64, by table.
    pub(super) columns: Vec<(&'static Table, Vec<NarrowColumn>)>,
    /// Indexes to be made: table, index, column, and what is there under the name and goes first.
    pub(super) indexes: Vec<(&'static str, &'static str, &'static str, Option<String>)>,
    /// What is not right and cannot be repaired here.
    pub(super) left: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct NarrowColumn {
    pub(super) name: &'static str,
    pub(super) kind: ColumnKind,
}

impl NarrowColumn {
    pub(super) const fn narrow_type(self) -> &'static str {
        match self.kind {
            ColumnKind::Id => "integer",
            _ => "real",
        }
    }
}

impl Plan {
    pub(super) fn of(assessment: &Assessment<'_>, dialect: Dialect) -> Self {
        let mut plan = Self::default();
        for table in TABLES {
            let mut narrow = Vec::new();
            for drift in assessment
                .drift
                .iter()
                .filter(|drift| drift.table == table.name)
            {
                let column = table
                    .columns
                    .iter()
                    .find(|column| drift.column.as_deref() == Some(column.name));
                let column = column.map(|column| NarrowColumn {
                    name: column.name,
                    kind: column.kind,
                });
                let is_own_index = drift.kind == DriftKind::Index
                    && drift.found.starts_with(&format!("{} (", table.name));
                let index = table
                    .indexes
                    .iter()
                    .find(|(name, _)| drift.column.as_deref() == Some(name));
                match (drift.kind, column, index) {
                    (DriftKind::Type, Some(column), _)
                        if dialect == Dialect::Postgres
                            && matches!(column.kind, ColumnKind::Id | ColumnKind::Float)
                            && drift.found == column.narrow_type() =>
                    {
                        narrow.push(column);
                    }
                    (DriftKind::Index, _, Some((name, column))) if is_own_index => {
                        plan.indexes
                            .push((table.name, name, column, Some(drift.found.clone())));
                    }
                    _ => plan.left.push(drift.to_string()),
                }
            }
            if !narrow.is_empty() {
                plan.columns.push((table, narrow));
            }
        }
        plan.indexes.extend(
            assessment
                .missing_indexes
                .iter()
                .map(|(table, index, column)| (*table, *index, *column, None)),
        );
        plan.left.extend(
            assessment
                .missing
                .iter()
                .map(|table| format!("table {} is missing", table.name)),
        );
        plan
    }

    pub(super) fn index_repairs(&self) -> impl Iterator<Item = Repair> {
        self.indexes
            .iter()
            .map(|(table, index, column, found)| Repair {
                subject: (*index).to_owned(),
                was: found.clone().unwrap_or_else(|| "missing".to_owned()),
                became: format!("{table} ({column})"),
                rows: None,
                lost_precision: None,
            })
    }

    /// Whether something that was to be repaired is still not right.
    pub(super) fn unrepaired(&self, after: &Assessment<'_>) -> Option<String> {
        let columns = self
            .columns
            .iter()
            .flat_map(|(table, columns)| columns.iter().map(|column| (table.name, column.name)));
        let indexes = self
            .indexes
            .iter()
            .map(|(table, index, ..)| (*table, *index));
        let is_drift = |(table, name): &(&str, &str)| {
            after.drift.iter().any(|drift| {
                drift.table == *table
                    && drift.column.as_deref() == Some(*name)
                    && drift.kind != DriftKind::Nullability
            }) || after
                .missing_indexes
                .iter()
                .any(|(_, index, _)| index == name)
        };
        columns
            .chain(indexes)
            .find(is_drift)
            .map(|(table, name)| format!("{table}.{name}"))
    }
}

/// How far a value may be from what was written before it was rounded to 24 binary digits and then
/// read as the shortest decimal fraction that means it: half a step each.
pub(super) fn lost_precision(greatest: Option<f64>) -> Option<f64> {
    let greatest = greatest.filter(|greatest| greatest.is_finite() && *greatest > 0.0)?;
    Some((greatest.log2().floor() - 23.0).exp2())
}

#[cfg(test)]
mod tests {
    use super::lost_precision;

    #[test]
    fn the_step_of_a_narrow_float_is_what_is_lost() {
        assert_eq!(lost_precision(Some(1_775_000_000.0)), Some(128.0));
        assert_eq!(lost_precision(Some(1_000_000.0)), Some(0.0625));
        assert_eq!(lost_precision(Some(f64::INFINITY)), None);
        assert_eq!(lost_precision(None), None);
    }
}
