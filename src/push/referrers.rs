//! The list of referrers of a manifest, where the registry does not keep it itself.
//!
//! Source: OCI distribution specification 1.1, "Referrers Tag Schema": an index under the tag
//! `sha256-<hex>`, to which whoever pushes a manifest with a subject adds it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{PushError, Roots, Shared, parallel::in_parallel, plan::Plan};
use crate::{
    oci::{Descriptor, media_type},
    registry::{ReferrerList, RepositoryName},
};
use rune_core::digest::Digest;

/// Fetches the lists again that the registry keeps itself, and looks for what was pushed.
pub(super) async fn check(shared: &Shared, plan: &Plan, roots: &Roots) -> Result<(), PushError> {
    let mut lists: BTreeMap<(RepositoryName, Digest), BTreeSet<Digest>> = BTreeMap::new();
    for (position, document) in roots.listed() {
        if let (Some(item), Some((subject, referrer))) =
            (plan.items.get(position), &document.referrer)
        {
            lists
                .entry((item.name.clone(), *subject))
                .or_default()
                .insert(referrer.digest);
        }
    }
    let work = lists
        .into_iter()
        .map(|((name, subject), expected)| (shared.writer(&name), subject, expected));
    in_parallel(
        shared.jobs,
        work,
        |(writer, subject, expected)| async move {
            Ok(writer.check_referrers(subject, &expected).await?)
        },
    )
    .await
    .map(|_| ())
}

pub(super) async fn list(shared: &Shared, plan: &Plan, roots: &Roots) -> Result<(), PushError> {
    let mut lists: BTreeMap<(&RepositoryName, Digest), Vec<&Descriptor>> = BTreeMap::new();
    for (position, document) in roots.unlisted() {
        if let (Some(item), Some((subject, referrer))) =
            (plan.items.get(position), &document.referrer)
        {
            lists
                .entry((&item.name, *subject))
                .or_default()
                .push(referrer);
        }
    }
    for ((name, subject), referrers) in lists {
        let writer = shared.writer(name);
        let tag = ReferrerList::tag(subject);
        let current = writer.manifest(&tag).await?;
        let not_a_list = || PushError::ReferrersTag {
            name: name.clone(),
            tag: tag.clone(),
        };
        let mut index = match &current {
            None => json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": []}),
            Some(bytes) => serde_json::from_slice(bytes).map_err(|_| not_a_list())?,
        };
        let is_index = index
            .get("mediaType")
            .is_none_or(|stated| stated == media_type::INDEX);
        let manifests = index
            .get_mut("manifests")
            .and_then(Value::as_array_mut)
            .filter(|_| is_index)
            .ok_or_else(not_a_list)?;
        let before = manifests.len();
        for referrer in referrers {
            let digest = referrer.digest.to_string();
            if manifests
                .iter()
                .all(|entry| entry.get("digest").and_then(Value::as_str) != Some(digest.as_str()))
            {
                manifests.push(json!(referrer));
            }
        }
        if manifests.len() > before {
            let bytes = index.to_string().into_bytes().into();
            writer
                .put_manifest(&tag, media_type::INDEX, &bytes, true)
                .await?;
            writer.check_manifest(&tag, Digest::of(&bytes)).await?;
        }
    }
    Ok(())
}
