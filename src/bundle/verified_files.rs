//! Which files were verified to their last byte, on record for later runs.
//!
//! A record counts until the machine is started again, the file system is unmounted, or the file
//! changes in any way that its file system notices. It saves hashing and nothing else. Whoever
//! cannot keep or read one hashes again, so nothing here is an error.

use std::{sync::Arc, time::SystemTime};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::{BundleFile, BundleSource};
use rune_core::{
    digest::Digest,
    fsx::{self, FileState, Stamp},
};

/// The largest record that is read, in bytes: about 200 for each file of a bundle.
const MAX_RECORD_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone)]
pub struct VerifiedFiles {
    pub directory: Utf8PathBuf,
    pub start: SystemTime,
}

#[derive(Debug)]
pub(crate) struct VerifiedFile<'a> {
    records: &'a VerifiedFiles,
    file: BundleFile,
    states: Vec<FileState>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    digest: Digest,
    files: Vec<FileState>,
}

impl VerifiedFiles {
    /// Notes the state of a bundle before its first byte is read. None when there can be no record
    /// of it.
    pub(crate) fn begin(&self, source: &BundleSource) -> Option<VerifiedFile<'_>> {
        let BundleSource::File(file) = source else {
            return None;
        };
        let before = |file: &_| FileState::before_check(file, self.start);
        Some(VerifiedFile {
            records: self,
            states: file.files().map(before).collect::<Option<_>>()?,
            file: file.clone(),
        })
    }

    /// What the files look like, if they were verified as the bundle with this digest and nobody
    /// wrote to them since.
    pub(crate) fn find(&self, digest: Digest, file: &BundleFile) -> Option<Arc<[Stamp]>> {
        let bytes = fsx::read_only_ours(&self.path(digest), MAX_RECORD_BYTES).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        let states: Vec<FileState> = file.files().map(FileState::of).collect::<Option<_>>()?;
        (record.digest == digest && record.files == states)
            .then(|| states.iter().map(FileState::stamp).collect())
    }

    fn path(&self, digest: Digest) -> Utf8PathBuf {
        self.directory.join(format!("{}.json", digest.hex()))
    }
}

impl VerifiedFile<'_> {
    /// Keeps on record that every byte was right, unless somebody wrote meanwhile.
    pub(crate) fn keep(self, digest: Digest) {
        let after: Option<Vec<FileState>> = self.file.files().map(FileState::of).collect();
        if after.as_ref() != Some(&self.states) {
            return;
        }
        let record = Record {
            digest,
            files: self.states,
        };
        let kept = serde_json::to_vec(&record).map_err(|error| error.to_string());
        let kept = kept.and_then(|bytes| {
            fsx::create_dir_all(&self.records.directory)
                .and_then(|()| fsx::write_atomic(&self.records.path(digest), &bytes))
                .map_err(|error| error.to_string())
        });
        if let Err(problem) = kept {
            tracing::debug!("there is no record of the verified file: {problem}");
        }
    }
}
