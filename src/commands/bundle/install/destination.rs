//! What of a bundle is installed, and where its images are at the destination.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::{
    super::push::{Destination as Registry, client_config},
    InstallOptions,
};
use crate::{
    archive::EntryName,
    bundle::{ChartRecord, OpenBundle, Publication, PublicationKind},
    chart::{self, ChartError, Named},
    commands::CommandError,
    failure::{Failure, FailureKind},
    install::{Check, InstallError, PinError, ReleaseHelm, Replaced, Verdict, destination_values},
    oci::{Digest, Reference},
    policy::ImagePlaces,
    registry::Client,
    yaml,
};

/// How many connections the registry is asked on.
const LOOKS: usize = 4;

/// Why a bundle does not say what to install.
#[derive(Debug, thiserror::Error)]
enum ChoiceError {
    #[error("the bundle has no chart")]
    NoChart,
    #[error("the bundle has several charts: {}", .0.join(", "))]
    SeveralCharts(Vec<String>),
    #[error("the bundle has no {kind} `{name}`, but {}", .there.join(", "))]
    Unknown { kind: &'static str, name: String, there: Vec<String> },
    #[error("the bundle has no entry `{0}`, although its index names it")]
    NoEntry(EntryName),
    #[error("`{0}` is not text")]
    NotText(EntryName),
}

impl Failure for ChoiceError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoChart | Self::Unknown { .. } => FailureKind::NotFound,
            Self::SeveralCharts(_) => FailureKind::Usage,
            Self::NoEntry(_) | Self::NotText(_) => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoChart => Some("there is nothing to install in it; `rune-bundle inspect` shows what there is".to_owned()),
            Self::SeveralCharts(_) => Some("choose one with --chart".to_owned()),
            _ => None,
        }
    }
}

/// What is installed, and with which values.
pub(super) struct Destination {
    pub(super) chart: ChartRecord,
    pub(super) archive: Vec<u8>,
    pub(super) kube_version: Option<String>,
    pub(super) profile: Option<String>,
    /// The texts of the profile's values.
    profile_values: Vec<String>,
    registry: Option<String>,
}

/// Which images are at the destination.
#[derive(Default)]
pub(super) struct Images {
    /// What of them is another there.
    pub(super) replaced: Replaced,
    /// What was asked for; the error says why it is not there.
    asked: BTreeMap<String, Result<(), String>>,
}

/// The chart that is meant.
fn chosen_chart<'a>(charts: &'a [ChartRecord], name: Option<&str>) -> Result<&'a ChartRecord, CommandError> {
    let there = || charts.iter().map(|chart| chart.name.clone()).collect();
    Ok(match (charts, name) {
        ([], None) => Err(ChoiceError::NoChart),
        ([chart], None) => Ok(chart),
        (_, None) => Err(ChoiceError::SeveralCharts(there())),
        (charts, Some(name)) => charts.iter().find(|chart| chart.name == name).ok_or_else(|| ChoiceError::Unknown {
            kind: "chart",
            name: name.to_owned(),
            there: there(),
        }),
    }?)
}

impl Destination {
    /// Reads chart and values out of the bundle.
    pub(super) fn read(bundle: &OpenBundle, options: &InstallOptions) -> Result<Self, CommandError> {
        let index = bundle.index();
        let chart = chosen_chart(&index.charts, options.chart.as_deref())?.clone();
        let archive = entry(bundle, &chart.path)?;
        let profile = match &options.profile {
            None => index.profiles.first(),
            Some(name) => Some(index.profiles.iter().find(|profile| profile.name == *name).ok_or_else(|| ChoiceError::Unknown {
                kind: "profile",
                name: name.clone(),
                there: index.profiles.iter().map(|profile| profile.name.clone()).collect(),
            })?),
        };
        let text = |name: &EntryName| -> Result<String, CommandError> {
            Ok(String::from_utf8(entry(bundle, name)?).map_err(|_| ChoiceError::NotText(name.clone()))?)
        };
        let profile_values = profile.iter().flat_map(|profile| &profile.values).map(text).collect::<Result<_, _>>()?;
        let kube_version = kube_version(&archive)?;
        let profile = profile.map(|profile| profile.name.clone());
        Ok(Self { chart, archive, kube_version, profile, profile_values, registry: options.registry.as_ref().map(ToString::to_string) })
    }

    /// The chart, `name-version`.
    pub(super) fn chart_label(&self) -> String {
        format!("{}-{}", self.chart.name, self.chart.version)
    }

    /// The name of the file that Helm is given.
    pub(super) fn chart_file(&self) -> String {
        format!("{}.tgz", self.chart_label())
    }

    /// Writes the profile's values and those of the destination for Helm: its options, in order.
    pub(super) fn values(&self, replaced: &Replaced, helm: &ReleaseHelm) -> Result<Vec<String>, CommandError> {
        let made = destination_values(self.registry.as_deref(), replaced, &self.archive, &self.profile_values);
        let made = yaml::to_string(&made.map_err(InstallError::from)?).map_err(PinError::from).map_err(InstallError::from)?;
        let mut options = Vec::new();
        for (number, text) in self.profile_values.iter().chain([&made]).enumerate() {
            options.extend(["--values".to_owned(), helm.write(&format!("values/{number}.yaml"), text.as_bytes())?.into_string()]);
        }
        Ok(options)
    }

    /// Asks the registry for every image of the bundle, when one was named.
    pub(super) async fn images(&self, bundle: &OpenBundle, options: &InstallOptions) -> Result<Images, CommandError> {
        let mut images = Images::default();
        let Some(destination) = &options.registry else { return Ok(images) };
        let client = Client::new(client_config(destination, &options.registry_access, LOOKS))?;
        // In a dry run they may be still to be pushed.
        let is_to_come = options.with_push && options.is_dry_run;
        for Publication { repository, target, kind, .. } in bundle.publications() {
            let PublicationKind::Image { reduced_index, .. } = kind else { continue };
            images.replaced.repositories.extend(destination.renamed(repository).map(|other| (repository.clone(), other)));
            if is_to_come || images.ask(&client, destination, repository, target.digest).await? {
                continue;
            }
            if let Some(reduced) = reduced_index
                && images.ask(&client, destination, repository, reduced.digest).await?
            {
                images.replaced.digests.insert(target.digest, reduced.digest);
            }
        }
        Ok(images)
    }

    /// Compares the images that the rendered chart names with those that are at the destination.
    pub(super) fn check_images(rendered: &str, images: &Images, bundle: &OpenBundle) -> Vec<Check> {
        let named: BTreeSet<String> = chart::discover(rendered, &ImagePlaces::default())
            .into_iter()
            .filter_map(|(_, named)| if let Named::Image(text) = named { Some(text) } else { None })
            .collect();
        let carried: BTreeSet<Digest> = bundle
            .publications()
            .iter()
            .filter_map(|publication| match &publication.kind {
                PublicationKind::Image { reduced_index, .. } => {
                    Some([Some(publication.target.digest), reduced_index.as_ref().map(|index| index.digest)])
                }
                _ => None,
            })
            .flatten()
            .flatten()
            .collect();
        let check = |text: &String| {
            let check = |available: String, verdict| Check::new("images", FailureKind::NotFound, text.clone(), available, verdict);
            let Ok(reference) = Reference::parse_like_a_runtime(text) else {
                return check("no image reference".to_owned(), Verdict::Missing);
            };
            match reference.digest() {
                None => check("a tag, which the registry may give to another image".to_owned(), Verdict::Unknown),
                Some(digest) if !carried.contains(&digest) => check("no image of the bundle".to_owned(), Verdict::Unknown),
                Some(digest) => match images.asked.get(&format!("{}@{digest}", reference.name())) {
                    Some(Ok(())) => check("it".to_owned(), Verdict::Enough),
                    Some(Err(reason)) => check(format!("{reason}; `rune-bundle push` brings it there"), Verdict::Missing),
                    None => check("what the nodes find under this name".to_owned(), Verdict::Unknown),
                },
            }
        };
        named.iter().map(check).collect()
    }
}

impl Images {
    /// Whether an image is there.
    async fn ask(&mut self, client: &Client, destination: &Registry, repository: &str, digest: Digest) -> Result<bool, CommandError> {
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

fn entry(bundle: &OpenBundle, name: &EntryName) -> Result<Vec<u8>, CommandError> {
    Ok(bundle.entry(name)?.ok_or_else(|| ChoiceError::NoEntry(name.clone()))?)
}

/// The versions of Kubernetes that the chart works with.
fn kube_version(archive: &[u8]) -> Result<Option<String>, CommandError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        kube_version: Option<String>,
    }
    let (chart, path) = (Utf8Path::new("the chart"), Utf8Path::new("Chart.yaml"));
    let files = chart::unpack_package(chart, archive)?;
    let missing = || ChartError::Missing { chart: chart.to_string(), file: "Chart.yaml" };
    let text = std::str::from_utf8(files.get("Chart.yaml").ok_or_else(missing)?).map_err(|_| ChartError::NotText(path.to_owned()))?;
    Ok(yaml::from_str::<Head>(path, text)?.kube_version)
}
