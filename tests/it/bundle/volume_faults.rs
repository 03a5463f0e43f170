//! Random faults over the volumes of a set: each is found by the volume's own verification where it
//! lies in proven bytes, by the set otherwise, and nothing else is reported.

use std::{collections::BTreeMap, fs};

use camino::Utf8PathBuf;
use rune_bundle::{
    bundle::{BundleFile, BundleSource, Trust, Volume, verify, verify_volume},
    sign::Signer,
};
use rune_core::{command::CommandError, progress::Silent};

use crate::bundle::{
    small_bundle::{Scratch, entries_of, ingredients, private_key, rune_bundle, sign_and_write},
    volumes::Set,
};

const FAULTS: u32 = 2000;
const VOLUMES: usize = 7;

/// What is done to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Flip,
    Truncate,
    Append,
    /// Two blocks change places, within a volume or between two.
    SwapBlocks,
    /// Two volumes have each other's name.
    SwapNames,
    Missing,
    Doubled,
    OtherBuild,
}

/// Numbers that are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

fn trust() -> Trust {
    let key = private_key().public_key().clone();
    let name = "key.pub".to_owned();
    Trust::new(vec![Signer { name, key }], 1, None).unwrap()
}

/// Verifies a volume alone; what is wrong with it.
fn alone(path: &Utf8PathBuf) -> Result<(), String> {
    let said = |error: CommandError| error.messages().join(": ");
    let volume = Volume::open(path)
        .map_err(|error| said(error.into()))?
        .ok_or("no volume")?;
    let head = volume.head().clone();
    let head = head
        .authenticate(&trust())
        .map_err(|error| said(error.into()))?;
    let checked = verify_volume(volume, &head, 1, &Silent);
    checked.map(drop).map_err(|error| said(error.into()))
}

/// Verifies the bundle of all volumes.
fn set(first: &Utf8PathBuf) -> Result<(), String> {
    let said = |error: CommandError| error.messages().join(": ");
    let file = BundleFile::open(first, &[], true).map_err(|error| said(error.into()))?;
    if file.volumes().is_none() {
        return Err(format!("`{first}` is no volume"));
    }
    let mut source = BundleSource::File(file);
    let head = source.read_head().map_err(|error| said(error.into()))?;
    let head = head
        .authenticate(&trust())
        .map_err(|error| said(error.into()))?;
    let verified = verify(source, &head, 1, &Silent);
    verified.map(drop).map_err(|error| said(error.into()))
}

#[test]
fn each_of_2000_faults_is_found_where_it_is_and_nothing_else_is_reported() {
    let whole = Set::new();
    let other = other_build(whole.volume_bytes);
    let read = |path: String| fs::read(path).unwrap();
    let good: Vec<Vec<u8>> = (1..=VOLUMES)
        .map(|number| read(whole.volume(number)))
        .collect();
    let scratch = Scratch::new();
    let name = |number: usize| scratch.utf8(&format!("v.volume-{number}-of-{VOLUMES}"));
    let write = |number: usize, bytes: &[u8]| fs::write(name(number), bytes).unwrap();
    // Slots of the head that are blank: a flip there makes a volume malformed, not unproven, and
    // which of the copies of a slot counts is what the tests about signing are for.
    let slot = |slot: usize| {
        let begin = usize::try_from(entries_of(&whole.bundle)[slot + 1].content).unwrap();
        begin + 4096..begin + 4096 + 8192
    };
    let signature = slot(0);
    let slots: Vec<_> = (1..8).map(slot).collect();
    for (number, bytes) in good.iter().enumerate() {
        write(number + 1, bytes);
    }
    set(&name(1)).unwrap();
    let mut random = Random(1);
    let mut seen: BTreeMap<Fault, u32> = BTreeMap::new();
    for round in 0..FAULTS {
        let number = random.below(VOLUMES) + 1;
        let partner = (number + random.below(VOLUMES - 1)) % VOLUMES + 1;
        let bytes = &good[number - 1];
        let fault = match random.below(20) {
            0..8 => Fault::Flip,
            8..10 => Fault::Truncate,
            10 => Fault::Append,
            11..15 => Fault::SwapBlocks,
            15 => Fault::SwapNames,
            16 => Fault::Missing,
            17 => Fault::Doubled,
            _ => Fault::OtherBuild,
        };
        // The volumes whose own verification must fail, those that were written, and what the set
        // must say: the name of the volume, or nothing when the bundle is as it was.
        let mut bad = vec![number];
        let mut written = vec![number];
        let mut is_set_good = false;
        match fault {
            Fault::Flip => {
                let place = std::iter::repeat_with(|| random.below(bytes.len()))
                    .find(|place| slots.iter().all(|slot| !slot.contains(place)))
                    .unwrap();
                let mut bytes = bytes.clone();
                bytes[place] ^= 1 << random.below(8);
                write(number, &bytes);
                // Of the records the bundle needs only what says where its bytes are, and of the
                // signature one whole copy, when the other could be one that was cut off.
                let is_spare = (512..4096).contains(&place) || signature.contains(&place);
                is_set_good = is_spare && set(&name(1)).is_ok();
            }
            Fault::Truncate => write(number, &bytes[..random.below(bytes.len())]),
            Fault::Append => write(number, &[&bytes[..], b"more"].concat()),
            Fault::SwapBlocks => {
                let (mut one, mut two) = (bytes.clone(), good[partner - 1].clone());
                let from = 4096 + usize::try_from(whole.head_bytes).unwrap();
                let block = |random: &mut Random, length: usize| {
                    from + random.below((length - from) / 512) * 512
                };
                let here = block(&mut random, one.len());
                let there = block(&mut random, two.len());
                if one[here..here + 512] == two[there..there + 512] {
                    continue;
                }
                one[here..here + 512].swap_with_slice(&mut two[there..there + 512]);
                write(number, &one);
                write(partner, &two);
                bad.push(partner);
                written.push(partner);
            }
            Fault::SwapNames => {
                write(number, &good[partner - 1]);
                write(partner, bytes);
                written.push(partner);
                bad.clear();
                is_set_good = true;
            }
            Fault::Missing => fs::remove_file(name(number)).unwrap(),
            Fault::Doubled => {
                write(number, &good[partner - 1]);
                bad.clear();
            }
            Fault::OtherBuild => {
                write(number, &other[number - 1]);
                bad.clear();
            }
        }
        for checked in 1..=VOLUMES {
            if fault == Fault::Missing && checked == number {
                continue;
            }
            // Only what was written can have changed.
            if written.contains(&checked) || round % 50 == 0 {
                let found = alone(&name(checked));
                assert_eq!(
                    found.is_err(),
                    bad.contains(&checked),
                    "round {round}, {fault:?} of volume {number}: volume {checked}: {found:?}"
                );
            }
        }
        let first = name(if fault == Fault::Missing && number == 1 {
            2
        } else {
            1
        });
        let found = set(&first);
        if is_set_good {
            assert_eq!(found, Ok(()), "round {round}, {fault:?} of volume {number}");
        } else {
            let said = found.expect_err(&format!("round {round}, {fault:?} of volume {number}"));
            let named = if fault == Fault::Missing {
                format!("volume {number} of 7 is missing")
            } else {
                format!("v.volume-{number}-of-7")
            };
            assert!(
                said.contains(&named),
                "round {round}, {fault:?} of volume {number}: {said}"
            );
            // A volume is said to be unlike the first that is intact.
            let reference = if number == 1 { 2 } else { 1 };
            for other in (1..=VOLUMES).filter(|other| !written.contains(other)) {
                let is_named = said.contains(&format!("v.volume-{other}-of-7"));
                let is_expected =
                    other == reference || (fault == Fault::Doubled && other == partner);
                assert!(
                    !is_named || is_expected,
                    "round {round}, {fault:?} of volume {number}: {said}"
                );
            }
        }
        *seen.entry(fault).or_default() += 1;
        for number in written {
            write(number, &good[number - 1]);
        }
    }
    assert!(
        seen.len() == 8 && seen.values().all(|count| *count > 50),
        "{seen:?}"
    );
}

/// The volumes of another version of the bundle.
fn other_build(volume_bytes: u64) -> Vec<Vec<u8>> {
    let scratch = Scratch::new();
    let mut ingredients = ingredients(&scratch);
    ingredients.version = "1.2.4".parse().unwrap();
    sign_and_write(&scratch, ingredients.compose().unwrap());
    let (key, size) = (scratch.utf8("key.pub"), volume_bytes.to_string());
    let (bundle, output) = (scratch.utf8("small.bundle.tar"), scratch.utf8("v.tar"));
    let split = [
        "split",
        bundle.as_str(),
        "--volume-size",
        &size,
        "--output",
        output.as_str(),
        "--key",
        key.as_str(),
    ];
    assert!(rune_bundle(split).status.success());
    (1..=VOLUMES)
        .map(|number| fs::read(scratch.path(&format!("v.volume-{number}-of-{VOLUMES}"))).unwrap())
        .collect()
}
