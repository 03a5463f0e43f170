//! What the charts name, before anything is held against it.

use std::collections::BTreeSet;

use super::{
    AvailableImage, CheckValues, CompletenessError, HelmOptions,
    available::{is_at_destination, is_repository_of},
};
use crate::{
    bundle::{CheckValuesRecord, ProfileIngredient},
    chart::{Helm, ImagePlace, Named, Package, RenderFailure, RenderMode, discover},
    oci::Reference,
    policy::ImagePlaces,
};
use rune_core::{digest::Digest, progress::Progress};

#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The version of Helm; nothing when there were no charts to render.
    pub(super) helm: Option<String>,
    pub(super) renderings: Vec<Rendering>,
    pub(super) check_values: Vec<CheckValuesRecord>,
}

#[derive(Debug)]
pub(super) struct Rendering {
    pub(super) chart: String,
    /// Empty for the chart's own values.
    pub(super) profile: String,
    pub(super) render_mode: RenderMode,
    pub(super) found: Result<Vec<(ImagePlace, Named)>, RenderFailure>,
}

/// Renders charts in their pinned form, as each of their profiles installs them, and finds every
/// image that they name. Without a profile, a chart's own values are the only way to install it.
pub(crate) async fn survey(
    charts: &[Package],
    profiles: &[ProfileIngredient],
    check_values: &CheckValues,
    places: &ImagePlaces,
    helm: &HelmOptions,
    progress: &dyn Progress,
) -> Result<Survey, CompletenessError> {
    let charts: Vec<&Package> = charts
        .iter()
        .filter(|chart| chart.metadata.kind != "library")
        .collect();
    if charts.is_empty() {
        return Ok(Survey::default());
    }
    let program = helm.program.as_deref().ok_or(CompletenessError::NoHelm)?;
    let helm = Helm::find(program, helm.time_limit).await?;
    let own_values = ProfileIngredient {
        name: String::new(),
        charts: Vec::new(),
        values: Vec::new(),
    };
    let ways = charts.into_iter().flat_map(|chart| {
        let mut profiles: Vec<&ProfileIngredient> = profiles
            .iter()
            .filter(|profile| profile.is_for(&chart.metadata.name))
            .collect();
        if profiles.is_empty() {
            profiles.push(&own_values);
        }
        profiles.into_iter().map(move |profile| (chart, profile))
    });
    let ways: Vec<_> = ways.collect();
    let mut renderings = Vec::new();
    progress.begin_steps(
        "rendering charts",
        (ways.len() * RenderMode::ALL.len()) as u64,
    );
    for (chart, profile) in ways {
        let name = &chart.metadata.name;
        progress.note(&format!("{name} {}", profile.name));
        {
            let values: Vec<_> = profile
                .values
                .iter()
                .chain(check_values.files(name))
                .cloned()
                .collect();
            for render_mode in RenderMode::ALL {
                let found = helm
                    .template(chart, &values, render_mode)
                    .await?
                    .map(|text| discover(&text, places));
                progress.advance(1);
                renderings.push(Rendering {
                    chart: name.clone(),
                    profile: profile.name.clone(),
                    render_mode,
                    found,
                });
            }
        }
    }
    progress.end();
    Ok(Survey {
        helm: Some(helm.version().to_owned()),
        renderings,
        check_values: check_values.records(),
    })
}

impl Survey {
    fn references(&self) -> impl Iterator<Item = &str> {
        let found = self
            .renderings
            .iter()
            .filter_map(|rendering| rendering.found.as_ref().ok())
            .flatten();
        found.filter_map(|(_, named)| {
            if let Named::Image(text) | Named::Possible(text, _) = named {
                Some(text.as_str())
            } else {
                None
            }
        })
    }

    /// The tags of references that have the digest of an image and another tag: only the registry
    /// knows whether that tag means this digest, too. Each with the name of the image and the
    /// reference to ask for.
    pub(crate) fn unconfirmed_tags(
        &self,
        images: &[AvailableImage],
    ) -> Vec<(String, Reference, Digest)> {
        let mut asked = BTreeSet::new();
        for reference in self
            .references()
            .filter_map(|text| Reference::parse_like_a_runtime(text).ok())
        {
            let (Some(tag), Some(digest)) = (reference.tag(), reference.digest()) else {
                continue;
            };
            let same: Vec<&AvailableImage> = images
                .iter()
                .filter(|image| is_repository_of(&reference, image, images))
                .collect();
            // A tag that the lock has is answered already, and one at a registry of one's own need
            // not be that of the source.
            if same.iter().any(|image| image.has_tag(tag)) || is_at_destination(&reference, images)
            {
                continue;
            }
            if let Some(image) = same
                .iter()
                .find(|image| image.digest == digest && !image.is_built)
                && let Ok(question) =
                    format!("{}:{tag}", image.reference.name()).parse::<Reference>()
            {
                asked.insert((image.name.clone(), question, digest));
            }
        }
        asked.into_iter().collect()
    }

    /// Why the same chart with the same values could not be rendered on another occasion; nothing
    /// when it could.
    pub(super) fn fails_otherwise(&self, one: &Rendering) -> bool {
        let is_sibling = |other: &&Rendering| {
            other.chart == one.chart
                && other.profile == one.profile
                && other.render_mode != one.render_mode
        };
        self.renderings
            .iter()
            .filter(is_sibling)
            .any(|other| other.found.is_err())
    }

    pub(super) fn charts_without_images(&self) -> Vec<String> {
        let is_empty = |chart: &&String| {
            let mut renderings = self
                .renderings
                .iter()
                .filter(|rendering| rendering.chart == **chart);
            renderings.all(|rendering| rendering.found.as_ref().is_ok_and(Vec::is_empty))
        };
        let charts: BTreeSet<&String> = self
            .renderings
            .iter()
            .map(|rendering| &rendering.chart)
            .collect();
        charts.into_iter().filter(is_empty).cloned().collect()
    }
}
