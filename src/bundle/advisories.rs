//! Advisories in a bundle: entries that were checked when it was built.

use serde::{Deserialize, Serialize};

use super::{BundleView, ContentError, GatherError};
use crate::{
    archive::EntryName,
    evidence::{AdvisoryKind, AdvisoryStatement},
    manifest::Project,
};
use rune_core::fsx;

/// Far above what a vendor writes about all of its products.
const MAX_ADVISORY_BYTES: u64 = 32 << 20;

#[derive(Debug)]
pub struct AdvisoryIngredient {
    pub(crate) path: String,
    pub(crate) kind: AdvisoryKind,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdvisoryRecord {
    pub(crate) kind: AdvisoryKind,
    pub(crate) path: EntryName,
}

/// What an advisory in a bundle says. Nobody has verified it.
#[derive(Debug, Serialize)]
pub(crate) struct ShownAdvisory {
    pub(crate) path: EntryName,
    pub(crate) kind: AdvisoryKind,
    pub(crate) statements: Vec<AdvisoryStatement>,
}

pub(super) fn gather(project: &Project) -> Result<Vec<AdvisoryIngredient>, GatherError> {
    let advisories = project.manifest().advisories.iter();
    let read = advisories.map(|advisory| {
        let bytes = fsx::read(&project.path(&advisory.source), MAX_ADVISORY_BYTES)?;
        advisory
            .kind
            .read(&bytes)
            .map_err(|source| GatherError::Advisory {
                path: advisory.source.clone(),
                kind: advisory.kind.name(),
                source,
            })?;
        let name = advisory.source.file_name().unwrap_or_default();
        Ok(AdvisoryIngredient {
            path: format!("advisories/{name}"),
            kind: advisory.kind,
            bytes,
        })
    });
    read.collect()
}

impl BundleView {
    /// One that another program let in and that cannot be read says nothing.
    pub(crate) fn advisories(&self) -> Result<Vec<ShownAdvisory>, ContentError> {
        let records = self.index().advisories.iter();
        let shown = records.map(|record| {
            let bytes = self.entry(&record.path)?.unwrap_or_default();
            Ok(ShownAdvisory {
                path: record.path.clone(),
                kind: record.kind,
                statements: record.kind.read(&bytes).unwrap_or_default(),
            })
        });
        shown.collect()
    }
}
