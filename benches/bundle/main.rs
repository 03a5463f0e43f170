//! `build`, `verify`, `serve` and `push` against the machine's own limits and against other tools,
//! in one run.
//!
//! Two gibibytes in twelve images are put into a real registry on loopback. Every contestant is run
//! several times in turn and the median counts; what is reported are ratios within this run,
//! because seconds say more about the machine than about the program. Run it with `make bench`, on
//! a machine that has nothing else to do.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark talks, fails by panicking, and looks at the world directly"
)]

mod pushing;
mod serving;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rune_bundle::oci::{Descriptor, media_type};
use rune_core::digest::{Digest, Sha256};
use rune_testkit::process::Process;
use serde_json::json;

/// How often each contestant runs.
const ROUNDS: usize = 3;

/// A pause before each run. Disks of virtual machines grant bursts, and who comes after somebody
/// else's burst would pay for it.
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

fn main() {
    // `cargo test --benches` passes this; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let bench = Bench::prepare();
    bench.build();
    bench.verify();
    bench.serve();
    bench.push();
}

/// Seconds until a program returned, and until all that it wrote was on the disk.
struct Taken {
    returned: f64,
    durable: f64,
}

struct Bench {
    directory: PathBuf,
    host: String,
    blobs: Vec<(String, Descriptor)>,
    _registry: Process,
}

impl Bench {
    /// Starts the registry, fills it, and locks what is in it.
    fn prepare() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(
            root.join("dist/rune-bundle").exists(),
            "dist/rune-bundle is missing; run `make release` first"
        );
        let directory = root.join("target/bench");
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        fs::create_dir_all(&directory).unwrap();
        let (registry, announced) = Process::start_announced(
            root.join("tools/registry/start"),
            [Path::new("plain"), &directory.join("registry")],
        );
        let host = announced["host"].as_str().unwrap().to_owned();
        let mut bench = Self {
            directory,
            host,
            blobs: Vec::new(),
            _registry: registry,
        };
        println!(
            "putting {} images with 2 GiB into {}",
            LAYERS_MIB.len(),
            bench.host
        );
        let mut manifest = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: bench\nversion: 0.1.0\nimages:\n".to_owned();
        for number in 0..LAYERS_MIB.len() {
            bench.put_image(number);
            let host = &bench.host;
            manifest.push_str(&format!("  - {{ name: image-{number}, reference: \"{host}/bench/{number}:1\", license: Apache-2.0 }}\n"));
        }
        manifest.push_str("policy: policy.yaml\n");
        let host = &bench.host;
        let policy = format!(
            "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: {{ allow: [Apache-2.0] }}\nsources: {{ allow: [\"{host}/bench/*\"] }}\n"
        );
        fs::write(bench.path("bench.yaml"), manifest).unwrap();
        fs::write(bench.path("policy.yaml"), policy).unwrap();
        bench.run(&["keygen", "--out", "bench"]);
        bench.run(&["lock", "bench.yaml"]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes an image of incompressible layers and puts it into the registry.
    fn put_image(&mut self, number: usize) {
        let repository = format!("bench/{number}");
        let mut layers = Vec::new();
        for (position, mib) in LAYERS_MIB[number].iter().enumerate() {
            let mut bytes = noise(*mib << 20);
            bytes[..16].copy_from_slice(&((number * 100 + position) as u128).to_le_bytes());
            layers.push(self.put_blob(
                &repository,
                "application/vnd.oci.image.layer.v1.tar",
                &bytes,
            ));
        }
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| layer.digest).collect::<Vec<_>>()}});
        let config = self.put_blob(
            &repository,
            media_type::CONFIG,
            &serde_json::to_vec(&config).unwrap(),
        );
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": layers});
        let url = format!("http://{}/v2/{repository}/manifests/1", self.host);
        curl(
            &[
                "--request",
                "PUT",
                "--header",
                &format!("content-type: {}", media_type::MANIFEST),
                "--data-binary",
                "@-",
                &url,
            ],
            &serde_json::to_vec(&manifest).unwrap(),
        );
    }

    fn put_blob(&mut self, repository: &str, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        let start = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let headers = curl(
            &[
                "--request",
                "POST",
                "--dump-header",
                "-",
                "--output",
                "/dev/null",
                &start,
            ],
            b"",
        );
        let location = headers
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .starts_with("location:")
                    .then(|| line[9..].trim().to_owned())
            })
            .unwrap();
        let url = format!("{location}&digest={}", descriptor.digest);
        curl(
            &[
                "--request",
                "PUT",
                "--header",
                "content-type: application/octet-stream",
                "--header",
                "expect:",
                "--upload-file",
                "-",
                &url,
            ],
            bytes,
        );
        self.blobs.push((repository.to_owned(), descriptor.clone()));
        descriptor
    }

    fn run(&self, arguments: &[&str]) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/rune-bundle");
        let mut command = Command::new(program);
        run(command
            .args(arguments)
            .arg("--quiet")
            .current_dir(&self.directory)
            .env("COSIGN_PASSWORD", "bench"));
    }

    /// How long `work` takes, from a disk at rest; what it made is removed.
    fn time(&self, makes: &str, work: impl FnOnce()) -> Taken {
        run(&mut Command::new("sync"));
        std::thread::sleep(REST);
        let started = Instant::now();
        work();
        let returned = started.elapsed().as_secs_f64();
        run(Command::new("sync")
            .arg("--file-system")
            .arg(&self.directory));
        let taken = Taken {
            returned,
            durable: started.elapsed().as_secs_f64(),
        };
        let made = self.path(makes);
        if made.is_dir() {
            fs::remove_dir_all(made).unwrap();
        } else {
            fs::remove_file(made).unwrap();
        }
        taken
    }

    fn build(&self) {
        let total: u64 = self.blobs.iter().map(|(_, blob)| blob.size).sum();
        let mut times: Vec<(&str, Vec<Taken>)> = Vec::new();
        for _ in 0..ROUNDS {
            let round = [
                (
                    "rune-bundle build (signed, hashed, durable)",
                    self.time("x.tar", || {
                        self.run(&[
                            "build",
                            "bench.yaml",
                            "--key",
                            "bench.key",
                            "--output",
                            "x.tar",
                        ]);
                    }),
                ),
                (
                    "8 parallel curls (no hash, no archive)",
                    self.time("curl", || self.curls()),
                ),
                (
                    "crane pull --format=oci + tar",
                    self.time("crane", || self.crane()),
                ),
                ("oras cp + tar", self.time("oras", || self.oras())),
                (
                    "skopeo copy to oci-archive",
                    self.time("skopeo", || self.skopeo()),
                ),
                (
                    "limit: disk write, durable",
                    self.time("disk", || self.write_disk(total)),
                ),
            ];
            for (name, taken) in round {
                match times.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, list)) => list.push(taken),
                    None => times.push((name, vec![taken])),
                }
            }
        }
        println!(
            "\nbuild, {:.2} GiB in {} blobs, median of {ROUNDS}",
            gib(total),
            self.blobs.len()
        );
        println!("  {:<46} {:>10} {:>12}", "", "returned", "on the disk");
        let medians = times.iter().map(|(name, list)| {
            let (returned, durable) = (
                median_of(list, |taken| taken.returned),
                median_of(list, |taken| taken.durable),
            );
            println!("  {name:<46} {returned:>8.2} s {durable:>10.2} s");
            (returned, durable)
        });
        let (returned, durable): (Vec<f64>, Vec<f64>) = medians.unzip();
        // The others leave the writing to the kernel; `build` returns when the bundle would survive
        // a power cut.
        for (what, times) in [
            ("all of it on the disk", durable),
            ("as each returns", returned),
        ] {
            let best = times[2..5].iter().copied().fold(f64::INFINITY, f64::min);
            println!(
                "  {what}: build is {:.2} times as fast as the best other tool (bar: at least 1.6), and takes {:.2} times as long as 8 curls (bar: at most 1.3)",
                best / times[0],
                times[0] / times[1]
            );
        }
    }

    fn verify(&self) {
        self.run(&[
            "build",
            "bench.yaml",
            "--key",
            "bench.key",
            "--output",
            "x.tar",
        ]);
        let bundle = self.path("x.tar");
        let total = fs::metadata(&bundle).unwrap().len();
        let largest = self.blobs.iter().map(|(_, blob)| blob.size).max().unwrap();
        let cores = std::thread::available_parallelism().unwrap().get();
        let (mut cold, mut warm, mut disk, mut hash) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            drop_caches();
            disk.push(seconds(|| read_in_parallel(&bundle, total, cores)));
            drop_caches();
            cold.push(seconds(|| {
                self.run(&["verify", "x.tar", "--key", "bench.pub"]);
            }));
            warm.push(seconds(|| {
                self.run(&["verify", "x.tar", "--key", "bench.pub"]);
            }));
            hash.push(seconds(hash_one_gib));
        }
        let (cold, warm, disk) = (median(cold), median(warm), median(disk));
        let hash_rate = (1_u64 << 30) as f64 / median(hash);
        let hashing = (total as f64 / (cores as f64 * hash_rate)).max(largest as f64 / hash_rate);
        println!(
            "\nverify, {:.2} GiB, {cores} cores, median of {ROUNDS}",
            gib(total)
        );
        println!("  limit: reading the file from the disk          {disk:>6.2} s");
        println!(
            "  limit: hashing on all cores                    {hashing:>6.2} s   ({:.2} GiB/s on one)",
            hash_rate / (1_u64 << 30) as f64
        );
        println!(
            "  rune-bundle verify, nothing cached             {cold:>6.2} s   {:.2} times the larger limit (bar: at most 1.1)",
            cold / disk.max(hashing)
        );
        println!(
            "  rune-bundle verify, cached                     {warm:>6.2} s   {:.2} times the hashing limit",
            warm / hashing
        );
    }

    fn curls(&self) {
        let directory = self.path("curl");
        fs::create_dir(&directory).unwrap();
        let list: String = self
            .blobs
            .iter()
            .map(|(repository, blob)| {
                format!(
                    "http://{}/v2/{repository}/blobs/{}\n",
                    self.host, blob.digest
                )
            })
            .collect();
        fs::write(directory.join("list"), list).unwrap();
        shell(
            &directory,
            "xargs -a list -P 8 -n 1 curl --silent --fail --remote-name",
        );
    }

    fn crane(&self) {
        let images: Vec<String> = (0..LAYERS_MIB.len())
            .map(|number| format!("{}/bench/{number}:1", self.host))
            .collect();
        shell(
            &self.directory,
            &format!(
                "mkdir crane && crane pull --insecure --format=oci {} crane/layout && tar -cf crane/x.tar -C crane/layout .",
                images.join(" ")
            ),
        );
    }

    fn oras(&self) {
        let copies: Vec<String> = (0..LAYERS_MIB.len())
            .map(|number| {
                format!("oras cp --no-tty --from-plain-http --to-oci-layout {}/bench/{number}:1 oras/layout:{number} >/dev/null", self.host)
            })
            .collect();
        shell(
            &self.directory,
            &format!(
                "mkdir oras && {} && tar -cf oras/x.tar -C oras/layout .",
                copies.join(" && ")
            ),
        );
    }

    fn skopeo(&self) {
        let copies: Vec<String> = (0..LAYERS_MIB.len())
            .map(|number| {
                format!(
                    "skopeo copy --quiet --src-tls-verify=false docker://{}/bench/{number}:1 oci-archive:skopeo/{number}.tar",
                    self.host
                )
            })
            .collect();
        shell(
            &self.directory,
            &format!("mkdir skopeo && {}", copies.join(" && ")),
        );
    }

    fn write_disk(&self, total: u64) {
        let block = noise(1 << 20);
        let mut file = File::create(self.path("disk")).unwrap();
        for _ in 0..total >> 20 {
            file.write_all(&block).unwrap();
        }
        file.sync_all().unwrap();
    }
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
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn shell(directory: &Path, script: &str) {
    run(Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory));
}

fn curl(arguments: &[&str], body: &[u8]) -> String {
    let mut command = Command::new("curl");
    let mut child = command
        .args(["--silent", "--show-error", "--fail"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn seconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

fn median_of(list: &[Taken], figure: impl Fn(&Taken) -> f64) -> f64 {
    median(list.iter().map(figure).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

fn drop_caches() {
    run(&mut Command::new("sync"));
    fs::write("/proc/sys/vm/drop_caches", "3").expect("dropping caches needs root");
}

fn read_in_parallel(path: &Path, total: u64, threads: usize) {
    let file = File::open(path).unwrap();
    std::thread::scope(|scope| {
        for part in 0..threads as u64 {
            let file = &file;
            scope.spawn(move || {
                let (mut at, end) = (
                    total * part / threads as u64,
                    total * (part + 1) / threads as u64,
                );
                let mut buffer = vec![0; 1 << 20];
                while at < end {
                    let read = file.read_at(&mut buffer, at).unwrap() as u64;
                    assert!(read > 0);
                    at += read;
                }
            });
        }
    });
}

fn hash_one_gib() {
    let block = noise(1 << 20);
    let mut hasher = Sha256::new();
    for _ in 0..1024 {
        hasher.update(&block);
    }
    let digest: Digest = hasher.finish();
    let mut sink = std::io::sink();
    sink.write_all(digest.as_bytes()).unwrap();
    let _ = std::io::empty().read(&mut [0]).unwrap();
}
