//! What a bundle gives to a registry, and under which names: its images, its charts, and its own
//! signed index.
//!
//! An image keeps its repository and tag and loses its registry, and what is about it lies beside
//! it; a chart is `charts/<name>`; the bundle index is `bundles/<name>`, an artifact whose one
//! layer is `bundle.json`, with each signature as a referrer of it, so that whoever has the
//! registry alone can still see who signed what is in it. These last manifests are not in the
//! archive; they are made here, from the head alone, and are the same wherever the same bundle is
//! opened.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    AuthenticatedHead, BundleIndex, ImageRecord, ImageSignatureRecord, IndexError,
    index::INDEX_NAME,
};
use crate::{
    oci::{ArtifactManifest, Descriptor, EMPTY_CONFIG, Reference, TITLE},
    sign::SIGSTORE_BUNDLE,
};
use rune_core::digest::Digest;

/// The type of the artifact that holds a bundle's index.
pub(crate) const INDEX_ARTIFACT: &str = "application/vnd.rune-bundle.index.v1+json";

/// Entries that are made when a bundle is opened.
pub(super) type Made = BTreeMap<Digest, Arc<[u8]>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    /// The repository, without registry and prefix: `library/postgres`.
    pub(crate) repository: String,
    /// The tag; a referrer, or an image that is known by its digest alone, has none.
    pub(crate) tag: Option<String>,
    /// The manifest or index that the name leads to.
    pub(crate) target: Descriptor,
    pub(crate) kind: PublicationKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicationKind {
    Image {
        /// The reference it is known by in charts.
        reference: Reference,
        /// The image index of the included manifests alone, when others were left out: then
        /// `target` is sparse.
        reduced_index: Option<Descriptor>,
    },
    Artifact {
        reference: Reference,
    },
    Referrer {
        reference: Reference,
    },
    Chart,
    /// A signature of an image or chart by whoever built the bundle.
    ImageSignature {
        /// The reference by which charts know the image; none of a chart.
        reference: Option<Reference>,
        subject: Digest,
        /// Whether cosign would not see those of others any more beside it.
        hides_tags: bool,
    },
    Index,
    /// A signature of the bundle index; `subject` is the manifest of [`PublicationKind::Index`].
    Signature {
        subject: Digest,
    },
    /// What the bundle was built of, about the same manifest.
    Provenance {
        subject: Digest,
    },
    /// What else the bundle has, about the same manifest; `publish` alone writes it.
    Files {
        subject: Digest,
    },
}

impl PublicationKind {
    /// What an image signature of the builder is about.
    pub(crate) const fn signed_subject(&self) -> Option<Digest> {
        match self {
            Self::ImageSignature { subject, .. } => Some(*subject),
            _ => None,
        }
    }
}

/// Everything that the bundle publishes: images and artifacts in their order, charts, what is about
/// them, the bundle index, its signatures.
pub(super) fn publications(
    head: &AuthenticatedHead,
) -> Result<(Vec<Publication>, Made), IndexError> {
    let index = head.index();
    let mut made = Made::new();
    let mut published = published(index);
    let repository = format!("bundles/{}", index.name);
    made.insert(Digest::of(EMPTY_CONFIG), EMPTY_CONFIG.into());
    let statement = index_artifact(head.index_bytes(), &mut made)?;
    published.push(Publication {
        repository: repository.clone(),
        tag: Some(tag(&index.version.to_string())),
        target: statement.clone(),
        kind: PublicationKind::Index,
    });
    for (slot, signature) in head.signatures() {
        let title = format!("{slot}.sigstore.json");
        let target = artifact(
            SIGSTORE_BUNDLE,
            signature,
            &title,
            Some(&statement),
            &mut made,
        )?;
        let kind = PublicationKind::Signature {
            subject: statement.digest,
        };
        published.push(Publication {
            repository: repository.clone(),
            tag: None,
            target,
            kind,
        });
    }
    Ok((published, made))
}

/// The artifact that holds a bundle's index.
pub(super) fn index_artifact(index: &[u8], made: &mut Made) -> Result<Descriptor, IndexError> {
    artifact(INDEX_ARTIFACT, index.to_vec(), INDEX_NAME, None, made)
}

fn artifact(
    artifact_type: &str,
    layer: Vec<u8>,
    title: &str,
    subject: Option<&Descriptor>,
    made: &mut Made,
) -> Result<Descriptor, IndexError> {
    let mut described = Descriptor::of(artifact_type, &layer);
    made.insert(described.digest, layer.into());
    described
        .annotations
        .insert(TITLE.to_owned(), title.to_owned());
    let manifest = ArtifactManifest::new(artifact_type, &described);
    let manifest = match subject {
        Some(subject) => manifest.about(subject),
        None => manifest,
    };
    let (descriptor, bytes) = manifest.write().map_err(IndexError::Form)?;
    made.insert(descriptor.digest, bytes.into());
    Ok(descriptor)
}

/// What a bundle publishes of its entries: images and artifacts in their order, charts,
/// what is about them.
pub(super) fn published(index: &BundleIndex) -> Vec<Publication> {
    let images = index.images.iter().map(image);
    let artifacts = index.artifacts.iter().map(other_artifact);
    let charts = index.charts.iter().map(|chart| Publication {
        repository: chart_repository(&chart.name),
        tag: Some(tag(&chart.version)),
        target: chart.artifact.clone(),
        kind: PublicationKind::Chart,
    });
    let mut published: Vec<Publication> = images.chain(artifacts).chain(charts).collect();
    for referrer in index.images_and_artifacts().flat_map(referrers) {
        // Several images may be the same one, and have the same referrers.
        let is_known = published.iter().any(|known| {
            (&known.repository, &known.tag, known.target.digest)
                == (&referrer.repository, &referrer.tag, referrer.target.digest)
        });
        if !is_known {
            published.push(referrer);
        }
    }
    published.extend(image_signatures(index));
    published
}

fn image(image: &ImageRecord) -> Publication {
    Publication {
        repository: image.reference.repository().to_owned(),
        tag: image.reference.tag().map(str::to_owned),
        target: image.target.clone(),
        kind: PublicationKind::Image {
            reference: image.reference.clone(),
            reduced_index: image.reduced_index.clone(),
        },
    }
}

fn other_artifact(artifact: &ImageRecord) -> Publication {
    Publication {
        repository: artifact.reference.repository().to_owned(),
        tag: artifact.reference.tag().map(str::to_owned),
        target: artifact.target.clone(),
        kind: PublicationKind::Artifact {
            reference: artifact.reference.clone(),
        },
    }
}

/// What is about an image, beside it: under its tag, if it had one.
fn referrers(image: &ImageRecord) -> impl Iterator<Item = Publication> {
    image.carried_referrers().map(|referrer| Publication {
        repository: image.reference.repository().to_owned(),
        tag: referrer.tag.clone(),
        target: referrer.target.clone(),
        kind: PublicationKind::Referrer {
            reference: image.reference.clone(),
        },
    })
}

/// The signatures by whoever built the bundle, beside everything that they are about.
fn image_signatures(index: &BundleIndex) -> Vec<Publication> {
    let mut published: Vec<Publication> = Vec::new();
    let mut add = |record: &ImageSignatureRecord, repository: String, reference, hides_tags| {
        let is_known = published.iter().any(|known| {
            known.repository == repository && known.target.digest == record.target.digest
        });
        if !is_known {
            published.push(Publication {
                repository,
                tag: None,
                target: record.target.clone(),
                kind: PublicationKind::ImageSignature {
                    reference,
                    subject: record.subject,
                    hides_tags,
                },
            });
        }
    };
    for record in index.image_signatures() {
        let subject = record.subject;
        let images = index.images_and_artifacts();
        for image in images.filter(|image| image.has_signable(subject)) {
            let repository = image.reference.repository().to_owned();
            let hides_tags = image.is_signed_in_tags_alone(subject);
            add(
                record,
                repository,
                Some(image.reference.clone()),
                hides_tags,
            );
        }
        let charts = index.charts.iter();
        for chart in charts.filter(|chart| chart.artifact.digest == subject) {
            add(record, chart_repository(&chart.name), None, false);
        }
    }
    published
}

/// Where a chart is published: `charts/<name>`, in the letters that a repository may have. `Demo`
/// is `charts/demo`, and what stands between letters and digits in a way that no repository has
/// becomes `-`.
pub(super) fn chart_repository(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let is_separator = |character: char| !character.is_ascii_alphanumeric();
    let mut repository = "charts/".to_owned();
    let mut rest = lower.trim_matches(is_separator);
    while let Some(word) = rest
        .split(is_separator)
        .next()
        .filter(|word| !word.is_empty())
    {
        repository.push_str(word);
        let after = rest.get(word.len()..).unwrap_or_default();
        rest = after.trim_start_matches(is_separator);
        let between = after.strip_suffix(rest).unwrap_or_default();
        let is_plain =
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-');
        repository.push_str(if is_plain { between } else { "-" });
    }
    repository
}

/// A version as a tag: a `+` cannot stand in one and becomes `_`, as Helm has it.
fn tag(version: &str) -> String {
    version.replace('+', "_")
}

#[cfg(test)]
mod tests {
    use super::chart_repository;

    #[test]
    fn every_name_of_a_chart_is_a_repository() {
        for (name, repository) in [
            ("rune", "charts/rune"),
            ("Demo", "charts/demo"),
            ("de.mo_x--y", "charts/de.mo_x--y"),
            ("my.Demo__x", "charts/my.demo__x"),
            ("_a-", "charts/a"),
            ("a..b._c", "charts/a-b-c"),
        ] {
            assert_eq!(chart_repository(name), repository);
        }
    }
}
