//! Whether the charts need an image that is not there: the check, and how reports show it.

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::{
    bundle::{
        self, AvailableImage, CheckValues, CheckValuesRecord, Complete, Completeness,
        CompletenessError, ExceptionRecord, Exceptions, HelmOptions, ProfileIngredient,
    },
    chart::{Helm, Package},
    manifest::Project,
    oci::Reference,
};
use rune_core::{
    command::{CommandError, block_on, counted},
    digest::Digest,
    progress::Progress,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartCheck {
    /// By this Helm; nothing when none was found, which is an error as soon as there are charts.
    Helm {
        program: Option<Utf8PathBuf>,
        time_limit: Duration,
    },
    /// They are not, and the bundle says so.
    LeftOut,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CompletenessReport {
    checked: bool,
    helm: Option<String>,
    renderings: usize,
    references: usize,
    left_out: Vec<String>,
    /// Images that are named by their tag alone, with the reason.
    tag_pins: Vec<ExceptionRecord>,
    /// Patterns of the names of tests that were left out, with the reason.
    tests_left_out: Vec<ExceptionRecord>,
    ignored: Vec<ExceptionRecord>,
    check_values: Vec<CheckValuesRecord>,
    charts_without_images: Vec<String>,
}

impl CompletenessReport {
    pub(super) const fn unchecked() -> Self {
        Self {
            checked: false,
            helm: None,
            renderings: 0,
            references: 0,
            left_out: Vec::new(),
            tag_pins: Vec::new(),
            tests_left_out: Vec::new(),
            ignored: Vec::new(),
            check_values: Vec::new(),
            charts_without_images: Vec::new(),
        }
    }

    /// What the bundle records: nothing that depends on the Helm that was used.
    pub(super) fn record(&self) -> Completeness {
        Completeness {
            checked: self.checked,
            left_out: self.left_out.clone(),
            tag_pins: self.tag_pins.clone(),
            tests_left_out: self.tests_left_out.clone(),
            ignored: self.ignored.clone(),
            check_values: self.check_values.clone(),
            ..Completeness::default()
        }
    }

    /// One line for people, and one for everything that was left out on purpose.
    pub(super) fn text(&self, label: &str) -> String {
        use std::fmt::Write as _;
        let mut text = match (&self.helm, self.checked) {
            (_, false) => {
                "note: whether the charts need an image that is not inside was not checked\n"
                    .to_owned()
            }
            (None, true) => format!("{label}there are no charts that could need an image\n"),
            (Some(helm), true) => {
                let (references, renderings) = (
                    counted(self.references, "reference"),
                    counted(self.renderings, "rendering"),
                );
                format!(
                    "{label}every image of the charts is inside: {references} in {renderings} by \
                     helm {helm}\n"
                )
            }
        };
        for sentence in self.left_out.iter().chain(&self.record().exceptions()) {
            let _ = writeln!(text, "note: {sentence}");
        }
        for chart in &self.charts_without_images {
            let _ = writeln!(
                text,
                "note: the chart {chart} names no image in any profile; if an operator derives \
                 images from its objects, declare the fields under `images.fields` in the policy"
            );
        }
        text
    }
}

/// The charts of a project as they are packed, how they are installed, and what they may name.
pub(super) struct PackedCharts<'a> {
    pub(super) charts: &'a [Package],
    pub(super) profiles: &'a [ProfileIngredient],
    pub(super) check_values: &'a CheckValues,
    pub(super) images: &'a mut [AvailableImage],
}

impl ChartCheck {
    /// Checks that there is a Helm for the charts of a project, before anything is fetched.
    pub(super) fn find_helm(&self, project: &Project) -> Result<(), CommandError> {
        match self {
            Self::Helm {
                program,
                time_limit,
            } if !project.manifest().charts.is_empty() => {
                let program = program.as_ref().ok_or(CompletenessError::NoHelm)?;
                let found = block_on(async {
                    let found = Helm::find(program, *time_limit).await;
                    found.map_err(CompletenessError::from)
                });
                found.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Renders the charts and holds what they name against the images. `confirm` says whether an
    /// image, by its name, has another tag too: only its registry knows.
    pub(super) fn run(
        &self,
        project: &Project,
        packed: PackedCharts<'_>,
        mut confirm: impl FnMut(&str, &Reference, Digest) -> bool,
        progress: &dyn Progress,
    ) -> Result<CompletenessReport, CommandError> {
        let Self::Helm {
            program,
            time_limit,
        } = self
        else {
            return Ok(CompletenessReport::unchecked());
        };
        let helm = HelmOptions {
            program: program.clone(),
            time_limit: *time_limit,
        };
        let PackedCharts {
            charts,
            profiles,
            check_values,
            images,
        } = packed;
        let policy = project.policy();
        let places = &policy.image_places;
        let survey = bundle::survey(charts, profiles, check_values, places, &helm, progress);
        let survey = block_on(survey)?;
        for (name, reference, digest) in survey.unconfirmed_tags(images) {
            if confirm(&name, &reference, digest) {
                let tag = reference.tag().unwrap_or_default();
                images
                    .iter_mut()
                    .filter(|image| image.name == name)
                    .for_each(|image| image.other_tags.push(tag.to_owned()));
            }
        }
        Ok(bundle::check_completeness(&survey, images, policy)?.into())
    }
}

impl From<Complete> for CompletenessReport {
    fn from(complete: Complete) -> Self {
        let Complete {
            helm,
            renderings,
            references,
            left_out,
            exceptions,
            check_values,
            without_images,
        } = complete;
        let Exceptions {
            tag_pins,
            tests,
            ignored,
        } = exceptions;
        let record = |(what, reason)| ExceptionRecord { what, reason };
        Self {
            checked: true,
            helm,
            renderings,
            references,
            left_out,
            tag_pins: tag_pins.into_iter().map(record).collect(),
            tests_left_out: tests.into_iter().map(record).collect(),
            ignored: ignored.into_iter().map(record).collect(),
            check_values,
            charts_without_images: without_images,
        }
    }
}
