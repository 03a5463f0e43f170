//! What serving a large bundle to many clients costs, as the kernel counts it: bytes written,
//! memory.

use std::{collections::BTreeMap, fs};

use super::large_bundle;
use crate::{bundle::small_bundle::Scratch, registry::serve_support::Serving};

const CLIENTS: usize = 32;

/// The numbers in a file of `/proc/PID`, by name; sizes in kB become bytes.
fn counted(serving: &Serving, file: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(format!("/proc/{}/{file}", serving.id())).unwrap();
    let number = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let (value, unit) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        Some((
            name.to_owned(),
            value.parse::<u64>().ok()? * if unit == "kB" { 1024 } else { 1 },
        ))
    };
    text.lines().filter_map(number).collect()
}

/// Has many clients at once fetch blobs, or 64 MiB of them.
fn fetch(serving: &Serving, paths: &[String], headers: &str) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let path = &paths[client % paths.len()];
            scope.spawn(move || {
                let mut stream = serving.begin("GET", path, headers);
                stream.set_read_timeout(None).unwrap();
                let received = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
                assert!(
                    (64 << 20..65 << 20).contains(&received),
                    "{path}: {received} bytes"
                );
            });
        }
    });
}

#[test]
fn many_clients_of_a_large_bundle_cost_no_byte_on_the_disk_and_little_memory() {
    let scratch = Scratch::new();
    let (file, layers) = large_bundle(&scratch);
    let paths: Vec<String> = layers
        .iter()
        .map(|layer| format!("/v2/library/huge/blobs/{}", layer.digest))
        .collect();
    let names = scratch.names();
    let serving = Serving::start([file.as_path()], &[]);
    // What was read to check the head and the documents: no more for a large bundle.
    let read = counted(&serving, "io")["rchar"];
    assert!(read < 4 << 20, "{read} bytes read before it is ready");
    // The first pass hashes, the others do not.
    fetch(&serving, &paths[..1], "");
    fetch(&serving, &paths, "range: bytes=-67108864\r\n");
    let (io, memory) = (
        counted(&serving, "io"),
        counted(&serving, "status")["VmHWM"],
    );
    assert!(memory < 100_000_000, "{memory} bytes of memory");
    // The kernel counts what goes to sockets and to the log as written; nothing went to a disk.
    assert_eq!(io["write_bytes"], 0, "{io:?}");
    assert_eq!(scratch.names(), names);
}
