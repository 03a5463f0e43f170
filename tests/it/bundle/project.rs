//! A copy of this project with a registry to lock and build against.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rune_testkit::{
    registry::Registry,
    sample::{Image, Sample},
};

use crate::{
    bundle::small_bundle::{KEY, ends_with},
    charts::support::tool,
};

/// The directories that a bundle is made from.
pub(crate) const PARTS: [&str; 4] = ["bundle-manifests", "charts", "migrations", "templates"];

/// A project directory, a registry that stands in for docker.io and ghcr.io, and a signing key.
pub(crate) struct Project {
    guard: tempfile::TempDir,
    pub(crate) registry: Registry,
}

impl Project {
    /// The example manifest of the repository with sample images.
    pub(crate) fn new() -> Self {
        let project = Self::with_manifest(
            &fs::read_to_string(repository().join("bundle-manifests/rune.yaml")).unwrap(),
        );
        for (repository, tag) in [
            ("library/postgres", "17-alpine"),
            ("lpasquali/rune", "v0.0.0a6"),
        ] {
            project.put(
                repository,
                tag,
                &Sample {
                    seed: repository.to_owned(),
                    ..Sample::default()
                },
            );
        }
        project
    }

    /// A manifest of its own, and an empty registry.
    pub(crate) fn with_manifest(manifest: &str) -> Self {
        let project = Self {
            guard: tempfile::tempdir().unwrap(),
            registry: Registry::start(),
        };
        lay_out(project.guard.path(), manifest);
        fs::write(project.path("dist/rune-db"), static_program()).unwrap();
        fs::write(project.path("release.key"), KEY).unwrap();
        let public = crate::bundle::small_bundle::private_key()
            .public_key()
            .to_pem();
        fs::write(project.path("release.pub"), public).unwrap();
        let mirror = |name: &str| {
            format!(
                "  {name}:\n    endpoint: [\"{}\"]\n",
                project.registry.url()
            )
        };
        fs::write(
            project.path("registries.yaml"),
            format!("mirrors:\n{}{}", mirror("docker.io"), mirror("ghcr.io")),
        )
        .unwrap();
        project
    }

    pub(crate) fn put(&self, repository: &str, tag: &str, sample: &Sample) -> Image {
        let image = sample.build();
        self.registry.put_image(repository, tag, &image);
        image
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.guard.path().join(name)
    }

    /// `rune-bundle` in the project directory, ready to run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .current_dir(self.guard.path())
            .env("HOME", self.guard.path())
            .env_remove("DOCKER_CONFIG");
        // Not in the state directory of whoever runs the tests.
        command.env("RUNE_BUNDLE_RECEIPTS", self.path("rune-bundle-receipts"));
        // Whatever Helm this machine has or lacks.
        command.env("RUNE_BUNDLE_HELM", tool("helm4"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The page about `shop.tar`.
    pub(crate) fn report_page(&self) -> String {
        let report = ["report", "shop.tar", "--key", "release.pub"];
        let output = ["--output", "page.html"];
        ends_with(&self.run(&[&report[..], &output].concat()), 0);
        fs::read_to_string(self.path("page.html")).unwrap()
    }

    /// Pushes `shop.tar`, and gives what was said.
    pub(crate) fn push(&self, host: &str, options: &[&str]) -> String {
        let push = ["push", "shop.tar", host, "--key", "release.pub"];
        ends_with(&self.run(&[&push[..], options].concat()), 0)
    }

    /// Writes the lock.
    pub(crate) fn lock(&self) {
        ends_with(
            &self.run(&["lock", "--registry-config", "registries.yaml"]),
            0,
        );
    }

    /// The arguments of a signed build into `output`.
    #[expect(
        clippy::unused_self,
        reason = "reads as what it is for where it is called"
    )]
    pub(crate) fn build_arguments<'a>(&self, output: &'a str) -> Vec<&'a str> {
        vec![
            "build",
            "--registry-config",
            "registries.yaml",
            "--key",
            "release.key",
            "--output",
            output,
        ]
    }

    /// Builds a signed bundle.
    pub(crate) fn build(&self, output: &str) -> PathBuf {
        ends_with(&self.run(&self.build_arguments(output)), 0);
        self.path(output)
    }
}

/// Writes the parts of this project that a bundle is made of, and an empty `dist/`.
pub(crate) fn lay_out(directory: &Path, manifest: &str) {
    for part in PARTS {
        copy(&repository().join(part), &directory.join(part));
    }
    fs::write(directory.join("bundle-manifests/rune.yaml"), manifest).unwrap();
    fs::create_dir(directory.join("dist")).unwrap();
}

/// The checkout that is being tested.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The smallest file that counts as a static program for amd64.
fn static_program() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[18] = 62;
    bytes.extend_from_slice(b"not a program that runs");
    bytes
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub(crate) fn sha256(path: &Path) -> String {
    rune_testkit::sha256(&fs::read(path).unwrap())
}
