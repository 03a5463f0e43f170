//! A large value on a PostgreSQL server, piece by piece, so that it is whole nowhere on this side.

use tokio_postgres::{Client, types::Type};

const PIECE_BYTES: usize = 1 << 20;
/// How many pieces are asked for at once; each time the server's time limit for a statement begins
/// anew.
const PIECES: usize = 4;

/// Reads the `bytea` in the row of a table whose key is this text, within the transaction that is
/// open and whatever its encoding. `each` gets every piece with the position of its first byte; a
/// row that is not there has none.
///
/// A value that the server keeps compressed it unpacks once, not once for each piece, and so in its
/// memory; of any other it reads what a piece needs.
///
/// # Errors
/// When the server cannot be asked, or `each` fails.
pub async fn for_each_piece<E: From<tokio_postgres::Error>>(
    client: &Client,
    table: &str,
    (key, column): (&str, &str),
    row: &str,
    mut each: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let declare = format!(
        "DECLARE rune_db_pieces NO SCROLL CURSOR FOR SELECT part,
            substr(whole.value, 1 + part * {PIECE_BYTES}, {PIECE_BYTES})
        FROM (
            SELECT CASE WHEN pg_column_compression({column}) IS NULL THEN {column}
                ELSE {column} || '\\x'::bytea END AS value
            FROM {table} WHERE {key} = convert_from($1, 'UTF8') OFFSET 0
        ) AS whole, generate_series(0, (octet_length(whole.value) - 1) / {PIECE_BYTES}) AS part"
    );
    client
        .execute_typed(&declare, &[(&row.as_bytes(), Type::BYTEA)])
        .await?;
    let fetch = format!("FETCH {PIECES} FROM rune_db_pieces");
    loop {
        let rows = client.query_typed(&fetch, &[]).await?;
        for row in &rows {
            let part = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(usize::MAX);
            each(part.saturating_mul(PIECE_BYTES), row.try_get(1)?)?;
        }
        if rows.len() < PIECES {
            client.batch_execute("CLOSE rune_db_pieces").await?;
            return Ok(());
        }
    }
}
