//! The whole path on an embedded sample: key, lock, render, build, verify, inspect, report, serve,
//! unpack; then commands to go on with.
//!
//! A registry in this process stands in for docker.io and ghcr.io and holds small sample images.
//! Everything else is real: the two programs are run as a person would run them, on a copy of this
//! repository's manifest, charts, templates and migrations. The result stays in `target/demo`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a demo talks, and fails by panicking"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use rune_testkit::{process::Process, registry::Registry, sample::Sample};

/// What of the repository the demo works on.
const PROJECT: [&str; 4] = ["bundle-manifests", "charts", "migrations", "templates"];

/// The demo needs nothing but itself. Without this, Helm renders the charts, and every image that
/// they name must be inside.
const NO_CHECK: &str = "--no-chart-check";

/// The passphrase of the demo's key; a real one comes from you.
const PASSPHRASE: &str = "demo";

/// Runs the programs in the directory that is named, else those beside it.
fn main() -> ExitCode {
    let beside = || {
        std::env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .to_owned()
    };
    let tools = std::env::args_os().nth(1).map_or_else(beside, |directory| {
        PathBuf::from(directory).canonicalize().unwrap()
    });
    let demo = prepare(&tools);
    let registry = Registry::start();
    for (repository, tag) in [
        ("library/postgres", "17-alpine"),
        ("lpasquali/rune", "v0.0.0a6"),
    ] {
        registry.put_image(
            repository,
            tag,
            &Sample {
                seed: repository.to_owned(),
                ..Sample::default()
            }
            .build(),
        );
    }
    fs::write(demo.join("registries.yaml"), mirrors(&registry.host())).unwrap();

    println!(
        "SAMPLE: the images come from a registry inside this demo; they are small samples, not the software they are named after."
    );
    println!(
        "The charts are not checked for images that are not inside ({NO_CHECK}), because that takes Helm."
    );
    println!("Everything happens in {}\n", demo.display());
    let run = |says: &str, arguments: &[&str]| {
        println!("# {says}\n$ rune-bundle {}", arguments.join(" "));
        let mut command = Command::new(tools.join("rune-bundle"));
        let status = command
            .args(arguments)
            .current_dir(&demo)
            .env("COSIGN_PASSWORD", PASSPHRASE)
            .status()
            .expect("rune-bundle runs");
        println!();
        if !status.success() {
            println!(
                "SAMPLE: the demo failed at `rune-bundle {}`: {status}",
                arguments.join(" ")
            );
        }
        status.success()
    };
    if !STEPS.iter().all(|(says, arguments)| run(says, arguments)) {
        return ExitCode::FAILURE;
    }
    serve(&tools, &demo);
    print_next(&tools, &demo);
    ExitCode::SUCCESS
}

/// The bundle of the demo.
const BUNDLE: &str = "rune-sample-0.1.0.bundle.tar";
const MANIFEST: &str = "bundle-manifests/rune.yaml";

/// What each step is for, and what is typed.
const STEPS: [(&str, &[&str]); 8] = [
    (
        "A key pair. The private key signs; the public key goes to the air-gapped side out of band.",
        &["keygen", "--output", "release"],
    ),
    (
        "Every tag becomes a digest in the lock. From here on nothing resolves a tag.",
        &[
            "lock",
            MANIFEST,
            "--registry-config",
            "registries.yaml",
            NO_CHECK,
        ],
    ),
    (
        "Charts and values with those digests, to review them; `build` renders the same in memory.",
        &["render", MANIFEST, "--lock", "--output", "rendered"],
    ),
    (
        "One signed file.",
        &[
            "build",
            MANIFEST,
            "--registry-config",
            "registries.yaml",
            "--key",
            "release.key",
            "--output",
            BUNDLE,
            NO_CHECK,
        ],
    ),
    (
        "On the air-gapped side: is every byte what the key signed? No network from here on.",
        &["verify", BUNDLE, "--key", "release.pub"],
    ),
    (
        "What is inside?",
        &["inspect", BUNDLE, "--key", "release.pub"],
    ),
    (
        "One page for those who decide, to be opened in a browser.",
        &[
            "report",
            BUNDLE,
            "--key",
            "release.pub",
            "--output",
            "report.html",
        ],
    ),
    (
        "All of it, verified, into a new directory.",
        &["unpack", BUNDLE, "unpacked", "--key", "release.pub"],
    ),
];

/// The bundle as a registry, and one question to it.
fn serve(tools: &Path, demo: &Path) {
    println!("# A read-only registry straight from the file, for containerd, Helm and others.");
    println!("$ rune-bundle serve {BUNDLE} --key release.pub --listen 127.0.0.1:0 &");
    let mut command = Command::new(tools.join("rune-bundle"));
    command
        .args(["serve", BUNDLE, "--key", "release.pub", "--quiet"])
        .args(["--listen", "127.0.0.1:0"])
        .current_dir(demo)
        .stdout(Stdio::piped());
    let mut server = Process::start(&mut command);
    let announced = server.first_line();
    print!("{announced}");
    let url = announced.trim_end().rsplit(' ').next().unwrap();
    println!("$ curl {url}/v2/_catalog");
    let host = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(
        connection,
        "GET /v2/_catalog HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    println!("{}\n", answer.split("\r\n\r\n").nth(1).unwrap().trim());
}

/// What to go on with. `make test` types these commands as they stand.
fn print_next(tools: &Path, demo: &Path) {
    println!(
        "SAMPLE: done. Everything is in {}; the passphrase of release.key is `{PASSPHRASE}`.\n\nTry next:",
        demo.display()
    );
    println!("  $ cd {}", demo.display());
    println!("  $ export PATH={}:$PATH", tools.display());
    for (command, says) in [
        (
            format!("verify {BUNDLE} --key release.pub --expect rune-sample@0.1.0"),
            "a flipped bit is exit code 6",
        ),
        (
            format!("cat {BUNDLE} INSTALL.md --key release.pub"),
            "one file of it, without unpacking",
        ),
        (
            format!("inspect {BUNDLE} --key release.pub --images"),
            "references for scripts",
        ),
        (
            format!("diff {BUNDLE} {BUNDLE} --key release.pub"),
            "give another version to see what changed",
        ),
        (
            format!("serve {BUNDLE} --key release.pub"),
            "until Ctrl-C; then `crane ls localhost:5000/library/postgres` elsewhere",
        ),
    ] {
        println!("  $ rune-bundle {command}   # {says}");
    }
    println!("and open report.html. Your own chart: docs/tutorial/first-release.md");
}

/// Makes an empty `target/demo` with a copy of the project and the program that the rune-db image
/// will hold.
fn prepare(tools: &Path) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let demo = repository.join("target/demo");
    if demo.exists() {
        fs::remove_dir_all(&demo).unwrap();
    }
    for directory in PROJECT {
        copy(&repository.join(directory), &demo.join(directory));
    }
    let manifest = demo.join("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(
        text.contains("\nname: rune\n"),
        "the manifest has another name than expected"
    );
    fs::write(
        manifest,
        text.replace("\nname: rune\n", "\nname: rune-sample\n"),
    )
    .unwrap();
    fs::create_dir(demo.join("dist")).unwrap();
    fs::copy(tools.join("rune-db"), demo.join("dist/rune-db")).unwrap();
    demo
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Sends what the manifest takes from docker.io and ghcr.io to the sample registry.
fn mirrors(host: &str) -> String {
    let mirror = |name: &str| format!("  {name}:\n    endpoint: [\"http://{host}\"]\n");
    format!("mirrors:\n{}{}", mirror("docker.io"), mirror("ghcr.io"))
}
