//! Provenance: what a bundle was built of, as a signed statement that lies beside the file.
//!
//! It is about the bytes of `bundle.json`, so it is not an entry of the bundle. It has no time: the
//! same bundle and key give the same bytes.
//!
//! Sources: SLSA, `spec/v1.0/provenance.md`; in-toto attestation, `spec/v1/resource_descriptor.md`.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    BundleIndex, ImageRecord, IndexError, OpenBundle, Publication, PublicationKind, Trust,
    compose::purl,
    index::INDEX_NAME,
    publication::{Made, index_artifact},
};
use crate::{
    canonical_json::CanonicalJsonError,
    evidence::{SignatureArtifact, SignedStatement, UnsignedStatement},
    sign::{PrivateKey, SlotSignature},
};
use rune_core::{digest::Digest, failure::Failure};

const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Names the form of `buildDefinition` in this module.
const BUILD_TYPE: &str = "urn:rune-bundle:build:v1";

/// How the layer is called by which a registry has it.
pub(super) const TITLE: &str = "provenance.sigstore.json";

#[derive(Debug, Clone)]
pub(crate) struct Provenance(Vec<u8>);

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum ProvenanceError {
    #[error("it is not SLSA provenance v1 in a Sigstore bundle")]
    #[failure(Input: "give the file that `rune-bundle build --provenance` wrote beside this \
        bundle")]
    OtherContent,
    #[error("it is about another bundle, not {0}")]
    #[failure(Content: "give the file that `rune-bundle build --provenance` wrote beside this \
        bundle")]
    OtherBundle(Digest),
    #[error("it is not signed by a trusted key")]
    #[failure(Signature: "give the public key of whoever built the bundle with --key, or leave the \
        provenance out")]
    Untrusted,
    #[error("the open bundle is in use")]
    #[failure(Internal)]
    InUse,
    #[error(transparent)]
    Form(#[from] CanonicalJsonError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Provenance {
    /// States what a bundle was built of, and signs that; of the images, `fetched` are from a
    /// registry.
    pub(crate) fn sign(
        index: &BundleIndex,
        fetched: &BTreeSet<&str>,
        key: &PrivateKey,
    ) -> Result<Self, ProvenanceError> {
        let statement = UnsignedStatement::new(
            PREDICATE,
            &subjects(index)?,
            &json!({
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "name": index.name,
                        "version": index.version,
                        "policy": { "digest": sha256(index.policy.sha256) },
                    },
                    "resolvedDependencies": dependencies(index, fetched),
                },
                "runDetails": {
                    "builder": {
                        "id": "pkg:generic/rune-bundle",
                        "version": { "rune-bundle": env!("CARGO_PKG_VERSION") },
                    },
                },
            }),
        )?;
        let signature = SlotSignature::sign(key, &statement.message());
        Ok(Self(statement.signed(&signature)?))
    }

    /// Reads what somebody gave as provenance of a bundle, and verifies it with the keys that are
    /// trusted, if any are.
    pub(crate) fn verify(
        bytes: Vec<u8>,
        bundle: Digest,
        trust: &Trust,
    ) -> Result<Self, ProvenanceError> {
        let statement = SignedStatement::read(&bytes)
            .filter(|statement| statement.predicate_type == PREDICATE)
            .ok_or(ProvenanceError::OtherContent)?;
        if !statement.subjects.contains(&bundle) {
            return Err(ProvenanceError::OtherBundle(bundle));
        }
        let mut signers = trust.signers().iter();
        if trust.signers().is_empty() || signers.any(|signer| statement.is_by(&signer.key)) {
            Ok(Self(bytes))
        } else {
            Err(ProvenanceError::Untrusted)
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl OpenBundle {
    /// Publishes provenance about the bundle index, from now on.
    pub(crate) fn publish_provenance(
        bundle: &mut Arc<Self>,
        provenance: Provenance,
    ) -> Result<(), ProvenanceError> {
        let Self {
            publications, made, ..
        } = Arc::get_mut(bundle).ok_or(ProvenanceError::InUse)?;
        let is_index = |known: &&Publication| known.kind == PublicationKind::Index;
        let Some(index) = publications.iter().find(is_index) else {
            return Ok(());
        };
        let artifact = SignatureArtifact::new(provenance.0, PREDICATE, Some(TITLE), &index.target)?;
        let publication = Publication {
            repository: index.repository.clone(),
            tag: None,
            target: artifact.manifest,
            kind: PublicationKind::Provenance {
                subject: index.target.digest,
            },
        };
        publications.push(publication);
        let blobs = artifact.blobs.into_iter();
        made.extend(blobs.map(|(described, bytes)| (described.digest, Arc::from(bytes))));
        Ok(())
    }
}

fn sha256(digest: Digest) -> Value {
    json!({ "sha256": digest.hex() })
}

/// The bundle index, which covers every byte, as a file and as an artifact, and what a registry and
/// a cluster get.
fn subjects(index: &BundleIndex) -> Result<Value, IndexError> {
    let bytes = index.to_bytes()?;
    let artifact = index_artifact(&bytes, &mut Made::new())?;
    let name = format!("bundles/{}:{}", index.name, index.version);
    let bundle = [
        json!({ "name": INDEX_NAME, "digest": sha256(Digest::of(&bytes)) }),
        json!({ "name": name, "digest": sha256(artifact.digest) }),
    ];
    let images = index.images_and_artifacts().map(|image| {
        json!({ "name": image.reference.to_string(), "digest": sha256(image.target.digest) })
    });
    let charts = index.charts.iter().map(|chart| {
        let name = format!("charts/{}:{}", chart.name, chart.version);
        json!({ "name": name, "digest": sha256(chart.artifact.digest) })
    });
    Ok(bundle.into_iter().chain(images).chain(charts).collect())
}

/// What was fetched by digest: images and artifacts, and entries that are from elsewhere.
fn dependencies(index: &BundleIndex, fetched: &BTreeSet<&str>) -> Vec<Value> {
    let is_fetched = |image: &&ImageRecord| fetched.contains(image.name.as_str());
    let images = index.images_and_artifacts().filter(is_fetched);
    let images = images.map(|image| {
        let digest = image.target.digest;
        json!({ "uri": purl(image, digest, None), "digest": sha256(digest) })
    });
    let entries = index.entries.iter().filter_map(|entry| {
        let origin = index.origins.get(&entry.path)?;
        Some(json!({
            "name": entry.path.to_string(),
            "uri": origin,
            "digest": sha256(entry.sha256),
        }))
    });
    images.chain(entries).collect()
}
