//! The primary keys and indexes of empty tables that this transaction has made itself: dropped
//! before the rows come, made again after them under the same names, because a tree is sooner built
//! from all keys at once than key by key.
//!
//! Nobody else has seen these tables yet, so nothing can refer to them, wait for them, or miss the
//! keys meanwhile.

use tokio_postgres::types::Type;

use super::{error::TransferError, server::ServerTables};
use rune_storage::{ServerError, schema::TABLES};

#[derive(Debug, Default)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    /// Drops what the tables of these schema versions have.
    pub(super) async fn take_away(
        server: &ServerTables<'_>,
        made: &[u32],
    ) -> Result<Self, TransferError> {
        const OF_A_TABLE: &str = "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', $1, c.conname),
                format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1, c.conname, pg_get_constraintdef(c.oid))
            FROM pg_constraint c WHERE c.conrelid = $1::regclass AND c.contype = 'p'
            UNION ALL SELECT format('DROP INDEX %s', i.indexrelid::regclass),
                pg_get_indexdef(i.indexrelid)
            FROM pg_index i WHERE i.indrelid = $1::regclass AND NOT i.indisprimary";
        let mut again = Vec::new();
        for table in TABLES.iter().filter(|table| made.contains(&table.version)) {
            for row in server
                .client
                .query_typed(OF_A_TABLE, &[(&server.name(table), Type::TEXT)])
                .await?
            {
                server
                    .client
                    .batch_execute(row.try_get(0)?)
                    .await
                    .map_err(ServerError::OfObject)?;
                again.push(row.try_get(1)?);
            }
        }
        Ok(Self(again))
    }

    pub(super) async fn make_again(self, server: &ServerTables<'_>) -> Result<(), TransferError> {
        for sql in self.0 {
            server.client.batch_execute(&sql).await?;
        }
        Ok(())
    }
}
