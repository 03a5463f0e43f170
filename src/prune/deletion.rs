//! Deleting what a plan says.

use super::{Held, Plan, PruneError, Target, TargetKind, plan::Room};
use crate::registry::{Client, RepositoryWriter};
use rune_core::progress::Progress;

/// Deletes one after the other. Before each the repository is read again: what somebody tagged or
/// signed meanwhile stays.
pub(super) async fn run(
    client: &Client,
    plan: &mut Plan,
    progress: &dyn Progress,
) -> Result<(), PruneError> {
    for target in &mut plan.targets {
        let Some(room) = plan.rooms.get_mut(&target.repository) else {
            continue;
        };
        let writer = client.writer(&target.repository);
        progress.note(&format!("deleting {target}"));
        if let Some(why) = why_it_stays(&writer, room, target).await? {
            plan.held.push(Held {
                reference: format!("{}@{}", target.repository, target.digest),
                why,
            });
        } else {
            delete(&writer, room, target).await?;
            target.deleted = true;
        }
    }
    Ok(())
}

async fn why_it_stays(
    writer: &RepositoryWriter,
    room: &mut Room,
    target: &Target,
) -> Result<Option<String>, PruneError> {
    room.snapshot = room.snapshot.again(writer, target.digest).await?;
    let staying = room.snapshot.staying(&room.kept, &room.old);
    if let Some(reason) = staying.get(&target.digest) {
        return Ok(Some(reason.to_string()));
    }
    let is_other_list = target.kind == TargetKind::List
        && !room
            .snapshot
            .lists_to_go(&room.old, &staying)
            .contains_key(&target.digest);
    Ok(is_other_list.then(|| "it names something that stays".to_owned()))
}

/// By its digest, which takes its tags with it in most registries; in others the tags are deleted
/// by name.
async fn delete(
    writer: &RepositoryWriter,
    room: &mut Room,
    target: &Target,
) -> Result<(), PruneError> {
    writer.delete_manifest(&target.digest.to_string()).await?;
    for tag in room.snapshot.tags_of(target.digest) {
        let left = writer.manifest(tag).await?;
        if left.is_some_and(|bytes| rune_core::digest::Digest::of(&bytes) == target.digest) {
            writer.delete_manifest(tag).await?;
        }
    }
    room.snapshot.forget(target.digest);
    Ok(())
}
