//! Nothing is missing and nothing is left over: the blobs of a bundle are exactly what its roots
//! lead to.

mod signatures;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    BundleIndex, EntryRecord, ImageRecord, SbomRecord,
    archive::Documents,
    compose::{ARTIFACT, ARTIFACT_KIND, REFERRER},
    index::blob_path,
};
use crate::{
    archive::EntryName,
    evidence::CosignTag,
    oci::{Descriptor, Manifest, ManifestError, ManifestKind, REF_NAME, media_type},
};
use rune_core::{digest::Digest, failure::Failure, text::shown};

#[derive(Debug, thiserror::Error, Failure)]
#[error("blobs of the bundle are missing or not used:{}", list(.0))]
#[failure(Policy: "the bundle was built wrongly; ask whoever made it to build it again")]
pub struct ClosureError(Vec<Gap>);

#[derive(Debug, thiserror::Error)]
enum Gap {
    #[error("`{0}` is missing")]
    NoRoot(&'static str),
    #[error("`{name}`: {source}")]
    Document { name: String, source: ManifestError },
    #[error("`{parent}` refers to {digest}, which is not in the bundle")]
    Missing { parent: String, digest: Digest },
    #[error("`{parent}` says that {digest} has {stated} bytes, but it has {actual}")]
    Size {
        parent: String,
        digest: Digest,
        stated: u64,
        actual: u64,
    },
    #[error("{referrer} is about {subject}, which is not in the bundle")]
    Subject { referrer: Digest, subject: Digest },
    #[error("the manifest of {referrer} says that it is about {stated}, not about {subject}")]
    OtherSubject {
        referrer: Digest,
        subject: Digest,
        stated: Digest,
    },
    #[error("the manifest of {0} does not say what it is about")]
    NoSubject(Digest),
    #[error("`{tag}` is not a tag for {referrer}, which is about {subject}")]
    Tag {
        referrer: Digest,
        subject: Digest,
        tag: String,
    },
    #[error("`artifacts/index.json` does not list the artifacts that `bundle.json` lists")]
    Artifacts,
    #[error("`artifacts/index.json` does not list the referrers that `bundle.json` lists")]
    Referrers,
    #[error("`artifacts/index.json` does not list the image signatures that `bundle.json` lists")]
    ImageSignatures,
    #[error("the SBOM `{0}` is not in the bundle as it is listed, or is about nothing that is")]
    Sbom(EntryName),
    #[error("`{0}` belongs to nothing")]
    Unreachable(String),
    #[error("`index.json` does not list the images that `bundle.json` lists")]
    Images,
}

fn list(gaps: &[Gap]) -> String {
    gaps.iter().fold(String::new(), |mut text, gap| {
        let _ = write!(text, "\n  {gap}");
        text
    })
}

/// Checks that every descriptor reachable from `index.json` and `artifacts/index.json` is an entry
/// of that exact size (platforms that the bundle index lists as left out excepted), that no blob is
/// unreachable, and that whatever an artifact is about is in the bundle. Reports all that is not
/// so.
pub(super) fn check(index: &BundleIndex, documents: &Documents) -> Result<(), ClosureError> {
    let mut walk = Walk::new(index, documents);
    for name in ["index.json", "artifacts/index.json"] {
        walk.visit_root(name, index);
    }
    walk.check_sboms(index);
    let unreachable: Vec<Gap> = walk
        .sizes
        .keys()
        .filter(|digest| !walk.reached.contains(digest))
        .map(|digest| Gap::Unreachable(blob_path(*digest)))
        .collect();
    walk.gaps.extend(unreachable);
    if walk.gaps.is_empty() {
        Ok(())
    } else {
        Err(ClosureError(walk.gaps))
    }
}

struct Walk<'a> {
    sizes: BTreeMap<Digest, u64>,
    absent: BTreeSet<Digest>,
    documents: &'a Documents,
    reached: BTreeSet<Digest>,
    gaps: Vec<Gap>,
}

impl<'a> Walk<'a> {
    fn new(index: &BundleIndex, documents: &'a Documents) -> Self {
        let blob = |path: &EntryName| {
            path.as_str()
                .strip_prefix("blobs/sha256/")
                .and_then(|hex| Digest::from_hex(hex).ok())
        };
        let sizes = index
            .entries
            .iter()
            .filter_map(|entry| Some((blob(&entry.path)?, entry.size)))
            .collect();
        let digests = |carried: bool| {
            let manifests = index
                .images_and_artifacts()
                .flat_map(|image| &image.manifests);
            manifests
                .filter(move |manifest| manifest.carried == carried)
                .map(|manifest| manifest.digest)
                .collect::<BTreeSet<_>>()
        };
        // One manifest may stand for several platforms, of which some were chosen.
        let absent = &digests(false) - &digests(true);
        Self {
            sizes,
            absent,
            documents,
            reached: BTreeSet::new(),
            gaps: Vec::new(),
        }
    }

    fn visit_root(&mut self, name: &'static str, index: &BundleIndex) {
        let Some(bytes) = self.documents.get(name) else {
            return self.gaps.push(Gap::NoRoot(name));
        };
        match Manifest::parse(bytes.clone(), Some(media_type::INDEX)) {
            Ok(root) => {
                if name == "index.json" && !lists(root.children(), &index.images) {
                    self.gaps.push(Gap::Images);
                }
                if name == "artifacts/index.json" {
                    if !lists(of_kind(&root, ARTIFACT), &index.artifacts) {
                        self.gaps.push(Gap::Artifacts);
                    }
                    self.check_referrers(&root, index);
                    self.check_image_signatures(&root, index);
                }
                self.visit_children(name, &root);
            }
            Err(source) => self.gaps.push(Gap::Document {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// What is about something comes with that, and says so itself unless it is found by its tag.
    fn check_referrers(&mut self, root: &Manifest, index: &BundleIndex) {
        let mut stated = BTreeSet::new();
        for image in index.images_and_artifacts() {
            for record in image.carried_referrers() {
                let (referrer, subject) = (record.target.digest, record.subject);
                stated.insert(referrer);
                if !image.carries(subject) {
                    self.gaps.push(Gap::Subject { referrer, subject });
                }
                if let Some(tag) = &record.tag
                    && !CosignTag::is_for(tag, subject)
                {
                    self.gaps.push(Gap::Tag {
                        referrer,
                        subject,
                        tag: shown(tag),
                    });
                }
                match self.subject_of(&record.target) {
                    Some(stated) if stated != subject => self.gaps.push(Gap::OtherSubject {
                        referrer,
                        subject,
                        stated,
                    }),
                    None if record.tag.is_none() => self.gaps.push(Gap::NoSubject(referrer)),
                    _ => {}
                }
            }
        }
        if roots_of_kind(root, REFERRER) != stated {
            self.gaps.push(Gap::Referrers);
        }
    }

    fn check_sboms(&mut self, index: &BundleIndex) {
        for image in &index.images {
            let is_wrong = |sbom: &&SbomRecord| {
                let is_entry =
                    |entry: &EntryRecord| entry.path == sbom.path && entry.sha256 == sbom.digest;
                let mut manifests = image.carried_runnable();
                !index.entries.iter().any(is_entry)
                    || !manifests.any(|manifest| manifest.digest == sbom.manifest)
            };
            let wrong = image.sboms.iter().filter(is_wrong);
            self.gaps
                .extend(wrong.map(|sbom| Gap::Sbom(sbom.path.clone())));
        }
    }

    fn subject_of(&self, descriptor: &Descriptor) -> Option<Digest> {
        let bytes = self.documents.get(blob_path(descriptor.digest).as_str())?;
        let manifest = Manifest::parse(bytes.clone(), Some(&descriptor.media_type)).ok()?;
        manifest.as_referrer().map(|(subject, _)| subject)
    }

    fn visit_children(&mut self, parent: &str, document: &Manifest) {
        let is_index = matches!(document.kind(), ManifestKind::Index { .. });
        for child in document.children() {
            if !(is_index && self.absent.contains(&child.digest)) {
                self.visit(parent, child);
            }
        }
    }

    fn visit(&mut self, parent: &str, descriptor: &Descriptor) {
        let digest = descriptor.digest;
        let Some(actual) = self.sizes.get(&digest).copied() else {
            return self.gaps.push(Gap::Missing {
                parent: parent.to_owned(),
                digest,
            });
        };
        if actual != descriptor.size {
            self.gaps.push(Gap::Size {
                parent: parent.to_owned(),
                digest,
                stated: descriptor.size,
                actual,
            });
        }
        if !self.reached.insert(digest) || !is_manifest(&descriptor.media_type) {
            return;
        }
        let name = blob_path(digest);
        let Some(bytes) = self.documents.get(name.as_str()) else {
            return self.gaps.push(Gap::Missing {
                parent: "bundle.json".to_owned(),
                digest,
            });
        };
        match Manifest::parse(bytes.clone(), Some(&descriptor.media_type)) {
            Ok(document) => self.visit_children(&name, &document),
            Err(source) => self.gaps.push(Gap::Document { name, source }),
        }
    }
}

/// The digests of the roots that say they are of this kind.
fn roots_of_kind(root: &Manifest, kind: &str) -> BTreeSet<Digest> {
    of_kind(root, kind).map(|child| child.digest).collect()
}

fn of_kind<'r>(root: &'r Manifest, kind: &str) -> impl Iterator<Item = &'r Descriptor> {
    root.children()
        .filter(move |child| child.annotations.get(ARTIFACT_KIND).map(String::as_str) == Some(kind))
}

pub(super) fn is_manifest(media_type: &str) -> bool {
    [
        media_type::INDEX,
        media_type::MANIFEST,
        media_type::DOCKER_LIST,
        media_type::DOCKER_MANIFEST,
    ]
    .contains(&media_type)
}

fn lists<'r>(roots: impl Iterator<Item = &'r Descriptor>, records: &[ImageRecord]) -> bool {
    let listed = roots.map(|child| (child.annotations.get(REF_NAME).cloned(), child.digest));
    let stated = records
        .iter()
        .map(|image| (Some(image.reference.to_string()), image.target.digest));
    listed.eq(stated)
}
