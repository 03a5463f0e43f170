//! What the report of `lock` says about artifacts about images.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{manifest::LockedReferrer, registry::RepositoryName};
use rune_core::{digest::Digest, text::shown};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReferrerSummary {
    subject: Digest,
    kind: String,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<RepositoryName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<String>,
}

impl ReferrerSummary {
    pub(super) fn of(referrer: &LockedReferrer) -> Self {
        Self {
            subject: referrer.subject,
            kind: referrer.kind(),
            digest: referrer.manifest.digest,
            tag: referrer.tag.clone(),
            repository: referrer.repository.clone(),
            omitted: referrer.omitted.clone(),
        }
    }
}

pub(super) fn kinds(referrers: &[ReferrerSummary]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for referrer in referrers {
        let kind = match referrer.omitted {
            Some(_) => format!("{}, not included", referrer.kind),
            None => referrer.kind.clone(),
        };
        let count: &mut usize = kinds.entry(shown(&kind)).or_default();
        *count = count.saturating_add(1);
    }
    kinds
}
