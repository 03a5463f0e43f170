//! How the images of a chart come from the registry of the destination: by its values, or in the
//! rendered objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use camino::Utf8Path;
use serde::Serialize;
use serde_json::Value;

use super::{Work, destination::Images};
use crate::{
    bundle::{AvailableImage, meant_image},
    chart::{self, ImagePlace, Named},
    install::{
        ImageMap, InstallError, Object, PlacedImage, PostRenderer, ReleaseHelm, ValuePins,
        parse_objects,
    },
    oci::Reference,
    policy::ImagePlaces,
};
use rune_core::{command::CommandError, failure::Failure, fsx, yaml};

/// What is said of an image that Helm applies past the post-renderer.
const NOT_SENT: &str = "Helm does not send this object to a post-renderer; leave --registry out \
                        and give the nodes a mirror (`rune-bundle mirror`)";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MapMode {
    Values,
    Objects,
}

impl MapMode {
    pub(super) const fn how(self) -> &'static str {
        match self {
            Self::Values => "by the values of the chart,",
            Self::Objects => "in the rendered objects,",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// Nothing without a registry.
    pub(super) mode: Option<MapMode>,
    pub(super) values: Vec<String>,
    pub(super) rendered: String,
    pub(super) post_renderer: Option<PostRenderer>,
}

#[derive(Clone, Copy)]
pub(super) struct Rendering<'r> {
    pub(super) helm: &'r ReleaseHelm,
    pub(super) chart: &'r Utf8Path,
    pub(super) kubernetes: &'r str,
    pub(super) is_upgrade: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    image: Option<String>,
    #[serde(serialize_with = "shown_place")]
    place: ImagePlace,
    hint: String,
}

fn shown_place<S: serde::Serializer>(place: &ImagePlace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}

struct RenderedImages {
    /// Those that do not come from the destination as the objects are.
    outside: Vec<(ImagePlace, String)>,
    map: BTreeMap<String, String>,
}

struct Attempt {
    values: Vec<String>,
    rendered: String,
    /// Whether every value that seems to name an image names the one of the destination, unless
    /// the values of the person who installs say something else.
    has_pins: bool,
    images: RenderedImages,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("images would not come from {registry}:{}", lines(.findings))]
#[failure(Policy: "nothing was changed; do what the hints say, and run the same command \
    again", details: .findings)]
struct Elsewhere {
    registry: String,
    findings: BTreeSet<Finding>,
}

fn lines(findings: &BTreeSet<Finding>) -> String {
    let line = |Finding { image, place, hint }: &Finding| {
        let image = image
            .as_ref()
            .map(|image| format!("`{image}` in "))
            .unwrap_or_default();
        format!("\n  {image}{place}\n    hint: {hint}")
    };
    findings.iter().map(line).collect()
}

/// What the destination has, and what of a chart would not come from there.
struct Mapping {
    registry: String,
    places: ImagePlaces,
    available: Vec<AvailableImage>,
    /// The same images in the same order.
    placed: Vec<PlacedImage>,
    pins: ValuePins,
    /// Whether there are values of the person who installs, which come last.
    has_own_values: bool,
}

impl Work<'_> {
    /// Renders the chart so that its images come from the registry, if one was named.
    pub(super) async fn map(
        &self,
        images: &Images,
        rendering: Rendering<'_>,
    ) -> Result<Mapped, CommandError> {
        let (options, destination) = (self.options, &self.chosen.destination);
        let own = destination.values(&images.replaced, rendering.helm)?;
        let own = [own, self.chosen.values.clone()].concat();
        let rendered = rendering.run(&own, None).await?;
        let Some(mapping) = Mapping::read(self, images)? else {
            return Ok(Mapped {
                values: own,
                rendered,
                ..Mapped::default()
            });
        };
        let first = mapping.attempt(own, rendered, false);
        let is_partial = !first.images.outside.is_empty();
        let mut tried = vec![first];
        let pins = Value::Object(mapping.pins.values.clone());
        if !mapping.pins.values.is_empty() && (is_partial || options.values_file.is_some()) {
            let values = destination.written(&pins, rendering.helm)?;
            let values = [values, self.chosen.values.clone()].concat();
            // A chart may refuse them: they are only a proposal.
            match rendering.run(&values, None).await {
                Ok(rendered) => tried.push(mapping.attempt(values, rendered, true)),
                Err(InstallError::HelmRefused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(file) = &options.values_file {
            let whole = destination.made(&images.replaced)?;
            mapping.write_values(file, &tried, [&whole, &pins])?;
        }
        let mode = options.map.unwrap_or(if is_partial {
            MapMode::Objects
        } else {
            MapMode::Values
        });
        let is_3 = rendering.helm.is_3();
        let findings = |attempt: &Attempt| mapping.findings(attempt, mode, is_3);
        let mut found = tried.iter().map(findings).collect::<Result<Vec<_>, _>>()?;
        let best = (0..found.len()).min_by_key(|number| found.get(*number).map(BTreeSet::len));
        let best = best.unwrap_or_default();
        let findings = found.swap_remove(best);
        if !findings.is_empty() {
            let registry = mapping.registry.clone();
            return Err(Elsewhere { registry, findings }.into());
        }
        let Attempt {
            values,
            rendered,
            images,
            ..
        } = tried.swap_remove(best);
        let mut mapped = Mapped {
            mode: Some(mode),
            values,
            rendered,
            post_renderer: None,
        };
        if mode == MapMode::Objects {
            let map = ImageMap {
                images: images.map,
                places: mapping.places.clone(),
            };
            let post_renderer = map.post_renderer(is_3)?;
            mapped.rendered = rendering.run(&mapped.values, Some(&post_renderer)).await?;
            mapped.post_renderer = Some(post_renderer);
            // Whatever Helm did not send for another reason.
            let left = mapping.images(&mapped.rendered).outside;
            let left: BTreeSet<Finding> = left
                .into_iter()
                .map(|(place, image)| Finding {
                    image: Some(image),
                    place,
                    hint: NOT_SENT.to_owned(),
                })
                .collect();
            if !left.is_empty() {
                return Err(Elsewhere {
                    registry: mapping.registry,
                    findings: left,
                }
                .into());
            }
        }
        Ok(mapped)
    }
}

impl Rendering<'_> {
    async fn run(
        &self,
        values: &[String],
        post_renderer: Option<&PostRenderer>,
    ) -> Result<String, InstallError> {
        let Self {
            helm,
            chart,
            kubernetes,
            is_upgrade,
        } = *self;
        helm.render(chart, values, kubernetes, is_upgrade, post_renderer)
            .await
    }
}

impl Mapping {
    fn read(work: &Work<'_>, images: &Images) -> Result<Option<Self>, CommandError> {
        let Some(destination) = &work.options.registry else {
            return Ok(None);
        };
        let index = work.bundle.index();
        let available: Vec<AvailableImage> = index
            .images
            .iter()
            .map(|image| AvailableImage {
                name: image.name.clone(),
                reference: image.reference.clone(),
                digest: image.target.digest,
                manifests: image
                    .manifests
                    .iter()
                    .map(|manifest| manifest.digest)
                    .collect(),
                is_built: false,
                other_tags: Vec::new(),
                left_out_with: None,
                extra: false,
            })
            .collect();
        let placed: Vec<PlacedImage> = available
            .iter()
            .map(|image| PlacedImage {
                reference: image.reference.clone(),
                registry: destination.registry().to_owned(),
                repository: destination.repository(image.reference.repository()),
                digest: *images
                    .replaced
                    .digests
                    .get(&image.digest)
                    .unwrap_or(&image.digest),
            })
            .collect();
        let pins = work.chosen.destination.pins(&placed)?;
        let (registry, places) = (destination.to_string(), index.completeness.image_places());
        let has_own_values = !work.chosen.values.is_empty();
        Ok(Some(Self {
            registry,
            places,
            available,
            placed,
            pins,
            has_own_values,
        }))
    }

    fn meant(&self, text: &str) -> Option<usize> {
        meant_image(text, &self.available)
    }

    fn is_there(&self, text: &str) -> bool {
        let Ok(reference) = Reference::parse_like_a_runtime(text) else {
            return false;
        };
        let name = reference.name();
        name.strip_prefix(self.registry.trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// What replaces an image: itself when it is there by its digest.
    fn target(&self, text: &str) -> Option<String> {
        let has_digest =
            || Reference::parse_like_a_runtime(text).is_ok_and(|found| found.digest().is_some());
        if self.is_there(text) && has_digest() {
            return Some(text.to_owned());
        }
        let meant = self.meant(text).and_then(|number| self.placed.get(number));
        meant
            .map(PlacedImage::target)
            .or_else(|| self.is_there(text).then(|| text.to_owned()))
    }

    fn attempt(&self, values: Vec<String>, rendered: String, has_pins: bool) -> Attempt {
        let images = self.images(&rendered);
        Attempt {
            values,
            rendered,
            has_pins,
            images,
        }
    }

    fn images(&self, rendered: &str) -> RenderedImages {
        let (mut outside, mut map) = (Vec::new(), BTreeMap::new());
        for (place, named) in chart::discover(rendered, &self.places) {
            let (text, is_certain) = match named {
                Named::Image(text) => (text, true),
                Named::Possible(text, _) => (text, false),
                _ => continue,
            };
            if let Some(target) = self.target(&text) {
                map.insert(text.clone(), target);
            }
            if !self.is_there(&text) && (is_certain || self.meant(&text).is_some()) {
                outside.push((place, text));
            }
        }
        RenderedImages { outside, map }
    }

    fn findings(
        &self,
        attempt: &Attempt,
        mode: MapMode,
        is_helm_3: bool,
    ) -> Result<BTreeSet<Finding>, CommandError> {
        let (rendered, images) = (&attempt.rendered, &attempt.images);
        let outside = &images.outside;
        let found = |place, image: Option<String>, why: &str| {
            let hint = match image.as_deref().map(|image| self.hint(image, attempt)) {
                Some(hint) if why.is_empty() => hint,
                Some(hint) => format!("{why}; {hint}"),
                None => why.to_owned(),
            };
            Finding { image, place, hint }
        };
        if mode == MapMode::Values {
            let hint = "or map it in the objects with --map objects";
            return Ok(outside
                .iter()
                .map(|(place, image)| {
                    let is_of_bundle = self.meant(image).is_some();
                    let mut finding = found(place.clone(), Some(image.clone()), "");
                    if is_of_bundle {
                        let _ = write!(finding.hint, "; {hint}");
                    }
                    finding
                })
                .collect());
        }
        let objects = parse_objects(rendered).map_err(InstallError::from)?;
        let hooks: BTreeSet<String> = objects
            .iter()
            .filter(|object| object.is_hook())
            .map(hook_name)
            .collect();
        let unsent = |place: &ImagePlace| {
            if is_definition_of_chart(&place.file) {
                Some(
                    "Helm sends nothing of `crds/` to a post-renderer, so leave --registry out \
                      and give the nodes a mirror (`rune-bundle mirror`)",
                )
            } else if is_helm_3 && hooks.contains(&place.object) {
                Some(
                    "Helm 3 sends no hooks to a post-renderer: use Helm 4 with --helm, leave a \
                      test out with `images.leaveOutTests` in the policy of the bundle, or leave \
                      --registry out and give the nodes a mirror (`rune-bundle mirror`)",
                )
            } else {
                None
            }
        };
        let mut findings: BTreeSet<Finding> = outside
            .iter()
            .filter_map(|(place, image)| {
                Some(found(place.clone(), Some(image.clone()), unsent(place)?))
            })
            .collect();
        let replaced = chart::replace_images(rendered, &self.places, &images.map);
        let obstacles = replaced.obstacles.into_iter();
        findings.extend(
            obstacles
                .filter(|obstacle| unsent(&obstacle.place).is_none())
                .map(|obstacle| {
                    let is_known = obstacle
                        .image
                        .as_deref()
                        .is_none_or(|image| self.meant(image).is_some());
                    let reason = obstacle.reason.to_string();
                    found(
                        obstacle.place,
                        obstacle.image,
                        if is_known { &reason } else { "" },
                    )
                }),
        );
        Ok(findings)
    }

    /// Which value sets an image, if one seems to.
    fn hint(&self, image: &str, attempt: &Attempt) -> String {
        let registry = &self.registry;
        let Some(number) = self.meant(image) else {
            return format!(
                "it is not an image of the bundle: name it in the manifest, or push it to \
                 {registry} and set it with your values"
            );
        };
        // What was set already, and by nobody else, does not reach it.
        let is_settable = !attempt.has_pins || self.has_own_values;
        match self.pins.keys.get(&number).filter(|_| is_settable) {
            Some(keys) => {
                let pairs: Vec<String> = keys
                    .iter()
                    .map(|(key, value)| format!("`{key}` to `{value}`"))
                    .collect();
                format!("set {} in your values", pairs.join(", "))
            }
            None => "no value of the chart sets it".to_owned(),
        }
    }

    /// Writes the values with which the chart takes most images from the destination, and which it
    /// does not.
    fn write_values(
        &self,
        file: &Utf8Path,
        tried: &[Attempt],
        made: [&Value; 2],
    ) -> Result<(), CommandError> {
        let left = tried
            .iter()
            .map(|attempt| &attempt.images.outside)
            .zip(made);
        let Some((outside, values)) = left.min_by_key(|(outside, _)| outside.len()) else {
            return Ok(());
        };
        let mut text = format!("# Values with which images come from {}.\n", self.registry);
        for (place, image) in outside.iter().collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "# No value sets: {image} in {place}");
        }
        let values = yaml::to_string(values)
            .map_err(|error| InstallError::from(crate::install::PinError::from(error)))?;
        text.push_str(&values);
        Ok(fsx::write_new(file, text.as_bytes(), 0o644)?)
    }
}

/// `Kind/name` of a hook, as it is called at a place.
fn hook_name(object: &Object) -> String {
    let prefix = object
        .value()
        .pointer("/metadata/generateName")
        .and_then(Value::as_str);
    let name = Some(object.name())
        .filter(|name| !name.is_empty())
        .or(prefix);
    format!("{}/{}", object.kind(), name.unwrap_or("without a name"))
}

/// Whether a file is one of the definitions that Helm applies before everything else.
fn is_definition_of_chart(file: &str) -> bool {
    let mut parts = file.split('/').skip(1);
    loop {
        match parts.next() {
            Some("charts") => {
                parts.next();
            }
            part => return part == Some("crds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_definition_of_chart;

    #[test]
    fn definitions_are_told_from_templates() {
        for (file, expected) in [
            ("a/crds/x.yaml", true),
            ("a/charts/b/crds/x.yaml", true),
            ("a/templates/crds/x.yaml", false),
            ("a/charts/crds/templates/x.yaml", false),
            ("unknown file", false),
        ] {
            assert_eq!(is_definition_of_chart(file), expected, "{file}");
        }
    }
}
