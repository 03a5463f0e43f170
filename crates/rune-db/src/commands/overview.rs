//! A database as `migrate` and `status` describe it.

use std::time::Duration;

use camino::Utf8Path;
use serde::Serialize;
use tokio_postgres::Client;

use super::target::Target;
use rune_core::{command::CommandError, fsx};
use rune_storage::{
    ServerError,
    migrations::{Dialect, Migration, Migrations},
    schema::{
        Applied, Assessment, Catalog, Drift, Edited, Inspection, RepairRow, SchemaError,
        SchemaOrigin, Verb, on_postgres, on_sqlite,
    },
};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// `sqlite` or `postgres`.
    pub(crate) engine: Dialect,
    /// The version of the server, or of the SQLite library in this program.
    pub(crate) engine_version: Option<String>,
    pub(crate) location: String,
    /// What named it: an option, an environment variable or the default.
    pub(crate) selected_by: String,
    /// The PostgreSQL schema that RUNE's tables are in, or would be.
    pub(crate) schema: Option<String>,
    pub(crate) found: SchemaOrigin,
    pub(crate) schema_version: Option<i64>,
    pub(crate) applied: Vec<Applied>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) unrecorded: Vec<u32>,
    /// Applied versions that this program does not know.
    pub(crate) unknown: Vec<i64>,
    pub(crate) edited: Vec<Edited>,
    /// Columns with a type that is not right.
    pub(crate) drift: Vec<Drift>,
    /// What `repair` has changed, oldest first.
    pub(crate) repairs: Vec<RepairRow>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Pending {
    pub(crate) version: u32,
    pub(crate) file: String,
    pub(crate) sha256: rune_core::digest::Digest,
}

impl From<&Migration> for Pending {
    fn from(migration: &Migration) -> Self {
        Self {
            version: migration.version(),
            file: migration.file().to_owned(),
            sha256: migration.sha256(),
        }
    }
}

#[derive(Default)]
pub(super) struct TableSummary {
    engine_version: Option<String>,
    schema: Option<String>,
    found: Catalog,
    site: Inspection,
}

impl TableSummary {
    pub(super) fn at_file(path: &Utf8Path, lock_timeout: Duration) -> Result<Self, CommandError> {
        let mut look = Self {
            engine_version: Some(rusqlite::version().to_owned()),
            ..Self::default()
        };
        if fsx::exists(path) {
            let connection = rune_storage::open_for_looking(path, lock_timeout)?;
            (look.found, look.site) = on_sqlite::inspect_site(&connection, path)?;
        }
        Ok(look)
    }

    pub(super) const fn found(&self) -> &Catalog {
        &self.found
    }

    pub(super) const fn site(&self) -> &Inspection {
        &self.site
    }

    pub(super) async fn at_server(
        client: &Client,
        owner: Option<&str>,
    ) -> Result<Self, CommandError> {
        let (schema, found, site) = on_postgres::inspect_site(client, owner).await?;
        let version = rune_storage::ask(client, "SELECT current_setting('server_version')")
            .await?
            .try_get(0);
        Ok(Self {
            engine_version: Some(version.map_err(ServerError::from)?),
            schema: Some(schema),
            found,
            site,
        })
    }
}

impl Overview {
    pub(super) fn describe(
        target: &Target,
        look: TableSummary,
        migrations: &Migrations,
        verb: Verb,
    ) -> Self {
        let engine = target.dialect();
        let assessment = Assessment::of(&look.found, migrations, engine);
        let mut warnings = assessment.warnings();
        if let Err(error @ (SchemaError::Foreign { .. } | SchemaError::Unrecorded(_))) =
            assessment.check(engine, false)
        {
            warnings.push(error.to_string());
        }
        warnings.extend(look.site.notes(verb));
        Self {
            engine,
            engine_version: look.engine_version,
            location: target.location.clone(),
            selected_by: target.origin.clone(),
            schema: look.schema,
            found: assessment.era,
            schema_version: look.found.versions.keys().next_back().copied(),
            pending: assessment
                .pending
                .iter()
                .map(|migration| Pending::from(*migration))
                .collect(),
            unrecorded: assessment
                .unrecorded
                .iter()
                .map(|table| table.version)
                .collect(),
            applied: assessment.applied,
            unknown: assessment.unknown,
            edited: assessment.edited,
            drift: assessment.drift,
            repairs: look.found.repairs,
            warnings: target.notes.iter().cloned().chain(warnings).collect(),
        }
    }
}

impl Overview {
    pub(super) fn heading(&self) -> String {
        let engine = match self.engine {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
        };
        let version = self.engine_version.as_deref().unwrap_or_default();
        let schema = self
            .schema
            .as_ref()
            .map_or_else(String::new, |schema| format!(", schema `{schema}`"));
        format!("{} ({engine} {version}{schema})\n", self.location)
    }

    pub(super) fn warning_lines(&self) -> String {
        super::warning_lines(&self.warnings)
    }
}
