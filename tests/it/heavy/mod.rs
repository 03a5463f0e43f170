//! Tests that take seconds and gigabytes, one at a time.

mod accounting;
mod evidence;
mod serving;

use std::{fs, path::PathBuf};

use rune_bundle::oci::Descriptor;
use rune_core::digest::Sha256;
use rune_testkit::sized;

use crate::{
    bundle::small_bundle::Scratch,
    registry::serve_support::{bundle, image_of},
};

/// Sizes of layers: 1 GiB together, ten times what a program may take of memory. In full they are 4
/// GiB, which no longer fit into numbers of 32 bits.
fn layers_mib() -> [usize; 4] {
    sized([64, 160, 288, 512], [64, 960, 1024, 2048])
}

/// A large bundle and its layers. They are zeros, so the file needs no more than the promise of the
/// room.
fn large_bundle(scratch: &Scratch) -> (PathBuf, Vec<Descriptor>) {
    let mib = vec![0; 1 << 20];
    let mut hasher = Sha256::new();
    let mut layers = Vec::new();
    let sizes = layers_mib();
    // Hashed in one go: each begins with the one before.
    for number in 1..=sizes[3] {
        hasher.update(&mib);
        if sizes.contains(&number) {
            let descriptor = Descriptor::of("application/vnd.oci.image.layer.v1.tar", b"");
            layers.push(Descriptor {
                digest: hasher.clone().finish(),
                size: (number as u64) << 20,
                ..descriptor
            });
        }
    }
    let image = image_of(
        "docker.io/library/huge:1",
        layers
            .iter()
            .map(|layer| (layer.clone(), Vec::new()))
            .collect(),
    );
    let file = bundle(scratch, "huge", vec![image]);
    assert!(fs::metadata(&file).unwrap().len() > (sizes.iter().sum::<usize>() as u64) << 20);
    (file, layers)
}
