//! What hangs on an image: asks the registry for referrers and for cosign's tags, of everything
//! that is included, and reads what each is from its own manifest.
//!
//! What a list says about an entry counts for nothing but finding it. What is found and cannot be
//! included is kept in the lock with the reason, so that nothing is lost without a word.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use super::error::ResolveError;
use crate::{
    evidence::{CosignTag, is_statement},
    manifest::{Blob, LockedReferrer, PulledImage},
    oci::{Descriptor, Manifest, ManifestKind, media_type},
    registry::{Client, ReferrerList, RepositoryName},
};
use rune_core::digest::Digest;

const MAX_REFERRERS: usize = 2000;

/// The predicate type that cosign writes beside a statement: at the manifest of a bundle, or at a
/// layer.
const PREDICATE_TYPES: [&str; 2] = ["dev.sigstore.bundle.predicateType", "predicateType"];

#[derive(Debug, Default)]
pub(super) struct Referrers {
    pub(super) list: Vec<LockedReferrer>,
    /// The manifests of those that may be signatures: who verifies them need not ask again.
    pub(super) manifests: BTreeMap<Digest, Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

/// Finds what hangs on an image and on what was found, beside the image and elsewhere.
pub(super) async fn find(
    client: &Client,
    name: &RepositoryName,
    elsewhere: &[RepositoryName],
    image: &PulledImage,
) -> Result<Referrers, ResolveError> {
    let places: Vec<Option<&RepositoryName>> = std::iter::once(None)
        .chain(elsewhere.iter().map(Some))
        .collect();
    let mut found = Referrers::default();
    let mut seen: BTreeSet<Digest> = image.subjects().collect();
    let mut subjects = seen.clone();
    while !subjects.is_empty() {
        let mut running = JoinSet::new();
        for subject in std::mem::take(&mut subjects) {
            for place in &places {
                let (client, name, place) = (client.clone(), name.clone(), place.cloned());
                running.spawn(async move {
                    let mut found =
                        about(&client, place.as_ref().unwrap_or(&name), subject).await?;
                    for referrer in &mut found.list {
                        referrer.repository.clone_from(&place);
                    }
                    Ok::<_, ResolveError>(found)
                });
            }
        }
        while let Some(finished) = running.join_next().await {
            let Referrers {
                list,
                manifests,
                warnings,
            } = finished.map_err(ResolveError::Task)??;
            let carried = list.iter().filter(|referrer| referrer.is_carried());
            subjects.extend(carried.map(|referrer| referrer.manifest.digest));
            found.list.extend(list);
            found.manifests.extend(manifests);
            found.warnings.extend(warnings);
        }
        subjects.retain(|subject| seen.insert(*subject));
        if found.list.len() > MAX_REFERRERS {
            return Err(ResolveError::TooManyReferrers(MAX_REFERRERS));
        }
    }
    found.list.sort_by_key(|referrer| {
        (
            referrer.subject,
            referrer.manifest.digest,
            referrer.tag.clone(),
            referrer.repository.clone(),
        )
    });
    // What is in several repositories is one, beside the image if it is there.
    found.list.dedup_by_key(|referrer| {
        let (subject, digest) = (referrer.subject, referrer.manifest.digest);
        (subject, digest, referrer.tag.clone())
    });
    omit_second_tags(&mut found.list);
    found.warnings.sort();
    Ok(found)
}

/// All of it is published beside the image, where a tag leads to one thing.
fn omit_second_tags(list: &mut [LockedReferrer]) {
    let mut order: Vec<&mut LockedReferrer> = list
        .iter_mut()
        .filter(|referrer| referrer.is_carried())
        .collect();
    order.sort_by_key(|referrer| referrer.repository.clone());
    let mut taken = BTreeSet::new();
    for referrer in order {
        if let Some(tag) = &referrer.tag
            && !taken.insert(tag.clone())
        {
            referrer.omitted = Some(format!(
                "another repository has something else under `{tag}`"
            ));
            referrer.blobs.clear();
            referrer.statements.clear();
        }
    }
}

/// What is about one manifest. Who keeps lists of referrers is not asked for the tag that stands in
/// for them.
async fn about(
    client: &Client,
    name: &RepositoryName,
    subject: Digest,
) -> Result<Referrers, ResolveError> {
    let listed = match client.referrers(name, subject).await? {
        Some(list) => list,
        None => fallback(client, name, subject).await?,
    };
    let mut found = Referrers::default();
    for digest in &listed.unsupported {
        found.warnings.push(format!(
            "warning: `{name}@{subject}` has a referrer {digest}, which is not included: only \
             sha256 digests are supported"
        ));
    }
    let mut tagged: BTreeMap<Digest, String> = BTreeMap::new();
    for tag in CosignTag::ALL.map(|kind| kind.of(subject)) {
        if let Some(manifest) = client.manifest_if_tagged(name, &tag).await? {
            tagged.insert(manifest.digest(), tag.clone());
            found.add(manifest, subject, Some(tag));
        }
    }
    let mut known: BTreeSet<Digest> = tagged.into_keys().collect();
    for descriptor in &listed.manifests {
        if known.insert(descriptor.digest) {
            match fetch(client, name, descriptor).await? {
                Ok(manifest) => found.add(manifest, subject, None),
                Err(reason) => found.list.push(omitted(descriptor, subject, reason)),
            }
        }
    }
    Ok(found)
}

/// The list under the tag that stands in for the lists of a registry.
async fn fallback(
    client: &Client,
    name: &RepositoryName,
    subject: Digest,
) -> Result<ReferrerList, ResolveError> {
    let tag = ReferrerList::tag(subject);
    match client.manifest_if_tagged(name, &tag).await? {
        None => Ok(ReferrerList::default()),
        Some(manifest) => ReferrerList::of(&manifest).ok_or(ResolveError::ReferrersTag {
            name: name.clone(),
            tag,
        }),
    }
}

impl Referrers {
    fn add(&mut self, manifest: Manifest, subject: Digest, tag: Option<String>) {
        let referrer = of_manifest(&manifest, subject, tag);
        if !referrer.statements.is_empty() {
            let digest = manifest.digest();
            self.manifests.insert(digest, manifest.into_bytes());
        }
        self.list.push(referrer);
    }
}

/// The manifest of an entry in a list, or why it cannot be included.
async fn fetch(
    client: &Client,
    name: &RepositoryName,
    descriptor: &Descriptor,
) -> Result<Result<Manifest, String>, ResolveError> {
    let stated = descriptor.media_type.as_str();
    let is_known = [
        "",
        media_type::MANIFEST,
        media_type::DOCKER_MANIFEST,
        media_type::INDEX,
        media_type::DOCKER_LIST,
    ]
    .contains(&stated);
    if !is_known {
        return Ok(Err(format!(
            "manifests of type `{}` are not known",
            stated.escape_debug()
        )));
    }
    let stated = Some(stated).filter(|stated| !stated.is_empty());
    match client.manifest(name, descriptor.digest, stated).await {
        Ok(manifest) => Ok(Ok(manifest)),
        Err(error) if error.is_missing_digest() => {
            Ok(Err("the registry lists it and does not have it".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads what a manifest is. Under a tag it need not name its subject; if it names one, it must be
/// this.
fn of_manifest(manifest: &Manifest, subject: Digest, tag: Option<String>) -> LockedReferrer {
    let named = manifest.as_referrer();
    let problem = match (manifest.kind(), &named) {
        (ManifestKind::Index { .. }, _) => {
            Some("it is an image index, which is not supported as a referrer".to_owned())
        }
        (_, Some((other, _))) if *other != subject => {
            Some(format!("its manifest says that it is about {other}"))
        }
        (_, None) if tag.is_none() => Some("its manifest does not say what it is about".to_owned()),
        _ => None,
    };
    let descriptor = manifest.descriptor();
    let annotations = named.map(|(_, listed)| (listed.artifact_type, listed.annotations));
    let (artifact_type, annotations) = annotations.unwrap_or_default();
    let (mut blobs, mut statements) = (Vec::new(), Vec::new());
    let mut predicates: BTreeSet<String> = manifest.predicate_types().into_iter().collect();
    let layers = || manifest.children().skip(1);
    for noted in std::iter::once(&annotations).chain(layers().map(|layer| &layer.annotations)) {
        predicates.extend(
            PREDICATE_TYPES
                .iter()
                .filter_map(|key| noted.get(*key))
                .cloned(),
        );
    }
    if problem.is_none() {
        blobs.extend(manifest.children().map(Blob::from));
        let statement = layers().filter(|layer| is_statement(layer));
        statements.extend(statement.map(|layer| layer.digest));
    }
    // cosign's tags lead to manifests that look like images; what they are stands at the layers.
    let artifact_type = match &tag {
        Some(_) => layers().next().map(|layer| layer.media_type.clone()),
        None => artifact_type,
    };
    LockedReferrer {
        subject,
        artifact_type,
        predicates: predicates.into_iter().collect(),
        tag,
        repository: None,
        omitted: problem,
        manifest: Blob::from(&descriptor),
        blobs,
        statements,
    }
}

fn omitted(descriptor: &Descriptor, subject: Digest, reason: String) -> LockedReferrer {
    LockedReferrer {
        subject,
        artifact_type: descriptor.artifact_type.clone(),
        predicates: Vec::new(),
        tag: None,
        repository: None,
        omitted: Some(reason),
        manifest: Blob::from(descriptor),
        blobs: Vec::new(),
        statements: Vec::new(),
    }
}
