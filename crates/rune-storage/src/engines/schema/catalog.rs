//! What a database has, as it was read: nothing is assessed yet.

use std::collections::BTreeMap;

use serde::Serialize;

use super::shape::BOOKS;

/// What stands under the names that matter here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Tables by name, each with its columns in order. Whatever is not a table has none.
    pub tables: BTreeMap<String, Vec<CatalogColumn>>,
    /// The indexes that can be used, by name.
    pub indexes: BTreeMap<String, CatalogIndex>,
    /// The rows of `schema_version`: version and when it was applied, in seconds since 1970.
    pub versions: BTreeMap<i64, f64>,
    /// The rows of the ledger, by version.
    pub ledger: BTreeMap<i64, LedgerRow>,
    /// The log of repairs, oldest first.
    pub repairs: Vec<RepairRow>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogColumn {
    /// Its name.
    pub name: String,
    /// Its type, as the engine spells it.
    pub kind: String,
    /// The type that its values are stored as: that below a domain of PostgreSQL.
    pub(crate) stored_as: String,
    /// Whether it must be given.
    pub is_required: bool,
    /// Its place in the primary key, if it has one; only the order means something.
    pub(crate) key_place: Option<i64>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogIndex {
    /// The table that it is on.
    pub table: String,
    /// Its columns, in order; of an expression there is no name.
    pub columns: Vec<String>,
}

impl Catalog {
    /// Whether a bookkeeping table is there, with its columns.
    pub(super) fn has_book(&self, table: &str) -> bool {
        self.tables.contains_key(table) && self.missing_in_book(table).is_none()
    }

    pub(super) fn missing_in_book(&self, table: &str) -> Option<&'static str> {
        let columns = self.tables.get(table)?;
        let (_, expected) = BOOKS.iter().find(|(name, _)| *name == table)?;
        expected
            .iter()
            .copied()
            .find(|name| !columns.iter().any(|column| column.name == *name))
    }
}

/// What the ledger says about a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// The file that was applied.
    pub file: String,
    /// The hash of its bytes, 64 hex digits; unknown for what others applied.
    pub sha256: Option<String>,
    /// Who applied it.
    pub origin: String,
    /// The program that wrote the row.
    pub tool: String,
}

/// What the log of repairs says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairRow {
    /// What was repaired: `table.column`, or the name of an index or sequence.
    pub subject: String,
    /// What it was.
    pub was: String,
    /// What it became.
    pub became: String,
    /// How many values were in it; for an index or sequence there is nothing to count.
    pub rows: Option<i64>,
    /// The program that repaired it.
    pub tool: String,
    /// When, in seconds since 1970.
    pub repaired_at: f64,
}

/// Who made what a version stands for, as the ledger says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This program applied the file.
    Applied,
    /// RUNE had applied and recorded it before.
    Recorded,
    /// RUNE had made the tables before there were records.
    Legacy,
}

impl Origin {
    /// The word in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applied => "rune-db",
            Self::Recorded => "rune",
            Self::Legacy => "rune-legacy",
        }
    }
}
