//! From a project and its lock to the ingredients of a bundle: reads the project's files, renders
//! the charts and values with the locked digests, builds the images that the packager builds.
//!
//! Everything read here is held against the lock: a program or migration that is not the locked one
//! is drift.

mod error;
mod images;

pub(crate) use error::GatherError;
pub(super) use images::{GatheredImages, images};

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use self::images::{artifacts, sboms};
use super::{
    AvailableImage, BinaryContent, BinaryIngredient, CheckValues, Completeness, FileIngredient,
    FileOrigin, Ingredients, MigrationsIngredient, PolicyRecord, advisories, context,
    context::binary_path, templates::Templates,
};
use crate::manifest::{self, BundleManifest, Download, FetchedCharts, FileSource, Lock, Project};
use rune_core::{
    digest::{Digest, Sha256},
    fsx,
    progress::Progress,
};

const MAX_PROGRAM_BYTES: u64 = 256 << 20;

/// The largest migration that is read, in bytes.
const MAX_TEXT_BYTES: u64 = 4 << 20;

const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct ComponentChoice {
    /// Components to include although they are off by default.
    pub(crate) with: Vec<String>,
    pub(crate) without: Vec<String>,
}

/// What a bundle is made of, and what its charts may ask for.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The ingredients. Nothing says yet that the charts were checked.
    pub(crate) ingredients: Ingredients,
    pub(crate) available: Vec<AvailableImage>,
    pub(crate) check_values: CheckValues,
}

pub(crate) fn gather(
    project: &Project,
    lock: &Lock,
    fetched: &FetchedCharts,
    choice: &ComponentChoice,
    policy: PolicyRecord,
    progress: &dyn Progress,
) -> Result<Gathered, GatherError> {
    let manifest = project.manifest();
    manifest::check_current(project, lock)?;
    let left_out = left_out(manifest, choice)?;
    let migrations = migrations(project, lock)?;
    let GatheredImages {
        carried: mut images,
        built,
        available,
    } = images(project, lock, &left_out, migrations.as_ref())?;
    for image in &mut images {
        image.sboms = sboms(project, lock, &image.name)?;
    }
    let artifacts = artifacts(lock, &left_out);
    let mut templates = Templates::load(project, context(manifest, Some(lock), &built))?;
    let charts = templates.pack_charts(fetched)?;
    let profiles = templates.profiles()?;
    let check_values = templates.check_values()?;
    let binaries = manifest.binaries.iter().map(|binary| {
        let locked = lock
            .binaries
            .iter()
            .find(|locked| locked.name == binary.name && locked.platform == binary.platform);
        let locked = locked.ok_or_else(|| GatherError::NotLocked(binary_path(binary)))?;
        let content = match &binary.source {
            FileSource::Path(path) => BinaryContent::Bytes(
                locked_file(project, path, locked.digest, MAX_PROGRAM_BYTES)?.into(),
            ),
            FileSource::Url(Download { url, .. }) => BinaryContent::Web {
                url: url.clone(),
                size: locked.size,
                digest: locked.digest,
            },
        };
        Ok(BinaryIngredient {
            name: binary.name.clone(),
            platform: binary.platform.clone(),
            content,
        })
    });
    let binaries = binaries.collect::<Result<_, GatherError>>()?;
    let local = manifest
        .files
        .iter()
        .filter_map(|file| local_path(project, file));
    let local_bytes = local.filter_map(|path| fsx::file_size(&path).ok()).sum();
    progress.begin("checking files", local_bytes);
    let files = manifest
        .files
        .iter()
        .map(|file| extra_file(project, lock, file, progress))
        .collect::<Result<_, _>>();
    progress.end();
    let files = files?;
    let ingredients = Ingredients {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        predecessor: manifest.predecessor,
        images,
        artifacts,
        charts,
        profiles,
        releases: templates.releases(),
        namespaces: manifest.namespaces.iter().map(Into::into).collect(),
        migrations,
        binaries,
        files,
        advisories: advisories::gather(project)?,
        origins: templates.origins(),
        install: templates.install_text()?,
        policy,
        completeness: Completeness::default(),
        image_signer: None,
    };
    Ok(Gathered {
        ingredients,
        available,
        check_values,
    })
}

pub(super) fn left_out(
    manifest: &BundleManifest,
    choice: &ComponentChoice,
) -> Result<BTreeSet<String>, GatherError> {
    for name in choice.with.iter().chain(&choice.without) {
        if !manifest.components.contains_key(name) {
            let known = manifest
                .components
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            return Err(GatherError::UnknownComponent {
                name: name.clone(),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known
                },
            });
        }
    }
    let is_left_out = |name: &String, default: bool| {
        choice.without.contains(name) || (!default && !choice.with.contains(name))
    };
    let components = manifest
        .components
        .iter()
        .filter(|(name, component)| is_left_out(name, component.default));
    Ok(components.map(|(name, _)| name.clone()).collect())
}

pub(super) fn migrations(
    project: &Project,
    lock: &Lock,
) -> Result<Option<MigrationsIngredient>, GatherError> {
    let Some(locked) = &lock.migrations else {
        return Ok(None);
    };
    let files = locked.files.iter().map(|file| {
        let bytes = locked_file(
            project,
            &locked.path.join(&file.file),
            file.digest,
            MAX_TEXT_BYTES,
        )?;
        Ok((file.version, file.file.clone(), bytes))
    });
    let files: Vec<_> = files.collect::<Result<_, GatherError>>()?;
    Ok(Some(MigrationsIngredient {
        schema_version: locked.schema_version,
        files,
    }))
}

/// Where a file is below `files/`, which a manifest may say or leave out.
pub(super) fn path_below_files(file: &manifest::ExtraFile) -> String {
    file.path
        .strip_prefix("files/")
        .unwrap_or(&file.path)
        .to_string()
}

/// Where a file of the project lies; nothing for one from elsewhere.
fn local_path(project: &Project, file: &manifest::ExtraFile) -> Option<Utf8PathBuf> {
    match &file.source {
        FileSource::Path(source) => Some(project.path(source)),
        FileSource::Url(_) => None,
    }
}

fn extra_file(
    project: &Project,
    lock: &Lock,
    file: &manifest::ExtraFile,
    progress: &dyn Progress,
) -> Result<FileIngredient, GatherError> {
    let path = path_below_files(file);
    let source = match &file.source {
        FileSource::Path(source) => project.path(source),
        FileSource::Url(Download { url, .. }) => {
            let locked = lock.files.iter().find(|locked| locked.path == file.path);
            let locked = locked.ok_or_else(|| GatherError::NotLocked(file.path.to_string()))?;
            return Ok(FileIngredient {
                path,
                source: FileOrigin::Web(url.clone()),
                size: locked.size,
                digest: locked.digest,
            });
        }
    };
    progress.note(&path);
    let size = fsx::file_size(&source)?;
    let mut hasher = Sha256::new();
    fsx::for_each_chunk(&source, size, CHUNK_BYTES, |chunk| {
        hasher.update(chunk);
        progress.advance(chunk.len() as u64);
        Ok(())
    })?;
    Ok(FileIngredient {
        path,
        source: FileOrigin::Path(source),
        size,
        digest: hasher.finish(),
    })
}

fn locked_file(
    project: &Project,
    path: &Utf8Path,
    expected: Digest,
    max_bytes: u64,
) -> Result<Vec<u8>, GatherError> {
    let bytes = fsx::read(&project.path(path), max_bytes)?;
    let actual = Digest::of(&bytes);
    if actual == expected {
        Ok(bytes)
    } else {
        Err(GatherError::Drift {
            path: path.to_owned(),
            expected,
            actual,
        })
    }
}
