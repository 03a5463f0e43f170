//! The tables that every version of RUNE reads and writes: names, columns, types, indexes.
//!
//! This is what a database is recognised by. It is not how tables are made; the migrations do that,
//! and a test holds the two together.

use crate::migrations::Dialect;

/// A table of RUNE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The schema version that made it.
    pub version: u32,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// Its indexes beside the primary key: name and column.
    pub indexes: &'static [(&'static str, &'static str)],
}

impl Table {
    /// The columns of its primary key, in the key's order: that of the columns in every table of
    /// RUNE.
    pub fn key(&self) -> impl Iterator<Item = &'static Column> {
        self.columns
            .iter()
            .filter(|column| column.need == Need::Key)
    }
}

/// A column of such a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether a row must have it.
    pub need: Need,
}

/// Whether every row must have a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Yes; it is part of the primary key, too.
    Key,
    /// Yes.
    Required,
    /// No.
    Optional,
}

/// What a column holds, and so its type in both dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A 64-bit float: seconds or milliseconds.
    Float,
    /// A number that the database gives out.
    Id,
    /// A size.
    Integer,
    /// Bytes.
    Bytes,
}

impl ColumnKind {
    /// The type, as the dialect's own catalogue spells it.
    pub(crate) const fn type_name(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::Text, Dialect::Sqlite) => "TEXT",
            (Self::Text, Dialect::Postgres) => "text",
            (Self::Float, Dialect::Sqlite) => "REAL",
            (Self::Float, Dialect::Postgres) => "double precision",
            (Self::Id | Self::Integer, Dialect::Sqlite) => "INTEGER",
            (Self::Id, Dialect::Postgres) => "bigint",
            (Self::Integer, Dialect::Postgres) => "integer",
            (Self::Bytes, Dialect::Sqlite) => "BLOB",
            (Self::Bytes, Dialect::Postgres) => "bytea",
        }
    }

    /// Whether values that are stored as a type are read exactly.
    pub(super) fn is_read_from(self, stored_as: &str, dialect: Dialect) -> bool {
        let types: &[&str] = match (self, dialect) {
            (_, Dialect::Sqlite) => return true,
            (Self::Text, Dialect::Postgres) => &["text", "character varying", "character", "name"],
            (Self::Float, Dialect::Postgres) => &["double precision", "real"],
            (Self::Id | Self::Integer, Dialect::Postgres) => &["bigint", "integer", "smallint"],
            (Self::Bytes, Dialect::Postgres) => &["bytea"],
        };
        types.contains(&stored_as)
    }
}

const fn key(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Text,
        need: Need::Key,
    }
}

const fn text(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Text,
        need: Need::Required,
    }
}

const fn perhaps_text(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Text,
        need: Need::Optional,
    }
}

const fn float(name: &'static str) -> Column {
    Column {
        name,
        kind: ColumnKind::Float,
        need: Need::Required,
    }
}

/// RUNE's tables, in the order of their versions. Bookkeeping tables are not among them.
pub const TABLES: &[Table] = &[
    Table {
        name: "jobs",
        version: 1,
        columns: &[
            key("job_id"),
            text("tenant_id"),
            text("kind"),
            text("status"),
            text("request_json"),
            perhaps_text("result_json"),
            perhaps_text("error"),
            perhaps_text("message"),
            float("created_at"),
            float("updated_at"),
        ],
        indexes: &[],
    },
    Table {
        name: "idempotency_keys",
        version: 2,
        columns: &[
            key("tenant_id"),
            key("operation"),
            key("idempotency_key"),
            text("job_id"),
            float("created_at"),
        ],
        indexes: &[],
    },
    Table {
        name: "workflow_events",
        version: 3,
        columns: &[
            Column {
                name: "id",
                kind: ColumnKind::Id,
                need: Need::Key,
            },
            perhaps_text("job_id"),
            text("event"),
            text("status"),
            Column {
                name: "duration_ms",
                kind: ColumnKind::Float,
                need: Need::Optional,
            },
            perhaps_text("error_type"),
            perhaps_text("labels_json"),
            float("recorded_at"),
        ],
        indexes: &[
            ("idx_workflow_events_job_id", "job_id"),
            ("idx_workflow_events_event", "event"),
        ],
    },
    Table {
        name: "chain_state",
        version: 4,
        columns: &[
            key("job_id"),
            text("state_json"),
            text("overall_status"),
            float("updated_at"),
        ],
        indexes: &[],
    },
    Table {
        name: "audit_artifact",
        version: 5,
        columns: &[
            key("artifact_id"),
            text("job_id"),
            text("kind"),
            text("name"),
            Column {
                name: "size_bytes",
                kind: ColumnKind::Integer,
                need: Need::Required,
            },
            text("sha256"),
            Column {
                name: "content",
                kind: ColumnKind::Bytes,
                need: Need::Required,
            },
            float("created_at"),
        ],
        indexes: &[("idx_audit_artifact_job_id", "job_id")],
    },
    Table {
        name: "settings",
        version: 6,
        columns: &[key("key"), text("value_json"), float("updated_at")],
        indexes: &[],
    },
];

pub(super) const VERSIONS: &str = "schema_version";

pub(super) const LEDGER: &str = "rune_db_ledger";

/// This program's log of repairs. A table of its own: RUNE numbers versions, and readers of the
/// ledger expect nothing else in it.
pub(super) const REPAIRS: &str = "rune_db_repairs";

/// The columns that a bookkeeping table must have to be one.
pub(super) const BOOKS: [(&str, &[&str]); 3] = [
    (VERSIONS, &["version", "applied_at"]),
    (
        LEDGER,
        &["version", "file", "sha256", "origin", "tool", "applied_at"],
    ),
    (
        REPAIRS,
        &[
            "number",
            "subject",
            "was",
            "became",
            "rows",
            "tool",
            "repaired_at",
        ],
    ),
];

/// The names of all tables that are read.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES
        .iter()
        .map(|table| table.name)
        .chain([VERSIONS, LEDGER, REPAIRS])
}

/// Whether a relation has a name of one of RUNE's tables, as SQLite compares names.
pub fn is_name_of_rune(name: &str) -> bool {
    names().any(|known| name.eq_ignore_ascii_case(known))
}
