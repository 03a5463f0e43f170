//! What the policy says about a project, before and after its references are resolved.

use super::{ChartSource, Evidence, FetchedCharts, Lock, Project, subjects};
use crate::{
    chart::{ChartError, ChartTree, Dependency, read_package},
    policy::{self, Evaluation, Subject},
};

/// Evaluates a project: what its manifest names, what its lock knows, and what its charts get from
/// elsewhere.
///
/// Without a lock, pins and attestations are not evaluated, so that nothing denied needs to be
/// asked for; with one, an image that it does not have is unpinned. What a chart from elsewhere
/// gets from other places is evaluated when it was fetched, and so are signatures.
pub fn evaluate(
    project: &Project,
    lock: Option<&Lock>,
    fetched: &FetchedCharts,
    evidence: Option<&Evidence>,
) -> Result<Evaluation, ChartError> {
    let manifest = project.manifest();
    let mut subjects = subjects(manifest, lock, evidence);
    for chart in &manifest.charts {
        let metadata = match &chart.source {
            ChartSource::Directory(path) => {
                ChartTree::read(&project.path(path))?.metadata(path.as_str())?
            }
            ChartSource::Archive(path) => read_package(&project.path(path))?.metadata,
            ChartSource::Remote(_) => match fetched.get(chart) {
                Some(package) => package.metadata.clone(),
                None => continue,
            },
        };
        subjects.extend(
            metadata
                .dependencies
                .iter()
                .filter_map(|dependency| foreign(&metadata.name, dependency)),
        );
    }
    Ok(policy::evaluate(
        project.policy(),
        &manifest.version,
        &subjects,
    ))
}

/// Where a dependency comes from, `host/path`; nothing for one without a repository, or with
/// `file://`, which is the project's own.
pub(crate) fn dependency_repository(dependency: &Dependency) -> Option<&str> {
    let repository = dependency.repository.trim_end_matches('/');
    if repository.is_empty() || repository.starts_with("file:") {
        return None;
    }
    Some(
        repository
            .split_once("://")
            .map_or(repository, |(_, place)| place),
    )
}

fn foreign(chart: &str, dependency: &Dependency) -> Option<Subject> {
    let repository = dependency_repository(dependency)?.to_owned();
    Some(Subject::ChartDependency {
        chart: chart.to_owned(),
        name: dependency.name.clone(),
        repository,
    })
}
