//! Image signatures of the builder beside those of others, as the real cosign sees them in a
//! registry: nothing that verified before stops to verify, unless that was asked for.

use std::{fs, path::Path};

use rune_testkit::sample::Sample;

use crate::{
    bundle::{
        foreign_support::{Distribution, Foreign},
        project::Project,
        small_bundle::ends_with,
    },
    registry::serve_support::Serving,
};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: tagged, reference: docker.io/library/tagged:1, license: MIT }\n  \
    - { name: listed, reference: docker.io/library/listed:1, license: MIT }\n  \
    - { name: plain, reference: docker.io/library/plain:1, license: MIT }\n\
    charts: [{ path: web }]\npolicy: policy.yaml\n";
const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['docker.io/**'] }\n";
const IMAGES: [&str; 3] = ["tagged", "listed", "plain"];

/// What verifies with the key of others and with ours: an image signed in tags, one signed as
/// referrer, one that nobody else signed.
type Seen = [(bool, bool); 3];

const UPSTREAM_ALONE: Seen = [(true, false), (true, false), (false, false)];
/// Ours are left off what is signed in tags.
const AUTO: Seen = [(true, false), (true, true), (false, true)];
/// cosign does not look into tags any more.
const ALWAYS: Seen = [(false, true), (true, true), (false, true)];

struct Lab {
    tools: Foreign,
    digests: [String; 3],
    children: [String; 3],
    project: Project,
}

impl Lab {
    fn new() -> Self {
        let (tools, source) = (Foreign::new(), Distribution::start("plain"));
        let images = IMAGES.map(|name| {
            let image = Sample {
                seed: name.to_owned(),
                platforms: vec![("linux", "amd64", None)],
                attestations: false,
                layer_bytes: vec![3000],
                ..Sample::default()
            }
            .build();
            source.take(&tools, &image, &format!("library/{name}:1"));
            image
        });
        let lab = Self {
            digests: [0, 1, 2].map(|place: usize| images[place].index.digest()),
            children: [0, 1, 2].map(|place: usize| images[place].manifests[0].digest()),
            project: Project::with_manifest(MANIFEST),
            tools,
        };
        for name in ["upstream", "ours"] {
            lab.cosign(&["generate-key-pair", "--output-key-prefix", name]);
        }
        let forms = ["--new-bundle-format=false", "--new-bundle-format=true"];
        for (place, form) in forms.into_iter().enumerate() {
            let image = lab.image(source.host(), place);
            let offline = ["--use-signing-config=false", "--tlog-upload=false"];
            let sign = ["sign", "--yes", "--key", "upstream.key", form, &image];
            lab.cosign(&[&sign[..], &offline[..]].concat());
        }
        lab.bundle(&source);
        lab
    }

    fn image(&self, host: &str, place: usize) -> String {
        format!("{host}/library/{}@{}", IMAGES[place], self.digests[place])
    }

    fn cosign(&self, arguments: &[&str]) -> bool {
        let mut command = self.tools.command("cosign", arguments.iter().copied());
        command.env("COSIGN_PASSWORD", "of the test");
        command.output().unwrap().status.success()
    }

    /// `shop.tar`, with image signatures by our key.
    fn bundle(&self, source: &Distribution) {
        let project = &self.project;
        fs::write(project.path("policy.yaml"), POLICY).unwrap();
        fs::create_dir_all(project.path("web/templates")).unwrap();
        let chart = "apiVersion: v2\nname: web\nversion: 0.1.0\n";
        fs::write(project.path("web/Chart.yaml"), chart).unwrap();
        fs::copy(self.tools.path("ours.key"), project.path("ours.key")).unwrap();
        let access = source.client_arguments();
        let access: Vec<&str> = access.iter().map(String::as_str).collect();
        let run = |arguments: &[&str]| {
            let arguments = [arguments, &["--no-chart-check"], &access[..]].concat();
            let mut command = project.command(&arguments);
            command.env("COSIGN_PASSWORD", "of the test");
            ends_with(&command.output().unwrap(), 0);
        };
        run(&["lock"]);
        let keys = ["--key", "release.key", "--image-key", "ours.key"];
        run(&[&["build", "--output", "shop.tar"], &keys[..]].concat());
        fs::copy(project.path("release.pub"), project.path("key.pub")).unwrap();
    }

    fn verifies(&self, key: &str, image: &str) -> bool {
        self.cosign(&["verify", "--key", key, "--insecure-ignore-tlog=true", image])
    }

    fn check(&self, host: &str, expected: Seen, what: &str) {
        let seen = [0, 1, 2].map(|place| {
            let image = self.image(host, place);
            (
                self.verifies("upstream.pub", &image),
                self.verifies("ours.pub", &image),
            )
        });
        assert_eq!(seen, expected, "{what}");
        // Nobody else signed what is below the indexes, and the chart.
        let ours = expected != UPSTREAM_ALONE;
        for (name, child) in IMAGES.iter().zip(&self.children) {
            let child = format!("{host}/library/{name}@{child}");
            assert_eq!(self.verifies("ours.pub", &child), ours, "{what}: {child}");
        }
        let chart = format!("{host}/charts/web:0.1.0");
        assert_eq!(self.verifies("ours.pub", &chart), ours, "{what}");
    }
}

#[test]
fn what_others_have_signed_in_tags_is_still_verified_by_cosign_unless_asked_otherwise() {
    let lab = Lab::new();
    for (choice, expected) in [
        ("auto", AUTO),
        ("always", ALWAYS),
        ("never", UPSTREAM_ALONE),
    ] {
        for program in ["crane", "distribution3"] {
            let destination = Distribution::start_program(program, "plain");
            let choose = ["--image-signatures", choice];
            let said = lab.project.push(destination.host(), &choose);
            let left_off = format!(
                "left off   signature of {}",
                lab.image(destination.host(), 0)
            );
            assert_eq!(said.contains(&left_off), choice != "always", "{said}");
            lab.check(
                destination.host(),
                expected,
                &format!("{program}, {choice}"),
            );
        }
    }
}

#[test]
fn a_server_has_the_same_signatures_as_a_registry_after_a_push() {
    let lab = Lab::new();
    let bundle = lab.project.path("shop.tar");
    for (choice, expected) in [
        ("auto", AUTO),
        ("always", ALWAYS),
        ("never", UPSTREAM_ALONE),
    ] {
        let options = ["--image-signatures", choice];
        let server = Serving::start([Path::new(&bundle)], &options);
        lab.check(server.host(), expected, choice);
    }
}
