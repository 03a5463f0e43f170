//! `init`: a new project from charts and images, ready to be locked.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;
use serde::Serialize;

use crate::{
    bundle::HelmOptions,
    chart::{self, ChartTree, Helm, Package},
    manifest::{self, FetchedCharts, Programs, Project},
    oci::Reference,
    registry::{Client, ClientConfig},
    remote::fetch_named_chart,
    scaffold::{self, GivenChart, License, NewProject, Plan, PlannedImage, ScaffoldError},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::{Failure, FailureKind},
    fsx,
    progress::Progress,
};

const MAX_VALUES_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct InitOptions {
    /// Directories and packages of charts, `oci://HOST/PATH/CHART:VERSION`, URLs of packages.
    pub(crate) charts: Vec<String>,
    pub(crate) values: Vec<String>,
    pub(crate) check_values: Vec<String>,
    pub(crate) images: Vec<Reference>,
    pub(crate) name: Option<String>,
    pub(crate) helm: HelmOptions,
    pub(crate) registry: ClientConfig,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
enum InitError {
    #[error("neither a chart nor an image is given")]
    #[failure(help: "name a chart with --chart, its directory or its .tgz, or an image with \
        --image")]
    Nothing,
    #[error("`{0}` is not a name for a bundle")]
    #[failure(help: "use 1 to 63 of a-z, 0-9 and -, and no - at either end, with --name")]
    Name(String),
    #[error("the chart {0} is a library, which installs nothing")]
    #[failure(help: "give the chart that uses it with --chart")]
    Library(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitReport {
    directory: Utf8PathBuf,
    manifest: Utf8PathBuf,
    policy: Utf8PathBuf,
    values: Vec<Utf8PathBuf>,
    name: String,
    version: Version,
    images: Vec<InitImage>,
    /// What only a person can mend before `lock`.
    problems: Vec<String>,
    next: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InitImage {
    name: String,
    reference: Reference,
    /// As its label says; null when nothing does.
    license: Option<String>,
    /// Whether it is only a possible image.
    possible: bool,
    pinned_by: Vec<String>,
    tag_only: bool,
    extra: bool,
}

impl From<&PlannedImage> for InitImage {
    fn from(image: &PlannedImage) -> Self {
        let license = if let License::Stated(license) = &image.license {
            Some(license.clone())
        } else {
            None
        };
        Self {
            name: image.name.clone(),
            reference: image.reference.clone(),
            license,
            possible: image.is_possible,
            pinned_by: image.pinned_by.iter().cloned().collect(),
            tag_only: image.is_tag_only,
            extra: image.is_extra,
        }
    }
}

impl Report for InitReport {
    const VERB: &'static str = "init";

    fn has_changed(&self) -> bool {
        true
    }

    fn verdict(&self) -> Option<FailureKind> {
        (!self.problems.is_empty()).then_some(FailureKind::Policy)
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "created {}/ for {} {}\n",
            self.directory, self.name, self.version
        );
        for image in &self.images {
            let license = image
                .license
                .as_deref()
                .unwrap_or("licence unknown, not reviewed");
            let pin = match (
                image.pinned_by.as_slice(),
                image.reference.digest(),
                image.extra,
            ) {
                (_, _, true) => "no chart uses it".to_owned(),
                _ if image.tag_only => "by its tag: no value takes its digest".to_owned(),
                ([], Some(_), _) => "the chart has its digest".to_owned(),
                ([], None, _) => "not pinned".to_owned(),
                (values, ..) => format!("pinned by {}", values.join(", ")),
            };
            let possible = if image.possible {
                "possible image, "
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "image       {}\n            {possible}{license}; {pin}",
                image.reference
            );
        }
        for problem in &self.problems {
            let _ = writeln!(text, "to mend     {problem}");
        }
        let _ = writeln!(text, "review      {} and {}", self.manifest, self.policy);
        let _ = writeln!(text, "next: {}", self.next);
        text
    }
}

pub(crate) fn run(
    options: &InitOptions,
    progress: &dyn Progress,
) -> Result<InitReport, CommandError> {
    if options.charts.is_empty() && options.images.is_empty() {
        return Err(InitError::Nothing.into());
    }
    let client = Client::new(options.registry.clone())?;
    let charts = charts(options, &client)?;
    let name = match &options.name {
        Some(name) if manifest::is_name(name) => name.clone(),
        Some(name) => return Err(InitError::Name(name.clone()).into()),
        None => scaffold::project_name(&charts, &options.images),
    };
    let directory = Utf8PathBuf::from(&name);
    scaffold::check_free(&directory)?;
    let version = scaffold::bundle_version(&charts);
    progress.begin("Looking for images", 0);
    let plan = block_on(plan(charts, options, &client));
    progress.end();
    let plan = plan?;
    for why in plan.unasked() {
        progress.announce(&format!("note: {why}; licences of its images are unknown"));
    }
    for reference in plan.missing() {
        progress.announce(&format!(
            "note: the registry of {reference} has no such image yet"
        ));
    }
    let project = NewProject::of(&plan, &name, &version);
    project.write(&directory)?;
    let manifest = directory.join(&project.manifest);
    let problems = plan
        .problems()
        .iter()
        .cloned()
        .chain(mistakes(&manifest))
        .collect();
    Ok(InitReport {
        next: format!("rune-bundle lock {manifest}"),
        policy: directory.join(&project.policy),
        values: project
            .templates
            .iter()
            .map(|path| directory.join(path))
            .collect(),
        manifest,
        directory,
        name,
        version,
        images: plan.images().map(InitImage::from).collect(),
        problems,
    })
}

async fn plan(
    charts: Vec<GivenChart>,
    options: &InitOptions,
    client: &Client,
) -> Result<Plan, ScaffoldError> {
    let helm = match &options.helm.program {
        _ if charts.is_empty() => None,
        Some(program) => Some(Helm::find(program, options.helm.time_limit).await?),
        None => return Err(ScaffoldError::NoHelm),
    };
    let mut plan = Plan::with_images(&options.images)
        .find(charts, helm.as_ref())
        .await?;
    let licenses: BTreeMap<Reference, License> =
        scaffold::licenses(client, plan.references()).await;
    plan.set_licenses(licenses);
    if let Some(helm) = &helm {
        plan.pin(helm, &options.helm).await?;
    }
    Ok(plan)
}

fn mistakes(manifest: &Utf8Path) -> Vec<String> {
    let project = match Project::load(manifest, None, Programs::NotNeeded) {
        Ok(project) => project,
        Err(error) => return vec![error.to_string()],
    };
    match manifest::evaluate(&project, None, &FetchedCharts::default(), None) {
        Ok(evaluation) => evaluation.denied().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn charts(options: &InitOptions, client: &Client) -> Result<Vec<GivenChart>, CommandError> {
    let packages = options
        .charts
        .iter()
        .map(|source| package(source, client))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = packages
        .iter()
        .map(|package| package.metadata.name.clone())
        .collect();
    packages
        .into_iter()
        .map(|package| {
            let name = package.metadata.name.clone();
            let files = |given: &[String]| {
                given
                    .iter()
                    .filter_map(|given| file_for(given, &name, &names))
                    .map(read)
                    .collect::<Result<Vec<_>, _>>()
            };
            Ok(GivenChart {
                profiles: vec![files(&options.values)?],
                check_values: files(&options.check_values)?,
                package,
            })
        })
        .collect()
}

fn package(source: &str, client: &Client) -> Result<Package, CommandError> {
    let path = Utf8Path::new(source);
    let package = if source.contains("://") {
        block_on(fetch_named_chart(client, source))?.package
    } else if fsx::is_dir(path) {
        chart::package(source, &ChartTree::read(path)?)?
    } else {
        chart::read_package(path)?
    };
    if package.metadata.kind == "library" {
        return Err(InitError::Library(package.metadata.name).into());
    }
    Ok(package)
}

/// The file that is given for a chart: for every chart, or for this one by its name.
fn file_for<'g>(given: &'g str, chart: &str, charts: &[String]) -> Option<&'g Utf8Path> {
    match given
        .split_once('=')
        .filter(|(name, _)| charts.iter().any(|chart| chart == name))
    {
        Some((name, file)) => (name == chart).then_some(Utf8Path::new(file)),
        None => Some(Utf8Path::new(given)),
    }
}

fn read(path: &Utf8Path) -> Result<(String, String), CommandError> {
    Ok((
        path.to_string(),
        fsx::read_to_string(path, MAX_VALUES_BYTES)?,
    ))
}
