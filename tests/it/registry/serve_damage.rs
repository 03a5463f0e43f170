//! A bundle that is damaged while it is served: what is damaged is never given away as if it were
//! right, the rest goes on.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rune_core::digest::Digest;

use crate::{
    bundle::small_bundle::{Scratch, entries_of},
    registry::serve_support::{Reply, Serving, bundle, image, noise},
};

const LAYER_BYTES: usize = 3 << 20;

struct Sample {
    file: PathBuf,
    layers: [Vec<u8>; 2],
    scratch: Scratch,
}

impl Sample {
    fn new() -> Self {
        let scratch = Scratch::new();
        let layers = [noise(1, LAYER_BYTES), noise(2, LAYER_BYTES)];
        let file = bundle(
            &scratch,
            "sample",
            vec![image("docker.io/library/two:1", layers.to_vec())],
        );
        Self {
            file,
            layers,
            scratch,
        }
    }

    fn digest(&self, layer: usize) -> String {
        Digest::of(&self.layers[layer]).to_string()
    }

    fn path(&self, layer: usize) -> String {
        format!("/v2/library/two/blobs/{}", self.digest(layer))
    }

    /// Turns a bit around, `offset` bytes behind the beginning of a layer.
    fn flip(&self, layer: usize, offset: u64) {
        let place = content_of(&self.file, &Digest::of(&self.layers[layer])) + offset;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.file)
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 1], place).unwrap();
    }
}

fn content_of(bundle: &Path, digest: &Digest) -> u64 {
    entries_of(bundle)
        .iter()
        .find(|entry| entry.name.ends_with(&digest.hex()))
        .unwrap()
        .content
}

/// Asserts that a client cannot take an answer for the whole content.
fn is_no_content(reply: &Reply) {
    let is_cut = reply.status == 200
        && reply.body.len() < LAYER_BYTES
        && reply.broken == Some(std::io::ErrorKind::ConnectionReset);
    // A reset can take the beginning of the answer along.
    let is_lost = reply.status == 0 && reply.broken == Some(std::io::ErrorKind::ConnectionReset);
    assert!(
        is_cut || is_lost,
        "{} {:?}, {} bytes",
        reply.status,
        reply.broken,
        reply.body.len()
    );
}

fn part(serving: &Serving, path: &str) -> Reply {
    serving.ask("GET", path, "range: bytes=0-99\r\n")
}

#[test]
fn a_damaged_blob_ends_with_a_reset_and_a_word_in_the_log_and_the_others_go_on() {
    for offset in [0, 300_000, LAYER_BYTES as u64 - 1] {
        let sample = Sample::new();
        let serving = Serving::start([sample.file.as_path()], &[]);
        sample.flip(0, offset);
        is_no_content(&serving.get(&sample.path(0)));
        let line = serving.says(&["error: ", &sample.digest(0), "connection is reset"]);
        assert!(
            line.contains("sample.tar") && line.contains("expected sha256:"),
            "{line}"
        );
        serving.says(&[&format!("GET {} 200 ", sample.path(0)), "(cut off)"]);

        let refused = part(&serving, &sample.path(0));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (500, "DIGEST_INVALID")
        );
        serving.says(&["error: ", &sample.digest(0), "is refused"]);
        assert_eq!(
            serving.get(&sample.path(1)).whole(&sample.digest(1)),
            sample.layers[1]
        );
        assert_eq!(
            part(&serving, &sample.path(1)).body,
            sample.layers[1][..100]
        );
    }
}

#[test]
fn a_blob_that_is_damaged_after_it_was_verified_is_refused_too() {
    let sample = Sample::new();
    let serving = Serving::start([sample.file.as_path()], &[]);
    for layer in [0, 1] {
        serving
            .get(&sample.path(layer))
            .whole(&sample.digest(layer));
    }
    assert_eq!(part(&serving, &sample.path(0)).status, 206);
    sample.flip(0, LAYER_BYTES as u64 / 2);
    assert_eq!(part(&serving, &sample.path(0)).status, 500);
    is_no_content(&serving.get(&sample.path(0)));
    serving.get(&sample.path(1)).whole(&sample.digest(1));
    sample.flip(0, LAYER_BYTES as u64 / 2);
    assert_eq!(
        serving.get(&sample.path(0)).whole(&sample.digest(0)),
        sample.layers[0]
    );
}

#[test]
fn a_blob_that_is_written_to_while_it_is_sent_ends_with_a_reset() {
    let scratch = Scratch::new();
    let layer = noise(3, 32 << 20);
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![layer.clone()])],
    );
    let serving = Serving::start([file.as_path()], &[]);
    let digest = Digest::of(&layer);
    let path = format!("/v2/library/one/blobs/{digest}");
    serving.get(&path).whole(&digest.to_string());
    let mut stream = serving.begin("GET", &path, "");
    let mut beginning = vec![0; 1 << 20];
    stream.read_exact(&mut beginning).unwrap();
    // The last byte stays what it is: only the time of the change says that somebody was here.
    let place = content_of(&file, &digest) + layer.len() as u64 - 1;
    OpenOptions::new()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all_at(&layer[layer.len() - 1..], place)
        .unwrap();
    let mut rest = Vec::new();
    assert_eq!(
        stream.read_to_end(&mut rest).unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    serving.says(&["error: ", "the file changed while it was sent"]);
    serving.get(&path).whole(&digest.to_string());
}

#[test]
fn a_small_damaged_blob_is_refused_before_the_answer_begins() {
    let scratch = Scratch::new();
    let layer = noise(4, 1000);
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![layer.clone()])],
    );
    let serving = Serving::start([file.as_path()], &[]);
    let digest = Digest::of(&layer);
    OpenOptions::new()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all_at(b"x", content_of(&file, &digest))
        .unwrap();
    let reply = serving.get(&format!("/v2/library/one/blobs/{digest}"));
    assert_eq!(
        (reply.status, reply.code().as_str(), reply.broken),
        (500, "DIGEST_INVALID", None)
    );
}

#[test]
fn a_bundle_that_is_cut_off_or_replaced_while_it_is_served_is_noticed() {
    let sample = Sample::new();
    let serving = Serving::start([sample.file.as_path()], &[]);
    // Another file of that name: the one that was opened is served on.
    let other = sample.scratch.path("other");
    File::create(&other)
        .unwrap()
        .write_all(b"not a bundle")
        .unwrap();
    let kept = sample.scratch.path("kept");
    std::fs::hard_link(&sample.file, &kept).unwrap();
    std::fs::rename(&other, &sample.file).unwrap();
    serving.get(&sample.path(0)).whole(&sample.digest(0));
    OpenOptions::new()
        .write(true)
        .open(&kept)
        .unwrap()
        .set_len(content_of(&kept, &Digest::of(&sample.layers[0])) + 1_000_000)
        .unwrap();
    is_no_content(&serving.get(&sample.path(0)));
    serving.says(&["error: ", &sample.digest(0), "connection is reset"]);
    assert_eq!(part(&serving, &sample.path(0)).status, 500);
    // Documents were read when it was opened.
    assert_eq!(serving.get("/v2/library/two/manifests/1").status, 200);
}
