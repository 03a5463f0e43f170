//! The whole path on an embedded sample: key, lock, render, build, verify, inspect, unpack.
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
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use rune_testkit::{registry::Registry, sample::Sample};

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
    let manifest = "bundle-manifests/rune.yaml";
    let bundle = "rune-sample-0.1.0.bundle.tar";
    let steps: [(&str, &[&str]); 7] = [
        (
            "A key pair. The private half signs; the public half goes to the far side by another way than the bundle.",
            &["keygen", "--out", "release"],
        ),
        (
            "What does every tag mean today? The answer goes into the lock, digest by digest.",
            &[
                "lock",
                manifest,
                "--registry-config",
                "registries.yaml",
                NO_CHECK,
            ],
        ),
        (
            "Charts and values with those digests in them, for looking at; `build` makes the same in memory.",
            &["render", manifest, "--lock", "--out", "rendered"],
        ),
        (
            "One signed file.",
            &[
                "build",
                manifest,
                "--registry-config",
                "registries.yaml",
                "--key",
                "release.key",
                "--output",
                bundle,
                NO_CHECK,
            ],
        ),
        (
            "On the far side: is it, to its last byte, what the key signed? No network from here on.",
            &["verify", bundle, "--key", "release.pub"],
        ),
        (
            "What is inside?",
            &["inspect", bundle, "--key", "release.pub"],
        ),
        (
            "All of it, verified, into a new directory.",
            &["unpack", bundle, "unpacked", "--key", "release.pub"],
        ),
    ];
    for (says, arguments) in steps {
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
            return ExitCode::FAILURE;
        }
    }
    println!(
        "SAMPLE: done. The bundle is {}",
        demo.join(bundle).display()
    );
    println!(
        "Its contents are in {}; INSTALL.md there says what comes next.",
        demo.join("unpacked").display()
    );
    ExitCode::SUCCESS
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
