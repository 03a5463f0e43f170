//! Whether the charts need an image that is not there: the check, and how reports show it.

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::{
    bundle::{self, AvailableImage, Complete, Completeness, HelmOptions, ProfileIngredient},
    chart::Package,
    commands::{CommandError, block_on, counted},
    manifest::Project,
};

/// Whether the charts are rendered to see which images they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartCheck {
    /// By this Helm; nothing when none was found, which is an error as soon as there are charts.
    Helm {
        /// The program.
        program: Option<Utf8PathBuf>,
        /// How long one rendering may take.
        time_limit: Duration,
    },
    /// They are not, and the bundle says so.
    LeftOut,
}

/// What became of the check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CompletenessReport {
    checked: bool,
    /// The version of Helm; null when it was not needed.
    helm: Option<String>,
    renderings: usize,
    references: usize,
    left_out: Vec<String>,
}

impl CompletenessReport {
    /// The check was not made.
    pub(super) const fn unchecked() -> Self {
        Self { checked: false, helm: None, renderings: 0, references: 0, left_out: Vec::new() }
    }

    /// What the bundle records: nothing that depends on the Helm that was used.
    pub(super) fn record(&self) -> Completeness {
        Completeness { checked: self.checked, left_out: self.left_out.clone() }
    }

    /// One line for people, and one for everything that was left out on purpose.
    pub(super) fn text(&self, label: &str) -> String {
        use std::fmt::Write as _;
        let mut text = match (&self.helm, self.checked) {
            (_, false) => "note: whether the charts need an image that is not inside was not checked\n".to_owned(),
            (None, true) => format!("{label}there are no charts that could need an image\n"),
            (Some(helm), true) => {
                let (references, renderings) = (counted(self.references, "reference"), counted(self.renderings, "rendering"));
                format!("{label}every image of the charts is inside: {references} in {renderings} by helm {helm}\n")
            }
        };
        for sentence in &self.left_out {
            let _ = writeln!(text, "note: {sentence}");
        }
        text
    }
}

/// Makes the check, unless it is to be left out.
pub(super) fn check_charts(
    project: &Project,
    charts: &[Package],
    profiles: &[ProfileIngredient],
    images: &[AvailableImage],
    check: &ChartCheck,
) -> Result<CompletenessReport, CommandError> {
    let ChartCheck::Helm { program, time_limit } = check else { return Ok(CompletenessReport::unchecked()) };
    let helm = HelmOptions { program: program.clone(), time_limit: *time_limit };
    let places = &project.policy().image_places;
    let Complete { helm, renderings, references, left_out } =
        block_on(bundle::check_completeness(charts, profiles, images, places, &helm))?;
    Ok(CompletenessReport { checked: true, helm, renderings, references, left_out })
}
