//! From a manifest to a lock: asks registries what references mean and reads what the files of the
//! project are.
//!
//! The only place that resolves a tag. Everything that goes wrong is collected, so that one run
//! names it all.

mod error;
mod files;
mod image;
mod index;
mod local;
mod referrers;
mod remote;
mod subject;

use tokio::task::JoinSet;

pub use error::{ResolveError, ResolveFailures, ResolveProblem};
pub use local::{LockCheckError, check_current};
pub use remote::Earlier;
pub use subject::Subject;

use self::{
    error::Problems,
    local::{local, locked},
    remote::Fetcher,
};
use super::{FetchedCharts, ImageSource, Lock, LockedContent, LockedImage, Project, PulledImage};
use crate::{
    oci::Reference,
    registry::{Client, RepositoryName},
};
use rune_core::progress::Progress;

/// How many images are asked for at a time. The client limits how busy each host gets.
const MAX_CONCURRENT_IMAGES: usize = 8;

/// A lock, and the charts from elsewhere that were fetched for it.
#[derive(Debug)]
pub struct Resolved {
    pub lock: Lock,
    pub charts: FetchedCharts,
}

/// Resolves everything that a manifest names.
///
/// # Errors
/// When anything cannot be resolved: all of it at once.
pub async fn resolve(
    project: &Project,
    client: &Client,
    earlier: Earlier<'_>,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveFailures> {
    let mut problems = Problems::default();
    let mut lock = local(project, None, &mut problems);
    let registry_images = images(project, client, progress, &mut problems).await;
    lock.images.extend(registry_images);
    let mut fetcher = Fetcher::new(client, progress, earlier);
    fetcher.all(project, &mut lock, &mut problems).await;
    Ok(Resolved {
        lock: finish(lock, problems)?,
        charts: fetcher.charts,
    })
}

/// Takes an existing lock, resolves one thing anew, and leaves everything else as it is.
///
/// # Errors
/// When it cannot be resolved, or the result contradicts itself.
pub async fn resolve_one(
    project: &Project,
    subject: &Subject<'_>,
    old: &Lock,
    client: &Client,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveFailures> {
    let mut problems = Problems::default();
    let mut lock = old.clone();
    let Subject::Image(image) = subject else {
        let mut fetcher = Fetcher::new(client, progress, Earlier::Nothing);
        let fetched = fetcher.one(subject, &mut lock).await;
        problems.keep(subject.label(), fetched);
        return Ok(Resolved {
            lock: finish(lock, problems)?,
            charts: fetcher.charts,
        });
    };
    let resolved = match &image.source {
        ImageSource::Registry(reference) => {
            let elsewhere = elsewhere(project, reference);
            image::resolve(client, reference, &project.manifest().platforms, &elsewhere)
                .await
                .map(|resolved| {
                    locked(
                        image,
                        LockedContent::Registry(announced(resolved, progress)),
                    )
                })
        }
        ImageSource::Build(build) => {
            files::built(project, build).map(|built| locked(image, LockedContent::Build(built)))
        }
    };
    if let Some(resolved) = problems.keep(subject.label(), resolved) {
        lock.images.retain(|known| known.name != image.name);
        lock.images.push(resolved);
    }
    Ok(Resolved {
        lock: finish(lock, problems)?,
        charts: FetchedCharts::default(),
    })
}

/// Where artifacts about an image are kept besides it, as the policy says.
fn elsewhere(project: &Project, reference: &Reference) -> Vec<RepositoryName> {
    let source = reference.name();
    let places = project.policy().referrers.places_of(&source);
    places
        .map(|place| RepositoryName::new(&place.registry, &place.repository))
        .collect()
}

/// Asks for all images that come from registries, several at a time.
async fn images(
    project: &Project,
    client: &Client,
    progress: &dyn Progress,
    problems: &mut Problems,
) -> Vec<LockedImage> {
    let manifest = project.manifest();
    let mut waiting = manifest
        .images
        .iter()
        .filter_map(|image| match &image.source {
            ImageSource::Registry(reference) => Some((image.clone(), reference.clone())),
            ImageSource::Build(_) => None,
        });
    let mut running = JoinSet::new();
    let mut resolved = Vec::new();
    loop {
        while running.len() < MAX_CONCURRENT_IMAGES {
            let Some((image, reference)) = waiting.next() else {
                break;
            };
            progress.note(&format!("asking for {reference}"));
            let (client, platforms) = (client.clone(), manifest.platforms.clone());
            let elsewhere = elsewhere(project, &reference);
            running.spawn(async move {
                let pulled = image::resolve(&client, &reference, &platforms, &elsewhere).await;
                (image, pulled)
            });
        }
        match running.join_next().await {
            None => return resolved,
            Some(Ok((image, pulled))) => {
                let pulled = problems.keep(format!("image `{}`", image.name), pulled);
                resolved.extend(pulled.map(|pulled| {
                    locked(&image, LockedContent::Registry(announced(pulled, progress)))
                }));
            }
            Some(Err(error)) => {
                problems.keep::<()>("an image".to_owned(), Err(ResolveError::Task(error)));
            }
        }
    }
}

/// The image, once what there is to know about it was said.
fn announced(resolved: image::Resolved, progress: &dyn Progress) -> PulledImage {
    for warning in &resolved.warnings {
        progress.announce(warning);
    }
    resolved.image
}

/// Brings a lock into its canonical order and makes sure that it could be read again.
fn finish(mut lock: Lock, mut problems: Problems) -> Result<Lock, ResolveFailures> {
    lock.images.sort_by(|one, other| one.name.cmp(&other.name));
    lock.charts.sort_by(|one, other| one.name.cmp(&other.name));
    lock.binaries
        .sort_by(|one, other| (&one.platform, &one.name).cmp(&(&other.platform, &other.name)));
    lock.files.sort_by(|one, other| one.path.cmp(&other.path));
    lock.set_format();
    if problems.is_empty() {
        problems.keep(
            "the lock".to_owned(),
            lock.check().map_err(ResolveError::Contradiction),
        );
    }
    problems.into_result(lock)
}
