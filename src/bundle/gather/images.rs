//! The images and artifacts of a lock, as ingredients.

use std::collections::BTreeSet;

use super::{GatherError, MAX_PROGRAM_BYTES, locked_file};
use crate::{
    bundle::{
        AvailableImage, BuiltDigests, ImageIngredient, ImageProgram, ImageSource,
        MigrationsIngredient, SbomIngredient, check_static_program, program_image,
    },
    manifest::{BuiltImage, Lock, LockedContent, LockedImage, Project},
    oci::Platform,
};

/// What the only program of an image is called in it.
const RUNE_DB: &str = "rune-db";

pub(in crate::bundle) struct GatheredImages {
    pub(in crate::bundle) carried: Vec<ImageIngredient>,
    /// The digests of those that the packager builds.
    pub(in crate::bundle) built: BuiltDigests,
    /// All of them, as charts may name them.
    pub(in crate::bundle) available: Vec<AvailableImage>,
}

/// The programs of an image that is built, by platform. A single one is RUNE's database tool,
/// whatever its file is called.
fn programs(
    project: &Project,
    recipe: &BuiltImage,
) -> Result<Vec<(Platform, Vec<ImageProgram>)>, GatherError> {
    let mut programs: Vec<(Platform, Vec<ImageProgram>)> = Vec::new();
    for binary in &recipe.binaries {
        let bytes = locked_file(project, &binary.path, binary.digest, MAX_PROGRAM_BYTES)?;
        let refused = |source| GatherError::NotStatic {
            path: binary.path.clone(),
            platform: binary.platform.clone(),
            source,
        };
        check_static_program(&bytes, &binary.platform).map_err(refused)?;
        let name = if recipe.beside().next().is_some() {
            binary.name()
        } else {
            RUNE_DB
        };
        let program = ImageProgram {
            name: name.to_owned(),
            bytes,
        };
        match programs.last_mut() {
            Some((platform, beside)) if *platform == binary.platform => beside.push(program),
            _ => programs.push((binary.platform.clone(), vec![program])),
        }
    }
    Ok(programs)
}

pub(in crate::bundle) fn images(
    project: &Project,
    lock: &Lock,
    left_out: &BTreeSet<String>,
    migrations: Option<&MigrationsIngredient>,
) -> Result<GatheredImages, GatherError> {
    let mut gathered = GatheredImages {
        carried: Vec::new(),
        built: BuiltDigests::new(),
        available: Vec::new(),
    };
    for image in &lock.images {
        let (source, digest, manifests) = match &image.content {
            LockedContent::Registry(pulled) => {
                let manifests = pulled
                    .contents()
                    .map(|content| content.manifest.digest)
                    .collect();
                (
                    ImageSource::Registry(pulled.clone()),
                    pulled.root.digest,
                    manifests,
                )
            }
            LockedContent::Build(recipe) => {
                let files = migrations.map_or(&[][..], |migrations| &migrations.files);
                let made = program_image(
                    image.license.as_deref().unwrap_or_default(),
                    programs(project, recipe)?,
                    files
                        .iter()
                        .map(|(_, file, bytes)| (file.as_str(), bytes.as_slice())),
                )?;
                let (digest, manifests) = (
                    made.target.digest,
                    made.manifests.iter().map(|(_, digest)| *digest).collect(),
                );
                gathered
                    .built
                    .insert(image.name.clone(), (digest, made.manifests.clone()));
                (
                    ImageSource::Built {
                        target: made.target,
                        manifests: made.manifests,
                        blobs: made.blobs,
                    },
                    digest,
                    manifests,
                )
            }
        };
        let (name, reference, component) = (
            image.name.clone(),
            image.reference.clone(),
            image.component.clone(),
        );
        let left_out_with = component
            .clone()
            .filter(|component| left_out.contains(component));
        let is_carried = left_out_with.is_none();
        gathered.available.push(AvailableImage {
            name: name.clone(),
            reference: reference.clone(),
            digest,
            manifests,
            is_built: matches!(image.content, LockedContent::Build(_)),
            other_tags: image.other_tags.clone(),
            left_out_with,
            extra: image.extra,
        });
        if is_carried {
            gathered.carried.push(ImageIngredient {
                name,
                reference,
                component,
                license: image.license.clone(),
                source,
                sboms: Vec::new(),
            });
        }
    }
    Ok(gathered)
}

/// What lies beside the lock about an image.
pub(super) fn sboms(
    project: &Project,
    lock: &Lock,
    image: &str,
) -> Result<Vec<SbomIngredient>, GatherError> {
    let content = lock.image(image).map(|image| &image.content);
    let Some(LockedContent::Registry(pulled)) = content else {
        return Ok(Vec::new());
    };
    let read = pulled.sboms.iter().map(|sbom| {
        Ok(SbomIngredient {
            manifest: sbom.manifest,
            format: sbom.format,
            tool: sbom.tool.clone(),
            bytes: sbom.read(&project.lock_path())?,
        })
    });
    read.collect()
}

pub(super) fn artifacts(lock: &Lock, left_out: &BTreeSet<String>) -> Vec<ImageIngredient> {
    let ingredient = |artifact: &LockedImage| match &artifact.content {
        LockedContent::Registry(pulled) => Some(ImageIngredient {
            name: artifact.name.clone(),
            reference: artifact.reference.clone(),
            component: artifact.component.clone(),
            license: artifact.license.clone(),
            source: ImageSource::Registry(pulled.clone()),
            sboms: Vec::new(),
        }),
        LockedContent::Build(_) => None,
    };
    let is_included = |artifact: &&LockedImage| {
        let component = artifact.component.as_ref();
        component.is_none_or(|component| !left_out.contains(component))
    };
    let artifacts = lock.artifacts.iter().filter(is_included);
    artifacts.filter_map(ingredient).collect()
}
