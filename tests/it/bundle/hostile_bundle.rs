//! Bundles that are damaged, forged or malformed are refused, and nothing is written.

use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use rune_bundle::{
    bundle::{BundleSource, Trust, UnverifiedHead, verify},
    sign::Signer,
};
use rune_core::progress::Silent;

use crate::bundle::small_bundle::{
    Scratch, ends_with, entries_of, index_of, ingredients, private_key, rune_bundle,
    sign_and_write, signed, write,
};

/// Runs `verify` and `unpack` on a bundle; both must refuse it with `code`, and `unpack` must leave
/// nothing.
fn refused(scratch: &Scratch, bundle: &Path, code: i32) -> String {
    let key = scratch.path("key.pub");
    let before = scratch.names();
    let said = ends_with(
        &rune_bundle([
            "verify".as_ref(),
            bundle.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
        ]),
        code,
    );
    let target = scratch.path("unpacked");
    ends_with(
        &rune_bundle([
            "unpack".as_ref(),
            bundle.as_os_str(),
            target.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
        ]),
        code,
    );
    assert_eq!(scratch.names(), before, "something was left behind");
    said
}

fn is_good(bundle: &fs::File) -> bool {
    let trust = Trust::new(
        vec![Signer {
            name: "key.pub".to_owned(),
            key: private_key().public_key().clone(),
        }],
        1,
        None,
    )
    .unwrap();
    let mut source = BundleSource::File(bundle.try_clone().unwrap().into());
    let head: Result<UnverifiedHead, _> = source.read_head();
    head.is_ok_and(|head| {
        head.authenticate(&trust)
            .is_ok_and(|head| verify(source, &head, 1, &Silent).is_ok())
    })
}

#[test]
fn a_good_bundle_verifies_and_unpacks_to_what_sha256sums_says() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let key = scratch.path("key.pub");
    let said = ends_with(
        &rune_bundle([
            "verify".as_ref(),
            bundle.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
        ]),
        0,
    );
    assert!(said.contains("small 1.2.3 is intact"), "{said}");
    let target = scratch.path("unpacked");
    ends_with(
        &rune_bundle([
            "unpack".as_ref(),
            bundle.as_os_str(),
            target.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
        ]),
        0,
    );
    let sums = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&target)
        .output()
        .unwrap();
    ends_with(&sums, 0);
    ends_with(
        &rune_bundle([
            "unpack".as_ref(),
            bundle.as_os_str(),
            target.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
        ]),
        12,
    );
}

#[test]
fn any_flipped_bit_makes_verify_fail() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    assert!(is_good(&file));
    let bits = file.metadata().unwrap().len() * 8;
    // A fixed linear congruential sequence (Knuth's MMIX constants): 2,000 positions, the same in
    // every run.
    let mut state = 0x5eed_u64;
    for _ in 0..2000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bit = (state >> 16) % bits;
        let mut byte = [0];
        file.read_exact_at(&mut byte, bit / 8).unwrap();
        let flipped = byte[0] ^ (1 << (bit % 8));
        file.write_all_at(&[flipped], bit / 8).unwrap();
        assert!(!is_good(&file), "bit {bit} was flipped unnoticed");
        file.write_all_at(&byte, bit / 8).unwrap();
    }
    assert!(is_good(&file));
}

#[test]
fn a_flipped_bit_in_each_kind_of_entry_has_the_exit_code_of_its_kind() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    for entry in entries_of(&path) {
        let at = entry.content + entry.size / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let is_head = entry.name == "bundle.json" || entry.name.starts_with("signatures/");
        let said = refused(&scratch, &path, if is_head { 7 } else { 6 });
        assert!(
            is_head || said.contains(&entry.name),
            "the entry is not named: {said}"
        );
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(is_good(&file));
}

#[test]
fn a_bundle_cut_off_at_any_entry_boundary_is_refused() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let whole = fs::read(&path).unwrap();
    let last_slot = entries_of(&path)[8].content;
    for entry in entries_of(&path) {
        for cut in [entry.header, entry.content, entry.content + entry.size] {
            fs::write(&path, &whole[..usize::try_from(cut).unwrap()]).unwrap();
            refused(&scratch, &path, if cut <= last_slot + 8191 { 3 } else { 6 });
        }
    }
    for missing in [1, 512, 1023] {
        fs::write(&path, &whole[..whole.len() - missing]).unwrap();
        refused(&scratch, &path, 6);
    }
}

#[test]
fn what_is_not_a_tar_is_not_a_bundle() {
    let scratch = Scratch::new();
    signed(&scratch);
    let path = scratch.path("other");
    for content in [&b""[..], b"hello\n", &[0; 4096], &[0xff; 4096]] {
        fs::write(&path, content).unwrap();
        let said = refused(&scratch, &path, 3);
        assert!(said.contains("not a bundle"), "{said}");
    }
    let said = refused(&scratch, &scratch.path("missing"), 4);
    assert!(said.contains("missing"), "{said}");
}

/// Rewrites the header of the entry that holds the chart.
fn with_changed_header(change: impl Fn(&mut tar::Header)) -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let chart = entries_of(&path)
        .into_iter()
        .find(|entry| entry.name.starts_with("charts/"))
        .unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut header = tar::Header::new_ustar();
    file.read_exact_at(header.as_mut_bytes(), chart.header)
        .unwrap();
    change(&mut header);
    header.set_cksum();
    file.write_all_at(header.as_bytes(), chart.header).unwrap();
    (scratch, path)
}

#[test]
fn a_header_that_disagrees_with_the_bundle_index_is_refused() {
    let name = |header: &mut tar::Header, name: &[u8]| {
        let field = &mut header.as_old_mut().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name);
    };
    let changes: [&dyn Fn(&mut tar::Header); 8] = [
        &|header| header.set_entry_type(tar::EntryType::Symlink),
        &|header| header.set_entry_type(tar::EntryType::Link),
        &|header| name(header, b"/etc/passwd"),
        &|header| name(header, b"../../etc/passwd"),
        &|header| name(header, b"INSTALL.md"),
        &|header| header.set_size(1),
        &|header| header.set_mode(0o4755),
        &|header| header.set_mtime(1),
    ];
    for change in changes {
        let (scratch, path) = with_changed_header(change);
        let said = refused(&scratch, &path, 6);
        assert!(said.contains("charts/small-0.1.0.tgz"), "{said}");
    }
}

#[test]
fn an_extra_or_duplicate_entry_is_refused() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let whole = fs::read(&path).unwrap();
    for name in ["files/more", "INSTALL.md"] {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::End(-1024)).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(3);
        header.set_path(name).unwrap();
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        let mut block = [0_u8; 512];
        block[..3].copy_from_slice(b"bad");
        file.write_all(&block).unwrap();
        file.write_all(&[0; 1024]).unwrap();
        assert_eq!(entries_of(&path).last().unwrap().name, name);
        refused(&scratch, &path, 6);
        fs::write(&path, &whole).unwrap();
    }
    fs::write(&path, [whole, vec![0; 512]].concat()).unwrap();
    refused(&scratch, &path, 6);
}

#[test]
fn an_index_that_a_trusted_key_signed_but_that_names_an_escape_is_refused() {
    for escape in ["/etc/passwd", "../../x", "a/./b", "files//x"] {
        let scratch = Scratch::new();
        let path = signed(&scratch);
        let text = serde_json::to_string(&index_of(&path))
            .unwrap()
            .replace("files/extra.txt", escape);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let index = rune_bundle::canonical_json::to_bytes(&value).unwrap();
        write_head(&scratch, &path, &index);
        refused(&scratch, &path, 3);
    }
}

/// Replaces a bundle by the signed head of another index, followed by the old rest.
pub(crate) fn write_head(scratch: &Scratch, path: &Path, index: &[u8]) {
    use rune_bundle::{
        archive::{Entry, EntryName, Layout, Mode},
        sign::{Slot, SlotSignature},
    };
    let old = fs::read(path).unwrap();
    let rest = usize::try_from(entries_of(path)[9].header).unwrap();
    let slots = (0..8).map(|slot| {
        if slot == 0 {
            Slot::Signed(SlotSignature::sign(&private_key(), index))
        } else {
            Slot::Blank
        }
    });
    let contents: Vec<Vec<u8>> = std::iter::once(index.to_vec())
        .chain(slots.map(|slot| slot.to_bytes()))
        .collect();
    let names = std::iter::once("bundle.json".to_owned())
        .chain((0..8).map(|slot| format!("signatures/{slot}.sigstore.json")));
    let entries = names.zip(&contents).map(|(name, content)| Entry {
        name: EntryName::new(name).unwrap(),
        size: content.len() as u64,
        mode: Mode::Regular,
    });
    let layout = Layout::new(entries).unwrap();
    let mut bytes = Vec::new();
    for (placed, content) in layout.entries().iter().zip(&contents) {
        bytes.extend(placed.header());
        bytes.extend(content);
        bytes.resize(usize::try_from(placed.end_offset()).unwrap(), 0);
    }
    bytes.extend_from_slice(&old[rest..]);
    fs::write(path, bytes).unwrap();
    assert!(scratch.path("key.pub").exists());
}

#[test]
fn a_bundle_that_lacks_a_blob_is_refused_as_incomplete() {
    let scratch = Scratch::new();
    let mut ingredients = ingredients(&scratch);
    let rune_bundle::bundle::ImageSource::Built { blobs, .. } = &mut ingredients.images[0].source
    else {
        panic!()
    };
    let layer = blobs.remove(1).0.digest;
    let path = sign_and_write(&scratch, ingredients.compose().unwrap());
    let said = refused(&scratch, &path, 8);
    assert!(said.contains(&layer.to_string()), "{said}");
}

#[test]
fn a_bundle_with_a_blob_that_belongs_to_nothing_is_refused() {
    let scratch = Scratch::new();
    let mut ingredients = ingredients(&scratch);
    let rune_bundle::bundle::ImageSource::Built { blobs, .. } = &mut ingredients.images[0].source
    else {
        panic!()
    };
    blobs.push((
        rune_bundle::oci::Descriptor::of("text/plain", b"stray"),
        b"stray".to_vec(),
    ));
    let path = sign_and_write(&scratch, ingredients.compose().unwrap());
    let said = refused(&scratch, &path, 8);
    assert!(said.contains("belongs to nothing"), "{said}");
}

#[test]
fn an_unsigned_bundle_is_refused_unless_its_digest_is_known() {
    let scratch = Scratch::new();
    signed(&scratch);
    let plan = ingredients(&scratch).compose().unwrap().sign(&[]).unwrap();
    write(&plan, &scratch.utf8("unsigned.tar"));
    let path = scratch.path("unsigned.tar");
    let said = refused(&scratch, &path, 7);
    assert!(said.contains("not signed"), "{said}");
    let digest = plan.digest().to_string();
    ends_with(
        &rune_bundle([
            "verify".as_ref(),
            path.as_os_str(),
            "--bundle-digest".as_ref(),
            digest.as_ref(),
        ]),
        0,
    );
    let other = digest.replace(
        &digest[7..9],
        if &digest[7..9] == "00" { "11" } else { "00" },
    );
    ends_with(
        &rune_bundle([
            "verify".as_ref(),
            path.as_os_str(),
            "--bundle-digest".as_ref(),
            other.as_ref(),
        ]),
        7,
    );
}

#[test]
fn a_bundle_signed_by_another_key_is_refused_and_the_other_key_is_named() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let other = rune_bundle::sign::PrivateKey::generate().unwrap();
    fs::write(scratch.path("key.pub"), other.public_key().to_pem()).unwrap();
    let said = refused(&scratch, &path, 7);
    let given = format!(
        "the bundle is not signed by the given key key.pub ({})",
        other.public_key().fingerprint().grouped()
    );
    let signer = format!(
        "it is signed by another key: {}",
        private_key().public_key().fingerprint().grouped()
    );
    assert!(said.contains(&given) && said.contains(&signer), "{said}");
}

#[test]
fn a_key_inside_the_bundle_is_of_no_use() {
    let scratch = Scratch::new();
    let mut ingredients = ingredients(&scratch);
    let pem = private_key().public_key().to_pem();
    ingredients.profiles[0]
        .values
        .push(("values/cosign.pub".to_owned(), pem));
    let path = sign_and_write(&scratch, ingredients.compose().unwrap());
    for verb in ["verify", "unpack"] {
        let said = ends_with(&rune_bundle([verb.as_ref(), path.as_os_str()]), 7);
        assert!(said.contains("--key"), "{said}");
    }
    let said = ends_with(&rune_bundle(["inspect".as_ref(), path.as_os_str()]), 0);
    assert!(said.contains("UNVERIFIED"), "{said}");
}

#[test]
fn a_bundle_is_verified_and_unpacked_from_a_pipe() {
    use std::process::{Command, Stdio};
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let key = scratch.path("key.pub");
    let run = |verb: &str, target: &[&str], bundle: &Path| {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec cat "$0" | "$@""#])
            .arg(bundle)
            .arg(env!("CARGO_BIN_EXE_rune-bundle"))
            .args([verb, "-"])
            .args(target);
        command
            .arg("--key")
            .arg(&key)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    ends_with(&run("verify", &[], &path), 0);
    let mut named = Command::new("sh");
    named
        .args(["-c", r#"cat "$0" | "$1" verify /dev/stdin --key "$2""#])
        .arg(&path)
        .arg(env!("CARGO_BIN_EXE_rune-bundle"))
        .arg(&key);
    ends_with(&named.output().unwrap(), 0);
    let target = scratch.path("unpacked");
    ends_with(&run("unpack", &[target.to_str().unwrap()], &path), 0);
    assert!(target.join("INSTALL.md").exists());
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len() - 2000;
    bytes[end] ^= 1;
    fs::write(&path, bytes).unwrap();
    ends_with(&run("verify", &[], &path), 6);
}

#[test]
fn verify_refuses_another_release_than_the_expected_one() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let key = scratch.path("key.pub");
    let run = |expect: &str| {
        rune_bundle([
            "verify".as_ref(),
            path.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
            "--expect".as_ref(),
            expect.as_ref(),
        ])
    };
    ends_with(&run("small@1.2.3"), 0);
    let said = ends_with(&run("small@1.2.4"), 8);
    assert!(
        said.contains("small 1.2.3") && said.contains("small 1.2.4"),
        "{said}"
    );
}

#[test]
fn verify_evaluates_the_policy_of_whoever_receives_the_bundle() {
    let scratch = Scratch::new();
    let path = signed(&scratch);
    let key = scratch.path("key.pub");
    let policy = scratch.path("policy.yaml");
    let run = |sources: &str, licenses: &str| {
        let text = format!(
            "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: {{ allow: [{licenses}] }}\nsources: {{ allow: [\"{sources}\"] }}\n"
        );
        fs::write(&policy, text).unwrap();
        rune_bundle([
            "verify".as_ref(),
            path.as_os_str(),
            "--key".as_ref(),
            key.as_os_str(),
            "--policy".as_ref(),
            policy.as_os_str(),
        ])
    };
    ends_with(&run("registry.example/*", "Apache-2.0"), 0);
    let said = ends_with(&run("registry.example/*", "MIT"), 8);
    assert!(said.contains("Apache-2.0"), "{said}");
    let said = ends_with(&run("docker.io/*", "Apache-2.0"), 8);
    assert!(said.contains("registry.example/small"), "{said}");
}
