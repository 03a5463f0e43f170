//! Bundles to push, and what comes of it.

use std::{path::PathBuf, process::Output, sync::Arc};

use rune_bundle::{
    bundle::BundleIndex,
    commands::{
        bundle::{
            BundleOptions, ImageSignatureChoice, Origin, Parts, PushOptions, SignerOptions,
            push::{self, BundleArtifacts, IndexChoice, PushSettings},
        },
        registry_access::ClientConfig,
    },
};
use rune_core::{
    command::CommandError,
    progress::{Progress, Silent},
};
use rune_testkit::{
    registry::{Registry, Request},
    sample::Sample,
};
use serde_json::Value;

use crate::{
    bundle::project::Project,
    bundle::small_bundle::{ends_with, index_of},
    registry::support::quick,
};

/// Two images that share everything, so that there is something to mount.
const TWINS: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: twins\nversion: 0.1.0\nplatforms: PLATFORMS\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\n  \
    - { name: rune, reference: ghcr.io/lpasquali/rune:v0.0.0a6, license: Apache-2.0 }\npolicy: bundle-manifests/policy.yaml\n";

/// A signed bundle, and the project it was made in.
pub(crate) struct Shipped {
    pub(crate) project: Project,
    pub(crate) bundle: PathBuf,
}

impl Shipped {
    /// The example manifest: images, charts, everything.
    pub(crate) fn example() -> Self {
        let project = Project::new();
        project.lock();
        Self {
            bundle: project.build("x.tar"),
            project,
        }
    }

    /// Two images with the same content.
    pub(crate) fn twins() -> Self {
        Self::twins_of("all", &Sample::default())
    }

    /// The same with one platform of three.
    pub(crate) fn of_one_platform() -> Self {
        Self::twins_of("[linux/amd64]", &Sample::default())
    }

    pub(crate) fn twins_of(platforms: &str, sample: &Sample) -> Self {
        let project = Project::with_manifest(&TWINS.replace("PLATFORMS", platforms));
        project.put("library/postgres", "17-alpine", sample);
        project.put("lpasquali/rune", "v0.0.0a6", sample);
        project.lock();
        Self {
            bundle: project.build("x.tar"),
            project,
        }
    }

    pub(crate) fn index(&self) -> BundleIndex {
        index_of(&self.bundle)
    }

    /// What is pushed to a registry, with retries that nobody notices.
    pub(crate) fn options(&self, destination: &str) -> PushOptions {
        let path =
            |name: &str| camino::Utf8PathBuf::from_path_buf(self.project.path(name)).unwrap();
        PushOptions {
            bundle: BundleOptions {
                bundle: path("x.tar"),
                parts: Parts::default(),
                signers: SignerOptions {
                    keys: vec![path("release.pub")],
                    threshold: 1,
                    trust_file: None,
                    origin: Origin::Options,
                },
                digest: None,
                verified: None,
            },
            provenance: None,
            settings: PushSettings {
                destination: destination.parse().unwrap(),
                index: IndexChoice::Auto,
                overwrites_tags: false,
                artifacts: BundleArtifacts::Index,
                image_signatures: ImageSignatureChoice::Auto,
                jobs: 4,
                chunk_bytes: None,
                is_dry_run: false,
            },
            receipts: None,
            registry: quick(),
        }
    }

    /// Pushes to a registry with changed options; gives the report, or what a person sees and the
    /// exit code.
    pub(crate) fn push_with(
        &self,
        registry: &Registry,
        change: impl FnOnce(&mut PushOptions),
    ) -> Result<Value, String> {
        let mut options = self.options(&registry.host());
        change(&mut options);
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        let outcome = push::run(&options, &progress);
        outcome
            .map(|report| serde_json::to_value(&report).unwrap())
            .map_err(|error| words(&error).replace(&registry.host(), "REGISTRY"))
    }

    pub(crate) fn push(&self, registry: &Registry) -> Result<Value, String> {
        self.push_with(registry, |_| {})
    }

    /// Runs the verb as a person does.
    pub(crate) fn run(&self, destination: &str, options: &[&str]) -> Output {
        self.project.run(
            &[
                &["push", "x.tar", destination, "--key", "release.pub"],
                options,
            ]
            .concat(),
        )
    }

    /// The JSON report of a run that succeeds.
    pub(crate) fn report(&self, destination: &str, options: &[&str]) -> Value {
        let output = self.run(destination, &[&["--json", "--quiet"], options].concat());
        ends_with(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Another configuration of the client.
pub(crate) fn registry_config(change: impl FnOnce(&mut ClientConfig)) -> ClientConfig {
    let mut config = quick();
    change(&mut config);
    config
}

/// What a person sees and what a script sees of an error.
pub(crate) fn words(error: &CommandError) -> String {
    format!(
        "{}\nhelp: {}\nexit: {}",
        error.messages().join("\n"),
        error.help().unwrap_or("none"),
        error.kind().exit_code()
    )
}

/// The requests that write.
pub(crate) fn writes(registry: &Registry) -> Vec<Request> {
    registry
        .requests()
        .into_iter()
        .filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD"))
        .collect()
}

/// The manifests that were written, in order: repository and tag or digest.
pub(crate) fn written_manifests(registry: &Registry) -> Vec<(String, String)> {
    let puts = registry
        .requests_to("/v2/*/manifests/*")
        .into_iter()
        .filter(|request| request.method == "PUT");
    let place = |request: Request| {
        request
            .path
            .trim_start_matches("/v2/")
            .split_once("/manifests/")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    puts.filter_map(place).collect()
}

/// A reference of a report, by what its destination ends with.
pub(crate) fn reference<'a>(report: &'a Value, ending: &str) -> &'a Value {
    let references = report["references"].as_array().unwrap();
    let found = references
        .iter()
        .find(|reference| reference["destination"].as_str().unwrap().ends_with(ending));
    found.unwrap_or_else(|| panic!("no {ending} in {report:#}"))
}
