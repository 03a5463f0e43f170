//! Texts of databases whose encoding is not UTF-8.
//!
//! A server that converts an answer fails at the first text that UTF-8 has no like for, and all
//! others are lost with it. So texts arrive here as they are stored, and the server is asked for
//! each what it is in UTF-8. What is sent it converts itself.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::{
    Client,
    types::{IsNull, ToSql, Type},
};

use super::session::Value;
use crate::{ServerError, convert, without_like};

/// Lets the server send texts as they are, and says in which encoding that is.
pub(super) const AS_IT_IS: &str = "SELECT set_config('client_encoding', \
                                   current_setting('server_encoding'), true), \
                                   current_setting('server_encoding')";

/// Texts of the encoding `$2` in UTF-8.
const IN_UTF8: &str = "SELECT array_agg(convert_to(convert_from(value, $2), 'UTF8') ORDER BY place)
    FROM unnest($1) WITH ORDINALITY AS one (value, place)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As UTF-8, or as the bytes that a client sent, which are text if they are UTF-8.
    Utf8,
    /// In another encoding of PostgreSQL, of this name.
    Other(String),
}

impl Encoding {
    pub(super) fn of(name: &str) -> Self {
        if matches!(name, "UTF8" | "SQL_ASCII") {
            Self::Utf8
        } else {
            Self::Other(name.to_owned())
        }
    }

    /// A statement and its parameters, as the server takes them.
    pub(super) fn statement<'a>(
        &self,
        sql: &str,
        values: &'a [Value<'_>],
    ) -> (String, Vec<Typed<'a>>) {
        let mut sql = sql.to_owned();
        if let Self::Other(_) = self {
            // From the last on: `?1` begins `?12` too.
            for (index, value) in values.iter().enumerate().rev() {
                let number = index + 1;
                let is_text = matches!(value, Value::Text(_) | Value::OptionalText(_));
                let parameter = if is_text {
                    format!("convert_from(${number}, 'UTF8')")
                } else {
                    format!("${number}")
                };
                sql = sql.replace(&format!("?{number}"), &parameter);
            }
        }
        let text = if *self == Self::Utf8 {
            Type::TEXT
        } else {
            Type::BYTEA
        };
        let typed = |value: &'a Value<'_>| -> Typed<'a> {
            let kind = match value {
                Value::Text(_) | Value::OptionalText(_) => text.clone(),
                Value::Integer(_) | Value::OptionalInteger(_) => Type::INT8,
                Value::Float(_) | Value::OptionalFloat(_) => Type::FLOAT8,
                Value::Bytes(_) => Type::BYTEA,
            };
            (value, kind)
        };
        (translated(&sql), values.iter().map(typed).collect())
    }

    /// Texts as they were stored, in UTF-8; none where there is no like.
    pub(super) async fn decode(
        &self,
        client: &Client,
        texts: &[&[u8]],
    ) -> Result<Vec<Option<String>>, ServerError> {
        let Self::Other(encoding) = self else {
            return Ok(texts
                .iter()
                .map(|bytes| String::from_utf8(bytes.to_vec()).ok())
                .collect());
        };
        let mut decoded = vec![None; texts.len()];
        without_like(texts.len(), async |range| {
            let some = texts.get(range.clone()).unwrap_or_default();
            let Some(row) = convert(
                client,
                IN_UTF8,
                &[(&some, Type::BYTEA_ARRAY), (encoding, Type::TEXT)],
            )
            .await?
            else {
                return Ok(false);
            };
            let in_utf8: Vec<Vec<u8>> = row.try_get(0)?;
            for (place, bytes) in decoded.iter_mut().skip(range.start).zip(in_utf8) {
                *place = String::from_utf8(bytes).ok();
            }
            Ok(true)
        })
        .await?;
        Ok(decoded)
    }
}

pub(super) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            // A text and its bytes are sent alike.
            Self::Text(text) | Self::OptionalText(Some(text)) => text.as_bytes().to_sql(kind, out),
            Self::Integer(number) | Self::OptionalInteger(Some(number)) => number.to_sql(kind, out),
            Self::Float(number) | Self::OptionalFloat(Some(number)) => number.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
            Self::OptionalText(None) | Self::OptionalInteger(None) | Self::OptionalFloat(None) => {
                Ok(IsNull::Yes)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(kind, out)
    }
}

/// From the port's spelling to PostgreSQL's: `?1` is `$1`, `COLLATE BINARY` is `COLLATE "C"`, and
/// what a comment holds is meant for PostgreSQL alone.
fn translated(sql: &str) -> String {
    sql.replace('?', "$")
        .replace("COLLATE BINARY", "COLLATE \"C\"")
        .replace("/*", "")
        .replace("*/", "")
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Value, translated};

    #[test]
    fn the_words_that_differ_are_translated() {
        let sql = "SELECT avg(a /* ::numeric */) FROM t WHERE k = ?12 ORDER BY k COLLATE BINARY \
                   /* FOR UPDATE */";
        let expected =
            "SELECT avg(a  ::numeric ) FROM t WHERE k = $12 ORDER BY k COLLATE \"C\"  FOR UPDATE ";
        assert_eq!(translated(sql), expected);
    }

    #[test]
    fn texts_are_converted_by_a_server_of_another_encoding() {
        let mut values = vec![Value::Text("a"); 10];
        values.push(Value::Integer(1));
        let sql = "?1 ?10 ?11";
        assert_eq!(Encoding::of("UTF8").statement(sql, &values).0, "$1 $10 $11");
        assert_eq!(
            Encoding::of("SQL_ASCII").statement(sql, &values).0,
            "$1 $10 $11"
        );
        let (sql, typed) = Encoding::of("EUC_JP").statement(sql, &values);
        assert_eq!(
            sql,
            "convert_from($1, 'UTF8') convert_from($10, 'UTF8') $11"
        );
        assert_eq!(typed.len(), 11);
    }
}
