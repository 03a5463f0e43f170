//! The look around RUNE's tables on PostgreSQL.

use tokio_postgres::{Client, types::Type};

use super::{Events, Inspection, ObjectKind, SiteObject};
use crate::{
    ServerError,
    schema::{
        SchemaError,
        roles::RoleContext,
        shape::{self, TABLES},
    },
};

/// One row for each thing: what it is, on which table, its name, more about it, and a number. Only
/// what fires in this session counts: with `session_replication_role = replica`, what is enabled
/// for replicas, and not what is enabled as usual.
///
/// `ours` are RUNE's tables, `kin` those and all that inherit from them, under the name of RUNE's.
/// A trigger that a partition has from its parent and a foreign key that it repeats are their
/// parent's. `row_types` are the row types of RUNE's tables, and the arrays, domains and composite
/// types over them; columns of these are found by what depends on the type, because a search of
/// `pg_attribute` by type reads the columns of every table of the database.
const OBJECTS: &str = "
WITH RECURSIVE firing (state) AS (
    VALUES ('A'), (CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R'
        ELSE 'O' END)
), ours AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY($2)
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
), kin (oid, name) AS (
    SELECT oid, relname FROM ours UNION SELECT i.inhrelid, kin.name FROM pg_inherits i
        JOIN kin ON i.inhparent = kin.oid
), row_types (oid, relname) AS (
    SELECT reltype, relname FROM ours UNION SELECT wider.oid, y.relname FROM row_types y
        CROSS JOIN LATERAL (
        SELECT d.objid FROM pg_depend d
            WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = y.oid
                AND d.classid = 'pg_type'::regclass
        UNION ALL SELECT c.reltype FROM pg_depend d
            JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'c'
            WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = y.oid
                AND d.classid = 'pg_class'::regclass
    ) AS wider (oid)
)
SELECT 'relation', relname::text, '', CASE relkind WHEN 'v' THEN 'a view' WHEN 'm'
    THEN 'a materialized view'
        WHEN 'f' THEN 'a foreign table' WHEN 'S' THEN 'a sequence' ELSE 'a composite type' END, 0
    FROM ours WHERE relkind NOT IN ('r', 'p')
UNION ALL SELECT 'unlogged', relname, '', '', 0 FROM ours
    WHERE relpersistence = 'u' AND relkind IN ('r', 'p')
UNION ALL SELECT 'security', relname, '', '', 0 FROM ours WHERE row_security_active(oid)
UNION ALL SELECT 'trigger', kin.name, t.tgname, '', t.tgtype FROM pg_trigger t
    JOIN kin ON kin.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled::text IN (SELECT state FROM firing)
        AND t.tgparentid = 0
UNION ALL SELECT 'rule', o.relname, r.rulename, '', r.ev_type::text::int FROM pg_rewrite r
    JOIN ours o ON o.oid = r.ev_class
    WHERE r.ev_enabled::text IN (SELECT state FROM firing) AND r.ev_type IN ('2', '3', '4')
UNION ALL SELECT 'key', kin.name, k.conname, k.conrelid::regclass::text, ascii(k.confdeltype::text)
    FROM pg_constraint k
    JOIN kin ON kin.oid = k.confrelid WHERE k.contype = 'f' AND k.conparentid = 0
UNION ALL SELECT 'reference', o.relname, k.conname, k.confrelid::regclass::text, 0
    FROM pg_constraint k
    JOIN ours o ON o.oid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0
UNION ALL SELECT 'child', o.relname, i.inhrelid::regclass::text, '', 0 FROM pg_inherits i
    JOIN ours o ON o.oid = i.inhparent
    WHERE o.relkind = 'r'
UNION ALL SELECT 'parent', o.relname, i.inhparent::regclass::text, '', 0 FROM pg_inherits i
    JOIN ours o ON o.oid = i.inhrelid
UNION ALL SELECT 'generated', o.relname, a.attname, '', 0 FROM pg_attribute a
    JOIN ours o ON o.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''
UNION ALL SELECT DISTINCT 'dependent', o.relname, CASE WHEN r.rulename = '_RETURN'
        THEN CASE v.relkind WHEN 'm' THEN 'materialized view '
            ELSE 'view ' END || v.oid::regclass::text
        ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END, a.attname::text, 0
    FROM pg_depend d JOIN ours o ON o.oid = d.refobjid
        JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = d.refobjsubid
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        LEFT JOIN pg_class v ON v.oid = r.ev_class
    LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass
        AND d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass,
        'pg_publication_rel'::regclass, 'pg_proc'::regclass, 'pg_attrdef'::regclass) AND (f.oid IS NULL OR f.adnum <> d.refobjsubid)
UNION ALL SELECT 'dependent', o.relname, 'a parent table', a.attname, 0 FROM pg_attribute a
    JOIN ours o ON o.oid = a.attrelid
    WHERE a.attnum > 0 AND a.attinhcount > 0
UNION ALL SELECT 'dependent', o.relname, 'the partition key', a.attname, 0
    FROM pg_partitioned_table p JOIN ours o ON o.oid = p.partrelid
    JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = ANY(p.partattrs::int2[])
UNION ALL SELECT 'rowtype', y.relname, 'column ' || u.oid::regclass::text || '.' || a.attname, '', 0
    FROM row_types y
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = y.oid
        AND d.classid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid AND a.atttypid = y.oid
        AND NOT a.attisdropped
    JOIN pg_class u ON u.oid = a.attrelid AND u.relkind IN ('r', 'p', 'm')
UNION ALL SELECT 'publication', o.relname, p.pubname, '', CASE WHEN o.relreplident = 'n'
        OR o.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = o.oid AND i.indisprimary AND i.indimmediate)
        OR o.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = o.oid AND i.indisreplident)
        THEN b.pubupdate::int * 16 + b.pubdelete::int * 8 ELSE 0 END
    FROM pg_publication_tables p JOIN pg_publication b ON b.pubname = p.pubname
        JOIN ours o ON p.schemaname = $1 AND p.tablename = o.relname
UNION ALL SELECT 'event', '', evtname, '', 0 FROM pg_event_trigger
    WHERE evtenabled::text IN (SELECT state FROM firing)
    AND evtevent <> 'login' AND coalesce(current_setting('event_triggers', true), 'on') = 'on'
    AND (evttags IS NULL OR evttags && ARRAY['CREATE TABLE', 'ALTER TABLE', 'CREATE INDEX', 'DROP INDEX', 'CREATE SEQUENCE', 'ALTER SEQUENCE'])
UNION ALL SELECT 'encoding', '', pg_encoding_to_char(encoding), '', 0 FROM pg_database
    WHERE datname = current_database() AND pg_encoding_to_char(encoding) <> 'UTF8'
UNION ALL SELECT 'standby', '', '', '', 0 WHERE pg_is_in_recovery()
UNION ALL SELECT 'readonly', '', '', '', 0
    WHERE current_setting('default_transaction_read_only')::bool AND NOT pg_is_in_recovery()
ORDER BY 1, 2, 3, 4";

/// The tables that deletes reach: by CASCADE further and further, by SET NULL and SET DEFAULT one
/// step.
const REACHED: &str = "
WITH RECURSIVE kin (oid) AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = ANY($2)
), reach (oid, goes_on) AS (
    SELECT oid, true FROM kin
    UNION SELECT step.oid, step.goes_on FROM reach CROSS JOIN LATERAL (
        SELECT k.conrelid, k.confdeltype = 'c' FROM pg_constraint k
            WHERE k.confrelid = reach.oid AND k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')
        UNION ALL SELECT i.inhrelid, true FROM pg_inherits i WHERE i.inhparent = reach.oid
    ) AS step (oid, goes_on) WHERE reach.goes_on
)
SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM reach
    JOIN pg_class c ON c.oid = reach.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid NOT IN (SELECT oid FROM kin) AND NOT c.relispartition ORDER BY 1";

/// Looks around within a transaction of the caller, which acts as the right role in the right
/// schema already.
///
/// # Errors
/// When the server cannot be asked, or no schema is there to look into.
pub async fn look_around(client: &Client) -> Result<Inspection, SchemaError> {
    let standing = RoleContext::read(client).await??;
    Ok(inspect(client, &standing).await?)
}

pub(in crate::engines::schema) async fn inspect(
    client: &Client,
    standing: &RoleContext,
) -> Result<Inspection, ServerError> {
    let names: Vec<&str> = shape::names().collect();
    let mut inspection = Inspection::default();
    if let Some(name) = standing.other_schema(client).await? {
        let kind = ObjectKind::SecondSchema {
            schema: standing.schema.clone(),
            is_named: standing.is_schema_named,
        };
        inspection.objects.push(SiteObject {
            table: String::new(),
            name,
            kind,
        });
    }
    for row in client
        .query_typed(
            OBJECTS,
            &[(&standing.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)],
        )
        .await?
    {
        let (word, table, name, more): (String, String, String, String) = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
        );
        let number: i32 = row.try_get(4)?;
        let Some(kind) = kind(&word, &table, &name, more, number) else {
            continue;
        };
        inspection.objects.push(SiteObject { table, name, kind });
    }
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    for row in client
        .query_typed(
            REACHED,
            &[(&standing.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)],
        )
        .await?
    {
        inspection.reached.push(row.try_get(0)?);
    }
    Ok(inspection)
}

fn kind(word: &str, table: &str, name: &str, more: String, number: i32) -> Option<ObjectKind> {
    Some(match word {
        "relation" => ObjectKind::Relation(more),
        "unlogged" => ObjectKind::Unlogged,
        "security" => ObjectKind::RowSecurity,
        // Besides the statements: 1 for each row, 2 before it.
        "trigger" => ObjectKind::Trigger {
            events: events(number),
            decides: number & 3 == 3,
        },
        "rule" => ObjectKind::Rule(Events {
            update: number == 2,
            insert: number == 3,
            delete: number == 4,
        }),
        "key" => {
            let action = match u8::try_from(number).unwrap_or_default() {
                b'c' => Some("CASCADE"),
                b'n' => Some("SET NULL"),
                b'd' => Some("SET DEFAULT"),
                _ => None,
            };
            ObjectKind::ForeignKey { from: more, action }
        }
        "reference" => ObjectKind::Reference { to: more },
        "child" => ObjectKind::ChildTable,
        "parent" => ObjectKind::ParentTable,
        // A column that RUNE does not know is a difference of the schema already.
        "generated" => {
            let known = TABLES.iter().find(|one| one.name == table)?;
            known.columns.iter().find(|column| column.name == name)?;
            ObjectKind::GeneratedColumn
        }
        "dependent" => ObjectKind::Dependent { column: more },
        "rowtype" => ObjectKind::RowType,
        "publication" if number > 0 => ObjectKind::NoReplicaIdentity(events(number)),
        "publication" => ObjectKind::Publication,
        "event" => ObjectKind::EventTrigger,
        "encoding" => ObjectKind::Encoding,
        "standby" => ObjectKind::Standby,
        _ => ObjectKind::ReadOnly,
    })
}

/// Statements, by the bits of `pg_trigger.tgtype`.
const fn events(bits: i32) -> Events {
    Events {
        insert: bits & 4 > 0,
        delete: bits & 8 > 0,
        update: bits & 16 > 0,
    }
}
