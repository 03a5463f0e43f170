//! What gives out the ids of `workflow_events` on PostgreSQL.
//!
//! That is what the column's default or identity takes its numbers from. Who owns the sequence says
//! nothing: a dump that was loaded by hand, a partitioned table or another tool leaves sequences
//! that belong to no column, and still give out its ids.

use tokio_postgres::{Client, types::Type};

use super::roles::quoted;
use crate::ServerError;

/// The table and the column with ids that the database gives out.
const TABLE: &str = "workflow_events";

/// What gives out the ids.
#[derive(Debug, Clone, Default)]
pub struct IdSource {
    sequences: Vec<Sequence>,
    /// The default of the column in SQL.
    default: Option<String>,
    /// Whether a sequence only belongs to the column, and no default uses it.
    is_unused: bool,
    /// The highest number that the column can hold.
    column_max: i64,
    /// The highest id that is in use; 0 when there is none.
    highest: i64,
}

/// A sequence.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its name in SQL, with its schema.
    pub name: String,
    /// Its name alone.
    pub subject: String,
    /// The number above which no id was ever given out; 0 when none was.
    pub last: i64,
    /// The number that it gives out next.
    pub next: i64,
    kind: String,
    increment: i64,
    max: i64,
    cycles: bool,
    is_unlogged: bool,
    /// What else takes numbers from it.
    others: Vec<String>,
}

impl IdSource {
    /// Reads it within the transaction that is open; the table must be there.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn read(client: &Client, schema: &str) -> Result<Self, ServerError> {
        const COLUMN: &str = "SELECT t.oid::int8, a.attnum::int8, coalesce(d.oid, 0)::int8,
            pg_get_expr(d.adbin, d.adrelid),
                CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                    ELSE 9223372036854775807 END::int8
            FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
                JOIN pg_attribute a ON a.attrelid = t.oid
            LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
            WHERE n.nspname = $1 AND t.relname = $2 AND a.attname = 'id' AND NOT a.attisdropped";
        // Partitions repeat the default of their parent.
        const SEQUENCES: &str = "WITH RECURSIVE kin (oid) AS (SELECT $1::oid UNION SELECT i.inhrelid
            FROM pg_inherits i JOIN kin ON i.inhparent = kin.oid),
            source (oid, is_used) AS (
                SELECT refobjid, true FROM pg_depend
                    WHERE classid = 'pg_attrdef'::regclass AND objid = $3::oid
                    AND refclassid = 'pg_class'::regclass
                UNION SELECT objid, deptype = 'i' FROM pg_depend
                    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
                    AND refobjid = $1::oid AND refobjsubid = $2 AND (deptype = 'i' OR (deptype = 'a' AND $3 = 0)))
            SELECT format('%I.%I', n.nspname, s.relname), s.relname::text,
                format_type(q.seqtypid, NULL), q.seqincrement, q.seqmax, q.seqcycle,
                s.relpersistence = 'u', is_used, ARRAY(SELECT d.adrelid::regclass::text || '.' || a.attname FROM pg_depend u
                    JOIN pg_attrdef d ON d.oid = u.objid
                        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                    WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass
                        AND u.refobjid = s.oid
                        AND d.oid <> $3::oid AND d.adrelid NOT IN (SELECT oid FROM kin) ORDER BY 1)
            FROM source JOIN pg_class s ON s.oid = source.oid AND s.relkind = 'S'
                JOIN pg_sequence q ON q.seqrelid = s.oid
            JOIN pg_namespace n ON n.oid = s.relnamespace ORDER BY is_used DESC, 1";
        let rows = client
            .query_typed(COLUMN, &[(&schema, Type::TEXT), (&TABLE, Type::TEXT)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Self::default());
        };
        let (table, column, default): (i64, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut source = Self {
            default: row.try_get(3)?,
            column_max: row.try_get(4)?,
            ..Self::default()
        };
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
            (&table, Type::INT8),
            (&column, Type::INT8),
            (&default, Type::INT8),
        ];
        for row in client.query_typed(SEQUENCES, &parameters).await? {
            let name: String = row.try_get(0)?;
            let increment: i64 = row.try_get(3)?;
            let at = client
                .query_typed_one(&format!("SELECT last_value, is_called FROM {name}"), &[])
                .await?;
            let (value, is_called): (i64, bool) = (at.try_get(0)?, at.try_get(1)?);
            source.is_unused = !row.try_get::<_, bool>(7)?;
            source.sequences.push(Sequence {
                name,
                subject: row.try_get(1)?,
                last: if is_called {
                    value
                } else {
                    value.saturating_sub(1)
                },
                next: if is_called {
                    value.saturating_add(increment)
                } else {
                    value
                },
                kind: row.try_get(2)?,
                increment,
                max: row.try_get(4)?,
                cycles: row.try_get(5)?,
                is_unlogged: row.try_get(6)?,
                others: row.try_get(8)?,
            });
        }
        let sql = format!(
            "SELECT coalesce(max(id)::int8, 0) FROM {}.{TABLE}",
            quoted(schema)
        );
        source.highest = client.query_typed_one(&sql, &[]).await?.try_get(0)?;
        Ok(source)
    }

    /// The one sequence that gives out the ids.
    pub fn sequence(&self) -> Option<&Sequence> {
        self.sequences.first()
    }

    /// What keeps it from giving out ids that rise and never come twice, whatever stands in the
    /// table.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.unmendable();
        let Some(sequence) = self.sequence() else {
            return problems;
        };
        let name = &sequence.name;
        if sequence.increment < 0 {
            problems.push(format!("the sequence {name} counts down"));
        }
        if sequence.cycles {
            problems.push(format!(
                "the sequence {name} cycles and would give out ids a second time"
            ));
        }
        if sequence.max < self.column_max {
            problems.push(format!(
                "the sequence {name} ends at {}, before the column does",
                sequence.max
            ));
        }
        if sequence.is_unlogged {
            problems.push(format!(
                "the sequence {name} is UNLOGGED: after a crash it would give out ids a second time"
            ));
        }
        problems
    }

    /// Whether the next id would be one that is in use, or a lower one: readers ask for what came
    /// after an id.
    pub fn is_behind(&self) -> bool {
        self.sequence()
            .is_some_and(|sequence| sequence.next <= self.highest)
    }

    /// What no change of a sequence puts right.
    pub(super) fn unmendable(&self) -> Vec<String> {
        let Some(sequence) = self.sequence() else {
            return vec![match &self.default {
                Some(default) => {
                    format!(
                        "takes its ids from a default that is not a sequence: `{}`",
                        default.chars().take(80).collect::<String>()
                    )
                }
                None => "has no sequence that gives out its ids".to_owned(),
            }];
        };
        let mut problems = Vec::new();
        if self.is_unused {
            problems.push(format!(
                "has no default that takes its ids from the sequence {}",
                sequence.name
            ));
        }
        if self.sequences.len() > 1 {
            let names: Vec<&str> = self
                .sequences
                .iter()
                .map(|sequence| sequence.name.as_str())
                .collect();
            problems.push(format!(
                "takes its ids from several sequences: {}",
                names.join(", ")
            ));
        }
        if !sequence.others.is_empty() {
            problems.push(format!(
                "the sequence {} is shared with {}",
                sequence.name,
                sequence.others.join(", ")
            ));
        }
        problems
    }

    /// What to alter: the clauses of `ALTER SEQUENCE`, what the sequence is and what it becomes. A
    /// sequence that others use too is left to them.
    pub(super) fn mending(&self) -> Option<Mending<'_>> {
        let sequence = self.sequence().filter(|_| self.unmendable().is_empty())?;
        let (mut clauses, mut was, mut became) = (Vec::new(), Vec::new(), Vec::new());
        let mut alter = |clause: &str, from: String, to: &str| {
            clauses.push(clause.to_owned());
            was.push(from);
            became.push(to.to_owned());
        };
        let is_narrow = sequence.kind != "bigint";
        if is_narrow {
            alter("AS bigint NO MAXVALUE", sequence.kind.clone(), "bigint");
        } else if sequence.max < i64::MAX {
            alter(
                "NO MAXVALUE",
                format!("MAXVALUE {}", sequence.max),
                "NO MAXVALUE",
            );
        }
        if sequence.cycles {
            alter("NO CYCLE", "CYCLE".to_owned(), "NO CYCLE");
        }
        let counts_down = sequence.increment < 0;
        if counts_down {
            alter(
                "INCREMENT BY 1 NO MINVALUE NO MAXVALUE",
                format!("INCREMENT BY {}", sequence.increment),
                "INCREMENT BY 1",
            );
        }
        if (counts_down || self.is_behind()) && self.highest < i64::MAX {
            let next = self.highest.max(0).saturating_add(1);
            alter(
                &format!("RESTART WITH {next}"),
                format!("next id {}", sequence.next),
                &format!("next id {next}"),
            );
        }
        // `NO MAXVALUE` may be said once.
        let is_repeated = counts_down && (is_narrow || sequence.max < i64::MAX);
        let clauses = clauses.join(" ");
        let mut sql = String::new();
        if !clauses.is_empty() {
            let clauses = if is_repeated {
                clauses.replacen("NO MAXVALUE", "", 1)
            } else {
                clauses
            };
            sql = format!("ALTER SEQUENCE {} {clauses};", sequence.name);
        }
        if sequence.is_unlogged {
            sql.push_str(&format!("ALTER SEQUENCE {} SET LOGGED", sequence.name));
            was.push("UNLOGGED".to_owned());
            became.push("LOGGED".to_owned());
        }
        (!sql.is_empty()).then(|| Mending {
            subject: &sequence.subject,
            sql,
            was: was.join(", "),
            became: became.join(", "),
        })
    }
}

pub(super) struct Mending<'a> {
    pub(super) subject: &'a str,
    pub(super) sql: String,
    pub(super) was: String,
    pub(super) became: String,
}
