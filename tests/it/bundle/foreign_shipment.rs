//! A bundle of the example manifest with real content, made once for all tests that let foreign
//! programs read it.
//!
//! PostgreSQL comes from a real registry that stands in for docker.io, `rune-db` is the static
//! program of the release, the release key comes from `keygen`; a second person, who has an Ed25519
//! key, has signed too.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use rune_bundle::bundle::{BundleIndex, ImageRecord};

use crate::{
    bundle::foreign_support::Distribution,
    bundle::project::{PARTS, lay_out, repository},
    bundle::small_bundle::{KEY, index_of, private_key},
    charts::support::tool,
};
use rune_testkit::process::succeeded;

/// The reference of the image that matters most.
pub(crate) const POSTGRES: &str = "docker.io/library/postgres:17-alpine";
/// The reference of the image that the packager makes.
pub(crate) const RUNE_DB: &str = "ghcr.io/lpasquali/rune-db:0.1.0";

/// A built, verified and unpacked bundle, with the project that it was made from. Tests only read
/// it.
pub(crate) struct Shipment {
    directory: PathBuf,
}

impl Shipment {
    /// Everything with every platform.
    pub(crate) fn whole() -> Self {
        Self::cached("whole", "platforms: all")
    }

    /// The platforms but one left out.
    pub(crate) fn of_one_platform() -> Self {
        Self::cached("one-platform", "platforms: [linux/amd64]")
    }

    /// Makes the bundle unless it is there, made from what is here now. Tests that come at the same
    /// time wait.
    fn cached(name: &str, platforms: &str) -> Self {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
        fs::create_dir_all(&cache).unwrap();
        let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
        lock.lock().unwrap();
        let shipment = Self {
            directory: cache.join(name),
        };
        let origin = origin();
        if fs::read_to_string(shipment.path("origin")).is_ok_and(|made_from| made_from == origin) {
            return shipment;
        }
        if shipment.directory.exists() {
            fs::remove_dir_all(&shipment.directory).unwrap();
        }
        shipment.make(platforms);
        fs::write(shipment.path("origin"), origin).unwrap();
        shipment
    }

    fn make(&self, platforms: &str) {
        write_project(&self.directory, platforms);
        succeeded(&mut rune_bundle(
            &self.directory,
            &["keygen", "--out", "release"],
        ));
        fs::write(self.path("second.key"), KEY).unwrap();
        fs::write(self.path("second.pub"), private_key().public_key().to_pem()).unwrap();
        let registry = Distribution::start("plain");
        registry.stock();
        lock_and_build(&self.directory, &registry);
        succeeded(&mut rune_bundle(&self.directory, &["render", "--check"]));
        succeeded(&mut rune_bundle(
            &self.directory,
            &["render", "--lock", "--out", "rendered"],
        ));
        let trust = [
            "--key",
            "release.pub",
            "--key",
            "second.pub",
            "--threshold",
            "2",
        ];
        succeeded(rune_bundle(&self.directory, &["verify", "bundle.tar"]).args(trust));
        succeeded(rune_bundle(&self.directory, &["unpack", "bundle.tar", "unpacked"]).args(trust));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The bundle.
    pub(crate) fn bundle(&self) -> String {
        self.text_path("bundle.tar")
    }

    /// The directory that it was unpacked into.
    pub(crate) fn unpacked(&self) -> String {
        self.text_path("unpacked")
    }

    /// What the bundle says it contains.
    pub(crate) fn index(&self) -> BundleIndex {
        index_of(&self.path("bundle.tar"))
    }

    /// What the bundle says about the image of a reference.
    pub(crate) fn image(&self, reference: &str) -> ImageRecord {
        self.index()
            .images
            .into_iter()
            .find(|image| image.reference.to_string() == reference)
            .unwrap()
    }

    /// The digest of an image: of its index, as it was locked.
    pub(crate) fn digest(&self, reference: &str) -> String {
        self.image(reference).target.digest.to_string()
    }
}

/// Writes a project with the static `rune-db` of the release.
pub(crate) fn write_project(directory: &Path, platforms: &str) {
    let manifest = fs::read_to_string(repository().join("bundle-manifests/rune.yaml")).unwrap();
    let line = manifest
        .lines()
        .find(|line| line.starts_with("platforms: all"))
        .unwrap();
    lay_out(directory, &manifest.replace(line, platforms));
    fs::copy(rune_db(), directory.join("dist/rune-db")).unwrap();
}

/// Locks and builds `bundle.tar` in a project, signed by both keys.
pub(crate) fn lock_and_build(directory: &Path, registry: &Distribution) {
    let access = registry.client_arguments();
    succeeded(rune_bundle(directory, &["lock"]).args(&access));
    let build = [
        "build",
        "--output",
        "bundle.tar",
        "--key",
        "release.key",
        "--key",
        "second.key",
    ];
    succeeded(rune_bundle(directory, &build).args(&access));
}

fn rune_bundle(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command.env("RUNE_BUNDLE_HELM", tool("helm4"));
    command
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .env_remove("DOCKER_CONFIG")
        .env("COSIGN_PASSWORD", "wonderland");
    command
}

fn rune_db() -> PathBuf {
    let path = repository().join("dist/rune-db");
    assert!(
        path.exists(),
        "`dist/rune-db` is missing: run `make release`"
    );
    path
}

/// What a bundle is made from, by size and time of change: when this differs, the one that is there
/// is of another day.
fn origin() -> String {
    let mut text = String::new();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_rune-bundle"));
    let mut waiting: Vec<PathBuf> = PARTS
        .iter()
        .map(|part| repository().join(part))
        .chain([program, rune_db()])
        .collect();
    while let Some(path) = waiting.pop() {
        let metadata = fs::metadata(&path).unwrap();
        writeln!(
            text,
            "{} {} {:?}",
            path.display(),
            metadata.len(),
            metadata.modified().unwrap()
        )
        .unwrap();
        if metadata.is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    text
}
