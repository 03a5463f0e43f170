//! `lock --export`: what is locked, in the lists of other tools. Nothing is resolved or written.

use camino::Utf8PathBuf;
use serde::Serialize;
use serde_json::{Value, json};

use super::project::ProjectOptions;
use crate::{
    manifest::{self, Lock, LockedChart, LockedChartSource, LockedContent, LockedImage, Programs},
    oci::Reference,
};
use rune_core::{
    command::{CommandError, Report},
    progress::Progress,
    yaml,
};

#[derive(Debug, Clone)]
pub(crate) struct ExportOptions {
    pub(crate) project: ProjectOptions,
    pub(crate) format: ExportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ExportFormat {
    List,
    /// The manifest of hauler: `Images` and `Charts`.
    Hauler,
    ImageSet,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportReport {
    lock: Utf8PathBuf,
    format: ExportFormat,
    content: String,
    images: usize,
    charts: usize,
    left_out: Vec<String>,
}

impl Report for ExportReport {
    const VERB: &'static str = "export";

    fn text(&self) -> String {
        self.content.clone()
    }
}

struct RemoteChart<'a> {
    name: &'a str,
    version: String,
    /// The URL of a Helm repository, or `oci://` and what stands before the chart's name.
    repository: String,
}

/// Writes the lock down as another tool reads it.
pub(crate) fn run(
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<ExportReport, CommandError> {
    let project = options.project.load(Programs::NotNeeded)?;
    let path = project.lock_path();
    let lock = Lock::read(&path)?;
    manifest::check_current(&project, &lock)?;
    let images: Vec<String> = lock.images.iter().flat_map(pinned).collect();
    let charts: Vec<RemoteChart<'_>> = match options.format {
        ExportFormat::List => Vec::new(),
        // oc-mirror gets charts from Helm repositories alone.
        ExportFormat::ImageSet => remote(&lock).filter(|chart| !chart.is_oci()).collect(),
        ExportFormat::Hauler => remote(&lock).collect(),
    };
    let left_out = left_out(&lock, &charts);
    // Standard output is the list.
    for name in &left_out {
        progress.announce(&format!("note: left out: {name}"));
    }
    let name = &lock.bundle.name;
    let content = match options.format {
        ExportFormat::List => images.iter().map(|image| format!("{image}\n")).collect(),
        ExportFormat::Hauler => hauler(name, &images, &charts)?,
        ExportFormat::ImageSet => yaml::to_string(&image_set(&images, &charts))?,
    };
    Ok(ExportReport {
        lock: path,
        format: options.format,
        content,
        images: images.len(),
        charts: charts.len(),
        left_out,
    })
}

/// An image under each of its tags, with its digest; nothing of one that is built.
fn pinned(image: &LockedImage) -> Vec<String> {
    let LockedContent::Registry(pulled) = &image.content else {
        return Vec::new();
    };
    let digest = pulled.root.digest;
    let others = image.other_tags.iter();
    let others = others.map(|tag| format!("{}:{tag}@{digest}", image.reference.name()));
    std::iter::once(image.reference.with_digest(digest).to_string())
        .chain(others)
        .collect()
}

fn remote(lock: &Lock) -> impl Iterator<Item = RemoteChart<'_>> {
    lock.charts.iter().filter_map(|chart| {
        Some(RemoteChart {
            name: &chart.name,
            version: chart.version.to_string(),
            repository: match &chart.source {
                LockedChartSource::Registry { reference, .. } => oci_repository(reference),
                LockedChartSource::Repository { repository, .. } => repository.clone(),
                LockedChartSource::Directory { .. } | LockedChartSource::Archive { .. } => {
                    return None;
                }
            },
        })
    })
}

fn oci_repository(reference: &Reference) -> String {
    let name = reference.name();
    let parent = name
        .rsplit_once('/')
        .map_or(name.as_str(), |(parent, _)| parent);
    format!("oci://{parent}")
}

fn left_out(lock: &Lock, exported: &[RemoteChart<'_>]) -> Vec<String> {
    let is_built = |image: &&LockedImage| matches!(image.content, LockedContent::Build(_));
    let built = lock.images.iter().filter(is_built);
    let built = built.map(|image| format!("image {}, which `build` builds", image.reference));
    let is_missing = |chart: &&LockedChart| exported.iter().all(|other| other.name != chart.name);
    let charts = lock.charts.iter().filter(is_missing);
    let charts = charts.map(|chart| format!("chart {} {}", chart.name, chart.version));
    built.chain(charts).collect()
}

/// Source: hauler, `content.hauler.cattle.io/v1`.
fn hauler(
    name: &str,
    images: &[String],
    charts: &[RemoteChart<'_>],
) -> Result<String, yaml::YamlError> {
    let document = |kind: &str, field: &str, items: Vec<Value>| {
        yaml::to_string(&json!({
            "apiVersion": "content.hauler.cattle.io/v1",
            "kind": kind,
            "metadata": {"name": name.replace(['/', '_'], "-")},
            "spec": {field: items},
        }))
    };
    let listed = images.iter().map(|image| json!({"name": image})).collect();
    let mut text = document("Images", "images", listed)?;
    if !charts.is_empty() {
        let chart = |chart: &RemoteChart<'_>| {
            json!({"name": chart.name,
            "repoURL": chart.repository, "version": chart.version})
        };
        let charts = charts.iter().map(chart).collect();
        text.push_str("---\n");
        text.push_str(&document("Charts", "charts", charts)?);
    }
    Ok(text)
}

/// Source: oc-mirror, `mirror.openshift.io/v2alpha1`.
fn image_set(images: &[String], charts: &[RemoteChart<'_>]) -> Value {
    let images: Vec<Value> = images.iter().map(|image| json!({"name": image})).collect();
    let repositories: Vec<Value> = charts
        .iter()
        .map(|chart| {
            let charts = [json!({"name": chart.name, "version": chart.version})];
            json!({"name": chart.name, "url": chart.repository, "charts": charts})
        })
        .collect();
    let mirror = if repositories.is_empty() {
        json!({"additionalImages": images})
    } else {
        json!({"additionalImages": images, "helm": {"repositories": repositories}})
    };
    json!({"apiVersion": "mirror.openshift.io/v2alpha1", "kind": "ImageSetConfiguration",
        "mirror": mirror})
}

impl RemoteChart<'_> {
    fn is_oci(&self) -> bool {
        self.repository.starts_with("oci://")
    }
}
