//! Images signed by the real cosign, through a bundle into real registries: what cosign and oras
//! find there is what they find at the source, and verifies as it did.

use std::{collections::BTreeSet, fs, path::Path};

use rune_testkit::sample::Sample;

use crate::{
    bundle::{
        evidence_support::VERIFY,
        foreign_support::{Distribution, Foreign},
        project::Project,
        small_bundle::ends_with,
    },
    registry::serve_support::Serving,
};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: shop, reference: docker.io/library/shop:1, license: MIT }\npolicy: policy.yaml\n";
const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['docker.io/**'] }\n\
    signatures: [{ match: '**', keys: [cosign.pub] }]\n";
const OFFLINE: [&str; 5] = [
    "--yes",
    "--key",
    "cosign.key",
    "--use-signing-config=false",
    "--tlog-upload=false",
];

struct Lab {
    tools: Foreign,
    source: Distribution,
    root: String,
    child: String,
}

impl Lab {
    /// An image that is signed in a bundle and in a tag, whose one child has attestations in both
    /// ways and an SBOM.
    fn new() -> Self {
        let (tools, source) = (Foreign::new(), Distribution::start("plain"));
        let image = Sample {
            platforms: vec![("linux", "amd64", None)],
            attestations: false,
            layer_bytes: vec![3000],
            ..Sample::default()
        }
        .build();
        source.take(&tools, &image, "library/shop:1");
        let lab = Self {
            root: image.index.digest(),
            child: image.manifests[0].digest(),
            tools,
            source,
        };
        lab.cosign(&["generate-key-pair"]);
        fs::write(
            lab.tools.path("predicate.json"),
            "{\"spdxVersion\": \"SPDX-2.3\"}",
        )
        .unwrap();
        let (root, child) = (lab.at_source(&lab.root), lab.at_source(&lab.child));
        for form in ["--new-bundle-format=true", "--new-bundle-format=false"] {
            lab.cosign(&[&["sign"], &OFFLINE[..], &[form, &root]].concat());
            let attest = [
                "attest",
                "--type",
                "spdxjson",
                "--predicate",
                "predicate.json",
            ];
            lab.cosign(&[&attest, &OFFLINE[..], &[form, &child]].concat());
        }
        let attach = [
            "attach",
            "--plain-http",
            "--artifact-type",
            "text/spdx+json",
        ];
        lab.tools.run(
            "oras",
            attach
                .into_iter()
                .chain([child.as_str(), "predicate.json:text/spdx+json"]),
        );
        lab
    }

    fn at_source(&self, digest: &str) -> String {
        format!("{}/library/shop@{digest}", self.source.host())
    }

    fn cosign(&self, arguments: &[&str]) -> String {
        let mut command = self.tools.command("cosign", arguments.iter().copied());
        command.env("COSIGN_PASSWORD", "of the test");
        rune_testkit::process::succeeded(&mut command)
    }

    /// Everything that cosign and oras say is about root and child, without the name of the host.
    fn seen(&self, host: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for digest in [&self.root, &self.child] {
            let image = format!("{host}/library/shop@{digest}");
            let tree = self.tools.run("cosign", ["tree", image.as_str()]);
            let discovered = self.tools.run("oras", ["discover", "--plain-http", &image]);
            for line in tree.lines().chain(discovered.lines()) {
                let line = line.trim_start_matches(|character: char| !character.is_alphanumeric());
                // Lists may repeat the annotations of a manifest or leave them out.
                if line.contains("sha256")
                    || line.starts_with("application/")
                    || line.starts_with("text/")
                {
                    seen.insert(format!("{digest} {}", line.replace(host, "HOST")));
                }
            }
        }
        seen
    }

    /// cosign takes signatures and attestations in both forms.
    fn verifies(&self, host: &str) {
        let (root, child) = (
            format!("{host}/library/shop@{}", self.root),
            format!("{host}/library/shop@{}", self.child),
        );
        let key = ["--key", "cosign.pub", "--insecure-ignore-tlog=true"];
        for form in ["--new-bundle-format=true", "--new-bundle-format=false"] {
            self.cosign(&[&["verify"], &key[..], &[form, &root]].concat());
            let attested = ["verify-attestation", "--type", "spdxjson"];
            self.cosign(&[&attested, &key[..], &[form, &child]].concat());
        }
    }

    /// A project with the image as docker.io's, and the bundle of it.
    fn bundle(&self) -> Project {
        let project = Project::with_manifest(MANIFEST);
        fs::write(project.path("policy.yaml"), POLICY).unwrap();
        fs::copy(self.tools.path("cosign.pub"), project.path("cosign.pub")).unwrap();
        let access = self.source.client_arguments();
        let access: Vec<&str> = access.iter().map(String::as_str).collect();
        ends_with(&project.run(&[&["lock"], &access[..]].concat()), 0);
        let build = ["build", "--key", "release.key", "--output", "shop.tar"];
        ends_with(&project.run(&[&build, &access[..]].concat()), 0);
        ends_with(&project.run(&VERIFY), 0);
        project
    }
}

#[test]
fn cosign_and_oras_find_and_verify_at_every_destination_what_they_do_at_the_source() {
    let lab = Lab::new();
    let expected = lab.seen(lab.source.host());
    assert!(expected.len() > 10, "{expected:#?}");
    lab.verifies(lab.source.host());
    let project = lab.bundle();
    let check = |host: &str| {
        assert_eq!(lab.seen(host), expected, "{host}");
        lab.verifies(host);
    };
    let push = |host: &str| {
        ends_with(
            &project.run(&["push", "shop.tar", host, "--key", "release.pub"]),
            0,
        );
        check(host);
    };
    push(Distribution::start("plain").host());
    for program in ["distribution3", "crane"] {
        push(Distribution::start_program(program, "plain").host());
    }
    fs::copy(project.path("release.pub"), project.path("key.pub")).unwrap();
    let server = Serving::start([Path::new(&project.path("shop.tar"))], &[]);
    check(server.host());
}

#[test]
fn oras_reaches_the_artifacts_of_an_unpacked_bundle() {
    let lab = Lab::new();
    let project = lab.bundle();
    ends_with(
        &project.run(&["unpack", "shop.tar", "out", "--key", "release.pub"]),
        0,
    );
    let out = project.path("out");
    let [images, artifacts] =
        ["index.json", "artifacts/index.json"].map(|name| out.join(name).display().to_string());
    let join = ".[0].manifests += .[1].manifests | .[0]";
    let both = lab
        .tools
        .run("jq", ["-s", join, images.as_str(), artifacts.as_str()]);
    fs::write(out.join("index.json"), both).unwrap();
    let image = format!("{}@{}", out.display(), lab.root);
    let found = lab.tools.run("oras", ["discover", "--oci-layout", &image]);
    assert!(
        found.contains("application/vnd.dev.sigstore.bundle.v0.3+json"),
        "{found}"
    );
}
