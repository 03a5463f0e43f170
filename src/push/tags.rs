//! Tags: checked before anything is pushed, written after everything was.

use std::collections::BTreeMap;

use super::{PushError, Roots, Shared, error::TakenTag, parallel::in_parallel, plan::Plan};
use rune_core::digest::Digest;

/// What each tag means now, by position in the plan; those that are not there are missing.
pub(super) type Current = BTreeMap<usize, Digest>;

pub(super) async fn look(
    shared: &Shared,
    plan: &Plan,
    may_move: bool,
) -> Result<Current, PushError> {
    let tagged = plan
        .items
        .iter()
        .enumerate()
        .filter_map(|(position, item)| {
            let tag = item.publication.tag.clone()?;
            Some((position, shared.writer(&item.name), tag))
        });
    let found = in_parallel(shared.jobs, tagged, |(position, writer, tag)| async move {
        Ok((
            position,
            writer.manifest(&tag).await?.map(|bytes| Digest::of(&bytes)),
        ))
    });
    let current: Current = found
        .await?
        .into_iter()
        .filter_map(|(position, digest)| Some((position, digest?)))
        .collect();
    let taken: Vec<TakenTag> = current
        .iter()
        .filter_map(|(position, existing)| {
            let item = plan.items.get(*position)?;
            let here = item.root.first.descriptor.digest;
            (!item.is_own(*existing)).then(|| TakenTag {
                reference: item.reference(),
                existing: *existing,
                here,
            })
        })
        .collect();
    if may_move || taken.is_empty() {
        Ok(current)
    } else {
        Err(PushError::TagsTaken(taken))
    }
}

pub(super) async fn set(
    shared: &Shared,
    plan: &Plan,
    current: &Current,
    roots: &Roots,
) -> Result<(), PushError> {
    let work = plan
        .items
        .iter()
        .enumerate()
        .filter_map(|(position, item)| {
            let (tag, root) = (item.publication.tag.clone()?, roots.of(position)?);
            let is_set = current.get(&position) == Some(&root.descriptor.digest);
            (!is_set).then(|| (shared.writer(&item.name), tag, root.clone()))
        });
    in_parallel(shared.jobs, work, |(writer, tag, root)| async move {
        writer
            .put_manifest(&tag, &root.descriptor.media_type, &root.bytes, true)
            .await?;
        Ok(())
    })
    .await
    .map(|_| ())
}
