//! `push` into a fresh registry against `crane push` and `skopeo copy` of the unpacked bundle.
//!
//! Every contestant starts with a registry (distribution, on loopback) that has nothing, in turn. `crane push` sends blobs without
//! looking at them, so it runs a second time behind `openssl dgst`, which is what `push` does while it reads.

use std::{fs, path::Path, process::Command, time::Instant};

use rune_bundle::oci::REF_NAME;
use rune_testkit::process::Process;

use super::{Bench, REST, gib, median, run, shell};

/// How often each contestant runs.
const ROUNDS: usize = 5;

/// A contestant: its name, and what it does with the registry at a host.
type Contestant<'a> = (&'a str, Box<dyn Fn(&str) + 'a>);

impl Bench {
    /// The bundle is the one that `verify` left.
    pub(super) fn push(&self) {
        self.run(&["unpack", "x.tar", "--key", "bench.pub", "unpacked"]);
        let crane = |host: &str| shell(&self.directory, &format!("crane push --insecure --index unpacked {host}/all:1"));
        // OpenSSL knows the processor's instructions for it, coreutils does not.
        let hash = r#"cd unpacked/blobs/sha256 && ls | xargs -P 2 -n 1 sh -c 'openssl dgst -sha256 -r "$0" | grep -q "^$0 "'"#;
        let contestants: [Contestant<'_>; 4] = [
            (
                "rune-bundle push (from the bundle)",
                Box::new(|host| self.run(&["push", "x.tar", host, "--key", "bench.pub", "--receipts", "receipts"])),
            ),
            ("crane push (unpacked)", Box::new(crane)),
            (
                "openssl dgst, then crane push (unpacked)",
                Box::new(|host| {
                    shell(&self.directory, hash);
                    crane(host);
                }),
            ),
            ("skopeo copy (unpacked)", Box::new(|host| self.copy_with_skopeo(host))),
        ];
        let mut times = vec![Vec::new(); contestants.len()];
        let mut busy: f64 = 0.0;
        for _ in 0..ROUNDS {
            for ((_, work), times) in contestants.iter().zip(&mut times) {
                let (registry, host) = self.fresh_registry();
                run(&mut Command::new("sync"));
                std::thread::sleep(REST);
                busy = busy.max(load());
                let started = Instant::now();
                work(&host);
                times.push(started.elapsed().as_secs_f64());
                drop(registry);
                fs::remove_dir_all(self.path("fresh")).unwrap();
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        let bytes = fs::metadata(self.path("x.tar")).unwrap().len();
        println!("\npush, {:.2} GiB, median of {ROUNDS}; at most {busy:.2} processes wanted to run before a start", gib(bytes));
        for ((name, _), seconds) in contestants.iter().zip(&medians) {
            println!("  {name:<46} {seconds:>6.2} s");
        }
        let ratio = |other: usize| medians[other] / medians[0];
        println!(
            "  push is {:.2} times as fast as crane, {:.2} times as fast as crane with the blobs checked, {:.2} times as fast as skopeo \
             (bar: at least 1.0)",
            ratio(1),
            ratio(2),
            ratio(3)
        );
    }

    /// A registry that has nothing.
    fn fresh_registry(&self) -> (Process, String) {
        let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/registry/start");
        let (process, announced) = Process::start_announced(start, [Path::new("plain"), &self.path("fresh")]);
        let host = announced["host"].as_str().unwrap().to_owned();
        (process, host)
    }

    fn copy_with_skopeo(&self, host: &str) {
        let index: serde_json::Value = serde_json::from_slice(&fs::read(self.path("unpacked/index.json")).unwrap()).unwrap();
        let names = index["manifests"].as_array().unwrap().iter().map(|image| image["annotations"][REF_NAME].clone());
        let copies: Vec<String> = names
            .enumerate()
            .map(|(number, name)| {
                let name = name.as_str().unwrap().to_owned();
                format!("skopeo --insecure-policy copy --quiet --all --dest-tls-verify=false oci:unpacked:{name} docker://{host}/bench/{number}:1")
            })
            .collect();
        shell(&self.directory, &copies.join(" && "));
    }
}

/// How many processes wanted to run, on average over the last minute.
fn load() -> f64 {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().parse().unwrap()
}
