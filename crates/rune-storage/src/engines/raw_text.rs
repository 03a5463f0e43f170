//! A text as the bytes that the server sent: a database with the encoding `SQL_ASCII` holds any
//! bytes.

use std::{borrow::Cow, error::Error};

use tokio_postgres::types::{FromSql, Type};

/// The bytes of a text.
#[derive(Debug, Clone, Copy)]
pub struct RawText<'a>(pub &'a [u8]);

impl RawText<'_> {
    /// The text, with a mark for what is not UTF-8.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl<'a> FromSql<'a> for RawText<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::VARCHAR | Type::NAME)
    }
}
