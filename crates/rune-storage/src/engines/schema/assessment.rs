//! What to make of what a database has: who made it, what is applied, what is to be done, what is
//! wrong.

use serde::Serialize;

use super::{
    catalog::{Catalog, LedgerRow},
    drift::{Drift, DriftKind},
    shape::{BOOKS, LEDGER, TABLES, Table, VERSIONS},
};
use crate::migrations::{Dialect, Migration, Migrations};
use rune_core::digest::Digest;

/// Who created a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SchemaOrigin {
    /// Nobody yet.
    Empty,
    /// RUNE up to v0.0.0a5, and main until 2026-04-09: tables and no `schema_version`.
    Legacy,
    /// RUNE v0.0.0a6, and main from 2026-04-10 to 2026-04-30: eras A and X look alike in SQLite.
    AOrX,
    /// RUNE of April 2026 with PostgreSQL's own types.
    A,
    /// RUNE v0.0.0a6, stopped in the middle by PostgreSQL.
    X,
    /// RUNE's main since 2026-04-30.
    B,
    /// This program, or it has taken charge.
    Ours,
    /// Somebody else: a table has a name of RUNE and not its columns.
    Foreign,
}

/// A version that is applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The version.
    pub version: i64,
    /// The file; unknown for versions that this program does not know and has no ledger row of.
    pub file: Option<String>,
    /// Who applied it, if that is on record.
    pub origin: Option<String>,
    /// When, in seconds since 1970.
    pub applied_at: f64,
}

/// A file that was applied and is another one now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edited {
    /// The version.
    pub version: u32,
    /// The file's name now.
    pub file: String,
    /// The hash of what was applied.
    pub applied: String,
    /// The hash of the file now.
    pub now: Digest,
}

/// The assessment of a database.
#[derive(Debug, Clone)]
pub struct Assessment<'a> {
    /// Who made it.
    pub era: SchemaOrigin,
    /// What is applied, by version.
    pub applied: Vec<Applied>,
    /// What is to be applied, in this order. Tables without a record are not among them.
    pub pending: Vec<&'a Migration>,
    /// Tables that exist without a record of their version.
    pub unrecorded: Vec<&'static Table>,
    /// Recorded versions of RUNE that the ledger does not know.
    pub(crate) unledgered: Vec<&'a Migration>,
    /// Recorded versions that this program does not know.
    pub unknown: Vec<i64>,
    /// Applied files that were edited.
    pub edited: Vec<Edited>,
    /// What of RUNE's tables is not as it should be.
    pub drift: Vec<Drift>,
    /// Tables with a name of RUNE that lack its columns: table and the first missing column.
    pub foreign: Vec<(&'static str, &'static str)>,
    /// Tables whose version is recorded, but which are not there.
    pub missing: Vec<&'static Table>,
    /// Indexes that are not there although their table is: table, index, column.
    pub missing_indexes: Vec<(&'static str, &'static str, &'static str)>,
}

impl<'a> Assessment<'a> {
    /// Compares what was found with the migrations.
    pub fn of(found: &Catalog, migrations: &'a Migrations, dialect: Dialect) -> Self {
        let is_recorded = |version: u32| found.versions.contains_key(&i64::from(version));
        let present = || {
            TABLES
                .iter()
                .filter(|table| found.tables.contains_key(table.name))
        };
        let unrecorded: Vec<_> = present()
            .filter(|table| !is_recorded(table.version))
            .collect();
        let is_unrecorded = |version: u32| unrecorded.iter().any(|table| table.version == version);
        let drift: Vec<Drift> = present()
            .flat_map(|table| Drift::of(table, found, dialect))
            .collect();
        let tables =
            present().filter_map(|table| Some((table.name, missing_column(table, found)?)));
        let books = BOOKS
            .iter()
            .filter_map(|(name, _)| Some((*name, found.missing_in_book(name)?)));
        let foreign: Vec<_> = tables.chain(books).collect();
        Self {
            era: era(found, &drift, &foreign, dialect),
            applied: found
                .versions
                .iter()
                .map(|(version, at)| applied(*version, *at, found, migrations))
                .collect(),
            pending: migrations
                .iter()
                .filter(|one| !is_recorded(one.version()) && !is_unrecorded(one.version()))
                .collect(),
            unledgered: migrations
                .iter()
                .filter(|one| {
                    is_recorded(one.version())
                        && !found.ledger.contains_key(&i64::from(one.version()))
                })
                .collect(),
            unknown: found
                .versions
                .keys()
                .copied()
                .filter(|version| !is_known(*version, migrations))
                .collect(),
            edited: migrations
                .iter()
                .filter(|one| is_recorded(one.version()))
                .filter_map(|one| edited(one, found))
                .collect(),
            missing: TABLES
                .iter()
                .filter(|table| {
                    is_recorded(table.version) && !found.tables.contains_key(table.name)
                })
                .collect(),
            missing_indexes: present()
                .flat_map(|table| {
                    table
                        .indexes
                        .iter()
                        .map(|(index, column)| (table.name, *index, *column))
                })
                .filter(|(_, index, _)| !found.indexes.contains_key(*index))
                .collect(),
            unrecorded,
            drift,
            foreign,
        }
    }

    /// Whether nothing is left to be done.
    pub fn is_up_to_date(&self) -> bool {
        self.pending.is_empty() && self.unrecorded.is_empty() && self.unledgered.is_empty()
    }

    /// Missing indexes of tables that this program takes charge of now: whoever recorded them did
    /// not look.
    pub(super) fn untended_indexes(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let is_untended = |table: &str| {
            let is_taken = |version: u32| {
                self.unledgered
                    .iter()
                    .any(|migration| migration.version() == version)
            };
            self.unrecorded.iter().any(|one| one.name == table)
                || TABLES
                    .iter()
                    .any(|one| one.name == table && is_taken(one.version))
        };
        self.missing_indexes
            .iter()
            .copied()
            .filter(move |(table, ..)| is_untended(table))
    }

    /// The differences of some kind, if there are any.
    fn listed(&self, is_listed: fn(&Drift) -> bool) -> Option<String> {
        let texts: Vec<String> = self
            .drift
            .iter()
            .filter(|one| is_listed(one))
            .map(ToString::to_string)
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The columns that RUNE itself gave too few bits. What a newer RUNE wants is not known here:
    /// then no repair is advised.
    pub fn lossy_types(&self) -> Option<String> {
        self.listed(Drift::is_lossy).map(|columns| {
            format!(
                "columns have types that lose digits: {columns}{}",
                self.repair_advice()
            )
        })
    }

    const fn repair_advice(&self) -> &'static str {
        if self.unknown.is_empty() {
            "; run `rune-db repair`"
        } else {
            ""
        }
    }

    /// What is worth a warning and no more, unless one is strict.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.unknown.is_empty() {
            let versions: Vec<String> = self.unknown.iter().map(i64::to_string).collect();
            warnings.push(format!(
                "schema version {} is not known here; use the release of rune-db that belongs to \
                 this RUNE",
                versions.join(", ")
            ));
        }
        let listed = |is_listed| self.listed(is_listed);
        warnings.extend(self.lossy_types());
        if let Some(columns) = listed(|one| one.kind == DriftKind::Type && !one.is_lossy()) {
            warnings.push(format!("columns have types that are not RUNE's: {columns}"));
        }
        if let Some(others) = listed(|one| one.kind != DriftKind::Type) {
            warnings.push(format!("tables differ from RUNE's: {others}"));
        }
        for table in &self.missing {
            warnings.push(format!(
                "schema version {} is recorded, but its table `{}` is not there",
                table.version, table.name
            ));
        }
        for (table, index, _) in &self.missing_indexes {
            warnings.push(format!(
                "table `{table}` lacks its index `{index}`{}",
                self.repair_advice()
            ));
        }
        warnings
    }
}

fn is_known(version: i64, migrations: &Migrations) -> bool {
    u32::try_from(version).is_ok_and(|version| migrations.get(version).is_some())
}

fn applied(version: i64, applied_at: f64, found: &Catalog, migrations: &Migrations) -> Applied {
    let row = found.ledger.get(&version);
    let known = u32::try_from(version)
        .ok()
        .and_then(|version| migrations.get(version));
    let file = row
        .map(|row| row.file.clone())
        .or_else(|| known.map(|migration| migration.file().to_owned()));
    Applied {
        version,
        file,
        origin: row.map(|row| row.origin.clone()),
        applied_at,
    }
}

fn edited(migration: &Migration, found: &Catalog) -> Option<Edited> {
    let row: &LedgerRow = found.ledger.get(&i64::from(migration.version()))?;
    let applied = row
        .sha256
        .as_ref()
        .filter(|hex| **hex != migration.sha256().hex())?;
    let file = migration.file().to_owned();
    Some(Edited {
        version: migration.version(),
        file,
        applied: format!("sha256:{applied}"),
        now: migration.sha256(),
    })
}

fn missing_column(table: &Table, found: &Catalog) -> Option<&'static str> {
    let columns = found.tables.get(table.name)?;
    table
        .columns
        .iter()
        .map(|column| column.name)
        .find(|name| !columns.iter().any(|column| column.name == *name))
}

fn era(
    found: &Catalog,
    drift: &[Drift],
    foreign: &[(&'static str, &'static str)],
    dialect: Dialect,
) -> SchemaOrigin {
    let has_tables = TABLES
        .iter()
        .any(|table| found.tables.contains_key(table.name));
    let newest = found.versions.keys().next_back().copied();
    if !foreign.is_empty() {
        SchemaOrigin::Foreign
    } else if found.tables.contains_key(LEDGER) {
        SchemaOrigin::Ours
    } else if !has_tables && newest.is_none() {
        SchemaOrigin::Empty
    } else if newest.is_none() || !found.tables.contains_key(VERSIONS) {
        SchemaOrigin::Legacy
    } else {
        match dialect {
            Dialect::Sqlite if newest.is_some_and(|newest| newest < 6) => SchemaOrigin::AOrX,
            Dialect::Postgres if !drift.iter().any(|one| one.kind == DriftKind::Type) => {
                SchemaOrigin::A
            }
            Dialect::Postgres if newest.is_some_and(|newest| newest < 3) => SchemaOrigin::X,
            Dialect::Sqlite | Dialect::Postgres => SchemaOrigin::B,
        }
    }
}
