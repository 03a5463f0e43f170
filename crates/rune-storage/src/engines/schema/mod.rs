//! RUNE's schema: which migrations there are, what a database has of them, and bringing it up to
//! date.
//!
//! Whatever starts at the same time, each migration is applied once and whole: every step is one
//! transaction that takes the engine's lock first and reads what is there after that. What RUNE
//! itself made is recognised and left as it is. How a database is opened belongs to `storage`, and
//! no row is read here.

mod assessment;
mod catalog;
mod drift;
mod error;
mod id_source;
mod inspection;
mod postgres;
mod repair;
mod repair_postgres;
mod repair_sqlite;
mod roles;
mod shape;
mod sqlite;

pub use assessment::{Applied, Assessment, Edited, SchemaOrigin};
pub use catalog::{Catalog, CatalogColumn, CatalogIndex, LedgerRow, Origin, RepairRow};
pub use drift::{Drift, DriftKind};
pub use error::SchemaError;
pub use inspection::{Events, Inspection, Obstacle, SiteGuard, SiteObject, Verb};
pub use repair::{Repair, RepairError, Repaired};
pub use roles::{RoleError, quoted};
pub use shape::{Column, ColumnKind, Need, TABLES, Table, is_name_of_rune};

/// Inspecting, migrating and repairing PostgreSQL databases.
pub mod on_postgres {
    pub use super::{
        id_source::{IdSource, Sequence},
        inspection::look_around,
        postgres::{
            begin_migrated, begin_snapshot, check_roles, inspect, inspect_site, look_within,
            migrate,
        },
        repair_postgres::repair,
    };
}

/// Inspecting, migrating and repairing SQLite databases.
pub mod on_sqlite {
    pub use super::{
        inspection::look_around_file as look_around,
        repair_sqlite::repair,
        sqlite::{inspect_site, migrate, read},
    };
}

const TOOL: &str = concat!("rune-db ", env!("CARGO_PKG_VERSION"));

/// How a database is to be migrated.
#[derive(Debug, Clone, Default)]
pub struct MigrateSettings {
    /// The PostgreSQL role that owns RUNE's tables, or is to own them.
    pub owner: Option<String>,
    /// Whether what is only worth a warning stops the work before it begins.
    pub is_strict: bool,
}

/// What migrating did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Versions whose files were applied, in this order.
    pub applied: Vec<u32>,
    /// Versions whose tables were there without a record, and are on record now.
    pub adopted: Vec<u32>,
    /// Whether anything was changed: what is recorded about migrations and indexes counts too.
    pub is_changed: bool,
}
