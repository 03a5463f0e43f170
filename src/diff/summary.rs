//! What bundles say about themselves.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Difference;
use crate::{
    archive::EntryName,
    bundle::{BundleIndex, BundleView, SlotState},
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) verified: bool,
    /// Who signed, by name if there is one and key; of an unverified bundle, what the signatures
    /// claim.
    pub(crate) signers: Vec<String>,
}

impl Side {
    pub(super) fn of(view: &BundleView) -> Self {
        let signer = |state: &SlotState| match state {
            SlotState::Revoked { .. } => state.signer().map(|signer| format!("{signer}, revoked")),
            _ => state.signer(),
        };
        let mut signers: Vec<String> = view.signatures().iter().filter_map(signer).collect();
        signers.sort();
        signers.dedup();
        Self {
            name: view.index().name.clone(),
            version: view.index().version.to_string(),
            digest: view.digest(),
            bytes: view.total_bytes(),
            verified: view.is_verified(),
            signers,
        }
    }
}

pub(super) fn between(old: &BundleIndex, new: &BundleIndex) -> Vec<Difference> {
    let facts = |index: &BundleIndex| {
        [
            ("name", Some(index.name.clone())),
            ("version", Some(index.version.to_string())),
            ("made by", Some(index.tool.clone())),
            (
                "predecessor",
                index.predecessor.map(|digest| digest.to_string()),
            ),
            (
                "schema version",
                index
                    .migrations
                    .as_ref()
                    .map(|migrations| migrations.schema_version.to_string()),
            ),
            (
                "image signatures",
                index.image_signatures.as_ref().map(|signatures| {
                    let count = signatures.manifests.len();
                    format!("{count} with the key {}", signatures.key)
                }),
            ),
            ("policy", Some(index.policy.sha256.to_string())),
            (
                "completeness",
                Some(
                    if index.completeness.checked {
                        "checked"
                    } else {
                        "not checked"
                    }
                    .to_owned(),
                ),
            ),
        ]
    };
    let pairs = facts(old).into_iter().zip(facts(new));
    pairs
        .filter_map(|((subject, old), (_, new))| Difference::between(subject, old, new))
        .collect()
}

pub(super) fn origins(old: &BundleIndex, new: &BundleIndex) -> Vec<Difference> {
    let paths: BTreeSet<&EntryName> = old.origins.keys().chain(new.origins.keys()).collect();
    let origin = |index: &BundleIndex, path: &EntryName| index.origins.get(path).cloned();
    paths
        .into_iter()
        .filter_map(|path| Difference::between(path.as_str(), origin(old, path), origin(new, path)))
        .collect()
}
