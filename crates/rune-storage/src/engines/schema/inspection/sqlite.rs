//! The look around RUNE's tables in a SQLite file.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{Events, Inspection, ObjectKind, SiteObject};
use crate::{
    migrations::{Dialect, split},
    schema::{roles::quoted, shape},
};

/// Looks around within the transaction that is open, if one is.
///
/// # Errors
/// When SQLite cannot read it.
pub fn look_around(connection: &Connection) -> rusqlite::Result<Inspection> {
    let mut inspection = Inspection::default();
    relations(connection, &mut inspection)?;
    triggers(connection, &mut inspection)?;
    foreign_keys(connection, &mut inspection)?;
    Ok(inspection)
}

/// RUNE's own spelling of a name, if it is one of RUNE's tables.
fn of_rune(name: &str) -> Option<&'static str> {
    shape::names().find(|known| name.eq_ignore_ascii_case(known))
}

fn relations(connection: &Connection, inspection: &mut Inspection) -> rusqlite::Result<()> {
    const RELATIONS: &str = "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'";
    const GENERATED: &str = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (2, 3)";
    let mut relations = connection.prepare(RELATIONS)?;
    let mut rows = relations.query([])?;
    while let Some(row) = rows.next()? {
        let (name, kind, has_no_rowid): (String, String, bool) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(table) = of_rune(&name) else {
            continue;
        };
        let mut found = |name: String, kind| {
            inspection.objects.push(SiteObject {
                table: table.to_owned(),
                name,
                kind,
            });
        };
        match kind.as_str() {
            "view" | "virtual" => {
                let what = if kind == "view" {
                    "a view"
                } else {
                    "a virtual table"
                };
                found(String::new(), ObjectKind::Relation(what.to_owned()));
                continue;
            }
            _ if has_no_rowid && shape::TABLES.iter().any(|one| one.name == table) => {
                found(
                    String::new(),
                    ObjectKind::Relation("a table WITHOUT ROWID".to_owned()),
                );
            }
            _ => {}
        }
        let mut generated = connection.prepare(GENERATED)?;
        for column in generated.query_map([&name], |row| row.get::<_, String>(0))? {
            let column = column?;
            if shape::TABLES.iter().any(|one| {
                one.name == table
                    && one
                        .columns
                        .iter()
                        .any(|known| known.name.eq_ignore_ascii_case(&column))
            }) {
                found(column, ObjectKind::GeneratedColumn);
            }
        }
    }
    Ok(())
}

fn triggers(connection: &Connection, inspection: &mut Inspection) -> rusqlite::Result<()> {
    const TRIGGERS: &str =
        "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name";
    let mut triggers = connection.prepare(TRIGGERS)?;
    let mut rows = triggers.query([])?;
    while let Some(row) = rows.next()? {
        let (name, table, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(table) = of_rune(&table) else {
            continue;
        };
        let (events, decides) = trigger_events(&sql);
        inspection.objects.push(SiteObject {
            table: table.to_owned(),
            name,
            kind: ObjectKind::Trigger { events, decides },
        });
    }
    Ok(())
}

/// What a trigger acts on, from its first words, and whether it comes before the row is stored.
/// What cannot be read counts as all.
fn trigger_events(sql: &str) -> (Events, bool) {
    let leading_words = split(&format!("{sql};"), Dialect::Sqlite)
        .ok()
        .and_then(|statements| statements.into_iter().next())
        .map(|one| one.leading_words)
        .unwrap_or_default();
    // A name in quotes is not a keyword, and one without cannot be one of these.
    let head: Vec<&str> = leading_words
        .iter()
        .map(String::as_str)
        .take_while(|word| *word != "ON")
        .collect();
    let events = Events {
        insert: head.contains(&"INSERT"),
        update: head.contains(&"UPDATE"),
        delete: head.contains(&"DELETE"),
    };
    if events == Events::default() {
        return (
            Events {
                insert: true,
                update: true,
                delete: true,
            },
            true,
        );
    }
    (events, !head.contains(&"AFTER"))
}

fn foreign_keys(connection: &Connection, inspection: &mut Inspection) -> rusqlite::Result<()> {
    const KEYS: &str = "SELECT DISTINCT m.name, f.id, f.\"table\", f.on_delete
        FROM sqlite_schema m, pragma_foreign_key_list(m.name) f
        WHERE m.type = 'table' ORDER BY m.name, f.id";
    let mut keys = connection.prepare(KEYS)?;
    let rows = keys.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let keys: Vec<(String, i64, String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    for (from, number, to, action) in &keys {
        let name = format!("{from}.{number}");
        if let Some(table) = of_rune(to) {
            let kind = ObjectKind::ForeignKey {
                from: from.clone(),
                action: cascade(action),
            };
            inspection.objects.push(SiteObject {
                table: table.to_owned(),
                name: name.clone(),
                kind,
            });
        }
        if let Some(table) = of_rune(from) {
            inspection.objects.push(SiteObject {
                table: table.to_owned(),
                name,
                kind: ObjectKind::Reference { to: to.clone() },
            });
        }
    }
    // By CASCADE deletes go on and on; SET NULL and SET DEFAULT are one step.
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut pending: Vec<&str> = shape::TABLES.iter().map(|table| table.name).collect();
    while let Some(table) = pending.pop() {
        for (from, _, to, action) in &keys {
            let is_new = to.eq_ignore_ascii_case(table)
                && cascade(action).is_some()
                && of_rune(from).is_none()
                && reached.insert(from);
            if is_new && cascade(action) == Some("CASCADE") {
                pending.push(from);
            }
        }
    }
    inspection.reached = reached.into_iter().map(quoted).collect();
    Ok(())
}

fn cascade(action: &str) -> Option<&'static str> {
    ["CASCADE", "SET NULL", "SET DEFAULT"]
        .into_iter()
        .find(|known| action.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::{Events, trigger_events};

    #[test]
    fn the_statement_that_a_trigger_acts_on_is_read_from_its_head() {
        let (insert, update, delete) = (
            Events {
                insert: true,
                ..Events::default()
            },
            Events {
                update: true,
                ..Events::default()
            },
            Events {
                delete: true,
                ..Events::default()
            },
        );
        let all = Events {
            insert: true,
            update: true,
            delete: true,
        };
        for (sql, events) in [
            (
                "CREATE TRIGGER t AFTER DELETE ON jobs BEGIN SELECT 1; END",
                delete,
            ),
            (
                "create trigger if not exists \"delete\" insert on jobs begin delete from x; end",
                insert,
            ),
            (
                "CREATE TRIGGER /* insert */ [t] BEFORE UPDATE OF status ON jobs BEGIN SELECT 1; \
                 END",
                update,
            ),
            (
                "CREATE TRIGGER delete_log AFTER UPDATE ON jobs BEGIN SELECT 1; END",
                update,
            ),
            ("what is this", all),
        ] {
            assert_eq!(trigger_events(sql).0, events, "{sql}");
        }
    }
}
