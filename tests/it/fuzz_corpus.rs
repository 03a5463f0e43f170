//! The seeds of the fuzz targets, and every beginning of each, without a fuzzer.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn what_is_read_of_every_seed_and_of_every_beginning_of_one_is_valid() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let directories: BTreeSet<String> = rune_testkit::tool::names_in(&corpus).into_iter().collect();
    assert_eq!(
        directories,
        targets::TARGETS
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    );
    for (name, target) in targets::TARGETS {
        for seed in fs::read_dir(corpus.join(name)).unwrap() {
            let seed = fs::read(seed.unwrap().path()).unwrap();
            let step = seed.len() / 256 + 1;
            (0..seed.len())
                .step_by(step)
                .for_each(|end| target(&seed[..end]));
            target(&seed);
        }
    }
}
