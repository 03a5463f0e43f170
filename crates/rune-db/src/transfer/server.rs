//! RUNE's tables on a PostgreSQL server, as seen by one transaction.

use tokio_postgres::Client;

use super::{
    error::TransferError,
    file::{check_is_known, check_is_rune},
    layout,
};
use rune_storage::{
    migrations::{Dialect, Migrations},
    roll_back,
    schema::{
        Catalog, Column, ColumnKind, SchemaError, TABLES, Table, Verb,
        on_postgres::{self, IdSource},
        quoted,
    },
};

#[derive(Debug)]
pub(super) struct ServerTables<'c> {
    pub(super) client: &'c Client,
    pub(super) schema: String,
    pub(super) found: Catalog,
}

/// Does something in a transaction that sees one moment and changes nothing, perhaps as another
/// role, and ends it.
pub(super) async fn in_snapshot<T>(
    client: &Client,
    owner: Option<&str>,
    act: impl AsyncFnOnce(&ServerTables<'_>) -> Result<T, TransferError>,
) -> Result<T, TransferError> {
    let (schema, found) = on_postgres::begin_snapshot(client, owner).await?;
    let outcome = act(&ServerTables {
        client,
        schema,
        found,
    })
    .await;
    roll_back(client).await;
    outcome
}

impl<'c> ServerTables<'c> {
    pub(super) async fn look(client: &'c Client) -> Result<Self, TransferError> {
        let (schema, found) = on_postgres::look_within(client).await?;
        Ok(Self {
            client,
            schema,
            found,
        })
    }

    pub(super) fn check_is_rune(
        &self,
        migrations: &Migrations,
        location: &str,
    ) -> Result<(), TransferError> {
        check_is_rune(&self.found, migrations, Dialect::Postgres, location)
    }

    pub(super) fn check_is_known(
        &self,
        migrations: &Migrations,
        location: &str,
    ) -> Result<(), TransferError> {
        check_is_known(&self.found, migrations, Dialect::Postgres, location)
    }

    pub(super) fn has(&self, table: &Table) -> bool {
        self.found.tables.contains_key(table.name)
    }

    /// Refuses what a site put in the way of a verb; says what is worth knowing.
    pub(super) async fn check_site(&self, verb: Verb) -> Result<Vec<String>, TransferError> {
        let site = on_postgres::look_around(self.client).await?;
        site.check(verb).map_err(SchemaError::from)?;
        Ok(site.notes(verb))
    }

    pub(super) fn name(&self, table: &Table) -> String {
        format!("{}.{}", quoted(&self.schema), table.name)
    }

    /// A column of floats in SQL, as 64 bits. One that era B of RUNE made 32 bits wide counts as
    /// its text, which is what RUNE reads and what `repair` makes of it: 12.3, where a direct cast
    /// gives 12.300000190734863.
    pub(super) fn float(&self, table: &Table, column: &Column) -> String {
        let name = column.name;
        let found = self
            .found
            .tables
            .get(table.name)
            .and_then(|columns| columns.iter().find(|found| found.name == name));
        if found.is_some_and(|found| found.kind == "real") {
            format!("{name}::text::float8")
        } else {
            format!("{name}::float8")
        }
    }

    /// About how many bytes the values of a table take. Values are counted as they are sent; on
    /// disk they are compressed.
    pub(super) async fn bytes(&self, table: &Table) -> Result<u64, TransferError> {
        let sql = match table
            .columns
            .iter()
            .find(|column| column.kind == ColumnKind::Bytes)
        {
            Some(column) => format!(
                "SELECT coalesce(sum(octet_length({})::int8), 0)::int8 FROM {}",
                column.name,
                self.name(table)
            ),
            None => format!(
                "SELECT pg_table_size('{}')",
                self.name(table).replace('\'', "''")
            ),
        };
        Ok(u64::try_from(
            self.client
                .query_typed_one(&sql, &[])
                .await?
                .try_get::<_, i64>(0)?,
        )
        .unwrap_or(0))
    }

    pub(super) async fn tables_with_rows(&self) -> Result<Vec<String>, TransferError> {
        let mut full = Vec::new();
        for table in TABLES.iter().filter(|table| self.has(table)) {
            let sql = format!("SELECT EXISTS (SELECT FROM {})", self.name(table));
            if self.client.query_typed_one(&sql, &[]).await?.try_get(0)? {
                full.push(table.name.to_owned());
            }
        }
        Ok(full)
    }
}

impl ServerTables<'_> {
    /// What gives out the ids of the events, if that table is there.
    pub(super) async fn ids(&self) -> Result<Option<IdSource>, TransferError> {
        let is_there = layout::numbered().is_some_and(|(table, _)| self.has(table));
        Ok(if is_there {
            Some(IdSource::read(self.client, &self.schema).await?)
        } else {
            None
        })
    }
}
