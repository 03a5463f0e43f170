//! The bundle that is installed: in a file, as a delta whose rest is at the registry, or published
//! in a registry.
//!
//! A file is verified to its last byte. Of the other two, the documents, charts and values are read
//! and compared with the signed index; the images are, or come to be, where the cluster pulls them
//! from, and are known there by their digests.

use std::sync::Arc;

use super::{
    super::{delta_destination::DeltaDestination, open::threads, stored::StoredOptions},
    InstallOptions, PUSH_JOBS,
};
use crate::bundle::{self, BundleSource, OpenBundle};
use rune_core::{command::CommandError, failure::Failure, progress::Progress};

pub(super) struct Opened {
    pub(super) bundle: Arc<OpenBundle>,
    pub(super) verified_bytes: u64,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage: "leave out --push where the images are, or get the file: `rune-bundle fetch {0} \
    --output FILE`")]
#[error("--push needs the bundle in a file: `{0}` is in a registry")]
struct PushOfStored(String);

impl Opened {
    pub(super) fn of(
        options: &InstallOptions,
        progress: &dyn Progress,
    ) -> Result<Self, CommandError> {
        if let Some(stored) = &options.stored {
            if options.push.is_some() {
                return Err(PushOfStored(stored.reference.to_string()).into());
            }
            return Self::of_stored(stored);
        }
        match Self::delta(options, progress)? {
            Some(bundle) => Ok(Self::of_documents(bundle)),
            None => Self::of_file(options, progress),
        }
    }

    fn of_stored(options: &StoredOptions) -> Result<Self, CommandError> {
        let (stored, head) = options.open()?;
        let elsewhere = stored.elsewhere(head.index())?;
        let bundle = OpenBundle::elsewhere(head, elsewhere)
            .map_err(|error| options.trust.refused(error.into()))?;
        Ok(Self::of_documents(bundle))
    }

    /// Opens the file, if it is a delta and there is a registry that may have the rest.
    fn delta(
        options: &InstallOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Arc<OpenBundle>>, CommandError> {
        let Some(destination) = &options.registry else {
            return Ok(None);
        };
        let access = options.registry_access.clone();
        let at = DeltaDestination {
            destination,
            access: access.confined_to(destination.registry(), PUSH_JOBS),
            reads_releases: true,
        };
        at.open(&options.bundle, progress)
    }

    fn of_documents(bundle: Arc<OpenBundle>) -> Self {
        let documents = bundle.documents().values();
        let verified_bytes = documents.map(|document| document.len() as u64).sum();
        Self {
            bundle,
            verified_bytes,
        }
    }

    fn of_file(options: &InstallOptions, progress: &dyn Progress) -> Result<Self, CommandError> {
        let (source, head) = options.bundle.authenticate()?;
        let file = options.bundle.file(source)?;
        let refusing = || format!("refusing `{}`", options.bundle.bundle);
        let verified = options.bundle.verified(&file, &head);
        if verified.is_none() {
            let source = BundleSource::File(file.clone());
            bundle::verify(source, &head, threads(), progress)
                .map_err(|error| CommandError::from(error).context(refusing()))?;
        }
        let verified_bytes = head.layout().total_bytes();
        let bundle = OpenBundle::open(file, head, verified)
            .map_err(|error| CommandError::from(error).context(refusing()))?;
        Ok(Self {
            bundle,
            verified_bytes,
        })
    }
}
