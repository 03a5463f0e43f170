//! What the registry holds and what it was asked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::sha256;

/// Content of all repositories.
#[derive(Debug, Default)]
pub(super) struct Store {
    blobs: HashMap<String, Bytes>,
    links: BTreeSet<(String, String)>,
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    tags: BTreeMap<(String, String), String>,
    pub(super) uploads: HashMap<String, Vec<u8>>,
    last_upload: u64,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, without `?`; empty when there is none.
    pub query: String,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body that have come so far.
    pub(super) received: Arc<AtomicU64>,
}

impl Request {
    /// How many bytes of its body have come.
    pub fn body_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Store {
    pub(super) fn put_blob(&mut self, repository: &str, bytes: Bytes) -> String {
        let digest = sha256(&bytes);
        self.links.insert((repository.to_owned(), digest.clone()));
        self.blobs.insert(digest.clone(), bytes);
        digest
    }

    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<Bytes> {
        let is_linked = self
            .links
            .contains(&(repository.to_owned(), digest.to_owned()));
        is_linked.then(|| self.blobs.get(digest).cloned()).flatten()
    }

    pub(super) fn mount(&mut self, repository: &str, from: &str, digest: &str) -> bool {
        let is_there = self.blob(from, digest).is_some();
        if is_there {
            self.links
                .insert((repository.to_owned(), digest.to_owned()));
        }
        is_there
    }

    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: Bytes,
    ) -> String {
        let digest = sha256(&bytes);
        self.manifests.insert(
            (repository.to_owned(), digest.clone()),
            (media_type.to_owned(), bytes),
        );
        if let Some(tag) = tag {
            self.tags
                .insert((repository.to_owned(), tag.to_owned()), digest.clone());
        }
        digest
    }

    /// Media type, bytes and digest of a manifest, by tag or digest.
    pub(super) fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Option<(String, Bytes, String)> {
        let by_tag = self
            .tags
            .get(&(repository.to_owned(), reference.to_owned()));
        let digest = by_tag.cloned().unwrap_or_else(|| reference.to_owned());
        let (media_type, bytes) = self
            .manifests
            .get(&(repository.to_owned(), digest.clone()))?;
        Some((media_type.clone(), bytes.clone(), digest))
    }

    /// The entries of the list of referrers of a manifest, by digest.
    pub(super) fn referrers(&self, repository: &str, subject: &str) -> Vec<Value> {
        let own = self
            .manifests
            .iter()
            .filter(|((name, _), _)| name == repository);
        own.filter_map(|((_, digest), (media_type, bytes))| {
            let document: Value = serde_json::from_slice(bytes).ok()?;
            let is_about = document.pointer("/subject/digest")?.as_str()? == subject;
            let config_type = document.pointer("/config/mediaType");
            let artifact_type = document.get("artifactType").or(config_type).cloned();
            is_about.then(|| {
                json!({
                    "mediaType": media_type,
                    "digest": digest,
                    "size": bytes.len(),
                    "artifactType": artifact_type,
                    "annotations": document.get("annotations").cloned().unwrap_or_else(|| json!({})),
                })
            })
        })
        .collect()
    }

    /// Forgets a manifest and the tags that lead to it.
    pub(super) fn delete_manifest(&mut self, repository: &str, digest: &str) {
        self.manifests
            .remove(&(repository.to_owned(), digest.to_owned()));
        self.tags
            .retain(|(name, _), target| name != repository || target != digest);
    }

    pub(super) fn delete_tag(&mut self, repository: &str, tag: &str) {
        self.tags.remove(&(repository.to_owned(), tag.to_owned()));
    }

    pub(super) fn put_tag(&mut self, repository: &str, tag: &str, digest: &str) {
        let place = (repository.to_owned(), tag.to_owned());
        self.tags.insert(place, digest.to_owned());
    }

    pub(super) fn tags(&self, repository: &str) -> Vec<String> {
        self.tags
            .keys()
            .filter(|(own, _)| own == repository)
            .map(|(_, tag)| tag.clone())
            .collect()
    }

    pub(super) fn repositories(&self) -> BTreeSet<String> {
        self.manifests
            .keys()
            .map(|(repository, _)| repository.clone())
            .collect()
    }

    /// Keeps what came of an upload that broke off, as distribution does.
    pub(super) fn keep_part(&mut self, path: &str, part: &[u8]) {
        if let Some(upload) = path
            .split_once("/blobs/uploads/")
            .and_then(|(_, id)| self.uploads.get_mut(id))
        {
            upload.extend_from_slice(part);
        }
    }

    pub(super) fn begin_upload(&mut self) -> String {
        self.last_upload += 1;
        let id = format!("upload-{}", self.last_upload);
        self.uploads.insert(id.clone(), Vec::new());
        id
    }
}
