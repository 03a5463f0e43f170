//! Which characters the texts of a source have, and which of them a database of another encoding has nothing for.

use std::{fmt, ops::Range};

use tokio_postgres::types::Type;

use super::{error::TransferError, server::ServerTables};
use crate::storage::ServerError;

const WORDS: usize = (char::MAX as usize + 1) / 64;

/// A set of characters that are not ASCII.
#[derive(Clone)]
pub(super) struct Characters(Vec<u64>);

impl Default for Characters {
    fn default() -> Self {
        Self(vec![0; WORDS])
    }
}

impl fmt::Debug for Characters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Characters").field(&self.iter().count()).finish()
    }
}

impl Characters {
    /// Adds those of a text.
    pub(super) fn add(&mut self, text: &[u8]) {
        if text.is_ascii() {
            return;
        }
        for character in String::from_utf8_lossy(text).chars().filter(|character| !character.is_ascii()) {
            if let Some(word) = self.0.get_mut(character as usize / 64) {
                *word |= 1 << (character as usize % 64);
            }
        }
    }

    /// Whether a text has one of them.
    pub(super) fn are_in(&self, text: &[u8]) -> bool {
        let has = |character: char| self.0.get(character as usize / 64).is_some_and(|word| word & (1 << (character as usize % 64)) != 0);
        !text.is_ascii() && String::from_utf8_lossy(text).chars().any(has)
    }

    fn iter(&self) -> impl Iterator<Item = char> {
        let code = |index: usize| move |bit: usize| u32::try_from(index * 64 + bit).ok().and_then(char::from_u32);
        self.0.iter().enumerate().flat_map(move |(index, word)| (0..64).filter(move |bit| word & (1 << bit) != 0).filter_map(code(index)))
    }

    /// Those that a database has nothing for, with the name of its encoding; nothing when it has all.
    pub(super) async fn without_like(&self, server: &ServerTables<'_>) -> Result<Option<(String, Self)>, TransferError> {
        let row = server.client.query_typed_one("SELECT current_setting('server_encoding')", &[]).await?;
        let encoding: String = row.try_get(0)?;
        // SQL_ASCII takes any bytes.
        if matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
            return Ok(None);
        }
        let all: Vec<String> = self.iter().map(String::from).collect();
        let mut without = Self::default();
        let mut is_without_any = false;
        // The server only says that there is one, so they are halved until it is found.
        let whole = 0..all.len();
        let mut pending: Vec<Range<usize>> = vec![whole];
        while let Some(range) = pending.pop() {
            let some = all.get(range.clone()).unwrap_or_default();
            if some.is_empty() || has_all(server, some).await? {
                continue;
            }
            if let [one] = some {
                without.add(one.as_bytes());
                is_without_any = true;
                continue;
            }
            let middle = range.start + some.len() / 2;
            pending.extend([middle..range.end, range.start..middle]);
        }
        Ok(is_without_any.then_some((encoding, without)))
    }
}

async fn has_all(server: &ServerTables<'_>, characters: &[String]) -> Result<bool, TransferError> {
    const SQL: &str = "SELECT count(convert_from(one, 'UTF8')) FROM unnest($1) AS one";
    let bytes: Vec<&[u8]> = characters.iter().map(String::as_bytes).collect();
    server.client.batch_execute("SAVEPOINT characters").await?;
    let outcome = server.client.query_typed_one(SQL, &[(&bytes, Type::BYTEA_ARRAY)]).await;
    server.client.batch_execute("ROLLBACK TO SAVEPOINT characters; RELEASE SAVEPOINT characters").await?;
    match outcome.map_err(ServerError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_of_encoding() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Characters;

    #[test]
    fn the_characters_of_texts_are_kept_once_each() {
        let mut characters = Characters::default();
        characters.add("aé日é\u{10ffff}".as_bytes());
        characters.add(b"plain");
        assert_eq!(characters.iter().collect::<String>(), "é日\u{10ffff}");
        assert!(characters.are_in("x日".as_bytes()));
        assert!(!characters.are_in("x本".as_bytes()) && !characters.are_in(b"e"));
    }
}
