//! The part of a lock that the project itself decides: what the manifest says and what its files
//! are.

use super::{ResolveError, ResolveFailures, error::Problems, files};
use crate::{
    manifest::{
        Artifact, BundleIdentity, Change, Chart, Download, FileSource, Image, ImageSource, Lock,
        LockedBinary, LockedChart, LockedChartSource, LockedContent, LockedFile, LockedImage,
        Programs, Project, StaleLock,
    },
    policy::SubjectKind,
    remote::RemoteChart,
};
use rune_core::failure::Failure;

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum LockCheckError {
    #[error(transparent)]
    Stale(#[from] StaleLock),
    #[error(transparent)]
    Unreadable(#[from] ResolveFailures),
}

/// Fails when a lock no longer says what the manifest and the files of the project say. Asks no
/// registry: a tag that moved is not seen and does not matter, because the lock pins it. Programs
/// are checked only when the project was loaded with them.
pub(crate) fn check_current(project: &Project, lock: &Lock) -> Result<(), LockCheckError> {
    let mut problems = Problems::default();
    let mut expected = local(project, Some(lock), &mut problems);
    let mut changes = Vec::new();
    for image in &project.manifest().images {
        match (
            &image.source,
            lock.image(&image.name).map(|known| &known.content),
        ) {
            (ImageSource::Registry(_), Some(LockedContent::Registry(pulled))) => {
                let mut pulled = pulled.clone();
                pulled.choose(&project.manifest().platforms);
                expected
                    .images
                    .push(locked(image, LockedContent::Registry(pulled)));
            }
            (ImageSource::Build(_), Some(LockedContent::Build(_))) => {}
            _ => {
                let (subject, reference) =
                    (format!("image `{}`", image.name), image.reference().clone());
                let new = Some(reference.to_string());
                changes.push(Change {
                    subject,
                    reference: Some(reference),
                    property: "reference",
                    old: None,
                    new,
                });
            }
        }
    }
    for artifact in &project.manifest().artifacts {
        let known = lock.artifact(&artifact.name);
        match known {
            Some(known) => expected
                .artifacts
                .push(locked_artifact(artifact, known.content.clone())),
            None => changes.push(Change {
                subject: SubjectKind::Artifact.label(&artifact.name),
                reference: Some(artifact.reference.clone()),
                property: "reference",
                old: None,
                new: Some(artifact.reference.to_string()),
            }),
        }
    }
    changes.extend(remote(project, lock, &mut expected));
    problems.into_result(())?;
    changes.extend(lock.changes(&expected));
    changes.sort();
    changes.dedup();
    if changes.is_empty() {
        Ok(())
    } else {
        Err(StaleLock { changes }.into())
    }
}

/// Everything of a lock for which no registry is asked. Programs that were not needed when the
/// project was loaded are taken from `known`.
pub(super) fn local(project: &Project, known: Option<&Lock>, problems: &mut Problems) -> Lock {
    let manifest = project.manifest();
    let reads_programs = project.programs() == Programs::Required;
    let mut images = Vec::new();
    for image in &manifest.images {
        let ImageSource::Build(build) = &image.source else {
            continue;
        };
        let content = if reads_programs {
            problems
                .keep(
                    format!("image `{}`", image.name),
                    files::built(project, build),
                )
                .map(LockedContent::Build)
        } else {
            known
                .and_then(|lock| lock.image(&image.name))
                .map(|known| known.content.clone())
        };
        images.extend(content.map(|content| locked(image, content)));
    }
    let mut charts: Vec<LockedChart> = Vec::new();
    for chart in &manifest.charts {
        let locked = files::chart(project, &chart.source).and_then(|locked| match locked {
            Some(locked) if charts.iter().any(|known| known.name == locked.name) => {
                Err(ResolveError::DuplicateChart(locked.name))
            }
            locked => Ok(locked),
        });
        charts.extend(
            problems
                .keep(format!("chart `{}`", chart.id()), locked)
                .flatten(),
        );
    }
    let mut binaries = Vec::new();
    if reads_programs {
        for binary in &manifest.binaries {
            if let FileSource::Path(path) = &binary.source {
                binaries.extend(problems.keep(
                    format!("program `{}`", binary.name),
                    files::binary(project, binary, path),
                ));
            }
        }
    } else {
        let of_the_project = |binary: &&LockedBinary| binary.path.is_some();
        binaries.extend(
            known
                .iter()
                .flat_map(|lock| lock.binaries.iter().filter(of_the_project).cloned()),
        );
    }
    let migrations = manifest.migrations.as_ref().and_then(|path| {
        let locked = files::migrations(project, path);
        problems.keep(format!("migrations `{path}`"), locked)
    });
    Lock {
        format_version: Lock::FIRST_FORMAT,
        bundle: BundleIdentity {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
        },
        platforms: manifest.platforms.clone(),
        images,
        artifacts: Vec::new(),
        charts,
        migrations,
        binaries,
        files: Vec::new(),
    }
}

/// What the lock should have of charts and files from elsewhere, as far as the manifest decides it;
/// what the lock does not have at all is a difference of its own.
fn remote(project: &Project, lock: &Lock, expected: &mut Lock) -> Vec<Change> {
    let manifest = project.manifest();
    let mut missing = Vec::new();
    let mut miss = |subject: String, property, new: String| {
        missing.push(Change {
            subject,
            reference: None,
            property,
            old: None,
            new: Some(new),
        });
    };
    for chart in manifest.charts.iter().filter_map(Chart::remote) {
        match lock
            .charts
            .iter()
            .find(|known| known.name == chart.name())
            .and_then(|known| expected_chart(chart, known))
        {
            Some(locked) => expected.charts.push(locked),
            None => miss(
                format!("chart `{}`", chart.name()),
                "source",
                format!("{} {}", chart.origin(), chart.version()),
            ),
        }
    }
    for binary in &manifest.binaries {
        let FileSource::Url(Download { url, sha256 }) = &binary.source else {
            continue;
        };
        let known = lock
            .binaries
            .iter()
            .find(|known| known.name == binary.name && known.platform == binary.platform);
        match known.filter(|known| known.url.is_some()) {
            Some(known) => expected.binaries.push(LockedBinary {
                url: Some(url.to_string()),
                digest: *sha256,
                ..known.clone()
            }),
            None => miss(
                format!("program `{}` for {}", binary.name, binary.platform),
                "url",
                url.to_string(),
            ),
        }
    }
    for file in &manifest.files {
        let FileSource::Url(Download { url, sha256 }) = &file.source else {
            continue;
        };
        match lock.files.iter().find(|known| known.path == file.path) {
            Some(known) => expected.files.push(LockedFile {
                url: url.to_string(),
                digest: *sha256,
                ..known.clone()
            }),
            None => miss(format!("file `{}`", file.path), "url", url.to_string()),
        }
    }
    missing
}

/// The lock's entry of a chart with the version and the place that the manifest has.
fn expected_chart(chart: &RemoteChart, known: &LockedChart) -> Option<LockedChart> {
    let version = if known.version.is_release_of(chart.version()) {
        &known.version
    } else {
        chart.version()
    };
    let source = match (chart, &known.source) {
        (
            RemoteChart::Registry { reference, .. },
            LockedChartSource::Registry {
                manifest,
                digest,
                size,
                ..
            },
        ) => LockedChartSource::Registry {
            reference: reference.clone(),
            manifest: manifest.clone(),
            digest: *digest,
            size: *size,
        },
        (
            RemoteChart::Repository { url, .. },
            LockedChartSource::Repository { digest, size, .. },
        ) => LockedChartSource::Repository {
            repository: url.to_string(),
            digest: *digest,
            size: *size,
        },
        _ => return None,
    };
    Some(LockedChart {
        name: known.name.clone(),
        version: version.clone(),
        source,
    })
}

/// The lock's entry of an image: what the manifest says of it, and what it consists of.
pub(super) fn locked(image: &Image, content: LockedContent) -> LockedImage {
    LockedImage {
        name: image.name.clone(),
        reference: image.reference().clone(),
        component: image.component.clone(),
        license: image.effective_license().map(str::to_owned),
        extra: image.extra,
        other_tags: Vec::new(),
        content,
    }
}

pub(super) fn locked_artifact(artifact: &Artifact, content: LockedContent) -> LockedImage {
    LockedImage {
        name: artifact.name.clone(),
        reference: artifact.reference.clone(),
        component: artifact.component.clone(),
        license: artifact.license.clone(),
        extra: false,
        other_tags: Vec::new(),
        content,
    }
}
