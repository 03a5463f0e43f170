//! What a node of one platform needs of a bundle's images.

use std::collections::BTreeSet;

use super::LoadError;
use crate::{
    bundle::{ManifestRecord, OpenBundle},
    oci::{Descriptor, Digest, Manifest, ManifestKind, Platform, Reference},
};

/// The images that can run on a platform, with what they need, and those that cannot.
#[derive(Debug)]
pub struct Selection {
    /// The platform.
    pub platform: Platform,
    /// The images of which the bundle carries this platform, in their order.
    pub images: Vec<SelectedImage>,
    /// The images of which it does not.
    pub left_out: Vec<Reference>,
}

/// One image, and what of it goes to the node.
#[derive(Debug)]
pub struct SelectedImage {
    /// The reference it is known by in charts.
    pub reference: Reference,
    /// The index or manifest that the reference means, whichever platforms are there.
    pub target: Descriptor,
    /// The digests of everything that belongs to it on this platform.
    pub contents: BTreeSet<Digest>,
}

impl SelectedImage {
    /// The names that it gets: with its tag, for people, and with its digest. A kubelet looks for the latter, also when a pod says
    /// both.
    pub fn names(&self) -> Vec<String> {
        let name = self.reference.name();
        let tagged = self.reference.tag().map(|tag| format!("{name}:{tag}"));
        tagged.into_iter().chain([format!("{name}@{}", self.target.digest)]).collect()
    }
}

impl Selection {
    /// Selects what a platform needs.
    ///
    /// # Errors
    /// When no image is there for it.
    pub fn of(bundle: &OpenBundle, platform: Platform) -> Result<Self, LoadError> {
        let (mut images, mut left_out, mut offered) = (Vec::new(), Vec::new(), BTreeSet::new());
        for image in &bundle.index().images {
            let wanted: BTreeSet<Digest> =
                image.carried_runnable().filter(|record| is_for(record, &platform)).map(|record| record.digest).collect();
            offered.extend(image.carried_runnable().filter_map(|record| record.platform.as_ref()).map(ToString::to_string));
            if wanted.is_empty() {
                left_out.push(image.reference.clone());
                continue;
            }
            let mut contents = BTreeSet::new();
            gather(bundle, image.target.digest, &wanted, &mut contents)?;
            images.push(SelectedImage { reference: image.reference.clone(), target: image.target.clone(), contents });
        }
        if images.is_empty() {
            return Err(LoadError::NothingForPlatform { platform, offered: offered.into_iter().collect() });
        }
        Ok(Self { platform, images, left_out })
    }
}

/// A manifest that does not say its platform is for every one, as runtimes have it.
fn is_for(record: &ManifestRecord, platform: &Platform) -> bool {
    record.platform.as_ref().is_none_or(|its| its.matches(platform))
}

/// Adds a content and what it leads to; of an index only the wanted manifests.
fn gather(bundle: &OpenBundle, digest: Digest, wanted: &BTreeSet<Digest>, contents: &mut BTreeSet<Digest>) -> Result<(), LoadError> {
    if !contents.insert(digest) {
        return Ok(());
    }
    let Some(bytes) = bundle.document(digest) else { return Ok(()) };
    let document = Manifest::parse(bytes.to_vec(), None)?;
    let is_index = matches!(document.kind(), ManifestKind::Index { .. });
    for child in document.children().filter(|child| !is_index || wanted.contains(&child.digest)) {
        gather(bundle, child.digest, wanted, contents)?;
    }
    Ok(())
}

/// The platform that this program was built for, which is the one it runs on.
pub fn platform_of_this_machine() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "arm" => ("arm", Some("v7")),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.map(str::to_owned), os_version: None }
}
