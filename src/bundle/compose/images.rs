//! Images in a bundle: their blobs, their records, and the OCI indexes that root them.

use std::{collections::BTreeMap, sync::Arc};

use super::{ComposeError, Entries, signatures::Subjects};
use crate::{
    bundle::{
        ImageRecord, ManifestRecord, ReferrerRecord, Role, SbomIngredient, SbomRecord,
        archive::MAX_DOCUMENT_BYTES, closure::is_manifest, materialise::Content,
    },
    manifest::{Blob, LockedReferrer, PulledImage},
    oci::{Descriptor, LAYOUT, Platform, REF_NAME, Reference, index_document, media_type},
    policy::SubjectKind,
    registry::RepositoryName,
};
use rune_core::digest::Digest;

/// The annotation that says what a root in `artifacts/index.json` is.
pub(in crate::bundle) const ARTIFACT_KIND: &str = "rune-bundle.artifact.kind";

/// What it says of an artifact that stands for itself.
pub(in crate::bundle) const ARTIFACT: &str = "artifact";

/// What it says of an artifact about an image.
pub(in crate::bundle) const REFERRER: &str = "referrer";

/// What it says of a signature by whoever built the bundle.
pub(in crate::bundle) const IMAGE_SIGNATURE: &str = "image-signature";

#[derive(Debug)]
pub struct ImageIngredient {
    pub name: String,
    pub reference: Reference,
    pub component: Option<String>,
    pub license: Option<String>,
    pub source: ImageSource,
    /// What was generated about it when it was locked.
    pub sboms: Vec<SbomIngredient>,
}

#[derive(Debug)]
pub enum ImageSource {
    Registry(PulledImage),
    /// It was made by this program and is in memory.
    Built {
        target: Descriptor,
        manifests: Vec<(Platform, Digest)>,
        blobs: Vec<(Descriptor, Vec<u8>)>,
    },
}

#[derive(Debug, Default)]
pub(super) struct Roots {
    images: Vec<Descriptor>,
    artifacts: Vec<Descriptor>,
    pub(super) subjects: Subjects,
}

impl Roots {
    pub(super) fn add_chart(&mut self, manifest: &Descriptor, name: &str) {
        self.add_artifact(manifest, name, "chart");
        self.subjects.add(manifest, format!("chart {name}"));
    }

    pub(super) fn add_image_signature(&mut self, manifest: &Descriptor, subject: Digest) {
        self.add_artifact(manifest, &subject.to_string(), IMAGE_SIGNATURE);
    }

    fn add_referrer(&mut self, referrer: &ReferrerRecord, image: &Reference) {
        let (target, repository) = (&referrer.target, image.name());
        let name = match &referrer.tag {
            Some(tag) => format!("{repository}:{tag}"),
            None => format!("{repository}@{}", target.digest),
        };
        let is_listed = self.artifacts.iter().any(|root| {
            root.digest == target.digest && root.annotations.get(REF_NAME) == Some(&name)
        });
        if !is_listed {
            self.add_artifact(target, &name, REFERRER);
        }
    }

    fn add_artifact(&mut self, descriptor: &Descriptor, name: &str, kind: &str) {
        let annotations = [(REF_NAME, name), (ARTIFACT_KIND, kind)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.artifacts.push(Descriptor {
            annotations: BTreeMap::from(annotations),
            ..descriptor.clone()
        });
    }

    fn add_target(&mut self, kind: SubjectKind, target: &Descriptor, reference: &Reference) {
        let name = reference.to_string();
        match kind {
            SubjectKind::Image => self.images.push(target.named(&name)),
            SubjectKind::Artifact => self.add_artifact(target, &name, ARTIFACT),
        }
        self.subjects.add(target, name);
    }

    /// Writes the three files of the OCI layout that are not blobs.
    pub(super) fn add_to(self, entries: &mut Entries) -> Result<(), ComposeError> {
        entries.add_bytes("oci-layout", LAYOUT.to_vec())?;
        for (path, roots) in [
            ("index.json", &self.images),
            ("artifacts/index.json", &self.artifacts),
        ] {
            entries.add_bytes(path, index_document(roots)?)?;
        }
        Ok(())
    }
}

pub(super) fn add_image(
    kind: SubjectKind,
    image: ImageIngredient,
    entries: &mut Entries,
    roots: &mut Roots,
) -> Result<ImageRecord, ComposeError> {
    let ImageIngredient {
        name,
        reference,
        component,
        license,
        source,
        sboms,
    } = image;
    let (mut referrers, mut found_licenses) = (Vec::new(), None);
    let (target, manifests, reduced_index) = match source {
        ImageSource::Registry(pulled) => {
            found_licenses.clone_from(&pulled.found_licenses);
            referrers.extend(pulled.referrers.iter().map(|referrer| {
                let record = record_of(referrer);
                if record.is_carried() {
                    roots.add_referrer(&record, &reference);
                }
                record
            }));
            add_pulled(&name, &pulled, &reference, entries, roots)?
        }
        ImageSource::Built {
            target,
            manifests,
            blobs,
        } => {
            for (descriptor, bytes) in blobs {
                let runs = |(platform, digest): &(Platform, Digest)| {
                    (*digest == descriptor.digest).then(|| platform.to_string())
                };
                if let Some(platform) = manifests.iter().find_map(runs) {
                    let name = format!("{platform} of {reference}");
                    roots.subjects.add(&descriptor, name);
                }
                entries.add_blob(&descriptor, Content::Bytes(bytes.into()));
            }
            let record = |(platform, digest)| ManifestRecord {
                digest,
                role: Role::Image,
                platform: Some(platform),
                carried: true,
            };
            (target, manifests.into_iter().map(record).collect(), None)
        }
    };
    roots.add_target(kind, &target, &reference);
    let sboms = sboms
        .into_iter()
        .map(|sbom| add_sbom(sbom, entries))
        .collect::<Result<_, _>>()?;
    Ok(ImageRecord {
        name,
        reference,
        target,
        component,
        license,
        manifests,
        reduced_index,
        referrers,
        sboms,
        found_licenses,
    })
}

/// Its name has its digest: one manifest may be in several images, which call it differently.
fn add_sbom(sbom: SbomIngredient, entries: &mut Entries) -> Result<SbomRecord, ComposeError> {
    let digest = Digest::of(&sbom.bytes);
    let path = entries.add_shared(
        &format!("sboms/sha256-{}.cdx.json", digest.hex()),
        sbom.bytes,
    )?;
    Ok(SbomRecord {
        manifest: sbom.manifest,
        format: sbom.format,
        tool: sbom.tool,
        path,
        digest,
    })
}

fn record_of(referrer: &LockedReferrer) -> ReferrerRecord {
    ReferrerRecord {
        subject: referrer.subject,
        target: Descriptor {
            artifact_type: referrer.artifact_type.clone(),
            ..referrer.manifest.descriptor()
        },
        predicates: referrer.predicates.clone(),
        tag: referrer.tag.clone(),
        statements: referrer.statements.clone(),
        omitted: referrer.omitted.clone(),
    }
}

type Pulled = (Descriptor, Vec<ManifestRecord>, Option<Descriptor>);

fn add_pulled(
    name: &str,
    image: &PulledImage,
    reference: &Reference,
    entries: &mut Entries,
    roots: &mut Roots,
) -> Result<Pulled, ComposeError> {
    let image_name: Arc<str> = name.into();
    let repository = RepositoryName::from(reference);
    for (place, blob) in image.placed_blobs() {
        if is_manifest(&blob.media_type) && blob.size > MAX_DOCUMENT_BYTES {
            return Err(ComposeError::DocumentTooLarge {
                digest: blob.digest,
                size: blob.size,
            });
        }
        let content = Content::Blob {
            image: Arc::clone(&image_name),
            name: place.unwrap_or(&repository).clone(),
            descriptor: Box::new(blob.descriptor()),
        };
        entries.add_blob(&blob.descriptor(), content);
    }
    add_children(image, reference, &mut roots.subjects);
    let reduced = if image.is_complete() {
        None
    } else {
        Some(reduced_index(image)?)
    };
    let reduced = reduced.map(|bytes| {
        let descriptor = Descriptor::of(media_type::INDEX, &bytes);
        entries.add_blob(&descriptor, Content::Bytes(bytes.into()));
        roots.add_artifact(&descriptor, &reference.to_string(), "reduced-index");
        roots
            .subjects
            .add(&descriptor, format!("reduced index of {reference}"));
        descriptor
    });
    let target = Descriptor {
        artifact_type: image.artifact_type().map(str::to_owned),
        ..image.root.descriptor()
    };
    Ok((target, records(image), reduced))
}

/// The manifests below the root that a node may be asked to run.
fn add_children(image: &PulledImage, reference: &Reference, subjects: &mut Subjects) {
    let images = image.manifests.iter().filter(|entry| entry.carried);
    let images = images.map(|entry| {
        let platform = entry.platform.as_ref();
        let platform = platform.map_or_else(|| "a platform".to_owned(), ToString::to_string);
        (&entry.manifest, platform)
    });
    let indexes = image.indexes.iter().filter(|entry| entry.carried);
    let indexes = indexes.map(|entry| (&entry.manifest, "an index".to_owned()));
    for (manifest, what) in images.chain(indexes) {
        if manifest.digest != image.root.digest {
            subjects.add(&manifest.descriptor(), format!("{what} of {reference}"));
        }
    }
}

fn records(image: &PulledImage) -> Vec<ManifestRecord> {
    let images = image.manifests.iter().map(|entry| ManifestRecord {
        digest: entry.manifest.digest,
        role: Role::Image,
        platform: entry.platform.clone(),
        carried: entry.carried,
    });
    let attestations = image.attestations.iter().map(|entry| ManifestRecord {
        digest: entry.manifest.digest,
        role: Role::Attestation,
        platform: image
            .manifests
            .iter()
            .find(|image| image.manifest.digest == entry.attests)
            .and_then(|image| image.platform.clone()),
        carried: entry.carried,
    });
    let artifacts = image.artifacts.iter().map(|entry| ManifestRecord {
        digest: entry.manifest.digest,
        role: Role::Artifact,
        platform: entry.platform.clone(),
        carried: entry.carried,
    });
    let indexes = image.indexes.iter().map(|entry| ManifestRecord {
        digest: entry.manifest.digest,
        role: Role::Index,
        platform: None,
        carried: entry.carried,
    });
    images
        .chain(attestations)
        .chain(artifacts)
        .chain(indexes)
        .collect()
}

/// The index of the included manifests alone. Strict registries and most tools refuse an index with
/// a missing child; this one they take.
fn reduced_index(image: &PulledImage) -> Result<Vec<u8>, ComposeError> {
    let describe = |blob: &Blob, platform: Option<Platform>| Descriptor {
        platform,
        ..blob.descriptor()
    };
    let images = image
        .manifests
        .iter()
        .filter(|entry| entry.carried)
        .map(|entry| describe(&entry.manifest, entry.platform.clone()));
    let attestations = image
        .attestations
        .iter()
        .filter(|entry| entry.carried)
        .map(|entry| {
            let mut descriptor = describe(&entry.manifest, Some(Platform::unknown()));
            descriptor.annotations = Descriptor::attestation_annotations(entry.attests);
            descriptor
        });
    let artifacts = image
        .artifacts
        .iter()
        .filter(|entry| entry.carried)
        .map(|entry| Descriptor {
            artifact_type: entry.artifact_type.clone(),
            ..describe(&entry.manifest, entry.platform.clone())
        });
    Ok(index_document(
        &images
            .chain(attestations)
            .chain(artifacts)
            .collect::<Vec<_>>(),
    )?)
}
