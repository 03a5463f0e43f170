//! `load`: the images into the container runtime of a node, or into a file that k3s and RKE2
//! import.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{delta_destination::open_delta, open::BundleOptions, trust_source::TrustSource};
use crate::{
    bundle::{NodeDelta, OpenBundle},
    containerd::{Containerd, ContainerdOptions},
    load::{self, ImageArchive, LoadError, SelectedImage, Selection},
    oci::{Platform, Reference},
};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    failure::FailureKind,
    progress::Progress,
    text::size,
};

#[derive(Debug, Clone)]
pub(crate) struct LoadOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) platform: Option<Platform>,
    pub(crate) destination: LoadDestination,
}

#[derive(Debug, Clone)]
pub(crate) enum LoadDestination {
    Containerd(ContainerdOptions),
    ImagesDirectory(Utf8PathBuf),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoadReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    platform: String,
    destination: Place,
    images: Vec<LoadedImage>,
    left_out: Vec<Reference>,
    /// Images that containerd would not run, one sentence each.
    not_runnable: Vec<String>,
    bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Place {
    Containerd {
        address: Utf8PathBuf,
        namespace: String,
    },
    File {
        path: Utf8PathBuf,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadedImage {
    reference: Reference,
    digest: Digest,
    names: Vec<LoadedName>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadedName {
    name: String,
    state: NameState,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum NameState {
    Added,
    Moved,
    AlreadyThere,
}

impl Report for LoadReport {
    const VERB: &'static str = "load";

    fn text(&self) -> String {
        let (images, place) = (
            counted(self.images.len(), "image"),
            match &self.destination {
                Place::Containerd { address, namespace } => {
                    format!("containerd at `{address}`, namespace {namespace}")
                }
                Place::File { path } => format!("`{path}`"),
            },
        );
        let what = format!("{} {} for {}", self.name, self.version, self.platform);
        let mut text = match (self.bytes, self.images.is_empty()) {
            (0, false) => format!("{what}: {images} already in {place}\n"),
            (bytes, _) => format!(
                "loaded {what} into {place}: {images}, {} written\n",
                size(bytes)
            ),
        };
        for image in &self.images {
            let _ = writeln!(text, "{}  {}", image.reference, image.digest);
            for LoadedName {
                name,
                state,
                previous,
            } in &image.names
            {
                let _ = match (state, previous) {
                    (NameState::Moved, Some(previous)) => {
                        writeln!(text, "  moved  {name}  (was {previous})")
                    }
                    (NameState::AlreadyThere, _) => writeln!(text, "  there  {name}"),
                    _ => writeln!(text, "  added  {name}"),
                };
            }
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust  {trust}");
        }
        if let (Place::File { .. }, 1..) = (&self.destination, self.bytes) {
            text.push_str(
                "next   k0s imports the file by itself, k3s and RKE2 at the latest when they \
                 start\n",
            );
        }
        for reference in &self.left_out {
            let _ = writeln!(
                text,
                "not loaded: the bundle does not have {reference} for {}",
                self.platform
            );
        }
        for image in &self.not_runnable {
            let _ = writeln!(text, "not loaded: {image}");
        }
        text
    }

    fn verdict(&self) -> Option<FailureKind> {
        (!self.left_out.is_empty() || !self.not_runnable.is_empty())
            .then_some(FailureKind::NotFound)
    }
}

/// After a failure there is no new file, and no new name unless everything arrived and only
/// unpacking failed.
pub(crate) fn run(
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<LoadReport, CommandError> {
    let node = match &options.destination {
        LoadDestination::Containerd(containerd) => Some(containerd),
        LoadDestination::ImagesDirectory(_) => None,
    };
    let (bundle, delta) = match node {
        Some(containerd) => open(options, containerd)?,
        None => (options.bundle.open_in_place()?, None),
    };
    let platform = options
        .platform
        .clone()
        .unwrap_or_else(load::platform_of_this_machine);
    let selection = Selection::of(&bundle, platform)?;
    for warning in selection.warnings() {
        progress.announce(&warning);
    }
    let (destination, images, bytes) = match &options.destination {
        LoadDestination::Containerd(containerd) => {
            let source = Source {
                bundle: &bundle,
                delta: delta.as_ref(),
                name: &options.bundle.bundle,
            };
            into_containerd(&source, &selection, containerd, progress)
        }
        LoadDestination::ImagesDirectory(directory) => {
            into_directory(&bundle, &selection, directory, progress)
        }
    }
    .map_err(|error| {
        CommandError::from(error).context(format!("did not load `{}`", options.bundle.bundle))
    })?;
    let index = bundle.index();
    Ok(LoadReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: bundle.head().digest(),
        trust: options.bundle.trust_source(),
        platform: selection.platform.to_string(),
        destination,
        images,
        left_out: selection.left_out,
        not_runnable: selection
            .not_runnable
            .iter()
            .map(ToString::to_string)
            .collect(),
        bytes,
    })
}

type Loaded = (Place, Vec<LoadedImage>, u64);

/// Opens the bundle, or the part of it that a delta has when containerd may have the rest.
fn open(
    options: &LoadOptions,
    containerd: &ContainerdOptions,
) -> Result<(Arc<OpenBundle>, Option<NodeDelta>), CommandError> {
    let Some(delta) = open_delta(&options.bundle)? else {
        return Ok((options.bundle.open_in_place()?, None));
    };
    let head = options.bundle.authenticate_head(delta.head().clone())?;
    let containerd = Arc::new(Containerd::find(containerd)?);
    let delta = NodeDelta::open(&delta, head, &containerd).map_err(|error| {
        CommandError::from(error)
            .context(format!("cannot use `{}`, a delta", options.bundle.bundle))
    })?;
    Ok((Arc::clone(delta.bundle()), Some(delta)))
}

/// What is loaded: a bundle, or a delta that has a part of it.
struct Source<'a> {
    bundle: &'a OpenBundle,
    delta: Option<&'a NodeDelta>,
    name: &'a Utf8Path,
}

impl Source<'_> {
    /// Whether containerd has a content that is not here.
    fn is_held(&self, digest: Digest) -> bool {
        self.delta.is_some_and(|delta| delta.has(digest))
    }

    /// Says of a delta how much containerd has. Fails when something is not here and not there.
    fn check_rest(
        &self,
        unread: &BTreeSet<Digest>,
        images: &[&SelectedImage],
        progress: &dyn Progress,
    ) -> Result<(), LoadError> {
        let Some(delta) = self.delta else {
            return Ok(());
        };
        let contents = images.iter().flat_map(|image| &image.contents);
        let needed = unread.iter().chain(contents).copied().collect();
        let rest = delta.rest(&needed)?;
        if rest.count == 0 {
            return Ok(());
        }
        progress.announce(&format!(
            "note: `{}` is a delta, and all {} others ({}) are in {}",
            self.name,
            rest.count,
            size(rest.bytes),
            delta.containerd()
        ));
        Ok(())
    }
}

fn into_containerd(
    source: &Source<'_>,
    selection: &Selection,
    options: &ContainerdOptions,
    progress: &dyn Progress,
) -> Result<Loaded, LoadError> {
    let containerd = match source.delta {
        Some(delta) => Arc::clone(delta.containerd()),
        None => Arc::new(Containerd::find(options)?),
    };
    let names: Vec<String> = selection
        .images
        .iter()
        .flat_map(SelectedImage::names)
        .collect();
    let before = containerd.status(&names)?;
    let is_there = |image: &SelectedImage| {
        let digest = image.target.digest.to_string();
        image.names().iter().all(|name| {
            before
                .get(name)
                .is_some_and(|found| found.is_complete && found.digest == digest)
        })
    };
    let missing: Vec<&SelectedImage> = selection
        .images
        .iter()
        .filter(|image| !is_there(image))
        .collect();
    source.check_rest(&selection.unread, &missing, progress)?;
    let mut bytes = 0;
    if !missing.is_empty() {
        // `ctr` is told one platform and takes no other, however well it would run.
        let platforms: BTreeSet<&Platform> = missing.iter().map(|image| &image.platform).collect();
        for platform in platforms {
            let images = missing.iter().copied();
            let archive = ImageArchive::new(
                source.bundle,
                images.filter(|image| image.platform == *platform),
                |digest| source.is_held(digest),
            )?;
            load::import(&archive, source.bundle, &containerd, platform, progress)?;
            bytes += archive.total_bytes();
        }
        let after = containerd.status(&names)?;
        for image in missing {
            let expected = image.target.digest;
            let is_right = |name: &String| {
                after
                    .get(name)
                    .is_some_and(|found| found.digest == expected.to_string())
            };
            if let Some(name) = image.names().into_iter().find(|name| !is_right(name)) {
                return Err(LoadError::NotThere { name, expected });
            }
        }
    }
    let images = report(selection, |name, digest| match before.get(name) {
        None => (NameState::Added, None),
        Some(found) if found.digest == digest => (NameState::AlreadyThere, None),
        Some(found) => (NameState::Moved, Some(found.digest.clone())),
    });
    let place = Place::Containerd {
        address: containerd.address().to_owned(),
        namespace: containerd.namespace().to_owned(),
    };
    Ok((place, images, bytes))
}

fn into_directory(
    bundle: &OpenBundle,
    selection: &Selection,
    directory: &Utf8Path,
    progress: &dyn Progress,
) -> Result<Loaded, LoadError> {
    let file = load::write_images_file(bundle, selection, directory, progress)?;
    let state = if file.written_bytes == 0 {
        NameState::AlreadyThere
    } else {
        NameState::Added
    };
    Ok((
        Place::File { path: file.path },
        report(selection, |_, _| (state, None)),
        file.written_bytes,
    ))
}

fn report(
    selection: &Selection,
    state: impl Fn(&str, &str) -> (NameState, Option<String>),
) -> Vec<LoadedImage> {
    let named = |image: &SelectedImage| {
        let digest = image.target.digest.to_string();
        let name = |name: String| {
            let (state, previous) = state(&name, &digest);
            LoadedName {
                name,
                state,
                previous,
            }
        };
        LoadedImage {
            reference: image.reference.clone(),
            digest: image.target.digest,
            names: image.names().into_iter().map(name).collect(),
        }
    };
    selection.images.iter().map(named).collect()
}
