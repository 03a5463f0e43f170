//! Images signed by the real cosign 2 and 3, through a bundle into real registries: what cosign and
//! oras find there is what they find at the source, and verifies as it did.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use rune_testkit::{process::succeeded, sample::Sample};
use serde_json::{Value, json};

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
    - { name: tagged, reference: docker.io/library/tagged:1, license: MIT }\n  \
    - { name: listed, reference: docker.io/library/listed:1, license: MIT }\npolicy: policy.yaml\n";
const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['docker.io/**'] }\n\
    signatures: [{ match: '**', keys: [cosign.pub] }]\n";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// An image, the program that signs it, and what keeps that from asking a log: cosign 2 writes tags,
/// and cosign 3 referrers.
const IMAGES: [(&str, &str, &[&str]); 2] = [
    ("tagged", "cosign2", &["--tlog-upload=false"]),
    (
        "listed",
        "cosign",
        &["--tlog-upload=false", "--use-signing-config=false"],
    ),
];

/// What is attested of the children, by the name that cosign has for the type.
const PREDICATES: [(&str, &str); 2] = [("spdxjson", "sbom.json"), ("openvex", "vex.json")];

/// A subject, what a program says that something about it is, and the digest of that.
type Found = BTreeSet<(String, String, String)>;

struct Lab {
    tools: Foreign,
    source: Distribution,
    /// Of each image its name, its digest, and that of its one platform.
    images: [(&'static str, String, String); 2],
}

impl Lab {
    /// Images whose children have an SBOM and VEX attested as the images are signed, and without a
    /// signature: the one an SBOM under a tag, the other an SBOM and VEX as referrers.
    fn new(source: &str) -> Self {
        let (tools, source) = (Foreign::new(), Distribution::start_program(source, "plain"));
        let images = IMAGES.map(|(name, ..)| {
            let image = Sample {
                seed: name.to_owned(),
                platforms: vec![("linux", "amd64", None)],
                attestations: false,
                layer_bytes: vec![3000],
                ..Sample::default()
            }
            .build();
            source.take(&tools, &image, &format!("library/{name}:1"));
            (name, image.index.digest(), image.manifests[0].digest())
        });
        let lab = Self {
            tools,
            source,
            images,
        };
        lab.cosign("cosign", &["generate-key-pair"]);
        let vex = json!({
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": "https://vex.example/1",
            "author": "of the test",
            "timestamp": "2026-01-01T00:00:00Z",
            "version": 1,
            "statements": [{"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected",
                "products": [{"@id": "pkg:oci/shop"}], "justification": "component_not_present"}],
        });
        let sbom = json!({"spdxVersion": "SPDX-2.3"});
        for (name, content) in [("vex.json", vex), ("sbom.json", sbom)] {
            fs::write(lab.tools.path(name), content.to_string()).unwrap();
        }
        let key = ["--yes", "--key", "cosign.key"];
        let host = lab.source.host();
        for ((name, root, child), (_, program, offline)) in lab.images.iter().zip(IMAGES) {
            let [root, child] =
                [root, child].map(|digest| format!("{host}/library/{name}@{digest}"));
            lab.cosign(
                program,
                &[&["sign"], &key[..], offline, &[root.as_str()]].concat(),
            );
            for (kind, file) in PREDICATES {
                let attest = ["attest", "--type", kind, "--predicate", file];
                lab.cosign(
                    program,
                    &[&attest, &key[..], offline, &[child.as_str()]].concat(),
                );
            }
        }
        let [tagged, listed] = [0, 1].map(|place: usize| {
            let (name, _, child) = &lab.images[place];
            format!("{host}/library/{name}@{child}")
        });
        let attach = [
            "attach",
            "sbom",
            "--sbom",
            "sbom.json",
            "--type",
            "spdx",
            &tagged,
        ];
        lab.cosign("cosign2", &attach);
        for (kind, file) in [
            ("text/spdx+json", "sbom.json:text/spdx+json"),
            ("application/vnd.openvex", "vex.json:application/json"),
        ] {
            let attach = [
                "attach",
                "--plain-http",
                "--artifact-type",
                kind,
                &listed,
                file,
            ];
            lab.tools.run("oras", attach);
        }
        lab
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.tools.command(program, arguments.iter().copied());
        command.env("COSIGN_PASSWORD", "of the test");
        command
    }

    fn cosign(&self, program: &str, arguments: &[&str]) {
        succeeded(&mut self.command(program, arguments));
    }

    /// Everything that cosign and oras say is about the images and their children.
    fn seen(&self, host: &str) -> Found {
        let mut seen = Found::new();
        let digests = self.images.iter();
        for (name, subject) in digests.flat_map(|(name, root, child)| [(name, root), (name, child)])
        {
            let image = format!("{host}/library/{name}@{subject}");
            let discover = ["discover", "--plain-http", "--format", "json", &image];
            let discovered = self.tools.run("oras", discover);
            referrers(&serde_json::from_str(&discovered).unwrap(), &mut seen);
            let tree = self.tools.run("cosign", ["tree", image.as_str()]);
            let mut heading = String::new();
            for line in tree.lines().skip(1) {
                let text = line.trim_start_matches(|character: char| !character.is_alphanumeric());
                if text.starts_with("sha256:") {
                    seen.insert((subject.clone(), heading.clone(), text.to_owned()));
                } else {
                    heading = text.replace(host, "HOST");
                }
            }
        }
        seen
    }

    /// What verifies with the key of the signer, by image, program and what is verified.
    fn verified(&self, host: &str) -> BTreeSet<(&'static str, &'static str, String)> {
        let mut verified = BTreeSet::new();
        let key = ["--key", "cosign.pub", "--insecure-ignore-tlog=true"];
        for (name, root, child) in &self.images {
            let [root, child] =
                [root, child].map(|digest| format!("{host}/library/{name}@{digest}"));
            for program in ["cosign2", "cosign"] {
                let attested =
                    PREDICATES.map(|(kind, _)| vec!["verify-attestation", "--type", kind, &child]);
                for arguments in [vec!["verify", &root]].into_iter().chain(attested) {
                    let mut command = self.command(program, &[&arguments[..], &key].concat());
                    if command.output().unwrap().status.success() {
                        let what = arguments[..arguments.len() - 1].join(" ");
                        verified.insert((*name, program, what));
                    }
                }
            }
        }
        verified
    }

    /// A project with the images as docker.io's, and the bundle of them.
    fn bundle(&self, more: &[&str]) -> Project {
        let project = Project::with_manifest(MANIFEST);
        fs::write(project.path("policy.yaml"), POLICY).unwrap();
        for name in ["cosign.key", "cosign.pub"] {
            fs::copy(self.tools.path(name), project.path(name)).unwrap();
        }
        let access = self.source.client_arguments();
        let access: Vec<&str> = access.iter().map(String::as_str).collect();
        ends_with(&project.run(&[&["lock"], &access[..]].concat()), 0);
        let build = ["build", "--key", "release.key", "--output", "shop.tar"];
        let mut build = project.command(&[&build, &access[..], more].concat());
        build.env("COSIGN_PASSWORD", "of the test");
        ends_with(&build.output().unwrap(), 0);
        ends_with(&project.run(&VERIFY), 0);
        fs::copy(project.path("release.pub"), project.path("key.pub")).unwrap();
        project
    }

    /// Takes the bundle everywhere; `check` is given each host.
    fn deliver(project: &Project, check: impl Fn(&str)) {
        for program in ["distribution2", "distribution3", "crane"] {
            let destination = Distribution::start_program(program, "plain");
            project.push(destination.host(), &[]);
            check(destination.host());
        }
        let server = Serving::start([Path::new(&project.path("shop.tar"))], &[]);
        check(server.host());
    }

    fn travels(&self) {
        let (seen, verified) = (
            self.seen(self.source.host()),
            self.verified(self.source.host()),
        );
        // oras: five referrers of the one image. cosign: these, and four things in three tags of the other.
        assert_eq!(seen.len(), 14, "{seen:#?}");
        // cosign 3 verifies all of both images, cosign 2 what it has signed.
        assert_eq!(verified.len(), 9, "{verified:#?}");
        Self::deliver(&self.bundle(&[]), |host| {
            assert_eq!(self.seen(host), seen, "{host}");
            assert_eq!(self.verified(host), verified, "{host}");
        });
    }
}

/// What is about an image and what is about that, as oras lists it.
fn referrers(subject: &Value, seen: &mut Found) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for referrer in subject["referrers"].as_array().into_iter().flatten() {
        seen.insert((
            text(&subject["digest"]),
            text(&referrer["artifactType"]),
            text(&referrer["digest"]),
        ));
        referrers(referrer, seen);
    }
}

#[test]
fn cosign_and_oras_find_and_verify_everywhere_what_they_do_in_a_registry_without_lists() {
    Lab::new("distribution2").travels();
}

#[test]
fn cosign_and_oras_find_and_verify_everywhere_what_they_do_in_a_registry_with_lists() {
    Lab::new("crane").travels();
}

#[test]
fn what_the_builder_adds_is_what_the_bundle_says_it_adds_and_nothing_verifies_less() {
    let lab = Lab::new("distribution3");
    let (seen, verified) = (lab.seen(lab.source.host()), lab.verified(lab.source.host()));
    let project = lab.bundle(&["--image-key", "cosign.key"]);
    let mut tar = Command::new("tar");
    tar.args(["--occurrence=1", "-xOf"])
        .arg(project.path("shop.tar"))
        .arg("bundle.json");
    let index: Value = serde_json::from_str(&succeeded(&mut tar)).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let added = index["imageSignatures"]["manifests"].as_array().unwrap();
    let added: BTreeSet<_> = added
        .iter()
        .map(|own| (text(&own["subject"]), text(&own["target"]["digest"])))
        .collect();
    assert_eq!(added.len(), 4, "of both images and their platforms");
    // They would hide what is in tags.
    let (_, root, child) = &lab.images[1];
    let added: BTreeSet<_> = added
        .into_iter()
        .filter(|(subject, _)| [root, child].contains(&subject))
        .collect();
    Lab::deliver(&project, |host| {
        let there = lab.seen(host);
        let lost: Vec<_> = seen.difference(&there).collect();
        assert!(lost.is_empty(), "{host}: {lost:#?}");
        let more = there
            .difference(&seen)
            .filter(|(_, kind, _)| kind == BUNDLE);
        let more: BTreeSet<_> = more
            .map(|(subject, _, digest)| (subject.clone(), digest.clone()))
            .collect();
        assert_eq!(more, added, "{host}");
        let there = lab.verified(host);
        assert!(there.is_superset(&verified), "{host}: {there:#?}");
    });
}

#[test]
fn oras_reaches_the_artifacts_of_an_unpacked_bundle() {
    let lab = Lab::new("distribution2");
    let project = lab.bundle(&[]);
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
    let image = format!("{}@{}", out.display(), lab.images[1].1);
    let found = lab.tools.run("oras", ["discover", "--oci-layout", &image]);
    assert!(found.contains(BUNDLE), "{found}");
}
