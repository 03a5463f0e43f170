//! Which characters the texts of a source have, and which of them a database of another encoding
//! has nothing for.

use std::fmt;

use tokio_postgres::types::Type;

use super::{error::TransferError, server::ServerTables};
use rune_storage::{convert, without_like};

/// Texts of UTF-8 in the encoding of the database.
const FROM_UTF8: &str = "SELECT count(convert_from(one, 'UTF8')) FROM unnest($1) AS one";

const WORDS: usize = (char::MAX as usize + 1) / 64;

#[derive(Clone)]
pub(super) struct Characters(Vec<u64>);

impl Default for Characters {
    fn default() -> Self {
        Self(vec![0; WORDS])
    }
}

impl fmt::Debug for Characters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Characters")
            .field(&self.iter().count())
            .finish()
    }
}

impl Characters {
    pub(super) fn add(&mut self, text: &[u8]) {
        if text.is_ascii() {
            return;
        }
        for character in String::from_utf8_lossy(text)
            .chars()
            .filter(|character| !character.is_ascii())
        {
            if let Some(word) = self.0.get_mut(character as usize / 64) {
                *word |= 1 << (character as usize % 64);
            }
        }
    }

    pub(super) fn are_in(&self, text: &[u8]) -> bool {
        let has = |character: char| {
            self.0
                .get(character as usize / 64)
                .is_some_and(|word| word & (1 << (character as usize % 64)) != 0)
        };
        !text.is_ascii() && String::from_utf8_lossy(text).chars().any(has)
    }

    fn iter(&self) -> impl Iterator<Item = char> {
        let code = |index: usize| {
            move |bit: usize| {
                u32::try_from(index * 64 + bit)
                    .ok()
                    .and_then(char::from_u32)
            }
        };
        self.0.iter().enumerate().flat_map(move |(index, word)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .filter_map(code(index))
        })
    }

    /// Those that a database has nothing for, with the name of its encoding; nothing when it has
    /// all.
    pub(super) async fn without_like(
        &self,
        server: &ServerTables<'_>,
    ) -> Result<Option<(String, Self)>, TransferError> {
        let row = server
            .client
            .query_typed_one("SELECT current_setting('server_encoding')", &[])
            .await?;
        let encoding: String = row.try_get(0)?;
        // SQL_ASCII takes any bytes.
        if matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
            return Ok(None);
        }
        let all: Vec<String> = self.iter().map(String::from).collect();
        let bytes: Vec<&[u8]> = all.iter().map(String::as_bytes).collect();
        let positions = without_like(bytes.len(), async |range| {
            let some = bytes.get(range).unwrap_or_default();
            Ok(
                convert(server.client, FROM_UTF8, &[(&some, Type::BYTEA_ARRAY)])
                    .await?
                    .is_some(),
            )
        });
        let mut without = Self::default();
        let positions = positions.await?;
        for character in positions.iter().filter_map(|position| bytes.get(*position)) {
            without.add(character);
        }
        Ok((!positions.is_empty()).then_some((encoding, without)))
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
