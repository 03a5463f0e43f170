//! Where the commands of one page run: a copy of the project, the two programs in `PATH`, and
//! registries.
//!
//! A registry of the test stands in for docker.io and ghcr.io. The commands do not show it: a
//! registries file that the environment names sends them there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rune_testkit::{registry::Registry, sample::Sample};
use serde_json::{Value, json};

use super::server::DatabaseServer;
use crate::bundle::{
    foreign_support::{Distribution, Foreign},
    project::Project,
    remote_support::{Site, packed_chart},
    small_bundle::ends_with,
};

/// Which of Docker's media types the tag of an image leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DockerFormat {
    List,
    Manifest,
}

/// Puts a sample into a registry as programs did before there were OCI media types.
pub(crate) fn put_docker_image(
    registry: &Registry,
    repository: &str,
    tag: &str,
    format: DockerFormat,
) {
    let image = Sample {
        seed: repository.to_owned(),
        attestations: false,
        ..Sample::default()
    }
    .build();
    for blob in &image.blobs {
        registry.put_blob(repository, blob);
    }
    let mut index: Value = serde_json::from_slice(&image.index.bytes).unwrap();
    for (entry, manifest) in index["manifests"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(&image.manifests)
    {
        let mut document: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        document["mediaType"] = json!(DOCKER_MANIFEST);
        document["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
        for layer in document["layers"].as_array_mut().unwrap() {
            layer["mediaType"] = json!("application/vnd.docker.image.rootfs.diff.tar.gzip");
        }
        let bytes = document.to_string().into_bytes();
        entry["mediaType"] = json!(DOCKER_MANIFEST);
        entry["size"] = json!(bytes.len());
        entry["digest"] = json!(registry.put_manifest(repository, None, DOCKER_MANIFEST, &bytes));
        if matches!(format, DockerFormat::Manifest) {
            registry.put_manifest(repository, Some(tag), DOCKER_MANIFEST, &bytes);
            return;
        }
    }
    index["mediaType"] = json!(DOCKER_LIST);
    registry.put_manifest(
        repository,
        Some(tag),
        DOCKER_LIST,
        index.to_string().as_bytes(),
    );
}

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(super) struct Sandbox {
    project: Project,
    /// Outside the project, where the reader's commands do not see it.
    equipment: tempfile::TempDir,
    database: Option<DatabaseServer>,
    distribution: Option<Distribution>,
    site: Option<Site>,
    /// The registry of the far side, empty at first; `$REGISTRY` in commands.
    registry: Registry,
}

impl Sandbox {
    /// What somebody has who cloned the repository and built the programs.
    pub(super) fn clone() -> Self {
        let (project, equipment, registry) = (
            Project::new(),
            tempfile::tempdir().unwrap(),
            Registry::start(),
        );
        let sandbox = Self {
            project,
            equipment,
            database: None,
            distribution: None,
            site: None,
            registry,
        };
        fs::rename(
            sandbox.project.path("registries.yaml"),
            sandbox.equipment("registries.yaml"),
        )
        .unwrap();
        for file in ["release.key", "release.pub"] {
            fs::remove_file(sandbox.project.path(file)).unwrap();
        }
        fs::create_dir(sandbox.equipment("bin")).unwrap();
        for program in [
            env!("CARGO_BIN_EXE_rune-bundle"),
            rune_testkit::programs::rune_db(),
        ] {
            let name = Path::new(program).file_name().unwrap();
            std::os::unix::fs::symlink(program, sandbox.equipment("bin").join(name)).unwrap();
        }
        sandbox
    }

    /// The same with a key, a lock and a signed bundle.
    pub(super) fn after_a_build() -> Self {
        Self::clone().with_a_bundle()
    }

    pub(super) fn with_a_bundle(self) -> Self {
        for arguments in [
            &["keygen", "--out", "release"][..],
            &["lock"],
            &["build", "--key", "release.key"],
        ] {
            ends_with(
                &self
                    .command("rune-bundle")
                    .args(arguments)
                    .output()
                    .unwrap(),
                0,
            );
        }
        self
    }

    /// The same with one image of Docker's media types.
    pub(super) fn with_an_image_of(self, format: DockerFormat) -> Self {
        put_docker_image(&self.project.registry, "lpasquali/rune", "v0.0.0a6", format);
        self
    }

    /// The same with a PostgreSQL server, see [`DatabaseServer`].
    pub(super) fn with_a_database_server(mut self) -> Self {
        self.database = Some(DatabaseServer::start(&self.project.path(".")));
        self
    }

    /// The same with a package in the image of PostgreSQL that has a vulnerability, for one platform.
    pub(super) fn with_a_vulnerable_image(self) -> Self {
        let sample = Sample {
            files: crate::bundle::scan_support::alpine(),
            ..Sample::default()
        };
        self.put("library/postgres", "17-alpine", &sample);
        let manifest = self.path("bundle-manifests/rune.yaml");
        let text = fs::read_to_string(&manifest).unwrap();
        let text = text.replace("platforms: all", "platforms: [linux/amd64]");
        fs::write(manifest, text).unwrap();
        self
    }

    /// The same with the database of grype that knows of it, where that looks for it.
    pub(super) fn with_a_vulnerability_database(self) -> Self {
        crate::bundle::scan_support::write_database(&self.equipment(".cache/grype/db"));
        self
    }

    /// The same with an empty registry of the usual kind that takes pushes without TLS, at
    /// `$REGISTRY`, and with `helm` in `PATH`.
    pub(super) fn with_a_distribution(mut self) -> Self {
        self.distribution = Some(Distribution::start("plain"));
        std::os::unix::fs::symlink(
            crate::charts::support::tool("helm4"),
            self.equipment("bin/helm"),
        )
        .unwrap();
        self
    }

    /// With a registry and a web server that have charts, and a file.
    pub(super) fn with_sources(self) -> Self {
        let sandbox = self.with_a_distribution();
        let (site, tools) = (Site::start("plain"), Foreign::new());
        let target = format!(
            "oci://{}/charts",
            sandbox.distribution.as_ref().unwrap().host()
        );
        let app = packed_chart(&tools, "app", "1.2.3", "a: 1\n");
        tools.run(
            "helm4",
            ["push", app.to_str().unwrap(), &target, "--plain-http"],
        );
        fs::copy(
            packed_chart(&tools, "tools", "2.0.1", "a: 1\n"),
            site.file("stable/tools-2.0.1.tgz"),
        )
        .unwrap();
        site.index("stable", None);
        fs::write(site.file("notes.txt"), "notes\n").unwrap();
        Self {
            site: Some(site),
            ..sandbox
        }
    }

    /// The same with the images of the shop of the tutorial.
    pub(super) fn with_a_shop(self) -> Self {
        let license = (
            "org.opencontainers.image.licenses".to_owned(),
            "Apache-2.0".to_owned(),
        );
        self.put(
            "acme/web",
            "1.2.0",
            &Sample {
                seed: "web".to_owned(),
                labels: vec![license],
                ..Sample::default()
            },
        );
        self.put(
            "library/redis",
            "7.2",
            &Sample {
                seed: "redis".to_owned(),
                ..Sample::default()
            },
        );
        self
    }

    /// Puts something under the tag that cosign has for signatures of PostgreSQL, and lists something
    /// that nobody can transfer. The same lies under the tag of attestations in another repository.
    pub(super) fn sign_postgres(&self) {
        const INDEX: &str = "application/vnd.oci.image.index.v1+json";
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        let (registry, name) = (&self.project.registry, "library/postgres");
        let tag = rune_testkit::sha256(&registry.manifest(name, "17-alpine").unwrap().1);
        let tag = tag.replace(':', "-");
        let config = registry.put_blob(name, b"{}");
        let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2});
        let signature =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": &config, "layers": []});
        let bytes = signature.to_string().into_bytes();
        registry.put_manifest(name, Some(&format!("{tag}.sig")), MANIFEST, &bytes);
        let elsewhere = "acme/signatures";
        registry.put_blob(elsewhere, b"{}");
        let attested = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "annotations": {"of": "elsewhere"}});
        let attested = attested.to_string().into_bytes();
        registry.put_manifest(elsewhere, Some(&format!("{tag}.att")), MANIFEST, &attested);
        let entry = json!({"mediaType": "application/unknown", "digest": rune_testkit::sha256(b""), "size": 0});
        let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        registry.put_manifest(name, Some(&tag), INDEX, list.to_string().as_bytes());
    }

    /// The same with what looks like both programs for two platforms in `dist`, and with the scripts of the project.
    pub(super) fn with_programs(self) -> Self {
        fs::create_dir(self.path("dist/linux-arm64")).unwrap();
        let amd64 = fs::read(self.path("dist/rune-db")).unwrap();
        let mut arm64 = amd64.clone();
        // The machine that an ELF header names (e_machine): EM_AARCH64.
        arm64[18..20].copy_from_slice(&183_u16.to_le_bytes());
        for (directory, program) in [("dist", &amd64), ("dist/linux-arm64", &arm64)] {
            for name in ["rune-bundle", "rune-db"] {
                fs::write(self.path(directory).join(name), program).unwrap();
            }
        }
        let tools = crate::bundle::project::repository().join("tools");
        std::os::unix::fs::symlink(tools, self.path("tools")).unwrap();
        self
    }

    /// The same with what looks like static programs: ours in `dist`, and Helm where its archive has it.
    pub(super) fn with_helm(self) -> Self {
        let program = self.path("dist/rune-db");
        fs::create_dir(self.path("linux-amd64")).unwrap();
        for name in ["dist/rune-bundle", "linux-amd64/helm"] {
            fs::copy(&program, self.path(name)).unwrap();
        }
        self
    }

    /// The same with the chart of the tutorial in `shop`.
    pub(super) fn with_a_chart_of_a_shop(self) -> Self {
        let page = super::markdown::document("docs/tutorial/own-chart.md");
        let blocks = page.blocks();
        let block = blocks.iter().find(|block| block.language == "console");
        // Only commands that write files: what the reader types first.
        let lines = block.unwrap().text.lines();
        let script: Vec<&str> = lines
            .map(|line| line.trim_start_matches("$ ").trim_start_matches("> "))
            .collect();
        let typed = self.command("sh").args(["-c", &script.join("\n")]).output();
        ends_with(&typed.unwrap(), 0);
        self
    }

    /// Puts another image behind a tag.
    pub(super) fn put(&self, repository: &str, tag: &str, sample: &Sample) {
        self.project.put(repository, tag, sample);
    }

    /// Host and port of the registry of the far side.
    pub(super) fn registry(&self) -> String {
        self.registry.host()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.project.path(name)
    }

    pub(super) fn equipment(&self, name: &str) -> PathBuf {
        self.equipment.path().join(name)
    }

    /// A program in the project directory, with nothing of the surroundings but the test equipment.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.equipment("bin").display(), equipment_path());
        command.current_dir(self.project.path(".")).env_clear();
        command.envs([
            ("PATH", path.as_str()),
            ("COSIGN_PASSWORD", "of the documentation"),
            ("LC_ALL", "C.UTF-8"),
        ]);
        command.env("HOME", self.equipment.path());
        command.env("REGISTRY", self.registry());
        // Not in the state directory of whoever runs the tests.
        command.env("RUNE_BUNDLE_RECEIPTS", self.equipment("receipts"));
        command.env(
            "RUNE_BUNDLE_REGISTRY_CONFIG",
            self.equipment("registries.yaml"),
        );
        if let Some(database) = &self.database {
            database.introduce(&mut command);
        }
        if let Some(registry) = &self.distribution {
            command.env("REGISTRY", registry.host());
        }
        if let Some(site) = &self.site {
            command.env("SITE", site.host());
        }
        command.env("RUNE_BUNDLE_HELM", crate::charts::support::tool("helm4"));
        command
    }
}

/// Where the programs are that the documentation uses beside ours: cosign, coreutils.
pub(super) fn equipment_path() -> String {
    crate::charts::support::in_tools_env("echo $PATH")
}
