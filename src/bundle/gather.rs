//! From a project and its lock to the ingredients of a bundle: reads the project's files, renders
//! the charts and values with the locked digests, builds the images that the packager builds.
//!
//! Everything read here is held against the lock: a program or migration that is not the locked one
//! is drift.

mod error;
mod images;

pub(crate) use error::GatherError;
pub(super) use images::{GatheredImages, images};

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use self::images::{artifacts, sboms};
use super::{
    AvailableImage, BinaryContent, BinaryIngredient, CheckValues, Completeness, FileIngredient,
    FileOrigin, Ingredients, MigrationsIngredient, PolicyRecord, ProfileIngredient, ReleaseRecord,
    advisories, context,
    context::{add_charts, binary_path, chart_context, charts_of, values_paths},
    templates::{INSTALL_TEMPLATE, renderer},
};
use crate::{
    chart::{self, ChartTree, Package, Renderer},
    manifest::{
        self, BundleManifest, ChartSource, Download, FetchedCharts, FileSource, Lock, Project,
    },
};
use rune_core::{
    digest::{Digest, Sha256},
    fsx,
    progress::Progress,
    yaml::parse_rendered,
};

const MAX_PROGRAM_BYTES: u64 = 256 << 20;

/// The largest migration or values file that is read, in bytes.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// Far more than Helm reads in a values file of its own limit.
const MAX_VALUES_NODES: usize = 1_000_000;

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
    let mut context = context(manifest, Some(lock), &built);
    let renderer = renderer(project)?;
    let charts = charts(project, fetched, &renderer, &mut context)?;
    let profiles = profiles(project, &renderer, &context)?;
    let check_values = check_values(project, &renderer, &context)?;
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
        releases: releases(manifest, &context),
        namespaces: manifest.namespaces.iter().map(Into::into).collect(),
        migrations,
        binaries,
        files,
        advisories: advisories::gather(project)?,
        origins: origins(manifest, &context),
        install: renderer.render(INSTALL_TEMPLATE, &context)?,
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

pub(super) fn charts(
    project: &Project,
    fetched: &FetchedCharts,
    renderer: &Renderer,
    context: &mut chart::Context,
) -> Result<Vec<Package>, GatherError> {
    let charts = project
        .manifest()
        .charts
        .iter()
        .map(|chart| pack(project, fetched, chart, renderer, context));
    let charts = charts.collect::<Result<Vec<_>, _>>()?;
    add_charts(
        context,
        project.manifest(),
        charts
            .iter()
            .map(|package| chart_context(&package.metadata.name, &package.metadata.version)),
    );
    Ok(charts)
}

#[expect(
    clippy::indexing_slicing,
    reason = "every values file of a profile has a place"
)]
pub(super) fn profiles(
    project: &Project,
    renderer: &Renderer,
    context: &chart::Context,
) -> Result<Vec<ProfileIngredient>, GatherError> {
    let manifest = project.manifest();
    let places = values_paths(manifest);
    let profiles = manifest.profiles.iter().map(|profile| {
        let values = profile.values.iter().map(|file| {
            Ok((
                places[file.as_path()].clone(),
                values(project, file, renderer, context)?,
            ))
        });
        let is_for_all = profile.charts.is_empty();
        let charts = charts_of(profile, manifest, &context.charts)
            .filter(|_| !is_for_all)
            .map(|chart| chart.name.clone())
            .collect();
        Ok(ProfileIngredient {
            name: profile.name.clone(),
            charts,
            values: values.collect::<Result<_, GatherError>>()?,
        })
    });
    profiles.collect()
}

fn releases(manifest: &BundleManifest, context: &chart::Context) -> Vec<ReleaseRecord> {
    let charts = manifest.charts.iter().zip(&context.charts);
    let name = |id: &str| {
        let mut charts = charts.clone();
        charts.find_map(|(chart, known)| (chart.id() == id).then(|| known.name.clone()))
    };
    let releases = manifest.releases.iter().filter_map(|release| {
        Some(ReleaseRecord {
            name: release.name.clone(),
            chart: name(&release.chart)?,
            profile: release.profile.clone(),
            namespace: release.namespace.clone(),
            after: release.after.clone(),
        })
    });
    releases.collect()
}

/// Renders the values that are for the check of the charts alone. The context must know the charts.
pub(super) fn check_values(
    project: &Project,
    renderer: &Renderer,
    context: &chart::Context,
) -> Result<CheckValues, GatherError> {
    let mut all = CheckValues::default();
    for (chart, known) in project.manifest().charts.iter().zip(&context.charts) {
        for path in &chart.check_values {
            all.add(
                &known.name,
                path.as_str(),
                values(project, path, renderer, context)?,
            )?;
        }
    }
    Ok(all)
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

/// Where charts, programs and files from elsewhere come from, by their path in the bundle. The
/// context must know the charts.
fn origins(manifest: &BundleManifest, context: &chart::Context) -> BTreeMap<String, String> {
    let charts = manifest.charts.iter().zip(&context.charts);
    let charts =
        charts.filter_map(|(chart, known)| Some((known.file.clone(), chart.remote()?.origin())));
    let url = |source: &FileSource| match source {
        FileSource::Url(download) => Some(download.url.to_string()),
        FileSource::Path(_) => None,
    };
    let binaries = manifest
        .binaries
        .iter()
        .filter_map(|binary| Some((binary_path(binary), url(&binary.source)?)));
    let files = manifest.files.iter().filter_map(|file| {
        Some((
            format!("files/{}", path_below_files(file)),
            url(&file.source)?,
        ))
    });
    charts.chain(binaries).chain(files).collect()
}

fn pack(
    project: &Project,
    fetched: &FetchedCharts,
    chart: &manifest::Chart,
    renderer: &Renderer,
    context: &chart::Context,
) -> Result<Package, GatherError> {
    match &chart.source {
        ChartSource::Directory(path) => Ok(chart::package(
            path.as_str(),
            &chart_tree(project, path, renderer, context)?,
        )?),
        ChartSource::Archive(path) => Ok(chart::read_package(&project.path(path))?),
        ChartSource::Remote(_) => fetched
            .get(chart)
            .cloned()
            .ok_or_else(|| GatherError::NotFetched(chart.id())),
    }
}

/// A chart of the project with what its templates make of the context.
pub(super) fn chart_tree(
    project: &Project,
    path: &Utf8Path,
    renderer: &Renderer,
    context: &chart::Context,
) -> Result<ChartTree, GatherError> {
    let mut tree = ChartTree::read(&project.path(path))?;
    for (file, text) in chart::render_below(renderer, path, context)? {
        let inside = file
            .strip_prefix(path)
            .map(Utf8Path::to_owned)
            .unwrap_or(file);
        tree.insert(inside, text);
    }
    Ok(tree)
}

pub(super) fn values(
    project: &Project,
    path: &Utf8Path,
    renderer: &Renderer,
    context: &chart::Context,
) -> Result<String, GatherError> {
    if path.extension() != Some("j2") {
        return Ok(fsx::read_to_string(&project.path(path), MAX_TEXT_BYTES)?);
    }
    if !renderer.names().any(|name| name == path) && fsx::is_file(&project.path(path)) {
        return Err(GatherError::TemplateElsewhere(path.to_owned()));
    }
    let text = renderer.render(path.as_str(), context)?;
    // Helm would point to a file that exists only while it runs.
    match parse_rendered(path, &text, MAX_VALUES_NODES) {
        Ok(_) => Ok(text),
        Err(source) => Err(GatherError::Values {
            path: path.to_owned(),
            has_braces: text.contains("{{"),
            source,
        }),
    }
}

/// Where a file is below `files/`, which a manifest may say or leave out.
fn path_below_files(file: &manifest::ExtraFile) -> String {
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
