//! The part of a lock that the project itself decides: what the manifest says and what its files are.

use super::{ResolveError, ResolveFailures, error::Problems, files};
use crate::manifest::{
    BundleIdentity, Change, Image, ImageSource, Lock, LockedChart, LockedContent, LockedImage, Programs, Project, StaleLock,
};
use rune_core::failure::{Failure, FailureKind};

/// Why a lock cannot be used for a project.
#[derive(Debug, thiserror::Error)]
pub enum LockCheckError {
    /// It says something else than the project.
    #[error(transparent)]
    Stale(#[from] StaleLock),
    /// The project's own files cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ResolveFailures),
}

impl Failure for LockCheckError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Stale(error) => error.kind(),
            Self::Unreadable(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Stale(error) => error.help(),
            Self::Unreadable(error) => error.help(),
        }
    }

    fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::Stale(error) => error.details(),
            Self::Unreadable(error) => error.details(),
        }
    }
}

/// Fails when a lock no longer says what the manifest and the files of the project say. Asks no registry: a tag
/// that moved is not seen and does not matter, because the lock pins it. Programs are looked at only when the
/// project was loaded with them.
///
/// # Errors
/// With everything that differs, or that cannot be read.
pub fn check_current(project: &Project, lock: &Lock) -> Result<(), LockCheckError> {
    let mut problems = Problems::default();
    let mut expected = local(project, Some(lock), &mut problems);
    let mut changes = Vec::new();
    for image in &project.manifest().images {
        match (&image.source, lock.image(&image.name).map(|known| &known.content)) {
            (ImageSource::Registry(_), Some(LockedContent::Registry(pulled))) => {
                let mut pulled = pulled.clone();
                pulled.choose(&project.manifest().platforms);
                expected.images.push(locked(image, LockedContent::Registry(pulled)));
            }
            (ImageSource::Build(_), Some(LockedContent::Build(_))) => {}
            _ => {
                let (subject, reference) = (format!("image `{}`", image.name), image.reference().clone());
                let new = Some(reference.to_string());
                changes.push(Change { subject, reference: Some(reference), property: "reference", old: None, new });
            }
        }
    }
    problems.into_result(())?;
    changes.extend(lock.changes(&expected));
    changes.sort();
    changes.dedup();
    if changes.is_empty() { Ok(()) } else { Err(StaleLock { changes }.into()) }
}

/// Everything of a lock for which no registry is asked. Programs that were not needed when the project was loaded
/// are taken from `known`.
pub(super) fn local(project: &Project, known: Option<&Lock>, problems: &mut Problems) -> Lock {
    let manifest = project.manifest();
    let reads_programs = project.programs() == Programs::Required;
    let mut images = Vec::new();
    for image in &manifest.images {
        let ImageSource::Build(build) = &image.source else { continue };
        let content = if reads_programs {
            problems.keep(format!("image `{}`", image.name), files::built(project, build)).map(LockedContent::Build)
        } else {
            known.and_then(|lock| lock.image(&image.name)).map(|known| known.content.clone())
        };
        images.extend(content.map(|content| locked(image, content)));
    }
    let mut charts: Vec<LockedChart> = Vec::new();
    for chart in &manifest.charts {
        let locked = files::chart(project, chart).and_then(|locked| {
            let is_taken = charts.iter().any(|known| known.name == locked.name);
            if is_taken { Err(ResolveError::DuplicateChart(locked.name)) } else { Ok(locked) }
        });
        charts.extend(problems.keep(format!("chart `{}`", chart.path()), locked));
    }
    let mut binaries = Vec::new();
    if reads_programs {
        for binary in &manifest.binaries {
            binaries.extend(problems.keep(format!("program `{}`", binary.name), files::binary(project, binary)));
        }
    } else {
        binaries.extend(known.iter().flat_map(|lock| lock.binaries.clone()));
    }
    let migrations = manifest.migrations.as_ref().and_then(|path| {
        let locked = files::migrations(project, path);
        problems.keep(format!("migrations `{path}`"), locked)
    });
    Lock {
        format_version: Lock::FIRST_FORMAT,
        bundle: BundleIdentity { name: manifest.name.clone(), version: manifest.version.clone() },
        platforms: manifest.platforms.clone(),
        images,
        charts,
        migrations,
        binaries,
    }
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
