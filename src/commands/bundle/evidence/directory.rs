//! A directory of small files and the list of their digests.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
};

use camino::{Utf8Path, Utf8PathBuf};

use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::{PathError, StagingDirectory},
};

/// What `sha256sum --check` reads.
const SUMS: &str = "SHA256SUMS";

pub(super) struct Directory {
    staging: StagingDirectory,
    path: Utf8PathBuf,
    sums: BTreeMap<String, Digest>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("cannot write `{path}`")]
#[failure(kind: match .source.kind() {
    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::Space,
    _ => FailureKind::Internal,
}, help: "name a directory on another disk with --output")]
pub(super) struct WriteError {
    path: Utf8PathBuf,
    source: io::Error,
}

impl Directory {
    pub(super) fn create(path: &Utf8Path) -> Result<Self, PathError> {
        Ok(Self {
            staging: StagingDirectory::create(path)?,
            path: path.to_owned(),
            sums: BTreeMap::new(),
        })
    }

    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        if self.sums.contains_key(name) {
            return Ok(());
        }
        self.write(name, bytes)?;
        self.sums.insert(name.to_owned(), Digest::of(bytes));
        Ok(())
    }

    /// Writes the list of digests, and gives the directory its name. Says how many files it has.
    pub(super) fn finish(self) -> Result<usize, FinishError> {
        let sums = self
            .sums
            .iter()
            .fold(String::new(), |mut text, (name, digest)| {
                let _ = writeln!(text, "{}  {name}", digest.hex());
                text
            });
        self.write(SUMS, sums.as_bytes())?;
        self.staging.finish()?;
        Ok(self.sums.len().saturating_add(1))
    }

    pub(super) fn discard(self) -> Result<(), PathError> {
        self.staging.discard()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let directory = self.staging.handle();
        let parents = name.rsplit_once('/').map_or("", |(parents, _)| parents);
        let write = || -> io::Result<()> {
            if !parents.is_empty() {
                directory.create_dir_all(parents)?;
            }
            directory.create(name)?.write_all(bytes)
        };
        write().map_err(|source| WriteError {
            path: self.path.join(name),
            source,
        })
    }
}

#[derive(Debug, thiserror::Error, Failure)]
pub(super) enum FinishError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Path(#[from] PathError),
}
