//! Tests that take seconds and gigabytes; each runs alone.

mod accounting;
mod kills;
mod serving;
mod transfer;

use std::{fs, path::PathBuf};

use rune_bundle::oci::{Descriptor, Sha256};

use crate::{
    bundle::small_bundle::Scratch,
    registry::serve_support::{bundle, image_of},
};

/// Sizes of layers: four gibibytes together.
const LAYERS_MIB: [usize; 4] = [64, 960, 1024, 2048];

/// A bundle of four gibibytes and its layers. They are zeros, so the file needs no more than the promise of the room.
fn four_gibibytes(scratch: &Scratch) -> (PathBuf, Vec<Descriptor>) {
    let mib = vec![0; 1 << 20];
    let mut hasher = Sha256::new();
    let mut layers = Vec::new();
    // Hashed in one go: each begins with the one before.
    for number in 1..=LAYERS_MIB[3] {
        hasher.update(&mib);
        if LAYERS_MIB.contains(&number) {
            let descriptor = Descriptor::of("application/vnd.oci.image.layer.v1.tar", b"");
            layers.push(Descriptor { digest: hasher.clone().finish(), size: (number as u64) << 20, ..descriptor });
        }
    }
    let image = image_of("docker.io/library/huge:1", layers.iter().map(|layer| (layer.clone(), Vec::new())).collect());
    let file = bundle(scratch, "huge", vec![image]);
    assert!(fs::metadata(&file).unwrap().len() > 4 << 30);
    (file, layers)
}
