//! Asking a server to convert texts from one encoding into another, of which it only says that one
//! of them has no like there.

use std::ops::Range;

use tokio_postgres::{
    Client, Row,
    types::{ToSql, Type},
};

use super::ServerError;

/// Asks for a conversion within the open transaction, which goes on afterwards; nothing when a text
/// has no like.
///
/// # Errors
/// When the server cannot be asked.
pub async fn convert(
    client: &Client,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Option<Row>, ServerError> {
    client.batch_execute("SAVEPOINT conversion").await?;
    let outcome = client.query_typed_one(sql, parameters).await;
    client
        .batch_execute("ROLLBACK TO SAVEPOINT conversion; RELEASE SAVEPOINT conversion")
        .await?;
    match outcome.map_err(ServerError::from) {
        Ok(row) => Ok(Some(row)),
        Err(error) if error.is_of_encoding() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tries `count` texts, all at once, then in halves of what failed, until those that fail are
/// alone; gives their positions.
///
/// # Errors
/// Those of `converts`, which says of a range whether all of it can be converted.
pub async fn without_like(
    count: usize,
    mut converts: impl AsyncFnMut(Range<usize>) -> Result<bool, ServerError>,
) -> Result<Vec<usize>, ServerError> {
    let mut without = Vec::new();
    let whole = 0..count;
    let mut pending = vec![whole];
    while let Some(range) = pending.pop() {
        if range.is_empty() || converts(range.clone()).await? {
            continue;
        }
        if range.len() == 1 {
            without.push(range.start);
            continue;
        }
        let middle = range.start + range.len() / 2;
        pending.extend([middle..range.end, range.start..middle]);
    }
    Ok(without)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::without_like;

    #[test]
    fn the_texts_that_fail_are_found_and_the_others_are_tried_in_ranges() {
        let mut tried = 0;
        let found = without_like(100, async |range| {
            tried += 1;
            Ok(!range.clone().any(|position| [7, 8, 99].contains(&position)))
        });
        assert_eq!(found.now_or_never().unwrap().unwrap(), [7, 8, 99]);
        assert!(tried < 45, "{tried}");
        let none = without_like(0, async |_| unreachable!("there is nothing to try"));
        assert_eq!(none.now_or_never().unwrap().unwrap(), [0; 0]);
    }
}
