//! The entries of a bundle while they are collected.

use std::{collections::BTreeMap, fmt::Write as _};

use super::ComposeError;
use crate::{
    archive::{EntryName, Mode},
    bundle::{EntryRecord, index::blob_path, materialise::Content},
    oci::Descriptor,
};
use rune_core::digest::Digest;

/// The entries that come before all others, in this order.
const FIRST: [&str; 2] = ["oci-layout", "index.json"];

/// The list of digests for people without this program.
const SUMS: &str = "SHA256SUMS";

/// Entries by name, and blobs by digest, each once.
#[derive(Debug, Default)]
pub(super) struct Entries {
    named: BTreeMap<EntryName, (EntryRecord, Content)>,
    blobs: BTreeMap<Digest, (u64, Content)>,
}

impl Entries {
    pub(super) fn add(
        &mut self,
        path: &str,
        content: Content,
        size: u64,
        sha256: Digest,
        mode: Mode,
    ) -> Result<EntryName, ComposeError> {
        let path = EntryName::new(path)?;
        let record = EntryRecord {
            path: path.clone(),
            size,
            sha256,
            mode,
        };
        match self.named.insert(path.clone(), (record, content)) {
            None => Ok(path),
            Some(_) => Err(ComposeError::Collision(path)),
        }
    }

    pub(super) fn add_bytes(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<EntryName, ComposeError> {
        let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
        self.add(
            path,
            Content::Bytes(bytes.into()),
            size,
            digest,
            Mode::Regular,
        )
    }

    /// Adds an entry to which several parts of the bundle may refer: the same bytes under the same
    /// name are one entry.
    pub(super) fn add_shared(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<EntryName, ComposeError> {
        let name = EntryName::new(path)?;
        let same = |(record, _): &(EntryRecord, Content)| record.sha256 == Digest::of(&bytes);
        if self.named.get(&name).is_some_and(same) {
            Ok(name)
        } else {
            self.add_bytes(path, bytes)
        }
    }

    /// Adds a blob; one that exists already stays as it is, for its digest says that it is the
    /// same.
    pub(super) fn add_blob(&mut self, descriptor: &Descriptor, content: Content) {
        self.blobs
            .entry(descriptor.digest)
            .or_insert((descriptor.size, content));
    }

    pub(super) fn digest(&self, name: &EntryName) -> Option<Digest> {
        self.named.get(name).map(|(record, _)| record.sha256)
    }

    /// Ends collecting: the list of digests is made, and everything stands in the order of the
    /// archive.
    pub(super) fn in_order(mut self) -> Result<(Vec<EntryRecord>, Vec<Content>), ComposeError> {
        let named = self
            .named
            .values()
            .map(|(record, _)| (record.sha256, record.path.to_string()));
        let digests = named.chain(
            self.blobs
                .keys()
                .map(|digest| (*digest, blob_path(*digest))),
        );
        let sums = digests.fold(String::new(), |mut text, (digest, path)| {
            let _ = writeln!(text, "{}  {path}", digest.hex());
            text
        });
        self.add_bytes(SUMS, sums.into_bytes())?;
        let mut ordered = Vec::new();
        for name in FIRST {
            ordered.extend(self.named.remove(&EntryName::new(name)?));
        }
        ordered.extend(self.named.into_values());
        for (sha256, (size, content)) in self.blobs {
            let path = EntryName::new(blob_path(sha256))?;
            ordered.push((
                EntryRecord {
                    path,
                    size,
                    sha256,
                    mode: Mode::Regular,
                },
                content,
            ));
        }
        Ok(ordered.into_iter().unzip())
    }
}
