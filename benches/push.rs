//! `push` into a fresh registry against `crane push` and `skopeo copy` of the unpacked bundle, in one run.
//!
//! The two gibibytes of the other benchmark of bundles, in twelve images. Every contestant starts with a registry (distribution, on
//! loopback) that has nothing, in turn, several times, and the median counts; what is reported are ratios, because seconds say
//! more about the machine than about the program. Run it with `make bench`, on a machine that has nothing else to do.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark talks, fails by panicking, and looks at the world directly"
)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rune_bundle::oci::{Descriptor, media_type};
use rune_testkit::process::Process;
use serde_json::json;

/// How often each contestant runs.
const ROUNDS: usize = 5;

/// A pause before each run, so that nobody pays for the writing of whoever was before.
const REST: Duration = Duration::from_secs(6);

/// The layers of each image, in MiB: 2,048 in all, from tiny to large.
const LAYERS_MIB: [&[usize]; 12] = [
    &[256, 32],
    &[192, 16, 8],
    &[160, 24],
    &[128, 64, 4],
    &[128, 32],
    &[128, 1],
    &[96, 96],
    &[96, 47, 16],
    &[64, 64, 32],
    &[64, 32, 16, 8],
    &[64, 64],
    &[48, 32, 24, 12],
];

/// A contestant: its name, and what it does with the registry at a host.
type Contestant<'a> = (&'a str, Box<dyn Fn(&str) + 'a>);

fn main() {
    // `cargo test --benches` passes this; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(root.join("dist/rune-bundle").exists(), "dist/rune-bundle is missing; run `make release` first");
    let directory = root.join("target/bench-push");
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    let bench = Bench { directory };
    bench.prepare();
    bench.compare();
    fs::remove_dir_all(&bench.directory).unwrap();
}

struct Bench {
    directory: PathBuf,
}

impl Bench {
    /// Makes a bundle, and unpacks it for those who cannot read it in place.
    fn prepare(&self) {
        let (registry, host) = self.registry("source");
        println!("putting {} images with 2 GiB into {host}", LAYERS_MIB.len());
        let mut manifest = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: bench\nversion: 0.1.0\nimages:\n".to_owned();
        for number in 0..LAYERS_MIB.len() {
            put_image(&host, number);
            manifest.push_str(&format!("  - {{ name: image-{number}, reference: \"{host}/bench/{number}:1\", license: Apache-2.0 }}\n"));
        }
        manifest.push_str("policy: policy.yaml\n");
        fs::write(self.directory.join("bench.yaml"), manifest).unwrap();
        let policy = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [Apache-2.0] }\n";
        fs::write(self.directory.join("policy.yaml"), format!("{policy}sources: {{ allow: [\"{host}/bench/*\"] }}\n")).unwrap();
        for arguments in [
            &["keygen", "--out", "bench"][..],
            &["lock", "bench.yaml"],
            &["build", "bench.yaml", "--key", "bench.key", "--output", "x.tar"],
            &["unpack", "x.tar", "--key", "bench.pub", "unpacked"],
        ] {
            self.rune_bundle(arguments);
        }
        drop(registry);
        fs::remove_dir_all(self.directory.join("source")).unwrap();
    }

    fn compare(&self) {
        let contestants: [Contestant<'_>; 3] = [
            ("rune-bundle push (from the bundle)", Box::new(|host| self.rune_bundle(&["push", "x.tar", host, "--key", "bench.pub"]))),
            ("crane push (unpacked)", Box::new(|host| self.shell(&format!("crane push --insecure --index unpacked {host}/all:1")))),
            ("skopeo copy (unpacked)", Box::new(|host| self.skopeo(host))),
        ];
        let mut times = vec![Vec::new(); contestants.len()];
        let mut busy: f64 = 0.0;
        for round in 0..ROUNDS {
            for (number, (_, work)) in contestants.iter().enumerate() {
                let (registry, host) = self.registry("fresh");
                run(&mut Command::new("sync"));
                std::thread::sleep(REST);
                busy = busy.max(load());
                let started = Instant::now();
                work(&host);
                times[number].push(started.elapsed().as_secs_f64());
                drop(registry);
                fs::remove_dir_all(self.directory.join("fresh")).unwrap();
            }
            println!("round {} of {ROUNDS} is done", round + 1);
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        let bytes = fs::metadata(self.directory.join("x.tar")).unwrap().len();
        println!(
            "\npush, {:.2} GiB, median of {ROUNDS}; at most {busy:.2} processes wanted to run before a start",
            bytes as f64 / f64::from(1 << 30)
        );
        for ((name, _), seconds) in contestants.iter().zip(&medians) {
            println!("  {name:<40} {seconds:>6.2} s");
        }
        let best = medians[1..].iter().copied().fold(f64::INFINITY, f64::min);
        println!("  push is {:.2} times as fast as the best other tool (bar: at least 1.0)", best / medians[0]);
    }

    /// A registry that has nothing.
    fn registry(&self, name: &str) -> (Process, String) {
        let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/registry/start");
        let (process, announced) = Process::start_announced(start, [Path::new("plain"), &self.directory.join(name)]);
        let host = announced["host"].as_str().unwrap().to_owned();
        (process, host)
    }

    fn rune_bundle(&self, arguments: &[&str]) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/rune-bundle");
        let mut command = Command::new(program);
        run(command.args(arguments).arg("--quiet").current_dir(&self.directory).env("COSIGN_PASSWORD", "bench"));
    }

    fn skopeo(&self, host: &str) {
        let index: serde_json::Value = serde_json::from_slice(&fs::read(self.directory.join("unpacked/index.json")).unwrap()).unwrap();
        let names =
            index["manifests"].as_array().unwrap().iter().map(|image| image["annotations"]["org.opencontainers.image.ref.name"].clone());
        let copies: Vec<String> = names
            .enumerate()
            .map(|(number, name)| {
                let name = name.as_str().unwrap().to_owned();
                format!("skopeo --insecure-policy copy --quiet --all --dest-tls-verify=false oci:unpacked:{name} docker://{host}/bench/{number}:1")
            })
            .collect();
        self.shell(&copies.join(" && "));
    }

    fn shell(&self, script: &str) {
        run(Command::new("sh").args(["-ec", script]).current_dir(&self.directory));
    }
}

/// Makes an image of incompressible layers and puts it into a registry.
fn put_image(host: &str, number: usize) {
    let repository = format!("bench/{number}");
    let mut layers = Vec::new();
    for (position, mib) in LAYERS_MIB[number].iter().enumerate() {
        let mut bytes = noise(*mib << 20);
        bytes[..16].copy_from_slice(&((number * 100 + position) as u128).to_le_bytes());
        layers.push(put_blob(host, &repository, "application/vnd.oci.image.layer.v1.tar", &bytes));
    }
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = put_blob(host, &repository, media_type::CONFIG, &serde_json::to_vec(&config).unwrap());
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": layers});
    let url = format!("http://{host}/v2/{repository}/manifests/1");
    let content_type = format!("content-type: {}", media_type::MANIFEST);
    curl(&["--request", "PUT", "--header", &content_type, "--data-binary", "@-", &url], &serde_json::to_vec(&manifest).unwrap());
}

fn put_blob(host: &str, repository: &str, media_type: &str, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(media_type, bytes);
    let start = format!("http://{host}/v2/{repository}/blobs/uploads/");
    let headers = curl(&["--request", "POST", "--dump-header", "-", "--output", "/dev/null", &start], b"");
    let is_location = |line: &&str| line.to_ascii_lowercase().starts_with("location:");
    let location = headers.lines().find(is_location).unwrap()[9..].trim().to_owned();
    let url = format!("{location}&digest={}", descriptor.digest);
    let octets = "content-type: application/octet-stream";
    curl(&["--request", "PUT", "--header", octets, "--header", "expect:", "--upload-file", "-", &url], bytes);
    descriptor
}

/// How many processes wanted to run, on average over the last minute.
fn load() -> f64 {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Bytes that do not compress (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn curl(arguments: &[&str], body: &[u8]) -> String {
    let mut command = Command::new("curl");
    let mut child =
        command.args(["--silent", "--show-error", "--fail"]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
