//! `push` into a fresh registry against `crane push` and `skopeo copy` of the unpacked bundle.
//!
//! Every contestant starts with a registry (distribution 3, on loopback) that has nothing, in turn.
//! `crane push` sends blobs without looking at them, so it runs a second time behind `openssl
//! dgst`, which is what `push` does while it reads. All of it is done twice: once with the registry
//! on the same processors, once as if it were another machine, with a processor that is its own.

use std::{
    fs,
    path::Path,
    process::{self, Command},
    time::Instant,
};

use rune_bundle::oci::REF_NAME;
use rune_testkit::process::Process;

use super::{Bench, REST, gib, median, run, shell};

/// How often each contestant runs.
const ROUNDS: usize = 5;

/// Where the registry and the contestants run.
struct Placement {
    /// Where the registry is, in words.
    name: &'static str,
    /// Its processors, in the notation of `taskset`.
    registry: String,
    /// Those of the contestants.
    contestants: String,
}

/// A contestant: its name, and what it does with the registry at a host.
type Contestant<'a> = (&'a str, Box<dyn Fn(&str) + 'a>);

impl Bench {
    /// The bundle is the one that `verify` left.
    pub(super) fn push(&self) {
        self.run(&["unpack", "x.tar", "--key", "bench.pub", "unpacked"]);
        let crane = |host: &str| {
            shell(
                &self.directory,
                &format!("crane push --insecure --index unpacked {host}/all:1"),
            );
        };
        // OpenSSL knows the processor's instructions for it, coreutils does not.
        let hash = r#"cd unpacked/blobs/sha256 && ls | xargs -P 2 -n 1 sh -c 'openssl dgst -sha256 -r "$0" | grep -q "^$0 "'"#;
        let contestants: [Contestant<'_>; 4] = [
            (
                "rune-bundle push (from the bundle that was verified)",
                Box::new(|host| {
                    self.run(&[
                        "push",
                        "x.tar",
                        host,
                        "--key",
                        "bench.pub",
                        "--receipts",
                        "receipts",
                    ]);
                }),
            ),
            ("crane push (unpacked)", Box::new(crane)),
            (
                "openssl dgst, then crane push (unpacked)",
                Box::new(|host| {
                    shell(&self.directory, hash);
                    crane(host);
                }),
            ),
            (
                "skopeo copy (unpacked)",
                Box::new(|host| self.copy_with_skopeo(host)),
            ),
        ];
        let last = std::thread::available_parallelism().unwrap().get() - 1;
        let all = format!("0-{last}");
        self.compare(
            &contestants,
            &Placement {
                name: "on the same processors",
                registry: all.clone(),
                contestants: all,
            },
        );
        if last > 0 {
            let apart = Placement {
                name: "on a processor of its own",
                registry: "0".to_owned(),
                contestants: format!("1-{last}"),
            };
            self.compare(&contestants, &apart);
        }
    }

    fn compare(&self, contestants: &[Contestant<'_>], placement: &Placement) {
        let mut times = vec![Vec::new(); contestants.len()];
        let mut busy: f64 = 0.0;
        for _ in 0..ROUNDS {
            for ((_, work), times) in contestants.iter().zip(&mut times) {
                run_on(&placement.registry);
                let (registry, host) = self.fresh_registry();
                run_on(&placement.contestants);
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
        println!(
            "\npush, {:.2} GiB, to a registry {}, median of {ROUNDS}; at most {busy:.2} processes wanted to run before a start",
            gib(bytes),
            placement.name
        );
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
        let (process, announced) = Process::start_announced(
            start,
            [
                Path::new("plain"),
                &self.path("fresh"),
                Path::new("distribution3"),
            ],
        );
        let host = announced["host"].as_str().unwrap().to_owned();
        (process, host)
    }

    fn copy_with_skopeo(&self, host: &str) {
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(self.path("unpacked/index.json")).unwrap()).unwrap();
        let names = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| image["annotations"][REF_NAME].clone());
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

/// Binds this thread, and so every process that it starts from here on, to processors.
fn run_on(processors: &str) {
    run(Command::new("taskset").args([
        "--pid",
        "--cpu-list",
        processors,
        &process::id().to_string(),
    ]));
}

/// How many processes wanted to run, on average over the last minute.
fn load() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
