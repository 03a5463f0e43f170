//! Manifests: children before parents, by digest; and fetched again when everything is done.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Blobs, PushError, Shared,
    blobs::BlobOutcome,
    parallel::in_parallel,
    plan::{Document, Item, Plan},
    tags::Current,
};
use crate::registry::{RepositoryName, RepositoryWriter};
use rune_core::digest::Digest;

#[derive(Default)]
pub(super) struct Roots {
    by_position: BTreeMap<usize, Written>,
    refused: BTreeMap<usize, String>,
    written: BTreeSet<(RepositoryName, Digest)>,
}

struct Written {
    document: Document,
    was_there: bool,
    /// Whether the registry lists it as a referrer of its subject.
    is_listed: bool,
}

impl Roots {
    pub(super) fn of(&self, position: usize) -> Option<&Document> {
        self.by_position
            .get(&position)
            .map(|written| &written.document)
    }

    pub(super) fn refusal(&self, position: usize) -> Option<&str> {
        self.refused.get(&position).map(String::as_str)
    }

    pub(super) fn was_there(&self, position: usize) -> bool {
        self.by_position
            .get(&position)
            .is_some_and(|written| written.was_there)
    }

    /// The referrers that the registry does not list by itself.
    pub(super) fn unlisted(&self) -> impl Iterator<Item = (usize, &Document)> {
        self.referrers(false)
    }

    /// The referrers that the registry says it lists by itself.
    pub(super) fn listed(&self) -> impl Iterator<Item = (usize, &Document)> {
        self.referrers(true)
    }

    fn referrers(&self, are_listed: bool) -> impl Iterator<Item = (usize, &Document)> {
        let is_one = move |written: &Written| {
            written.document.referrer.is_some() && written.is_listed == are_listed
        };
        self.by_position
            .iter()
            .filter(move |(_, written)| is_one(written))
            .map(|(position, written)| (*position, &written.document))
    }
}

type Present = BTreeSet<(RepositoryName, Digest)>;

pub(super) async fn push(
    shared: &Shared,
    plan: &Plan,
    current: &Current,
    blobs: &Blobs,
) -> Result<Roots, PushError> {
    let mut roots = Roots::default();
    let mut present = Present::new();
    push_children(shared, plan, blobs, &mut roots, &mut present).await?;
    // What is about something else comes after it.
    for is_referrer in [false, true] {
        let items = plan
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.root.first.referrer.is_some() == is_referrer);
        let work = items.map(|(position, item)| {
            let may_exist = may_exist(&item.name, &item.root.first, blobs, &present);
            let choice = Choice::of(item, current.get(&position).copied());
            (
                (position, item.may_be_refused()),
                shared.writer(&item.name),
                choice,
                may_exist,
            )
        });
        let done = in_parallel(
            shared.jobs,
            work,
            |((position, may_be_refused), writer, choice, may_exist)| async move {
                match choice.push(&writer, may_exist).await {
                    Ok(written) => Ok((position, Ok(written))),
                    Err(PushError::Registry(error))
                        if may_be_refused && error.is_refusal_of_artifact() =>
                    {
                        Ok((position, Err(error.to_string())))
                    }
                    Err(error) => Err(error),
                }
            },
        );
        for (position, outcome) in done.await? {
            let written = match outcome {
                Ok(written) => written,
                Err(reason) => {
                    roots.refused.insert(position, reason);
                    continue;
                }
            };
            if let Some(item) = plan.items.get(position).filter(|_| !written.was_there) {
                roots
                    .written
                    .insert((item.name.clone(), written.document.descriptor.digest));
            }
            roots.by_position.insert(position, written);
        }
    }
    Ok(roots)
}

/// Writes everything below the roots: first manifests, all at once; then indexes within indexes,
/// one after the other.
async fn push_children(
    shared: &Shared,
    plan: &Plan,
    blobs: &Blobs,
    roots: &mut Roots,
    present: &mut Present,
) -> Result<(), PushError> {
    let all = || {
        plan.items
            .iter()
            .flat_map(|item| item.manifests.iter().map(move |document| (item, document)))
    };
    let mut distinct = BTreeMap::new();
    for (item, document) in all().filter(|(_, document)| document.children.is_empty()) {
        distinct
            .entry((item.name.clone(), document.descriptor.digest))
            .or_insert_with(|| document.clone());
    }
    let work = distinct.into_iter().map(|((name, digest), document)| {
        let may_exist = may_exist(&name, &document, blobs, present);
        (name, digest, document, may_exist)
    });
    let work: Vec<_> = work.collect();
    let done = in_parallel(shared.jobs, work, |(name, digest, document, may_exist)| {
        let writer = shared.writer(&name);
        async move {
            Ok((
                (name, digest),
                push_one(&writer, document, may_exist).await?,
            ))
        }
    });
    for (key, written) in done.await? {
        if written.was_there {
            present.insert(key)
        } else {
            roots.written.insert(key)
        };
    }
    for (item, document) in all().filter(|(_, document)| !document.children.is_empty()) {
        let name = &item.name;
        let may_exist = may_exist(name, document, blobs, present);
        let written = match push_one(&shared.writer(name), document.clone(), may_exist).await {
            // The root is refused too, and the reduced index does not need it.
            Err(PushError::Registry(error)) if item.has_gaps && error.is_refusal_of_gaps() => {
                continue;
            }
            written => written?,
        };
        let key = (name.clone(), document.descriptor.digest);
        if written.was_there {
            present.insert(key)
        } else {
            roots.written.insert(key)
        };
    }
    Ok(())
}

/// A manifest cannot be there when something that it refers to was not; then nobody is asked.
fn may_exist(name: &RepositoryName, document: &Document, blobs: &Blobs, present: &Present) -> bool {
    let has_blob = |digest: Digest| blobs.get(&(name.clone(), digest)) == Some(&BlobOutcome::There);
    let has_child = |digest: &Digest| present.contains(&(name.clone(), *digest));
    document.blobs.iter().all(|blob| has_blob(blob.digest))
        && document.children.iter().all(has_child)
}

/// Writes a manifest unless it is there. A referrer is written in any case: the answer says who
/// lists it.
async fn push_one(
    writer: &RepositoryWriter,
    document: Document,
    may_exist: bool,
) -> Result<Written, PushError> {
    let digest = document.descriptor.digest;
    if may_exist
        && document.referrer.is_none()
        && let Some(bytes) = writer.manifest(&digest.to_string()).await?
        && Digest::of(&bytes) == digest
    {
        return Ok(Written {
            document,
            was_there: true,
            is_listed: true,
        });
    }
    let media_type = &document.descriptor.media_type;
    let accepted = writer
        .put_manifest(
            &digest.to_string(),
            media_type,
            &document.bytes,
            document.is_whole(),
        )
        .await?;
    Ok(Written {
        document,
        was_there: false,
        is_listed: accepted.lists_referrer,
    })
}

struct Choice {
    first: Document,
    is_sparse: bool,
    otherwise: Option<Document>,
}

impl Choice {
    /// A tag that has been given the reduced index before keeps it.
    fn of(item: &Item, current: Option<Digest>) -> Self {
        let root = &item.root;
        match &root.otherwise {
            Some(reduced) if current == Some(reduced.descriptor.digest) => Self {
                first: reduced.clone(),
                is_sparse: false,
                otherwise: None,
            },
            otherwise => Self {
                first: root.first.clone(),
                is_sparse: root.is_sparse,
                otherwise: otherwise.clone(),
            },
        }
    }

    async fn push(self, writer: &RepositoryWriter, may_exist: bool) -> Result<Written, PushError> {
        let refusal = match push_one(writer, self.first, may_exist).await {
            Err(PushError::Registry(error)) if self.is_sparse && error.is_refusal_of_gaps() => {
                error
            }
            pushed => return pushed,
        };
        match self.otherwise {
            Some(reduced) => {
                tracing::debug!(name = %writer.name(), "pushing the reduced index: {refusal}");
                push_one(writer, reduced, may_exist).await
            }
            None => Err(PushError::SparseRefused {
                name: writer.name().clone(),
                source: Box::new(refusal),
            }),
        }
    }
}

/// Fetches again what was written, manifests and tags, and compares.
pub(super) async fn check(
    shared: &Shared,
    plan: &Plan,
    current: &Current,
    roots: &Roots,
) -> Result<(), PushError> {
    let manifests = roots
        .written
        .iter()
        .map(|(name, digest)| (shared.writer(name), digest.to_string(), *digest));
    let tags = plan
        .items
        .iter()
        .enumerate()
        .filter_map(|(position, item)| {
            let (tag, root) = (
                item.publication.tag.clone()?,
                roots.of(position)?.descriptor.digest,
            );
            (current.get(&position) != Some(&root)).then(|| (shared.writer(&item.name), tag, root))
        });
    let all: Vec<_> = manifests.chain(tags).collect();
    shared.progress.note("checking everything again");
    let checked = in_parallel(shared.jobs, all, |(writer, place, digest)| async move {
        Ok(writer.check_manifest(&place, digest).await?)
    });
    checked.await.map(|_| ())
}
