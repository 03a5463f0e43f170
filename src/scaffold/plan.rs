//! From charts to the images that they name, the values that pin them, and the policy that lets
//! them through.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::{
    ScaffoldError, candidate, dependency_sources, digest_for,
    exceptions::Exceptions,
    found::untied,
    licence::License,
    names::{label, unique},
    overlay,
    probe::{Pin, Prober},
    required,
    tree::Tree,
};
use crate::{
    bundle::{
        AvailableImage, CheckValues, CompletenessError, CompletenessFinding, HelmOptions,
        ProfileIngredient, check_completeness, survey,
    },
    chart::{
        self, Helm, ImageContext, ImagePlace, Named, Package, RenderFailure, RenderMode, Renderer,
        discover, unpack_package,
    },
    oci::Reference,
    policy::{Declaration, Policy},
};
use rune_core::{digest::Digest, progress::Silent};

/// How often what a check finds is taken up.
const MAX_ROUNDS: usize = 8;
/// How many times the limit of one rendering all renderings of a chart may take.
const TIME_LIMITS: u32 = 10;
/// The name of the template while it is tried.
const TEMPLATE: &str = "values.yaml.j2";

#[derive(Debug, Clone)]
pub(crate) struct GivenChart {
    pub package: Package,
    /// Every way it is to be installed: values files as name and text, later ones winning.
    pub(crate) profiles: Vec<Vec<(String, String)>>,
    pub(crate) check_values: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct PlannedImage {
    pub(crate) name: String,
    pub(crate) reference: Reference,
    pub(crate) license: License,
    /// Where it was found first; nothing for one that was asked for.
    pub(crate) place: Option<String>,
    /// Whether it is only a possible image: a text at a place that the policy had to declare.
    pub(crate) is_possible: bool,
    pub(crate) is_extra: bool,
    pub(crate) is_given: bool,
    pub(crate) pinned_by: BTreeSet<String>,
    pub(crate) is_tag_only: bool,
}

impl PlannedImage {
    pub(super) fn new(reference: Reference, place: Option<String>, is_possible: bool) -> Self {
        Self {
            name: String::new(),
            reference,
            license: License::Unknown,
            place,
            is_possible,
            is_extra: false,
            is_given: false,
            pinned_by: BTreeSet::new(),
            is_tag_only: false,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct PlannedChart {
    pub(super) given: GivenChart,
    pub(super) label: String,
    /// The template of values that pins its images; empty when no value does.
    pub(super) template: String,
}

/// Everything that the files of a project are written from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(super) images: BTreeMap<(String, Option<String>), PlannedImage>,
    pub(super) charts: Vec<PlannedChart>,
    pub(super) exceptions: Exceptions,
    pub(super) problems: Vec<String>,
}

impl Plan {
    pub(crate) fn with_images(images: &[Reference]) -> Self {
        let mut plan = Self::default();
        images
            .iter()
            .for_each(|reference| plan.add_image(reference, None, false));
        plan
    }

    /// Renders charts and finds their images, besides those that it has.
    pub(crate) async fn find(
        mut self,
        charts: Vec<GivenChart>,
        helm: Option<&Helm>,
    ) -> Result<Self, ScaffoldError> {
        let plan = &mut self;
        let mut names = BTreeSet::new();
        let mut renderings = Vec::new();
        for given in charts {
            let helm = helm.ok_or(ScaffoldError::NoHelm)?;
            renderings.extend(rendered(&given, helm).await?);
            let label = unique(&label(&given.package.metadata.name, "chart"), &mut names);
            plan.charts.push(PlannedChart {
                given,
                label,
                template: String::new(),
            });
        }
        for round in 0..MAX_ROUNDS {
            let places = plan.exceptions.places();
            let before = plan.exceptions.clone();
            for text in &renderings {
                for (place, named) in discover(text, &places) {
                    plan.take(&place, named, round > 0);
                }
            }
            if plan.exceptions == before {
                break;
            }
        }
        plan.name_images();
        plan.exceptions.sources = plan
            .charts
            .iter()
            .flat_map(|chart| dependency_sources(&chart.given.package.metadata))
            .collect();
        Ok(self)
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = &PlannedImage> {
        self.images.values()
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Images that their registries do not have.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Reference> {
        self.images
            .values()
            .filter(|image| image.license == License::NoImage)
            .map(|image| &image.reference)
    }

    /// Why registries could not be asked for licences.
    pub(crate) fn unasked(&self) -> BTreeSet<&str> {
        fn why(image: &PlannedImage) -> Option<&str> {
            if let License::Unasked(why) = &image.license {
                Some(why.as_str())
            } else {
                None
            }
        }
        self.images.values().filter_map(why).collect()
    }

    /// The references that a registry is to be asked for.
    pub(crate) fn references(&self) -> Vec<Reference> {
        self.images
            .values()
            .filter(|image| !image.is_given)
            .map(|image| image.reference.clone())
            .collect()
    }

    /// Applies what the registries said. A possible image that does not exist is not one.
    pub(crate) fn set_licenses(&mut self, mut licenses: BTreeMap<Reference, License>) {
        for image in self.images.values_mut().filter(|image| !image.is_given) {
            image.license = licenses
                .remove(&image.reference)
                .unwrap_or(License::Unknown);
        }
        let is_none = |image: &PlannedImage| image.is_possible && image.license == License::NoImage;
        for image in self.images.values().filter(|image| is_none(image)) {
            self.exceptions
                .ignore(&image.reference, "its registry has no such image");
        }
        self.images.retain(|_, image| !is_none(image));
    }

    pub(crate) async fn pin(
        &mut self,
        helm: &Helm,
        options: &HelmOptions,
    ) -> Result<(), ScaffoldError> {
        for number in 0..self.charts.len() {
            let profiles = self
                .charts
                .get(number)
                .map(|chart| chart.given.profiles.clone())
                .unwrap_or_default();
            let mut pins = Vec::new();
            for values in profiles {
                self.pin_profile(number, values, &mut pins, helm, options)
                    .await?;
            }
        }
        self.decide(options).await
    }

    async fn pin_profile(
        &mut self,
        number: usize,
        values: Vec<(String, String)>,
        pins: &mut Vec<Pin>,
        helm: &Helm,
        options: &HelmOptions,
    ) -> Result<(), ScaffoldError> {
        let Some(planned) = self.charts.get(number) else {
            return Ok(());
        };
        let given = &planned.given;
        let earlier = self
            .instantiate(planned.template.clone())
            .unwrap_or_default();
        let files: Vec<(String, String)> = values
            .into_iter()
            .chain(given.check_values.clone())
            .chain([(TEMPLATE.to_owned(), earlier)])
            .collect();
        let tree = unpack_package(Utf8Path::new("the chart"), &given.package.bytes)?;
        let values = Tree::effective(&tree, &files)?;
        let places = self.exceptions.places();
        let mut prober = Prober::new(helm, &given.package, &files, &places, &values);
        let Ok(base) = prober.render(String::new()).await? else {
            return Ok(());
        };
        let base = prober.images(&base);
        let mut candidates = candidate::candidates(&values, &base);
        if planned.given.profiles.len() > 1 {
            // A list is written as a whole, and would replace that of another profile.
            candidates.retain(|candidate| !candidate.is_in_a_list());
        }
        let name_of = |image: &(String, Option<String>)| {
            self.images.get(image).map(|image| image.name.clone())
        };
        let instance = |pins: &[Pin]| self.instantiate(template(&values, pins));
        let is_pinned = |text: &str, image: &(String, Option<String>)| {
            let wanted = self.images.get(image).map(digest_of);
            let found = Reference::parse_like_a_runtime(text).ok();
            found.is_some_and(|found| {
                found.digest() == wanted
                    && found.name() == image.0
                    && (found.tag().is_none() || found.tag() == image.1.as_deref())
            })
        };
        let found = prober.pins(&base, &candidates, &name_of, &is_pinned, &instance);
        // A chart that takes its time is not tried for ever; then its images are named by their
        // tags.
        let time_limit = options.time_limit.saturating_mul(TIME_LIMITS);
        pins.extend(
            tokio::time::timeout(time_limit, found)
                .await
                .unwrap_or(Ok(Vec::new()))?,
        );
        let template = template(&values, pins);
        for pin in pins.iter() {
            if let Some(image) = self.images.get_mut(&pin.image) {
                image.pinned_by.insert(overlay::path_text(&pin.path));
            }
        }
        if let Some(planned) = self.charts.get_mut(number) {
            planned.template = template;
        }
        Ok(())
    }

    /// What a template of values becomes with digests that stand in for those of a lock.
    fn instantiate(&self, template: String) -> Option<String> {
        let images = self.images.values().map(|image| {
            (
                image.name.clone(),
                ImageContext::new(&image.reference, Some(digest_of(image))),
            )
        });
        let context = chart::Context {
            images: images.collect(),
            ..chart::Context::default()
        };
        let renderer = Renderer::new(BTreeMap::from([(TEMPLATE.to_owned(), template)])).ok()?;
        renderer.render(TEMPLATE, &context).ok()
    }

    /// Checks the charts as `lock` will, and lets the policy say what it finds.
    async fn decide(&mut self, options: &HelmOptions) -> Result<(), ScaffoldError> {
        let packages: Vec<Package> = self
            .charts
            .iter()
            .map(|chart| chart.given.package.clone())
            .collect();
        let (mut policy, _) = Policy::read_built_in();
        for _ in 0..MAX_ROUNDS {
            policy.image_places = self.exceptions.places();
            policy.tag_pins = self.exceptions.tag_pins();
            let mut check_values = CheckValues::default();
            let mut profiles = Vec::new();
            for chart in &self.charts {
                let name = &chart.given.package.metadata.name;
                for (path, text) in &chart.given.check_values {
                    check_values.add(name, path, text.clone())?;
                }
                let pins = self.instantiate(chart.template.clone()).unwrap_or_default();
                let profile =
                    |(number, values): (usize, &Vec<(String, String)>)| ProfileIngredient {
                        name: format!("{} {number}", chart.label),
                        charts: vec![name.clone()],
                        values: values
                            .iter()
                            .cloned()
                            .chain([(TEMPLATE.to_owned(), pins.clone())])
                            .collect(),
                    };
                profiles.extend(chart.given.profiles.iter().enumerate().map(profile));
            }
            let survey = survey(
                &packages,
                &profiles,
                &check_values,
                &policy.image_places,
                options,
                &Silent,
            )
            .await?;
            let findings = match check_completeness(&survey, &self.available(), &policy) {
                Ok(_) => Vec::new(),
                Err(CompletenessError::Incomplete(incomplete)) => incomplete.findings().to_vec(),
                Err(error) => return Err(error.into()),
            };
            let before = (self.images.len(), self.exceptions.clone());
            let mut is_changed = false;
            self.problems.clear();
            for finding in findings {
                is_changed |= self.take_finding(&finding);
                let hint = finding
                    .hint
                    .as_ref()
                    .map(|hint| format!(" ({hint})"))
                    .unwrap_or_default();
                // The names of profiles are made up here.
                let finding = CompletenessFinding {
                    profiles: Vec::new(),
                    ..finding
                };
                self.problems.push(format!("{finding}{hint}"));
            }
            self.name_images();
            if !is_changed && before == (self.images.len(), self.exceptions.clone()) {
                break;
            }
        }
        Ok(())
    }

    /// Lets the policy say what settles a finding; whether anything changed that the exceptions do
    /// not show.
    fn take_finding(&mut self, finding: &CompletenessFinding) -> bool {
        let image = finding
            .image
            .as_deref()
            .and_then(|text| Some((text, Reference::parse_like_a_runtime(text).ok()?)));
        if finding.chart.is_none() {
            // In the manifest, and no chart uses it.
            let unused = image.and_then(|(_, reference)| {
                self.images
                    .values_mut()
                    .find(|image| image.reference == reference)
            });
            return unused.is_some_and(|image| {
                !image.is_given && !std::mem::replace(&mut image.is_extra, true)
            });
        }
        for declaration in &finding.policy {
            match declaration {
                Declaration::Pin(_) => {
                    let found = image
                        .as_ref()
                        .and_then(|(text, _)| self.images.get_mut(&untied(text)?));
                    if let Some(image) = found {
                        image.is_tag_only = true;
                        self.exceptions.pin_tag(&image.reference);
                    }
                }
                other => self.exceptions.declare(other.clone()),
            }
        }
        if let Some((_, reference)) = image
            .filter(|(text, _)| untied(text).is_some_and(|key| !self.images.contains_key(&key)))
        {
            let place = [finding.object.as_deref(), finding.path.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", ");
            self.add_image(&reference, Some(place), false);
        }
        false
    }

    /// Adds what a rendering names. What is found only because a place was declared is a possible
    /// image.
    fn take(&mut self, place: &ImagePlace, named: Named, is_declared: bool) {
        let shown = || {
            Some(format!("{}, {}", place.object, place.path)).filter(|_| !place.object.is_empty())
        };
        match named {
            // What a runtime cannot pull is settled with what the check says of it.
            Named::Image(text) => {
                if let Ok(reference) = Reference::parse_like_a_runtime(&text) {
                    self.add_image(&reference, shown(), is_declared);
                }
            }
            Named::Possible(text, declaration) => match Reference::parse_like_a_runtime(&text) {
                Ok(reference) => {
                    self.add_image(&reference, shown(), true);
                    self.exceptions.declare(declaration);
                }
                Err(_) => self.exceptions.ignore_text(&text, "not an image reference"),
            },
            Named::Ignored(..)
            | Named::LeftOutTest(..)
            | Named::NoReference
            | Named::Nothing
            | Named::Elsewhere
            | Named::Unreadable(_) => {}
        }
    }

    /// Adds an image unless it is there. One that a chart names by its digest keeps it.
    fn add_image(&mut self, reference: &Reference, place: Option<String>, is_possible: bool) {
        let key = (reference.name(), reference.tag().map(str::to_owned));
        let new = || PlannedImage::new(reference.clone(), place.clone(), is_possible);
        let image = self.images.entry(key).or_insert_with(new);
        image.is_possible &= is_possible;
        if let (None, Some(digest)) = (image.reference.digest(), reference.digest()) {
            image.reference = image.reference.with_digest(digest);
        }
        if image.place.is_none() {
            image.place = place;
        }
    }

    /// Gives every image without a name one. The names of others stay.
    fn name_images(&mut self) {
        let mut taken: BTreeSet<String> = self
            .images
            .values()
            .map(|image| image.name.clone())
            .collect();
        for image in self
            .images
            .values_mut()
            .filter(|image| image.name.is_empty())
        {
            let last = image
                .reference
                .repository()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            image.name = unique(&label(&last, "image"), &mut taken);
        }
    }

    fn available(&self) -> Vec<AvailableImage> {
        let available = |image: &PlannedImage| AvailableImage {
            name: image.name.clone(),
            reference: image.reference.clone(),
            digest: digest_of(image),
            manifests: Vec::new(),
            is_built: false,
            other_tags: Vec::new(),
            left_out_with: None,
            extra: image.is_extra,
        };
        self.images.values().map(available).collect()
    }
}

fn digest_of(image: &PlannedImage) -> Digest {
    digest_for(&image.reference)
}

fn template(values: &Tree, pins: &[Pin]) -> String {
    overlay::text(
        values,
        pins.iter()
            .map(|pin| (pin.path.clone(), pin.change.clone()))
            .collect(),
    )
}

/// Renders a chart in every way that it is installed, as for an installation and as for an upgrade.
async fn rendered(given: &GivenChart, helm: &Helm) -> Result<Vec<String>, ScaffoldError> {
    let mut renderings = Vec::new();
    for values in &given.profiles {
        let files: Vec<(String, String)> =
            values.iter().chain(&given.check_values).cloned().collect();
        for render_mode in RenderMode::ALL {
            let failure = match helm.template(&given.package, &files, render_mode).await? {
                Ok(text) => {
                    renderings.push(text);
                    continue;
                }
                Err(failure) => failure,
            };
            let missing = match &failure {
                RenderFailure::Refused(message) => {
                    let tree = unpack_package(Utf8Path::new("the chart"), &given.package.bytes)?;
                    required::missing_values(message, &tree)
                }
                _ => Vec::new(),
            };
            let is_upgrade_only = render_mode == RenderMode::Upgrade;
            return Err(ScaffoldError::Unrendered {
                chart: given.package.metadata.name.clone(),
                failure,
                missing,
                is_upgrade_only,
            });
        }
    }
    Ok(renderings)
}
