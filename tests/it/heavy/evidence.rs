//! What evidence costs: 200 manifests with 600 artifacts about them, image signatures and the SBOM
//! of the bundle.

use std::{collections::BTreeMap, fs};

use rune_testkit::{
    registry::Registry,
    sample::{Document, Image, Sample},
};
use serde_json::{Value, json};

use super::accounting::counted;
use crate::bundle::{
    evidence_support::{BUNDLE, SIGN, Shop},
    project::Project,
    small_bundle::{ends_with, private_key},
};

const IMAGES: usize = 40;
const PLATFORMS: [&str; 4] = ["amd64", "arm64", "riscv64", "s390x"];
/// Each image is an index with a manifest for each platform.
const MANIFESTS: usize = IMAGES * (1 + PLATFORMS.len());
/// A signature, an SBOM and a scan of each.
const REFERRERS: usize = 3 * MANIFESTS;
const SBOM_BYTES: usize = 40_000;
const LAYER_BYTES: usize = 200_000;
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

fn sample(seed: &str) -> Image {
    Sample {
        platforms: PLATFORMS.map(|name| ("linux", name, None)).to_vec(),
        attestations: false,
        layer_bytes: vec![LAYER_BYTES],
        seed: seed.to_owned(),
        ..Sample::default()
    }
    .build()
}

fn attach(registry: &Registry, repository: &str, subject: &Document, kind: &str, content: &[u8]) {
    let blob = |media_type: &str, bytes: &[u8]| {
        registry.put_blob(repository, bytes);
        json!({"mediaType": media_type, "digest": rune_testkit::sha256(bytes), "size": bytes.len()})
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": kind,
        "config": blob(EMPTY, b"{}"),
        "layers": [blob(kind, content)],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest(), "size": subject.bytes.len()},
    });
    let (kind, bytes) = (
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string(),
    );
    registry.put_manifest(repository, None, kind, bytes.as_bytes());
}

/// A project with all of them, and a policy that demands signatures.
fn project() -> Project {
    let images: String = (0..IMAGES)
        .map(|number| {
            format!(
                "  - {{ name: i{number}, reference: 'docker.io/acme/i{number}:1', license: MIT }}\n"
            )
        })
        .collect();
    let manifest = format!(
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: many\nversion: 0.1.0\nplatforms: all\nimages:\n{images}policy: policy.yaml\n"
    );
    let project = Project::with_manifest(&manifest);
    let policy = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['**'] }\n\
        signatures: [{ match: '**', keys: [release.pub] }]\n";
    fs::write(project.path("policy.yaml"), policy).unwrap();
    let registry = &project.registry;
    registry.behave(|behaviour| behaviour.lists_referrers = true);
    let key = private_key();
    for number in 0..IMAGES {
        let (repository, image) = (format!("acme/i{number}"), sample(&format!("i{number}")));
        registry.put_image(&repository, "1", &image);
        for subject in std::iter::once(&image.index).chain(&image.manifests) {
            let digest = subject.digest();
            let signature = Shop::statement(&digest, SIGN, &key);
            attach(registry, &repository, subject, BUNDLE, &signature);
            let sbom = format!("{digest}{}", " ".repeat(SBOM_BYTES));
            attach(
                registry,
                &repository,
                subject,
                "application/spdx+json",
                sbom.as_bytes(),
            );
            attach(
                registry,
                &repository,
                subject,
                "application/sarif+json",
                digest.as_bytes(),
            );
        }
    }
    project
}

/// How many requests there were of each kind, and how many different ones.
fn requests(project: &Project, method: &str, pattern: &str) -> (usize, usize) {
    let mut paths = BTreeMap::<String, usize>::new();
    for request in project.registry.requests_to(pattern) {
        if request.method == method {
            *paths.entry(request.path).or_default() += 1;
        }
    }
    (paths.values().sum(), paths.len())
}

#[test]
fn two_hundred_manifests_with_six_hundred_referrers_cost_each_request_once_and_each_byte_once() {
    let project = project();
    project.lock();
    // What was found is asked about itself: a signature may be signed.
    let subjects = MANIFESTS + REFERRERS;
    assert_eq!(
        requests(&project, "GET", "/v2/*/referrers/*"),
        (subjects, subjects)
    );
    let tags = "/v2/*/manifests/sha256-*";
    assert_eq!(
        requests(&project, "HEAD", tags),
        (3 * subjects, 3 * subjects)
    );
    assert_eq!(requests(&project, "GET", tags), (0, 0));
    // Children and what was found, each once, although the policy verifies the signatures as well.
    let children = MANIFESTS - IMAGES;
    let fetched = children + REFERRERS;
    assert_eq!(
        requests(&project, "GET", "/v2/*/manifests/sha256:*"),
        (fetched, fetched)
    );
    // Of blobs, only the signatures of the images themselves.
    assert_eq!(requests(&project, "GET", "/v2/*/blobs/*"), (IMAGES, IMAGES));

    project.registry.forget_requests();
    fs::create_dir(project.path("out")).unwrap();
    let mut build = project.build_arguments("out/x.tar");
    build.extend(["--image-key", "release.key"]);
    let counts = counted(&project.path("."), &build);
    let bundle = fs::metadata(project.path("out/x.tar")).unwrap().len();
    let count = |name: &str| counts[name].as_u64().unwrap();
    let (written, read) = (count("wchar"), count("read_bytes"));
    assert!(
        written <= bundle / 100 * 101,
        "{written} bytes written for a bundle of {bundle}"
    );
    assert!(
        read < bundle / 100,
        "{read} bytes read from the disk for a bundle of {bundle}"
    );
    let (blobs, different) = requests(&project, "GET", "/v2/*/blobs/*");
    // The signatures are checked before they are included.
    assert_eq!(blobs, different + IMAGES);
    assert_eq!(requests(&project, "GET", "/v2/*/referrers/*"), (0, 0));

    let verify = [
        "verify",
        "out/x.tar",
        "--key",
        "release.pub",
        "--policy",
        "policy.yaml",
        "--json",
    ];
    let output = project.run(&verify);
    ends_with(&output, 0);
    let inspect = ["inspect", "out/x.tar", "--key", "release.pub", "--json"];
    let output = project.run(&inspect);
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = report["index"]["images"].as_array().unwrap();
    let referrers = images
        .iter()
        .map(|image| image["referrers"].as_array().unwrap().len());
    assert_eq!(referrers.sum::<usize>(), REFERRERS);
}
