//! Artifacts that are not run, made by oras and signed by cosign in real registries: what is read
//! back after a push, and from `serve`, is what was there.

use std::{fs, path::Path};

use crate::{
    bundle::{
        evidence_support::VERIFY,
        foreign_support::{Distribution, Foreign},
        project::Project,
        small_bundle::ends_with,
    },
    registry::serve_support::Serving,
};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: [linux/amd64]\nartifacts:\n  \
    - { name: trivy-db, reference: 'docker.io/acme/trivy-db:2', license: Apache-2.0 }\n  \
    - { name: manifests, reference: 'docker.io/acme/manifests:1', license: MIT }\n  \
    - { name: model, reference: 'docker.io/acme/model:1', license: MIT }\npolicy: policy.yaml\n";
const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT, Apache-2.0] }\nsources: { allow: ['docker.io/acme/*'] }\n\
    signatures: [{ match: '*/acme/manifests', keys: [cosign.pub] }]\nsboms: [{ match: '**' }]\n\
    attestations: [{ match: '**', require: [provenance] }]\n";
const DB: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
const FLUX: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

/// A database, a signed artifact of Flux, and a model of two manifests.
struct Lab {
    tools: Foreign,
    source: Distribution,
}

impl Lab {
    fn new() -> Self {
        let lab = Self {
            tools: Foreign::new(),
            source: Distribution::start("plain"),
        };
        for (name, content) in [
            ("db.tar.gz", "a database"),
            ("flux.tgz", "manifests"),
            ("config.json", "{}"),
            ("one.bin", "weights"),
            ("two.bin", "more weights"),
        ] {
            fs::write(lab.tools.path(name), content).unwrap();
        }
        let (db, flux) = (format!("db.tar.gz:{DB}"), format!("flux.tgz:{FLUX}"));
        let config = "config.json:application/vnd.cncf.flux.config.v1+json";
        lab.push(
            "trivy-db:2",
            &["--artifact-type", "application/vnd.aquasec.trivy.db", &db],
        );
        lab.push("manifests:1", &["--config", config, &flux]);
        for (tag, file) in [("one", "one.bin"), ("two", "two.bin")] {
            let kind = ["--artifact-type", "application/vnd.acme.model", file];
            lab.push(&format!("model:{tag}"), &kind);
        }
        let model = format!("{}/acme/model:1", lab.source.host());
        let index = [
            "manifest",
            "index",
            "create",
            "--plain-http",
            &model,
            "one",
            "two",
        ];
        lab.tools.run("oras", index);
        lab.cosign(&["generate-key-pair"]);
        let manifests = Self::at(
            lab.source.host(),
            "manifests",
            &lab.digest("manifests", "1"),
        );
        let offline = ["--use-signing-config=false", "--tlog-upload=false"];
        let sign = [
            "sign",
            "--yes",
            "--key",
            "cosign.key",
            offline[0],
            offline[1],
        ];
        lab.cosign(&[&sign[..], &[&manifests]].concat());
        lab
    }

    fn push(&self, name: &str, arguments: &[&str]) {
        let place = format!("{}/acme/{name}", self.source.host());
        let push = ["push", "--plain-http", &place];
        let (named, typed): (Vec<&str>, Vec<&str>) = arguments
            .iter()
            .copied()
            .partition(|argument| argument.contains(".tar.gz:") || argument.contains(".tgz:"));
        self.tools
            .run("oras", push.into_iter().chain(named).chain(typed));
    }

    fn cosign(&self, arguments: &[&str]) {
        let mut command = self.tools.command("cosign", arguments.iter().copied());
        command.env("COSIGN_PASSWORD", "of the test");
        rune_testkit::process::succeeded(&mut command);
    }

    fn digest(&self, name: &str, tag: &str) -> String {
        self.source.digest(&format!("acme/{name}"), tag)
    }

    fn at(host: &str, name: &str, digest: &str) -> String {
        format!("{host}/acme/{name}@{digest}")
    }

    /// Manifests and files of all of them, by oras, and the signature, by cosign.
    fn seen(&self, host: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for name in ["trivy-db:2", "manifests:1", "model:1"] {
            let place = format!("{host}/acme/{name}");
            let fetch = ["manifest", "fetch", "--plain-http", &place];
            seen.push(self.tools.run("oras", fetch));
        }
        let (one, two) = (self.digest("model", "one"), self.digest("model", "two"));
        for (place, file) in [
            (format!("{host}/acme/trivy-db:2"), "db.tar.gz"),
            (format!("{host}/acme/manifests:1"), "flux.tgz"),
            (Self::at(host, "model", &one), "one.bin"),
            (Self::at(host, "model", &two), "two.bin"),
        ] {
            let pull = ["pull", "--plain-http", "--output", "pulled", &place];
            self.tools.run("oras", pull);
            let pulled = self.tools.path("pulled").join(file);
            seen.push(fs::read_to_string(&pulled).unwrap());
            fs::remove_file(pulled).unwrap();
        }
        let manifests = Self::at(host, "manifests", &self.digest("manifests", "1"));
        let verify = [
            "verify",
            "--key",
            "cosign.pub",
            "--insecure-ignore-tlog=true",
        ];
        self.cosign(&[&verify[..], &[&manifests]].concat());
        seen
    }

    fn bundle(&self) -> Project {
        let project = Project::with_manifest(MANIFEST);
        fs::write(project.path("policy.yaml"), POLICY).unwrap();
        fs::copy(self.tools.path("cosign.pub"), project.path("cosign.pub")).unwrap();
        let access = self.source.client_arguments();
        let access: Vec<&str> = access.iter().map(String::as_str).collect();
        let said = ends_with(&project.run(&[&["lock"], &access[..]].concat()), 0);
        assert!(
            said.contains("signed      artifact `manifests`")
                && said.contains("application/vnd.aquasec.trivy.db, "),
            "{said}"
        );
        let build = ["build", "--key", "release.key", "--output", "shop.tar"];
        ends_with(&project.run(&[&build, &access[..]].concat()), 0);
        project
    }
}

#[test]
fn oras_and_cosign_find_artifacts_at_every_destination_as_they_are_at_the_source() {
    let lab = Lab::new();
    let expected = lab.seen(lab.source.host());
    assert_eq!(
        &expected[3..],
        ["a database", "manifests", "weights", "more weights"]
    );
    let project = lab.bundle();
    let said = ends_with(&project.run(&VERIFY), 0);
    assert!(said.contains("artifact `manifests`"), "{said}");
    for program in ["distribution2", "distribution3", "crane"] {
        let registry = Distribution::start_program(program, "plain");
        project.push(registry.host(), &[]);
        assert_eq!(lab.seen(registry.host()), expected, "{program}");
    }
    fs::copy(project.path("release.pub"), project.path("key.pub")).unwrap();
    let server = Serving::start([Path::new(&project.path("shop.tar"))], &[]);
    assert_eq!(lab.seen(server.host()), expected);
}

#[test]
fn oras_copies_an_artifact_out_of_an_unpacked_bundle() {
    let lab = Lab::new();
    let project = lab.bundle();
    let unpack = ["unpack", "shop.tar", "out", "--key", "release.pub"];
    ends_with(&project.run(&unpack), 0);
    let out = project.path("out");
    // The artifacts are roots of an index of their own, which oras reads in place of the other.
    fs::copy(out.join("artifacts/index.json"), out.join("index.json")).unwrap();
    let (layout, name) = (out.to_str().unwrap(), "docker.io/acme/trivy-db:2");
    let pull = [
        "pull",
        "--oci-layout-path",
        layout,
        "--output",
        "pulled",
        name,
    ];
    lab.tools.run("oras", pull);
    let pulled = fs::read_to_string(lab.tools.path("pulled/db.tar.gz")).unwrap();
    assert_eq!(pulled, "a database");
}
