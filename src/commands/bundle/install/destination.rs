//! What of a bundle is installed, and where its images are at the destination.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde_json::Value;

use super::{
    super::push::Destination as Registry,
    InstallOptions,
    choice::{ChoiceError, chosen_chart, chosen_profile},
};
use crate::{
    archive::EntryName,
    bundle::{BundleIndex, ChartRecord, OpenBundle, Publication, PublicationKind},
    chart::{self, Named},
    install::{
        Check, InstallError, PinError, PlacedImage, ReleaseHelm, Replaced, RunningImage,
        RunningImages, ValuePins, Verdict, destination_values, value_pins,
    },
    oci::{Descriptor, Reference},
    registry::Client,
};
use rune_core::{
    command::CommandError,
    digest::Digest,
    failure::{Failure as _, FailureKind},
    yaml,
};

const LOOKS: usize = 4;

pub(super) struct Destination {
    pub(super) chart: ChartRecord,
    pub(super) archive: Vec<u8>,
    pub(super) kube_version: Option<String>,
    pub(super) profile: Option<String>,
    profile_values: Vec<String>,
    registry: Option<String>,
}

#[derive(Default)]
pub(super) struct Images {
    pub(super) replaced: Replaced,
    /// What was asked for; the error says why it is not there.
    asked: BTreeMap<String, Result<(), String>>,
    /// What images that the charts name by their tag alone are called there, and the number of each
    /// in the bundle index.
    tagged: BTreeMap<String, usize>,
}

/// The images that a rendered chart names: what only looks like one, too, when the bundle has its
/// digest.
fn images_of(rendered: &str, bundle: &OpenBundle) -> BTreeSet<String> {
    let carried = carried(bundle);
    let is_carried = |text: &str| {
        let reference = Reference::parse_like_a_runtime(text).ok();
        reference
            .and_then(|found| found.digest())
            .is_some_and(|digest| carried.contains(&digest))
    };
    let named = chart::discover(rendered, &bundle.index().completeness.image_places()).into_iter();
    named
        .filter_map(|(_, named)| match named {
            Named::Image(text) => Some(text),
            Named::Possible(text, _) => Some(text).filter(|text| is_carried(text)),
            _ => None,
        })
        .collect()
}

/// The digests of the images of a bundle, and of their reduced indexes.
fn carried(bundle: &OpenBundle) -> BTreeSet<Digest> {
    let digests = bundle
        .publications()
        .iter()
        .filter_map(|publication| match &publication.kind {
            PublicationKind::Image { reduced_index, .. } => Some([
                Some(publication.target.digest),
                reduced_index.as_ref().map(|index| index.digest),
            ]),
            _ => None,
        });
    digests.flatten().flatten().collect()
}

impl Destination {
    pub(super) fn read(
        bundle: &OpenBundle,
        options: &InstallOptions,
        chart: Option<&str>,
        profile: Option<&str>,
    ) -> Result<Self, CommandError> {
        let index = bundle.index();
        let chart = chosen_chart(&index.charts, chart)?.clone();
        let archive = entry(bundle, &chart.path)?;
        let profile = chosen_profile(&index.profiles, profile, &chart.name)?;
        let text = |name: &EntryName| -> Result<String, CommandError> {
            Ok(String::from_utf8(entry(bundle, name)?)
                .map_err(|_| ChoiceError::NotText(name.clone()))?)
        };
        let profile_values = profile
            .iter()
            .flat_map(|profile| &profile.values)
            .map(text)
            .collect::<Result<_, _>>()?;
        let kube_version = kube_version(&archive)?;
        let profile = profile.map(|profile| profile.name.clone());
        Ok(Self {
            chart,
            archive,
            kube_version,
            profile,
            profile_values,
            registry: options.registry.as_ref().map(ToString::to_string),
        })
    }

    /// The chart, `name-version`.
    pub(super) fn chart_label(&self) -> String {
        format!("{}-{}", self.chart.name, self.chart.version)
    }

    /// The name of the release unless another one is asked for: that of the chart, in letters that
    /// a release may have.
    pub(super) fn release(&self) -> String {
        release_name(&self.chart.name)
    }

    pub(super) fn chart_file(&self) -> String {
        format!("{}.tgz", self.chart_label())
    }

    pub(super) fn values(
        &self,
        replaced: &Replaced,
        helm: &ReleaseHelm,
    ) -> Result<Vec<String>, CommandError> {
        self.written(&self.made(replaced)?, helm)
    }

    pub(super) fn made(&self, replaced: &Replaced) -> Result<Value, CommandError> {
        let made = destination_values(
            self.registry.as_deref(),
            replaced,
            &self.archive,
            &self.profile_values,
        );
        Ok(made.map_err(InstallError::from)?)
    }

    /// The values of the chart and the profile that name images.
    pub(super) fn pins(&self, images: &[PlacedImage]) -> Result<ValuePins, CommandError> {
        Ok(value_pins(&self.archive, &self.profile_values, images).map_err(InstallError::from)?)
    }

    pub(super) fn written(
        &self,
        made: &Value,
        helm: &ReleaseHelm,
    ) -> Result<Vec<String>, CommandError> {
        let made = yaml::to_string(made)
            .map_err(PinError::from)
            .map_err(InstallError::from)?;
        let directory = Digest::of(made.as_bytes()).hex();
        let mut options = Vec::new();
        for (number, text) in self.profile_values.iter().chain([&made]).enumerate() {
            let file = helm.write(
                &format!("values/{directory}/{number}.yaml"),
                text.as_bytes(),
            )?;
            options.extend(["--values".to_owned(), file.into_string()]);
        }
        Ok(options)
    }

    pub(super) fn check_images(rendered: &str, images: &Images, bundle: &OpenBundle) -> Vec<Check> {
        let named = images_of(rendered, bundle);
        let carried = carried(bundle);
        let check = |text: &String| {
            let check = |available: String, verdict| {
                Check::new(
                    "images",
                    FailureKind::NotFound,
                    text.clone(),
                    available,
                    verdict,
                )
            };
            let absent = |reason: &String| {
                check(reason.clone(), Verdict::Missing)
                    .with_remedies(["`rune-bundle push`, or the option `--push`".to_owned()])
            };
            let Ok(reference) = Reference::parse_like_a_runtime(text) else {
                return check("no image reference".to_owned(), Verdict::Missing);
            };
            match reference.digest() {
                None => match images.asked.get(&tagged(&reference)) {
                    Some(Ok(())) => check("it, under its tag".to_owned(), Verdict::Satisfied),
                    Some(Err(reason)) => absent(reason),
                    None => check(
                        "a tag, which the registry may give to another image".to_owned(),
                        Verdict::Unknown,
                    ),
                },
                Some(digest) if !carried.contains(&digest) => {
                    check("no image of the bundle".to_owned(), Verdict::Unknown)
                }
                Some(digest) => match images.asked.get(&format!("{}@{digest}", reference.name())) {
                    Some(Ok(())) => check("it".to_owned(), Verdict::Satisfied),
                    Some(Err(reason)) => absent(reason),
                    None => check(
                        "what the nodes find under this name".to_owned(),
                        Verdict::Unknown,
                    ),
                },
            }
        };
        named.iter().map(check).collect()
    }
}

impl Images {
    pub(super) async fn at(
        bundle: &OpenBundle,
        options: &InstallOptions,
    ) -> Result<Self, CommandError> {
        let mut images = Self::default();
        let Some(destination) = &options.registry else {
            return Ok(images);
        };
        let access = options.registry_access.clone();
        let client = Client::new(access.confined_to(destination.registry(), LOOKS))?;
        // In a dry run they may be still to be pushed.
        let is_to_come = options.push.is_some() && options.is_dry_run;
        let index = bundle.index();
        for Publication {
            repository,
            target,
            kind,
            ..
        } in bundle.publications()
        {
            let PublicationKind::Image {
                reduced_index,
                reference,
            } = kind
            else {
                continue;
            };
            let number = index.images.iter().position(|image| {
                image.reference == *reference && image.target.digest == target.digest
            });
            if let (Some(number), Some(tag)) = (
                number.filter(|number| is_tagged(index, *number)),
                reference.tag(),
            ) {
                let name: Reference = format!("{}:{tag}", destination.name(repository)).parse()?;
                if !is_to_come {
                    images
                        .ask_tag(
                            &client,
                            &name,
                            [Some(target), reduced_index.as_ref()].into_iter().flatten(),
                        )
                        .await?;
                }
                images.tagged.insert(tagged(&name), number);
            }
            images.replaced.repositories.extend(
                destination
                    .renamed(repository)
                    .map(|other| (repository.clone(), other)),
            );
            if is_to_come
                || images
                    .ask(&client, destination, repository, target.digest)
                    .await?
            {
                continue;
            }
            if let Some(reduced) = reduced_index
                && images
                    .ask(&client, destination, repository, reduced.digest)
                    .await?
            {
                images
                    .replaced
                    .digests
                    .insert(target.digest, reduced.digest);
            }
        }
        Ok(images)
    }

    /// Whether a tag is there and means one of some digests.
    async fn ask_tag(
        &mut self,
        client: &Client,
        name: &Reference,
        meant: impl Iterator<Item = &Descriptor>,
    ) -> Result<(), CommandError> {
        let meant: Vec<Digest> = meant.map(|descriptor| descriptor.digest).collect();
        let found = match client.resolve(name).await {
            Ok(found) if meant.contains(&found.digest()) => Ok(()),
            Ok(found) => Err(format!("another image under this tag, {}", found.digest())),
            Err(error) if error.kind() == FailureKind::NotFound => Err("no such image".to_owned()),
            Err(error) => return Err(error.into()),
        };
        self.asked.insert(tagged(name), found);
        Ok(())
    }

    /// By which digests the images may run that a rendered chart names by their tag alone.
    pub(super) fn running(&self, rendered: &str, bundle: &OpenBundle) -> RunningImages {
        let index = bundle.index();
        let number_of = |reference: &Reference| {
            // Without a registry of its own the chart names the image as the manifest does.
            let own = |number: &usize| {
                index
                    .images
                    .get(*number)
                    .is_some_and(|image| tagged(&image.reference) == tagged(reference))
            };
            let known = self.tagged.get(&tagged(reference)).copied();
            known.or_else(|| {
                (0..index.images.len())
                    .filter(|number| is_tagged(index, *number))
                    .find(own)
            })
        };
        let running = images_of(rendered, bundle).into_iter().filter_map(|text| {
            let reference = Reference::parse_like_a_runtime(&text)
                .ok()
                .filter(|reference| reference.digest().is_none())?;
            let image = index.images.get(number_of(&reference)?)?;
            let mut parts: BTreeSet<Digest> = image
                .reduced_index
                .iter()
                .map(|reduced| reduced.digest)
                .collect();
            for manifest in image.carried_runnable() {
                parts.insert(manifest.digest);
                parts.extend(
                    bundle
                        .config_of(manifest.digest)
                        .map(|config| config.digest),
                );
            }
            Some((
                text,
                RunningImage {
                    digest: image.target.digest,
                    parts,
                },
            ))
        });
        running.collect()
    }

    async fn ask(
        &mut self,
        client: &Client,
        destination: &Registry,
        repository: &str,
        digest: Digest,
    ) -> Result<bool, CommandError> {
        let name: Reference = format!("{}@{digest}", destination.name(repository)).parse()?;
        let found = match client.resolve(&name).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == FailureKind::NotFound => Err("no such image".to_owned()),
            Err(error) => return Err(error.into()),
        };
        let is_there = found.is_ok();
        self.asked.insert(name.to_string(), found);
        Ok(is_there)
    }
}

fn is_tagged(index: &BundleIndex, number: usize) -> bool {
    index
        .images
        .get(number)
        .is_some_and(|image| index.completeness.tag_pin(&image.name).is_some())
}

fn tagged(reference: &Reference) -> String {
    format!(
        "{}:{}",
        reference.name(),
        reference.tag().unwrap_or_default()
    )
}

fn entry(bundle: &OpenBundle, name: &EntryName) -> Result<Vec<u8>, CommandError> {
    Ok(bundle
        .entry(name)?
        .ok_or_else(|| ChoiceError::NoEntry(name.clone()))?)
}

/// The versions of Kubernetes that the chart works with.
fn kube_version(archive: &[u8]) -> Result<Option<String>, CommandError> {
    let chart = Utf8Path::new("the chart");
    let metadata = chart::unpack_package(chart, archive)?.own_metadata(chart)?;
    Ok(Some(metadata.kube_version).filter(|text| !text.is_empty()))
}

/// Releases have names of lower case letters, digits, `-` and `.`.
fn release_name(chart: &str) -> String {
    chart
        .to_ascii_lowercase()
        .replace('_', "-")
        .trim_matches(['-', '.'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::release_name;

    #[test]
    fn a_chart_gives_its_release_a_name_that_helm_takes() {
        for (chart, release) in [
            ("rune", "rune"),
            ("Demo", "demo"),
            ("de.mo_x", "de.mo-x"),
            ("_a-", "a"),
        ] {
            assert_eq!(release_name(chart), release);
        }
    }
}
