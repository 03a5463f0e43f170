//! Who may make RUNE's tables on a PostgreSQL server, and in which schema.
//!
//! RUNE runs `CREATE TABLE IF NOT EXISTS` at every start, which needs CREATE on the schema even
//! when the tables are there. So its own role must own them; tables that an administrator made for
//! itself would lock RUNE out.

use tokio_postgres::{Client, types::Type};

use super::{
    inspection::other_schema_help,
    shape::{self, TABLES},
};
use crate::ServerError;
use rune_core::failure::{Failure, FailureKind};

/// Why tables must not be made or changed by this role in this place. Some of it somebody who sets
/// the server up may not have come to yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Access)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RoleError {
    #[error("cannot act as role `{role}`: {reason}")]
    #[failure(kind: if *.is_denied { FailureKind::Access } else { FailureKind::NotFound }, help: {
        let role = quoted(.role);
        if *.is_denied {
            format!("connect as `{}` itself, or let the role that connects act as it: \
                `GRANT {role} TO … WITH SET TRUE` (PostgreSQL 15: without WITH)", .role)
        } else {
            format!("create it: `CREATE ROLE {role} LOGIN`")
        }
    }, may_pass)]
    Owner {
        role: String,
        reason: String,
        /// Whether it is the right that is missing, not the role.
        is_denied: bool,
    },
    #[error("the search path of role `{0}` names no schema that exists and may be used")]
    #[failure(NotFound: format!("create the schema, or `ALTER ROLE {} SET search_path = …`",
        quoted(.0)), may_pass)]
    NoSchema(String),
    #[error("table `{table}` belongs to role `{owner}`, not to `{role}`")]
    #[failure(help: "connect as `{owner}`, or add `--owner {owner}`")]
    OtherOwner {
        table: String,
        owner: String,
        role: String,
    },
    #[error(
        "role `{role}` is a superuser and does not own database `{database}`; tables that it \
         makes would not be RUNE's"
    )]
    #[failure(help: "connect as RUNE's own role, or add `--owner {owner}` (or the role that RUNE \
        uses)")]
    Superuser {
        role: String,
        database: String,
        owner: String,
    },
    /// RUNE's tables stand elsewhere, or twice.
    #[error(
        "RUNE's tables exist in schema `{elsewhere}`, but the search path leads to schema \
         `{schema}`"
    )]
    #[failure(Conflict: other_schema_help(.schema, .elsewhere))]
    TwoSchemas { schema: String, elsewhere: String },
    #[error("role `{role}` may not create tables in schema `{schema}`")]
    #[failure(help: format!("as the owner of the schema: `GRANT USAGE, CREATE ON SCHEMA {} TO {}`",
        quoted(.schema), quoted(.role)), may_pass)]
    NoCreate { role: String, schema: String },
}

impl RoleError {
    /// The server does not let us act as the role of `--owner`.
    pub(super) fn owner(role: &str, error: &ServerError) -> Self {
        let is_denied =
            error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE);
        Self::Owner {
            role: role.to_owned(),
            reason: error.to_string(),
            is_denied,
        }
    }
}

/// Where and as whom a session acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoleContext {
    pub(super) role: String,
    pub(super) schema: String,
    /// Whether the URL itself says which schema is meant, and no table of RUNE's comes from another
    /// schema of its search path.
    pub(super) is_schema_named: bool,
    database: String,
    database_owner: String,
    is_superuser: bool,
    can_create: bool,
}

impl RoleContext {
    pub(super) async fn read(client: &Client) -> Result<Result<Self, RoleError>, ServerError> {
        const SQL: &str = "SELECT current_user::text, current_schema()::text,
            current_database()::text, pg_get_userbyid(d.datdba)::text,
                r.rolsuper, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
                coalesce(current_setting('rune_db.names_schema', true), '') = 'yes' AND NOT EXISTS (
                    SELECT FROM unnest($1::text[]) AS name
                        JOIN pg_class c ON c.oid = to_regclass(name)
                    JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname <> current_schema())
            FROM pg_database d, pg_roles r WHERE d.datname = current_database()
                AND r.rolname = current_user";
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let row = client
            .query_typed_one(SQL, &[(&names, Type::TEXT_ARRAY)])
            .await?;
        let role: String = row.try_get(0)?;
        // When nothing else is left in the search path, the session's temporary schema is all there
        // is.
        let schema = row
            .try_get::<_, Option<String>>(1)?
            .filter(|schema| !schema.starts_with("pg_temp_"));
        let Some(schema) = schema else {
            return Ok(Err(RoleError::NoSchema(role)));
        };
        Ok(Ok(Self {
            role,
            schema,
            is_schema_named: row.try_get(6)?,
            database: row.try_get(2)?,
            database_owner: row.try_get(3)?,
            is_superuser: row.try_get(4)?,
            can_create: row.try_get(5)?,
        }))
    }

    /// Refuses to make or change tables that RUNE could then not use.
    pub(super) async fn check(
        &self,
        client: &Client,
        is_owner_named: bool,
    ) -> Result<Result<(), RoleError>, ServerError> {
        if let Some(elsewhere) = self
            .other_schema(client)
            .await?
            .filter(|_| !self.is_schema_named)
        {
            return Ok(Err(RoleError::TwoSchemas {
                schema: self.schema.clone(),
                elsewhere,
            }));
        }
        let owners = self.owners(client).await?;
        if let Some((table, owner)) = owners.iter().find(|(_, owner)| *owner != self.role) {
            let (table, owner) = (table.clone(), owner.clone());
            return Ok(Err(RoleError::OtherOwner {
                table,
                owner,
                role: self.role.clone(),
            }));
        }
        if owners.is_empty()
            && self.is_superuser
            && self.database_owner != self.role
            && !is_owner_named
        {
            return Ok(Err(RoleError::Superuser {
                role: self.role.clone(),
                database: self.database.clone(),
                owner: self.database_owner.clone(),
            }));
        }
        if !self.can_create {
            return Ok(Err(RoleError::NoCreate {
                role: self.role.clone(),
                schema: self.schema.clone(),
            }));
        }
        Ok(Ok(()))
    }

    /// RUNE's tables in the schema, and whose they are.
    async fn owners(&self, client: &Client) -> Result<Vec<(String, String)>, ServerError> {
        const SQL: &str =
            "SELECT c.relname::text, pg_get_userbyid(c.relowner)::text FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p') ORDER BY 1";
        let names: Vec<&str> = shape::names().collect();
        let rows = client
            .query_typed(
                SQL,
                &[(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)],
            )
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Another schema with a table that has a name and the columns of RUNE's: `jobs` alone may be
    /// anybody's.
    pub(super) async fn other_schema(
        &self,
        client: &Client,
    ) -> Result<Option<String>, ServerError> {
        const SQL: &str = "SELECT n.nspname::text, c.relname::text, array_agg(a.attname::text)
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE n.nspname <> $1 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                AND c.relname = ANY($2) AND c.relkind IN ('r', 'p')
            GROUP BY 1, 2 ORDER BY 1, 2";
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let rows = client
            .query_typed(
                SQL,
                &[(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)],
            )
            .await?;
        for row in rows {
            let (schema, name, columns): (String, String, Vec<String>) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let table = TABLES.iter().find(|table| table.name == name);
            if table.is_some_and(|table| {
                table
                    .columns
                    .iter()
                    .all(|column| columns.iter().any(|found| found == column.name))
            }) {
                return Ok(Some(schema));
            }
        }
        Ok(None)
    }
}

/// A name in SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_name_is_quoted_whatever_it_holds() {
        assert_eq!(quoted("a\"b; DROP"), "\"a\"\"b; DROP\"");
    }
}
