//! What a node of one platform needs of a bundle's images.

use std::{collections::BTreeSet, fmt};

use super::{
    LoadError,
    choice::{Obstacle, obstacle},
};
use crate::{
    bundle::{ImageRecord, ManifestRecord, OpenBundle, Role},
    oci::{Descriptor, Manifest, ManifestKind, Platform, Reference},
};
use rune_core::digest::Digest;

#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) platform: Platform,
    /// The images of which the bundle includes this platform, in their order.
    pub(crate) images: Vec<SelectedImage>,
    /// The images of which it does not.
    pub(crate) left_out: Vec<Reference>,
    /// The images of which it does, and containerd would not run it.
    pub(crate) not_runnable: Vec<NotRunnable>,
    /// The documents that could not be read of a bundle of which only a part is here; without them
    /// nobody knows what else their images need.
    pub(crate) unread: BTreeSet<Digest>,
}

#[derive(Debug, Clone)]
pub(crate) struct NotRunnable {
    pub(crate) reference: Reference,
    obstacle: Obstacle,
}

impl fmt::Display for NotRunnable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "containerd cannot run `{}`: ", self.reference)?;
        match self.obstacle {
            Obstacle::Taken(digest) => write!(
                formatter,
                "of its index it takes {digest} first, which is not an image for this platform"
            ),
            Obstacle::Lacking(digest) => write!(
                formatter,
                "it wants the nested index {digest}, which the bundle does not have"
            ),
        }
    }
}

#[derive(Debug)]
pub(crate) struct SelectedImage {
    /// The reference it is known by in charts.
    pub(crate) reference: Reference,
    /// The image index or manifest that the reference means, whichever platforms are there.
    pub(crate) target: Descriptor,
    /// What it is for: the platform of the node, or one that the node runs too.
    pub(crate) platform: Platform,
    /// The digests of everything that belongs to it on this platform.
    pub(crate) contents: BTreeSet<Digest>,
}

impl SelectedImage {
    /// The names that it gets: with its tag, for people, and with its digest. A kubelet looks for
    /// the latter, also when a pod says both.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = self.reference.name();
        let tagged = self.reference.tag().map(|tag| format!("{name}:{tag}"));
        tagged
            .into_iter()
            .chain([format!("{name}@{}", self.target.digest)])
            .collect()
    }
}

impl Selection {
    /// Selects what a platform needs: of each image the best that runs on it, as containerd
    /// chooses.
    pub(crate) fn of(bundle: &OpenBundle, platform: Platform) -> Result<Self, LoadError> {
        let (mut images, mut left_out, mut offered, mut not_runnable) =
            (Vec::new(), Vec::new(), BTreeSet::new(), Vec::new());
        let mut unread = BTreeSet::new();
        for image in &bundle.index().images {
            offered.extend(
                image
                    .carried_runnable()
                    .filter_map(|record| record.platform.as_ref())
                    .map(ToString::to_string),
            );
            let Some((its, mut wanted)) = best(image, &platform) else {
                left_out.push(image.reference.clone());
                continue;
            };
            let mut its_unread = documents(image, &wanted);
            its_unread.retain(|digest| bundle.document(*digest).is_none());
            if !its_unread.is_empty() {
                unread.append(&mut its_unread);
                continue;
            }
            if let Some(obstacle) = obstacle(bundle, image.target.digest, &wanted, &its)? {
                not_runnable.push(NotRunnable {
                    reference: image.reference.clone(),
                    obstacle,
                });
                continue;
            }
            // containerd also looks into what does not say its platform, or says the same.
            let beside = image
                .manifests
                .iter()
                .filter(|record| record.role == Role::Artifact && record.carried);
            wanted.extend(
                beside
                    .filter(|record| record.platform.as_ref().is_none_or(|own| own.matches(&its)))
                    .map(|record| record.digest),
            );
            let mut contents = BTreeSet::new();
            gather(bundle, image.target.digest, &wanted, &mut contents)?;
            images.push(SelectedImage {
                reference: image.reference.clone(),
                target: image.target.clone(),
                platform: its,
                contents,
            });
        }
        if images.is_empty() && unread.is_empty() && !not_runnable.is_empty() {
            return Err(LoadError::NotRunnable(not_runnable));
        }
        if images.is_empty() && unread.is_empty() {
            return Err(LoadError::NothingForPlatform {
                platform,
                offered: offered.into_iter().collect(),
            });
        }
        Ok(Self {
            platform,
            images,
            left_out,
            not_runnable,
            unread,
        })
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let others = self
            .images
            .iter()
            .filter(|image| image.platform.architecture != self.platform.architecture);
        others
            .map(|image| {
                let SelectedImage {
                    reference,
                    platform,
                    ..
                } = image;
                format!(
                    "warning: `{reference}` is not there for {}; what is there for {platform} is \
                     loaded, which runs only where the node runs that too",
                    self.platform
                )
            })
            .collect()
    }
}

/// The manifests of an image that run best on a node, and their platform. A manifest that does not
/// say its platform is for every one, as runtimes have it.
fn best(image: &ImageRecord, node: &Platform) -> Option<(Platform, BTreeSet<Digest>)> {
    let distance = |record: &ManifestRecord| {
        record
            .platform
            .as_ref()
            .filter(|own| !own.is_unknown())
            .map_or(Some(0), |own| own.distance_from(node))
    };
    let nearest = image.carried_runnable().filter_map(distance).min()?;
    let chosen: Vec<&ManifestRecord> = image
        .carried_runnable()
        .filter(|record| distance(record) == Some(nearest))
        .collect();
    let platform = chosen
        .iter()
        .find_map(|record| record.platform.clone())
        .filter(|own| !own.is_unknown() && nearest > 0);
    Some((
        platform.unwrap_or_else(|| node.clone()),
        chosen.iter().map(|record| record.digest).collect(),
    ))
}

/// What is read to know what an image needs: what its reference means, the indexes below that, and
/// the wanted manifests.
fn documents(image: &ImageRecord, wanted: &BTreeSet<Digest>) -> BTreeSet<Digest> {
    let indexes = image
        .manifests
        .iter()
        .filter(|record| record.role == Role::Index && record.carried)
        .map(|record| record.digest);
    let mut documents: BTreeSet<Digest> = indexes.chain([image.target.digest]).collect();
    documents.extend(wanted);
    documents
}

/// Adds a content and what it leads to; of an index only the wanted manifests, and the indexes that
/// lead to them. Says whether anything wanted is there.
fn gather(
    bundle: &OpenBundle,
    digest: Digest,
    wanted: &BTreeSet<Digest>,
    contents: &mut BTreeSet<Digest>,
) -> Result<bool, LoadError> {
    let is_wanted = wanted.contains(&digest);
    let Some(bytes) = bundle.document(digest) else {
        contents.insert(digest);
        return Ok(is_wanted);
    };
    let document = Manifest::parse(bytes.to_vec(), None)?;
    if !matches!(document.kind(), ManifestKind::Index { .. }) {
        contents.insert(digest);
        contents.extend(document.children().map(|child| child.digest));
        return Ok(is_wanted);
    }
    let mut leads_there = false;
    for child in document.children() {
        let is_nested = child.is_index() && bundle.document(child.digest).is_some();
        if wanted.contains(&child.digest) || is_nested {
            leads_there |= gather(bundle, child.digest, wanted, contents)?;
        }
        if is_nested && child.platform.is_none() {
            // containerd looks into it, whatever it leads to.
            contents.insert(child.digest);
        }
    }
    if leads_there {
        contents.insert(digest);
    }
    Ok(leads_there)
}

/// The platform that this program was built for, which is the one it runs on.
pub(crate) fn platform_of_this_machine() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "arm" => ("arm", Some("v7")),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
        os_version: None,
    }
}
