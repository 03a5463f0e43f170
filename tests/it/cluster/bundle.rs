//! A bundle of this checkout on the far side of an air gap: made against the cluster's registry,
//! unpacked, its images copied to names that nothing else has.

use std::fs;

use rune_testkit::cluster::{Cluster, Helm, ImageLayout};
use serde_json::{Value, json};

use crate::{
    bundle::project::{Project, repository},
    bundle::small_bundle::ends_with,
    charts::install_text::commands,
    charts::support::tool,
    cluster::shell::Shell,
    cluster::support::{Images, stripped},
};

/// The registry of the site, as skopeo and as the nodes call it.
const REGISTRY: (&str, &str) = (
    "127.0.0.1:5000/from-the-bundle",
    "registry.example:5000/from-the-bundle",
);
const REGISTRIES: &str = "mirrors:\n  docker.io: { endpoint: [\"http://127.0.0.1:5000\"] }\n  ghcr.io: { endpoint: [\"http://127.0.0.1:5000\"] }\n";

/// An unpacked bundle whose images are where a cluster finds them.
pub(crate) struct UnpackedBundle {
    project: Project,
    /// `INSTALL.md`.
    pub(crate) text: String,
    /// Images that are newer than those of the bundle.
    newer: [String; 2],
}

impl UnpackedBundle {
    /// Locks, builds, unpacks, and copies as `INSTALL.md` says.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Images::push(cluster);
        let manifest = fs::read_to_string(repository().join("bundle-manifests/rune.yaml")).unwrap();
        let project = Project::with_manifest(&manifest.replace("rune:v0.0.0a6", "rune:stand-in"));
        fs::write(project.path("dist/rune-db"), stripped("rune-db")).unwrap();
        fs::write(project.path("registries.yaml"), REGISTRIES).unwrap();
        for arguments in [
            &["lock", "--registry-config", "registries.yaml"][..],
            &project.build_arguments("rune.tar"),
            &["unpack", "rune.tar", "unpacked", "--key", "release.pub"],
        ] {
            let mut command = cluster.command(env!("CARGO_BIN_EXE_rune-bundle"));
            command
                .args(arguments)
                .current_dir(project.path(""))
                .env("RUNE_BUNDLE_HELM", tool("helm4"));
            ends_with(&command.output().unwrap(), 0);
        }
        let text = fs::read_to_string(project.path("unpacked/INSTALL.md")).unwrap();
        let newer = [
            cluster.push(
                &ImageLayout::api_stand_in().updated(),
                "from-the-bundle/lpasquali/rune:newer",
            ),
            cluster.push(
                &ImageLayout::postgres().updated(),
                "from-the-bundle/library/postgres:newer",
            ),
        ];
        let bundle = Self {
            project,
            text,
            newer,
        };
        let copy = commands(&bundle.text, "3. ").replace("registry.example:5000", REGISTRY.0);
        bundle.shell(cluster, Helm::Four, "rune").type_in(&format!(
            "cd {}\n{copy}",
            bundle.project.path("unpacked").display()
        ));
        bundle
    }

    /// A shell that has the charts and values of the bundle.
    pub(crate) fn shell<'a>(&self, cluster: &'a Cluster, helm: Helm, namespace: &str) -> Shell<'a> {
        let mut shell = Shell::new(cluster, helm, namespace);
        for folder in ["charts", "values"] {
            shell.link(folder, &self.project.path("unpacked").join(folder));
        }
        shell.set("REGISTRY", REGISTRY.1);
        shell
    }

    /// Values with newer images and another configuration of the server.
    pub(crate) fn update(&self) -> Value {
        let [rune, postgres] = &self.newer;
        json!({"image": {"digest": rune}, "postgres": {"image": {"digest": postgres}, "config": {"max_connections": 61}}})
    }
}
