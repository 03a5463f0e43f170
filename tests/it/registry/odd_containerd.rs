//! Odd indexes and containerd: what `load`, `ctr images import` and a pull from `serve` make of
//! them.

use std::fs;

use serde_json::{Value, json};

use crate::{
    bundle::{foreign_support::Foreign, project::Project, small_bundle::ends_with},
    registry::{
        load_support::Containerd,
        odd_manifests::{Odd, with_platform},
        serve_support::Serving,
    },
};

const NAME: &str = "docker.io/library/postgres:17-alpine";
const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: odd\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

/// What it is, and what makes its index.
type Case<'a> = (&'a str, &'a dyn Fn(&Odd<'_>) -> Value);

fn without_platform(mut entry: Value) -> Value {
    entry.as_object_mut().unwrap().remove("platform");
    entry
}

/// What containerd runs.
const RUN: [Case<'static>; 9] = [
    ("an artifact behind the image", &|odd| {
        odd.index(&[odd.real_image("a"), odd.soci("linux/amd64")])
    }),
    ("an artifact without a platform", &|odd| {
        odd.index(&[
            without_platform(odd.soci("linux/amd64")),
            odd.real_image("b"),
        ])
    }),
    ("an attestation", &|odd| {
        let image = odd.real_image("c");
        odd.index(&[image.clone(), odd.attestation(&image)])
    }),
    ("a nested index", &|odd| {
        odd.index(&[odd.index(&[odd.real_image("d")])])
    }),
    ("a nested index with a platform", &|odd| {
        odd.index(&[with_platform(
            odd.index(&[odd.real_image("e")]),
            "linux/amd64",
        )])
    }),
    (
        "two nested indexes, of which the second is for another platform",
        &|odd| {
            odd.index(&[
                odd.index(&[odd.real_image("k")]),
                odd.index(&[odd.image("linux/arm64")]),
            ])
        },
    ),
    ("an image without a platform", &|odd| {
        odd.index(&[without_platform(odd.real_image("f"))])
    }),
    ("Docker's manifest list", &|odd| {
        odd.docker_list(&[odd.docker_image("g")])
    }),
    ("Docker's manifest", &|odd| odd.docker_image("h")),
];

/// What containerd does not run, whoever brings it.
const NOT_RUN: [Case<'static>; 2] = [
    ("an artifact before the image", &|odd| {
        odd.index(&[odd.soci("linux/amd64"), odd.real_image("i")])
    }),
    (
        "two nested indexes, of which the first is for another platform",
        &|odd| {
            odd.index(&[
                odd.index(&[odd.image("linux/arm64")]),
                odd.index(&[odd.real_image("j")]),
            ])
        },
    ),
];

fn built(make: &dyn Fn(&Odd<'_>) -> Value) -> (Project, String) {
    let project = Project::with_manifest(MANIFEST);
    let root = make(&Odd(&project.registry));
    // The last that was put is what the tag means.
    let digest = root["digest"].as_str().unwrap().to_owned();
    project.lock();
    project.build("x.tar");
    (project, digest)
}

fn load(containerd: &Containerd, project: &Project) -> std::process::Output {
    let (bundle, key) = (project.path("x.tar"), project.path("release.pub"));
    containerd.load(&[
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--platform",
        "linux/amd64",
    ])
}

fn is_unpacked(containerd: &Containerd) -> bool {
    containerd
        .ctr(&["images", "check"])
        .lines()
        .any(|line| line.starts_with(&format!("{NAME} ")) && line.trim_end().ends_with("true"))
}

fn remove_all(containerd: &Containerd) {
    for name in containerd.names().into_keys() {
        containerd.ctr(&["images", "rm", "--sync", &name]);
    }
}

fn pull_from_serve(containerd: &Containerd, project: &Project) -> bool {
    let serving = Serving::run(&mut project.command(&[
        "serve",
        "x.tar",
        "--key",
        "release.pub",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]));
    let tools = Foreign::new();
    let hosts = tools.path("hosts/docker.io");
    fs::create_dir_all(&hosts).unwrap();
    let mirror = format!(
        "[host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
        serving.host()
    );
    fs::write(hosts.join("hosts.toml"), mirror).unwrap();
    let mut pull = tools.command(
        "ctr",
        [
            "--address",
            containerd.address(),
            "--namespace",
            "k8s.io",
            "images",
            "pull",
            "--hosts-dir",
            "hosts",
            NAME,
        ],
    );
    pull.output().unwrap().status.success()
}

#[test]
fn what_containerd_runs_is_loaded_imported_and_pulled() {
    let containerd = Containerd::start();
    for (what, make) in RUN {
        let (project, digest) = built(make);
        let said = ends_with(&load(&containerd, &project), 0);
        assert!(
            is_unpacked(&containerd) && containerd.names()[NAME] == digest,
            "{what}, loaded: {said}"
        );
        remove_all(&containerd);
        containerd.ctr(&[
            "images",
            "import",
            "--platform",
            "linux/amd64",
            project.path("x.tar").to_str().unwrap(),
        ]);
        assert!(
            is_unpacked(&containerd) && containerd.names()[NAME] == digest,
            "{what}, imported"
        );
        remove_all(&containerd);
        assert!(pull_from_serve(&containerd, &project), "{what}, pulled");
        assert!(
            is_unpacked(&containerd) && containerd.names()[NAME] == digest,
            "{what}, pulled"
        );
        remove_all(&containerd);
    }
}

#[test]
fn what_containerd_does_not_run_is_said_by_load_before_anything_is_imported() {
    let containerd = Containerd::start();
    for (what, make) in NOT_RUN {
        let (project, _) = built(make);
        let said = ends_with(&load(&containerd, &project), 4);
        assert!(
            said.contains("containerd cannot run `docker.io/library/postgres:17-alpine`")
                && said.contains("help: "),
            "{what}: {said}"
        );
        assert!(containerd.names().is_empty(), "{what}");
        fs::create_dir(project.path("images")).unwrap();
        let file = project.run(&[
            "load",
            "x.tar",
            "--key",
            "release.pub",
            "--platform",
            "linux/amd64",
            "--images-dir",
            "images",
        ]);
        assert!(
            ends_with(&file, 4).contains("containerd cannot run"),
            "{what}"
        );
        assert_eq!(
            fs::read_dir(project.path("images")).unwrap().count(),
            0,
            "{what}"
        );
        // That is so: neither a pull nor an import of its own gives an image that runs.
        assert!(!pull_from_serve(&containerd, &project), "{what}");
        remove_all(&containerd);
    }
}

/// A real layer, so that containerd can unpack it.
fn layer(seed: &str) -> (String, Vec<u8>) {
    let mut header = tar::Header::new_ustar();
    header.set_size(seed.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, "seed", seed.as_bytes())
        .unwrap();
    let tar = archive.into_inner().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    (rune_testkit::sha256(&tar), encoder.finish().unwrap())
}

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Odd<'_> {
    fn unpackable(
        &self,
        seed: &str,
        manifest_type: &str,
        config_type: &str,
        layer_type: &str,
    ) -> Value {
        let (diff_id, layer) = layer(seed);
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "config": {"Cmd": ["/seed"]}});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": self.blob(config_type, config.to_string().as_bytes()),
            "layers": [self.blob(layer_type, &layer)],
        });
        with_platform(
            self.document(manifest_type, manifest.to_string().as_bytes()),
            "linux/amd64",
        )
    }

    fn real_image(&self, seed: &str) -> Value {
        self.unpackable(
            seed,
            OCI_MANIFEST,
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
    }

    fn docker_image(&self, seed: &str) -> Value {
        self.unpackable(
            seed,
            DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        )
    }

    fn docker_list(&self, entries: &[Value]) -> Value {
        self.document(
            DOCKER_LIST,
            json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries})
                .to_string()
                .as_bytes(),
        )
    }

    fn attestation(&self, image: &Value) -> Value {
        let config = json!({"os": "unknown", "architecture": "unknown", "rootfs": {"type": "layers", "diff_ids": []}});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
            "layers": [self.blob("application/vnd.in-toto+json", b"{}")],
        });
        let mut entry = with_platform(
            self.document(OCI_MANIFEST, manifest.to_string().as_bytes()),
            "unknown/unknown",
        );
        entry["annotations"] = json!({"vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"});
        entry
    }
}
