//! Whether every image that the charts can ask for is in the bundle, and every image in the bundle
//! is asked for.
//!
//! Each chart is rendered by the real Helm in the form in which it will be packed, with the values
//! of each of its profiles, as for an installation and as for an upgrade. Nothing is fetched. All
//! findings come at once.

mod available;
mod check_values;
mod evaluate;
mod finding;
mod random_names;
mod survey;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use camino::Utf8PathBuf;

use self::evaluate::Evaluator;
use crate::{bundle::CheckValuesRecord, chart::HelmError, policy::Policy};
use rune_core::failure::Failure;

pub(crate) use available::{AvailableImage, meant_image};
pub(crate) use check_values::CheckValues;
pub(crate) use finding::{CompletenessFinding, Incomplete};
pub(crate) use survey::{Survey, survey};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HelmOptions {
    pub(crate) program: Option<Utf8PathBuf>,
    pub(crate) time_limit: Duration,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Complete {
    /// The version of Helm; nothing when there were no charts to render.
    pub(crate) helm: Option<String>,
    pub(crate) renderings: usize,
    /// How many times an image was named in them.
    pub(crate) references: usize,
    /// What the charts ask for in some profile and was left out on purpose, one sentence each.
    pub(crate) left_out: Vec<String>,
    pub(crate) exceptions: Exceptions,
    /// The values that charts were rendered with for the check alone.
    pub(crate) check_values: Vec<CheckValuesRecord>,
    /// The charts in which no object names an image, in any profile.
    pub(crate) without_images: Vec<String>,
}

/// What does not fit as it is, and the policy lets through; each with the reason that the policy
/// gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    pub(crate) tag_pins: BTreeMap<String, String>,
    /// Patterns of the names of test hooks that were left out.
    pub(crate) tests: BTreeSet<(String, String)>,
    /// References that are not images to transfer.
    pub(crate) ignored: BTreeSet<(String, String)>,
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum CompletenessError {
    #[error(
        "no Helm was found, and the charts are to be checked for images that the lock does not have"
    )]
    #[failure(NotFound: "install Helm 3 or 4, or set --helm")]
    NoHelm,
    #[error(transparent)]
    Helm(#[from] HelmError),
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

/// Holds every image that charts name against those of the lock.
pub(crate) fn check_completeness(
    survey: &Survey,
    images: &[AvailableImage],
    policy: &Policy,
) -> Result<Complete, CompletenessError> {
    if survey.renderings.is_empty() {
        // Without charts nobody could use an image.
        return Ok(Complete::default());
    }
    let mut evaluate = Evaluator::new(images, policy);
    evaluate.evaluate_all(survey);
    let (references, left_out, exceptions) = evaluate.finish()?;
    let (helm, renderings, without_images) = (
        survey.helm.clone(),
        survey.renderings.len(),
        survey.charts_without_images(),
    );
    let check_values = survey.check_values.clone();
    Ok(Complete {
        helm,
        renderings,
        references,
        left_out,
        exceptions,
        check_values,
        without_images,
    })
}
