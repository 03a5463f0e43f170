//! From a manifest to a lock: asks registries what references mean and reads what the files of the
//! project are.
//!
//! The only place that resolves a tag. Everything that goes wrong is collected, so that one run
//! names it all.

mod artifact;
mod error;
mod files;
mod image;
mod index;
mod local;
mod referrers;
mod remote;
mod subject;

use tokio::task::JoinSet;

pub(crate) use error::{ResolveError, ResolveFailures};
pub(crate) use local::{LockCheckError, check_current};
pub(crate) use remote::Earlier;
pub(crate) use subject::Subject;

use self::{
    error::Problems,
    local::{local, locked, locked_artifact},
    remote::Fetcher,
};
use super::{
    Artifact, Evidence, FetchedCharts, Image, ImageSource, Lock, LockedContent, Platforms, Project,
    PulledImage,
};
use crate::{
    oci::Reference,
    policy::SubjectKind,
    registry::{Client, RepositoryName},
};
use rune_core::progress::Progress;

/// How many images are asked for at a time. The client limits how busy each host gets.
const MAX_CONCURRENT_IMAGES: usize = 8;

#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) lock: Lock,
    pub(crate) charts: FetchedCharts,
    pub(crate) evidence: Evidence,
}

/// Resolves everything that a manifest names. Fails when anything cannot be resolved: all of it at
/// once.
pub(crate) async fn resolve(
    project: &Project,
    client: &Client,
    earlier: Earlier<'_>,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveFailures> {
    let mut problems = Problems::default();
    let mut lock = local(project, None, &mut problems);
    let mut evidence = Evidence::default();
    for (subject, resolved) in pulled(project, client, progress, &mut problems).await {
        evidence.extend(resolved.signatures);
        subject.add_to(&mut lock, resolved.image);
    }
    let mut fetcher = Fetcher::new(client, progress, earlier);
    fetcher.all(project, &mut lock, &mut problems).await;
    Ok(Resolved {
        lock: finish(lock, problems)?,
        charts: fetcher.charts,
        evidence,
    })
}

/// Takes an existing lock, resolves one thing anew, and leaves everything else as it is.
pub(crate) async fn resolve_one(
    project: &Project,
    subject: &Subject<'_>,
    old: &Lock,
    client: &Client,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveFailures> {
    let mut problems = Problems::default();
    let mut lock = old.clone();
    let (mut charts, mut evidence) = (FetchedCharts::default(), Evidence::default());
    if let Some(pulled) = Pulled::of(subject) {
        let resolved = pulled
            .resolve(
                client,
                &project.manifest().platforms,
                &elsewhere(project, pulled.reference()),
            )
            .await;
        if let Some(resolved) = problems.keep(subject.label(), resolved) {
            announce(&resolved, progress);
            evidence.extend(resolved.signatures);
            pulled.add_to(&mut lock, resolved.image);
        }
    } else if let Subject::Image(image) = subject {
        if let ImageSource::Build(build) = &image.source {
            let built = problems.keep(subject.label(), files::built(project, build));
            if let Some(built) = built {
                lock.images.retain(|known| known.name != image.name);
                lock.images.push(locked(image, LockedContent::Build(built)));
            }
        }
    } else {
        let mut fetcher = Fetcher::new(client, progress, Earlier::Nothing);
        let fetched = fetcher.one(subject, &mut lock).await;
        problems.keep(subject.label(), fetched);
        charts = fetcher.charts;
    }
    Ok(Resolved {
        lock: finish(lock, problems)?,
        charts,
        evidence,
    })
}

#[derive(Debug, Clone)]
enum Pulled {
    Image(Image, Reference),
    Artifact(Artifact),
}

impl Pulled {
    fn of(subject: &Subject<'_>) -> Option<Self> {
        match subject {
            Subject::Image(image) => match &image.source {
                ImageSource::Registry(reference) => {
                    Some(Self::Image((*image).clone(), reference.clone()))
                }
                ImageSource::Build(_) => None,
            },
            Subject::Artifact(artifact) => Some(Self::Artifact((*artifact).clone())),
            _ => None,
        }
    }

    const fn reference(&self) -> &Reference {
        match self {
            Self::Image(_, reference) => reference,
            Self::Artifact(artifact) => &artifact.reference,
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Image(image, _) => SubjectKind::Image.label(&image.name),
            Self::Artifact(artifact) => SubjectKind::Artifact.label(&artifact.name),
        }
    }

    async fn resolve(
        &self,
        client: &Client,
        platforms: &Platforms,
        elsewhere: &[RepositoryName],
    ) -> Result<image::Resolved, ResolveError> {
        match self {
            Self::Image(_, reference) => {
                image::resolve(client, reference, platforms, elsewhere).await
            }
            Self::Artifact(artifact) => {
                artifact::resolve(client, &artifact.reference, elsewhere).await
            }
        }
    }

    fn add_to(&self, lock: &mut Lock, pulled: PulledImage) {
        let content = LockedContent::Registry(pulled);
        let (list, new) = match self {
            Self::Image(image, _) => (&mut lock.images, locked(image, content)),
            Self::Artifact(artifact) => (&mut lock.artifacts, locked_artifact(artifact, content)),
        };
        list.retain(|known| known.name != new.name);
        list.push(new);
    }
}

fn elsewhere(project: &Project, reference: &Reference) -> Vec<RepositoryName> {
    let source = reference.name();
    let places = project.policy().referrers.places_of(&source);
    places
        .map(|place| RepositoryName::new(&place.registry, &place.repository))
        .collect()
}

/// Asks for all images and artifacts that come from registries, several at a time.
async fn pulled(
    project: &Project,
    client: &Client,
    progress: &dyn Progress,
    problems: &mut Problems,
) -> Vec<(Pulled, image::Resolved)> {
    let manifest = project.manifest();
    let mut waiting = Subject::all(manifest).filter_map(|(_, subject)| Pulled::of(&subject));
    let mut running = JoinSet::new();
    let mut resolved = Vec::new();
    loop {
        while running.len() < MAX_CONCURRENT_IMAGES {
            let Some(subject) = waiting.next() else {
                break;
            };
            progress.note(&format!("asking for {}", subject.reference()));
            let (client, platforms) = (client.clone(), manifest.platforms.clone());
            let elsewhere = elsewhere(project, subject.reference());
            running.spawn(async move {
                let pulled = subject.resolve(&client, &platforms, &elsewhere).await;
                (subject, pulled)
            });
        }
        match running.join_next().await {
            None => return resolved,
            Some(Ok((subject, pulled))) => {
                if let Some(pulled) = problems.keep(subject.label(), pulled) {
                    announce(&pulled, progress);
                    resolved.push((subject, pulled));
                }
            }
            Some(Err(error)) => {
                problems.keep::<()>("an image".to_owned(), Err(ResolveError::Task(error)));
            }
        }
    }
}

fn announce(resolved: &image::Resolved, progress: &dyn Progress) {
    for warning in &resolved.warnings {
        progress.announce(warning);
    }
}

/// Brings a lock into its canonical order and makes sure that it could be read again.
fn finish(mut lock: Lock, mut problems: Problems) -> Result<Lock, ResolveFailures> {
    lock.images.sort_by(|one, other| one.name.cmp(&other.name));
    lock.artifacts
        .sort_by(|one, other| one.name.cmp(&other.name));
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
