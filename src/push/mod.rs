//! From an open bundle into a registry: images, charts, the bundle's index and its signatures.
//!
//! The bytes in the bundle are the bytes that are written; nothing is converted, and nothing is
//! kept on this machine. First it is seen that no tag would be taken from somebody else. Then blobs
//! are written, then manifests, children before parents, then tags: whoever uses a tag finds
//! everything behind it. In the end every manifest and tag is fetched again and compared. A run
//! that broke off is finished by the next one, which moves no blob twice. A registry that takes
//! images and no other artifacts gets the images and charts, and what it refused is part of the
//! outcome.

mod blobs;
mod destination;
mod error;
mod manifests;
mod outcome;
mod parallel;
mod plan;
mod referrers;
mod source;
mod tags;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use destination::Destination;
pub(crate) use error::PushError;
pub(crate) use outcome::{
    BlobTally, IndexForm, Pushed, PushedKind, PushedReference, RefusedArtifact,
};
pub use plan::IndexChoice;

use crate::{
    bundle::{ImageSignatureChoice, OpenBundle},
    registry::{Client, RepositoryName, RepositoryWriter},
};
use blobs::BlobOutcome;
use manifests::Roots;
use outcome::summary;
use plan::Plan;
use rune_core::progress::Progress;

#[derive(Debug, Clone)]
pub struct PushSettings {
    pub destination: Destination,
    pub index: IndexChoice,
    pub overwrites_tags: bool,
    pub artifacts: BundleArtifacts,
    pub image_signatures: ImageSignatureChoice,
    pub jobs: usize,
    pub chunk_bytes: Option<u64>,
    pub is_dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleArtifacts {
    Nothing,
    Index,
    /// Everything else of the bundle too, about its index.
    Everything,
}

#[derive(Clone)]
struct Shared {
    bundle: Arc<OpenBundle>,
    client: Client,
    progress: Arc<dyn Progress>,
    jobs: usize,
    chunk_bytes: Option<u64>,
    is_dry_run: bool,
}

impl Shared {
    fn writer(&self, name: &RepositoryName) -> RepositoryWriter {
        self.client.writer(name)
    }
}

/// Pushes everything that a bundle publishes. After a failure no tag was moved, unless it is a
/// check at the end that failed.
pub(crate) async fn push(
    bundle: &Arc<OpenBundle>,
    client: &Client,
    settings: &PushSettings,
    progress: &Arc<dyn Progress>,
) -> Result<Pushed, PushError> {
    let plan = Plan::new(bundle, settings)?;
    let shared = Shared {
        bundle: Arc::clone(bundle),
        client: client.clone(),
        progress: Arc::clone(progress),
        jobs: settings.jobs,
        chunk_bytes: settings.chunk_bytes,
        is_dry_run: settings.is_dry_run,
    };
    let current = tags::look(&shared, &plan, settings.overwrites_tags).await?;
    let (blobs, sent_bytes) = blobs::push(&shared, &plan).await?;
    if settings.is_dry_run {
        return Ok(summary(&plan, &current, &blobs, sent_bytes, None));
    }
    let roots = manifests::push(&shared, &plan, &current, &blobs).await?;
    referrers::list(&shared, &plan, &roots).await?;
    tags::set(&shared, &plan, &current, &roots).await?;
    manifests::check(&shared, &plan, &current, &roots).await?;
    referrers::check(&shared, &plan, &roots).await?;
    Ok(summary(&plan, &current, &blobs, sent_bytes, Some(&roots)))
}

/// What became of each blob, by repository and digest.
type Blobs = BTreeMap<(RepositoryName, rune_core::digest::Digest), BlobOutcome>;
