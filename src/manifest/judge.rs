//! What the policy says about a project, before and after its references are resolved.

use std::collections::BTreeMap;

use super::{Chart, Lock, LockedContent, Project, PulledImage};
use crate::{
    chart::{ChartError, ChartTree, Dependency, read_package},
    oci::{Digest, Platform},
    policy::{Evaluation, ImageContent, ImageSubject, Subject, evaluate},
};

/// Judges what a manifest names, before any registry is asked: licences, sources and tags.
///
/// # Errors
/// When a chart cannot be read.
pub fn judge_manifest(project: &Project) -> Result<Evaluation, ChartError> {
    judge(project, |_| ImageContent::Unresolved)
}

/// Judges everything: an image that the lock does not have is unpinned.
///
/// # Errors
/// When a chart cannot be read.
pub fn judge_lock(project: &Project, lock: Option<&Lock>) -> Result<Evaluation, ChartError> {
    judge(project, |name| match lock.and_then(|lock| lock.image(name)).map(|image| &image.content) {
        None => ImageContent::Unpinned,
        Some(LockedContent::Build(_)) => ImageContent::Built,
        Some(LockedContent::Registry(pulled)) => ImageContent::Pinned { attested: attested(pulled) },
    })
}

fn judge(project: &Project, content: impl Fn(&str) -> ImageContent) -> Result<Evaluation, ChartError> {
    let manifest = project.manifest();
    let mut subjects: Vec<Subject> = manifest
        .images
        .iter()
        .map(|image| {
            Subject::Image(ImageSubject {
                name: image.name.clone(),
                reference: image.reference().clone(),
                license: image.effective_license().map(str::to_owned),
                content: content(&image.name),
            })
        })
        .collect();
    for chart in &manifest.charts {
        let metadata = match chart {
            Chart::Directory(path) => ChartTree::read(&project.path(path))?.metadata(path.as_str())?,
            Chart::Archive(path) => read_package(&project.path(path))?.metadata,
        };
        subjects.extend(metadata.dependencies.iter().filter_map(|dependency| foreign(&metadata.name, dependency)));
    }
    Ok(evaluate(project.policy(), &manifest.version, &subjects))
}

/// The predicate types that are attested about each image manifest that is carried.
fn attested(pulled: &PulledImage) -> Vec<(String, Vec<String>)> {
    let mut predicates: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for attestation in pulled.attestations.iter().filter(|attestation| attestation.carried) {
        predicates.entry(attestation.attests).or_default().extend(attestation.predicates.iter().cloned());
    }
    let carried = pulled.manifests.iter().filter(|entry| entry.carried);
    carried
        .map(|entry| {
            let platform = entry.platform.as_ref().map_or_else(|| entry.manifest.digest.to_string(), Platform::to_string);
            (platform, predicates.get(&entry.manifest.digest).cloned().unwrap_or_default())
        })
        .collect()
}

/// A dependency that comes from somewhere else; one without a repository, or with `file://`, is the project's own.
fn foreign(chart: &str, dependency: &Dependency) -> Option<Subject> {
    let repository = dependency.repository.trim_end_matches('/');
    if repository.is_empty() || repository.starts_with("file:") {
        return None;
    }
    let place = repository.split_once("://").map_or(repository, |(_, place)| place);
    Some(Subject::ChartDependency { chart: chart.to_owned(), name: dependency.name.clone(), repository: place.to_owned() })
}
