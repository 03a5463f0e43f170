//! Several things at once, in a given number.

use std::{collections::BTreeMap, future::Future};

use tokio::task::JoinSet;

use super::PushError;

/// Does the work for each item, `jobs` at a time, and gives the results in the order of the items.
/// The first failure ends everything else where it is.
pub(super) async fn in_parallel<T, R, F>(
    jobs: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>, PushError>
where
    F: Future<Output = Result<R, PushError>> + Send + 'static,
    R: Send + 'static,
{
    let mut waiting = items.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut done = BTreeMap::new();
    loop {
        while running.len() < jobs.max(1)
            && let Some((position, item)) = waiting.next()
        {
            let result = work(item);
            running.spawn(async move { (position, result.await) });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (position, result) = ended.map_err(PushError::Task)?;
        done.insert(position, result?);
    }
    Ok(done.into_values().collect())
}
