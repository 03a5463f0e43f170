//! What a transfer needs to know of a table beyond its columns: its key, and which columns may be
//! NULL.

use rune_storage::schema::{Column, ColumnKind, TABLES, Table};

/// The columns that are NULL where there is nothing to say.
const NULLABLE: [(&str, &[&str]); 2] = [
    ("jobs", &["result_json", "error", "message"]),
    (
        "workflow_events",
        &["job_id", "duration_ms", "error_type", "labels_json"],
    ),
];

/// The columns of the primary key; they come first in every table.
pub(super) fn key(table: &Table) -> &'static [Column] {
    let count = if table.name == "idempotency_keys" {
        3
    } else {
        1
    };
    table.columns.get(..count).unwrap_or_default()
}

pub(super) fn is_nullable(table: &Table, column: &Column) -> bool {
    NULLABLE
        .iter()
        .any(|(name, columns)| *name == table.name && columns.contains(&column.name))
}

pub(super) fn is_indexed(table: &Table, column: &Column) -> bool {
    table
        .indexes
        .iter()
        .any(|(_, indexed)| *indexed == column.name)
}

pub(super) fn column_list(table: &Table) -> String {
    table
        .columns
        .iter()
        .map(|column| column.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The one table whose keys the database gives out, and its key.
pub(super) fn numbered() -> Option<(&'static Table, &'static Column)> {
    let id = |table: &'static Table| {
        Some((
            table,
            table
                .columns
                .iter()
                .find(|column| column.kind == ColumnKind::Id)?,
        ))
    };
    TABLES.iter().find_map(id)
}

#[cfg(test)]
mod tests {
    use super::{is_nullable, key};
    use rune_storage::{
        migrations::{Dialect, Migrations},
        schema::TABLES,
    };

    /// The key and the NOT NULLs of this module are those of the migrations, as SQLite understands
    /// them.
    #[test]
    fn the_layout_is_that_of_the_migrations() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let migrations = Migrations::embedded().unwrap();
        for table in TABLES {
            for statement in migrations
                .get(table.version)
                .unwrap()
                .statements(Dialect::Sqlite)
                .unwrap()
            {
                connection.execute_batch(&statement.sql).unwrap();
            }
            let sql = "SELECT name, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid";
            let mut statement = connection.prepare(sql).unwrap();
            let columns: Vec<(String, bool, i64)> = statement
                .query_map([table.name], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap()
                .map(Result::unwrap)
                .collect();
            for (position, (column, (name, is_required, key_position))) in
                table.columns.iter().zip(&columns).enumerate()
            {
                assert_eq!(column.name, name);
                assert_eq!(
                    is_nullable(table, column),
                    !is_required && *key_position == 0,
                    "{}.{name}",
                    table.name
                );
                assert_eq!(
                    position < key(table).len(),
                    *key_position > 0,
                    "{}.{name}",
                    table.name
                );
            }
        }
    }
}
