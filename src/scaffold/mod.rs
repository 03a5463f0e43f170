//! A new project from charts: which images they name, which of their values pin these, and the
//! files that say so.
//!
//! Nothing of a chart is believed but what the real Helm renders. What is written into files is
//! text by the grammar of manifests, or a quoted scalar that neither YAML nor the templates of a
//! project take for anything else. It neither prints nor asks what to do; where it cannot know, the
//! plan has a problem for a person.

mod candidate;
mod edit;
mod exceptions;
mod files;
mod found;
mod licence;
mod manifest_text;
mod names;
mod overlay;
mod patch;
mod plan;
mod policy_text;
mod probe;
mod required;
mod suggest;
mod tree;

use camino::Utf8PathBuf;
use semver::Version;

use crate::{
    bundle::CompletenessError,
    chart::{ChartError, ChartMetadata, HelmError, RenderFailure},
    manifest,
    oci::Reference,
};
use rune_core::{digest::Digest, failure::Failure, fsx::PathError};

pub(crate) use files::{NewProject, check_free};
pub(crate) use licence::{License, licenses};
pub(crate) use plan::{GivenChart, Plan, PlannedImage};
pub(crate) use suggest::{Suggestion, given};

const RELEASE: &str = "rune-bundle-check";
const GIVE_HELM: &str = "put Helm 3 or 4 into PATH, or give it with --helm";
const MAX_COMMENT: usize = 160;

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum ScaffoldError {
    #[error("`{0}` already exists")]
    #[failure(Conflict: "give the project another name with --name, or remove what is there")]
    Exists(Utf8PathBuf),
    #[error("the chart {chart} cannot be rendered{}",
        if *is_upgrade_only { " as for an upgrade" } else { "" })]
    #[failure(Input: matches!(.failure,
        RenderFailure::Refused(_)).then(|| needed(.missing, *.is_upgrade_only)))]
    Unrendered {
        chart: String,
        #[source]
        failure: RenderFailure,
        missing: Vec<String>,
        /// Whether it can be rendered as for an installation.
        is_upgrade_only: bool,
    },
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    #[failure(inner: match .0 {
        HelmError::Path(error) => error.help(),
        _ => Some(GIVE_HELM.to_owned()),
    })]
    Helm(#[from] HelmError),
    #[error("no Helm was found")]
    #[failure(NotFound: GIVE_HELM)]
    NoHelm,
    #[error(transparent)]
    #[failure(kind: .0.kind(), help: match .0 {
        CompletenessError::Incomplete(error) => error.help(),
        _ => Some(GIVE_HELM.to_owned()),
    })]
    Completeness(#[from] CompletenessError),
    #[error(transparent)]
    Path(#[from] PathError),
}

fn needed(missing: &[String], is_upgrade_only: bool) -> String {
    let option = if is_upgrade_only {
        "--check-values"
    } else {
        "--values"
    };
    let what = match missing {
        [] => "the values that it asks for".to_owned(),
        missing => missing
            .iter()
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let place = if is_upgrade_only {
        "for the check alone, not for the bundle"
    } else {
        "the file becomes part of the bundle"
    };
    format!("write {what} into a values file and give it with {option} FILE: {place}")
}

/// Where the dependencies of a chart come from, as the policy calls it.
fn dependency_sources(metadata: &ChartMetadata) -> Vec<String> {
    let source = |dependency| {
        Some(format!(
            "{}/{}",
            manifest::dependency_repository(dependency)?,
            dependency.name
        ))
    };
    // A name with a `*` would allow more than itself.
    metadata
        .dependencies
        .iter()
        .filter_map(source)
        .filter(|source| !source.contains('*'))
        .collect()
}

/// The digest that a reference has, or one that stands in for it until there is a lock.
fn digest_for(reference: &Reference) -> Digest {
    reference
        .digest()
        .unwrap_or_else(|| Digest::of(reference.to_string().as_bytes()))
}

/// A text of a chart as a part of a comment: of one line, and without anything that a template
/// would act upon.
fn comment(text: &str) -> String {
    let text = text.replace(RELEASE, "RELEASE");
    let is_shown = |character: char| matches!(character, ' '..='~') && character != '<';
    text.chars()
        .take(MAX_COMMENT)
        .map(|character| if is_shown(character) { character } else { '?' })
        .collect()
}

/// The version of a bundle with these charts: that of the only one, where it is a semantic version.
pub(crate) fn bundle_version(charts: &[GivenChart]) -> Version {
    let version = |chart: &GivenChart| {
        let text = chart.package.metadata.version.as_str();
        Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
    };
    match charts {
        [chart] => version(chart),
        _ => None,
    }
    .unwrap_or(Version::new(0, 1, 0))
}

/// The name of a project: that of its first chart, or of its first image.
pub(crate) fn project_name(charts: &[GivenChart], images: &[Reference]) -> String {
    let of_chart = charts
        .first()
        .map(|chart| chart.package.metadata.name.as_str());
    let of_image = images
        .first()
        .and_then(|image| image.repository().rsplit('/').next());
    names::label(of_chart.or(of_image).unwrap_or_default(), "bundle")
}
