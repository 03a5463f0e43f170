//! Settings: one JSON text per key.

use super::{
    error::StoreError,
    limits,
    records::Setting,
    session::{Row, Session, Value},
};

pub(super) const COLUMNS: &str = "key, value_json, updated_at /* ::text::float8 */ AS updated_at";

pub(super) fn read(row: &Row) -> Result<Setting, StoreError> {
    Ok(Setting {
        key: row.text("key")?,
        value_json: row.text("value_json")?,
        updated_at: row.float("updated_at")?,
    })
}

pub(super) fn set(
    session: &mut dyn Session,
    key: &str,
    value_json: &str,
    now: f64,
) -> Result<(), StoreError> {
    const SET: &str = "INSERT INTO settings (key, value_json, updated_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (key) DO UPDATE SET value_json = excluded.value_json,
            updated_at = excluded.updated_at";
    check(key, value_json)?;
    session.execute(
        SET,
        &[Value::Text(key), Value::Text(value_json), Value::Float(now)],
    )?;
    // Triggers and rules of the site may have done something else. `updated_at` may be rounded by a
    // column of type `real`.
    let kept = get(session, key)?;
    if kept.is_some_and(|kept| kept.value_json == value_json) {
        Ok(())
    } else {
        Err(StoreError::Undone("settings"))
    }
}

fn check(key: &str, value_json: &str) -> Result<(), StoreError> {
    limits::word("key", key, limits::MAX_KEY)?;
    limits::object("value_json", value_json)
}

/// Replaces a value by what is made of it, while nobody else can change it; `None` takes the key
/// away.
pub(super) fn update(
    session: &mut dyn Session,
    key: &str,
    change: &mut dyn FnMut(Option<&str>) -> Option<String>,
    now: f64,
) -> Result<(), StoreError> {
    // A row that is not there cannot be locked. So it is made first; others see it when it is
    // right, or never.
    const RESERVE: &str = "INSERT INTO settings (key, value_json, updated_at) VALUES (?1, '{}', \
                           ?2) ON CONFLICT (key) DO NOTHING";
    const CURRENT: &str = "SELECT value_json FROM settings WHERE key = ?1 /* FOR UPDATE */";
    limits::word("key", key, limits::MAX_KEY)?;
    let is_new = session.execute(RESERVE, &[Value::Text(key), Value::Float(now)])? == 1;
    let rows = session.query(CURRENT, &[Value::Text(key)])?;
    let current = rows
        .first()
        .filter(|_| !is_new)
        .map(|row| row.text("value_json"))
        .transpose()?;
    match change(current.as_deref()) {
        Some(value_json) => set(session, key, &value_json, now),
        None => delete(session, key).map(|_| ()),
    }
}

pub(super) fn get(session: &mut dyn Session, key: &str) -> Result<Option<Setting>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM settings WHERE key = ?1");
    session
        .query(&sql, &[Value::Text(key)])?
        .first()
        .map(read)
        .transpose()
}

/// Takes a key away; says whether it was there.
pub(super) fn delete(session: &mut dyn Session, key: &str) -> Result<bool, StoreError> {
    const IS_THERE: &str = "SELECT 1 AS found FROM settings WHERE key = ?1";
    let deleted = session.execute("DELETE FROM settings WHERE key = ?1", &[Value::Text(key)])?;
    let is_kept = !session.query(IS_THERE, &[Value::Text(key)])?.is_empty();
    if is_kept {
        Err(StoreError::Undone("settings"))
    } else {
        Ok(deleted > 0)
    }
}

/// Settings whose keys begin with a text, letter by letter: no character of it is a pattern.
pub(super) fn list(session: &mut dyn Session, prefix: &str) -> Result<Vec<Setting>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM settings WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key \
         COLLATE BINARY"
    );
    session
        .query(&sql, &[Value::Text(prefix)])?
        .iter()
        .map(read)
        .collect()
}
