//! Where RUNE's tables differ from what every version of RUNE makes, column by column.

use std::{borrow::Cow, fmt};

use serde::Serialize;

use super::{
    catalog::{Catalog, CatalogColumn},
    shape::{Column, Need, Table},
};
use crate::migrations::Dialect;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Of what kind.
    pub kind: DriftKind,
    /// The table.
    pub table: &'static str,
    /// The column; of a primary key there is none, of an index its name.
    pub column: Option<String>,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
    /// Whether values of the type are read exactly.
    #[serde(skip)]
    is_readable: bool,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DriftKind {
    /// The type of a column.
    Type,
    /// Whether a column must be given.
    Nullability,
    /// A column is not there.
    Missing,
    /// A column is there that RUNE does not know.
    Extra,
    /// The primary key.
    PrimaryKey,
    /// The columns of an index, or its table.
    Index,
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            table,
            column,
            expected,
            found,
            ..
        } = self;
        let column = column.as_deref().unwrap_or_default();
        match kind {
            DriftKind::Type | DriftKind::Nullability => {
                write!(formatter, "{table}.{column} is `{found}`, not `{expected}`")
            }
            DriftKind::Missing => write!(formatter, "{table}.{column} is missing"),
            DriftKind::Extra => write!(formatter, "{table}.{column} is not RUNE's"),
            DriftKind::PrimaryKey => write!(
                formatter,
                "the primary key of {table} is `{found}`, not `{expected}`"
            ),
            DriftKind::Index => write!(
                formatter,
                "index {column} of {table} is on `{found}`, not on `{expected}`"
            ),
        }
    }
}

impl Drift {
    /// Whether it is a 32-bit type that RUNE itself chose on PostgreSQL: values lose digits, and
    /// `rune-db repair` widens it.
    pub fn is_lossy(&self) -> bool {
        self.kind == DriftKind::Type
            && matches!(
                (self.expected.as_str(), self.found.as_str()),
                ("double precision", "real") | ("bigint", "integer")
            )
    }

    /// Whether values of the type are not read exactly: it is not among those that hold texts,
    /// floats, whole numbers or bytes on PostgreSQL. SQLite stores any value under any type.
    pub fn is_unreadable(&self) -> bool {
        self.kind == DriftKind::Type && !self.is_readable
    }

    pub(super) fn of(table: &'static Table, found: &Catalog, dialect: Dialect) -> Vec<Self> {
        let columns = found
            .tables
            .get(table.name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let drift = |kind, column: &str, expected: Cow<'_, str>, found: &str| {
            let column = (!column.is_empty()).then(|| column.to_owned());
            Self {
                kind,
                table: table.name,
                column,
                expected: expected.into_owned(),
                found: found.to_owned(),
                is_readable: true,
            }
        };
        let mut all = Vec::new();
        for column in table.columns {
            let expected = column.kind.type_name(dialect);
            let Some(found) = columns.iter().find(|found| found.name == column.name) else {
                all.push(drift(
                    DriftKind::Missing,
                    column.name,
                    expected.into(),
                    "nothing",
                ));
                continue;
            };
            if !found.kind.eq_ignore_ascii_case(expected) {
                let is_readable = column.kind.is_read_from(&found.stored_as, dialect);
                all.push(Self {
                    is_readable,
                    ..drift(DriftKind::Type, column.name, expected.into(), &found.kind)
                });
            }
            let need = |is_required| if is_required { "not null" } else { "nullable" };
            if let Some(is_required) = is_required(table, column, dialect)
                .filter(|expected| *expected != found.is_required)
            {
                all.push(drift(
                    DriftKind::Nullability,
                    column.name,
                    need(is_required).into(),
                    need(found.is_required),
                ));
            }
        }
        for column in columns
            .iter()
            .filter(|found| !table.columns.iter().any(|column| column.name == found.name))
        {
            all.push(drift(
                DriftKind::Extra,
                &column.name,
                "nothing".into(),
                &column.kind,
            ));
        }
        let key = table
            .key()
            .map(|column| column.name)
            .collect::<Vec<_>>()
            .join(", ");
        let found_key = key_text(columns);
        if key != found_key {
            all.push(drift(DriftKind::PrimaryKey, "", key.into(), &found_key));
        }
        for (index, column) in table.indexes {
            let Some(found) = found.indexes.get(*index) else {
                continue;
            };
            if found.table != table.name || found.columns != [*column] {
                let place = format!("{} ({})", found.table, found.columns.join(", "));
                all.push(drift(
                    DriftKind::Index,
                    index,
                    format!("{} ({column})", table.name).into(),
                    &place,
                ));
            }
        }
        all
    }
}

/// Whether a column must be given; `None` where it does not matter: SQLite lets a key of one column
/// be NULL, unless it is told.
fn is_required(table: &Table, column: &Column, dialect: Dialect) -> Option<bool> {
    match column.need {
        Need::Key if dialect == Dialect::Sqlite && table.key().count() == 1 => None,
        Need::Key | Need::Required => Some(true),
        Need::Optional => Some(false),
    }
}

fn key_text(columns: &[CatalogColumn]) -> String {
    let mut key: Vec<(i64, &str)> = columns
        .iter()
        .filter_map(|column| Some((column.key_place?, column.name.as_str())))
        .collect();
    key.sort_unstable();
    let names: Vec<&str> = key.into_iter().map(|(_, name)| name).collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}
