//! Whether every image that the charts can ask for is in the bundle, and every image in the bundle is asked for.
//!
//! Each chart is rendered by the real Helm in the form in which it will be packed, with the values of each profile, as for an
//! installation and as for an upgrade. Nothing is fetched. All findings come at once.

mod finding;
mod judge;

use std::time::Duration;

use camino::Utf8PathBuf;

use self::judge::Judge;
use super::ProfileIngredient;
use crate::{
    chart::{Helm, HelmError, Occasion, Package, discover},
    failure::{Failure, FailureKind},
    oci::{Digest, Reference},
    policy::ImagePlaces,
};

pub use finding::{CompletenessFinding, Incomplete};

/// An image of the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableImage {
    /// Its name in the manifest.
    pub name: String,
    /// What it is called.
    pub reference: Reference,
    /// The digest of its index, or of its manifest where there is no index.
    pub digest: Digest,
    /// The digests of what the index leads to.
    pub manifests: Vec<Digest>,
    /// The component that it belongs to, when that is left out of the bundle.
    pub left_out_with: Option<String>,
    /// Whether it is carried although no chart asks for it.
    pub extra: bool,
}

/// Which Helm renders the charts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmOptions {
    /// The program; nothing when none was found.
    pub program: Option<Utf8PathBuf>,
    /// How long one rendering may take.
    pub time_limit: Duration,
}

/// That the check was made, and what it found to be remarked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// The version of Helm; nothing when there were no charts to render.
    pub helm: Option<String>,
    /// How many renderings there were.
    pub renderings: usize,
    /// How many times an image was named in them.
    pub references: usize,
    /// What the charts ask for in some profile and was left out on purpose, one sentence each.
    pub left_out: Vec<String>,
}

/// Why the check was not passed.
#[derive(Debug, thiserror::Error)]
pub enum CompletenessError {
    /// There is no Helm.
    #[error("no Helm was found, and the charts are to be checked for images that the lock does not have")]
    NoHelm,
    /// Helm cannot be run.
    #[error(transparent)]
    Helm(#[from] HelmError),
    /// Charts and lock do not fit.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

impl Failure for CompletenessError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoHelm => FailureKind::NotFound,
            Self::Helm(error) => error.kind(),
            Self::Incomplete(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoHelm => Some(
                "put Helm 3 or 4 into PATH, say with --helm where it is, or leave the check out with --no-chart-check, which the \
                 bundle then says"
                    .to_owned(),
            ),
            Self::Helm(error) => error.help(),
            Self::Incomplete(error) => error.help(),
        }
    }

    fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::Incomplete(error) => error.details(),
            Self::NoHelm | Self::Helm(_) => None,
        }
    }
}

/// Renders charts in their pinned form, as each profile installs them, and holds every image that they name against those of the
/// lock. Without profiles, the charts' own values are the only way to install them.
///
/// # Errors
/// When there is no Helm although there are charts, or with everything that does not fit.
pub async fn check_completeness(
    charts: &[Package],
    profiles: &[ProfileIngredient],
    images: &[AvailableImage],
    places: &ImagePlaces,
    helm: &HelmOptions,
) -> Result<Complete, CompletenessError> {
    let charts: Vec<&Package> = charts.iter().filter(|chart| chart.metadata.kind.as_deref() != Some("library")).collect();
    if charts.is_empty() {
        return Ok(Complete { helm: None, renderings: 0, references: 0, left_out: Vec::new() });
    }
    let program = helm.program.as_deref().ok_or(CompletenessError::NoHelm)?;
    let helm = Helm::find(program, helm.time_limit).await?;
    let own_values = [ProfileIngredient { name: String::new(), values: Vec::new() }];
    let profiles = if profiles.is_empty() { &own_values[..] } else { profiles };
    let mut judge = Judge::new(images);
    let mut renderings = 0;
    for chart in charts {
        for profile in profiles {
            for occasion in Occasion::ALL {
                renderings += 1;
                match helm.template(chart, &profile.values, occasion).await? {
                    Ok(text) => {
                        for (place, named) in discover(&text, places) {
                            judge.judge(&chart.metadata.name, &profile.name, place, named);
                        }
                    }
                    Err(failure) => judge.failed(&chart.metadata.name, &profile.name, &failure),
                }
            }
        }
    }
    let (references, left_out) = judge.finish()?;
    Ok(Complete { helm: Some(helm.version().to_owned()), renderings, references, left_out })
}
