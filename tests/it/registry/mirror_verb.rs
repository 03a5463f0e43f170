//! `mirror`: the configuration of nodes, read by the programs that it is for.

use std::fs;

use rune_testkit::registry::Registry;
use serde_json::{Value, json};

use crate::{
    bundle::foreign_shipment::POSTGRES,
    bundle::foreign_support::{Distribution, Foreign},
    bundle::project::Project,
    bundle::small_bundle::{Scratch, ends_with, index_of, rune_bundle},
    registry::load_support::{Containerd, built, mirror, report, unpack, waiting, with_key},
};

fn postgres_digest(project: &Project) -> String {
    let image = index_of(&project.path("bundle.tar"))
        .images
        .into_iter()
        .find(|image| image.reference.to_string() == POSTGRES);
    image.unwrap().target.digest.to_string()
}

/// A registry with what the bundle has of PostgreSQL, below the prefix `far/side`.
fn published(project: &Project, mode: &str) -> Distribution {
    let (registry, tools) = (Distribution::start(mode), Foreign::new());
    let (from, to) = (
        format!("oci:{}:{POSTGRES}", unpack(project).display()),
        format!(
            "docker://{}/far/side/library/postgres:17-alpine",
            registry.host()
        ),
    );
    let options = registry.skopeo_options();
    let copy = ["copy", "--quiet", "--all", "--preserve-digests"]
        .into_iter()
        .chain(options.iter().map(String::as_str));
    tools.run("skopeo", copy.chain([from.as_str(), &to]));
    registry
}

#[test]
fn containerd_pulls_from_a_registry_with_a_prefix_and_a_certificate_of_its_own() {
    let (project, containerd, scratch) = (built("all"), Containerd::start(), Scratch::new());
    let registry = published(&project, "tls-basic");
    let (out, there) = (
        scratch.path("hosts").to_str().unwrap().to_owned(),
        format!("{}/far/side", registry.host()),
    );
    let said = ends_with(
        &mirror(
            &project,
            "containerd",
            &[
                &there,
                "--ca-file",
                registry.text("ca").unwrap(),
                "--out",
                &out,
            ],
        ),
        0,
    );
    assert!(
        said.contains("docker.io/hosts.toml`") && said.contains("ghcr.io/hosts.toml`"),
        "{said}"
    );
    let login = format!(
        "{}:{}",
        registry.text("user").unwrap(),
        registry.text("password").unwrap()
    );
    let pinned = format!("docker.io/library/postgres@{}", postgres_digest(&project));
    for reference in [POSTGRES, &pinned] {
        containerd.ctr(&[
            "images",
            "pull",
            "--hosts-dir",
            &out,
            "--user",
            &login,
            reference,
        ]);
    }
    assert_eq!(containerd.names()[POSTGRES], postgres_digest(&project));
}

#[test]
fn containerd_reads_the_directory_of_a_registry_with_a_port_whose_name_has_no_colon() {
    let reference = "registry.example:5000/team/waiting:1";
    let ((project, digest), containerd, scratch) = (
        waiting(reference, "[linux/amd64]"),
        Containerd::start(),
        Scratch::new(),
    );
    let there = Registry::start();
    there.behave(|behaviour| behaviour.takes_sparse = true);
    ends_with(
        &project.run(&[
            "push",
            "bundle.tar",
            &there.host(),
            "--key",
            "release.pub",
            "--index",
            "sparse",
        ]),
        0,
    );
    let out = scratch.path("hosts").to_str().unwrap().to_owned();
    ends_with(
        &mirror(
            &project,
            "containerd",
            &[&there.host(), "--plain-http", "--out", &out],
        ),
        0,
    );
    assert!(
        scratch
            .path("hosts/registry.example_5000_/hosts.toml")
            .exists()
    );
    let pinned = format!("registry.example:5000/team/waiting@{digest}");
    for reference in [reference, &pinned] {
        containerd.ctr(&["images", "pull", "--hosts-dir", &out, reference]);
    }
    assert_eq!(containerd.names()[reference], digest);
}

#[test]
fn skopeo_reads_what_is_for_cri_o() {
    let project = built("all");
    let registry = published(&project, "plain");
    let there = format!("{}/far/side", registry.host());
    let tools = Foreign::new();
    // What a user has at home counts as much as what lies in /etc/containers.
    let out = tools.path(".config/containers");
    ends_with(
        &mirror(
            &project,
            "crio",
            &[&there, "--plain-http", "--out", out.to_str().unwrap()],
        ),
        0,
    );
    fs::write(out.join("registries.conf"), "").unwrap();
    let pinned = format!(
        "docker://docker.io/library/postgres@{}",
        postgres_digest(&project)
    );
    for reference in [&format!("docker://{POSTGRES}"), &pinned] {
        let inspected: Value = serde_json::from_str(&tools.run(
            "skopeo",
            [
                "inspect",
                "--no-tags",
                "--override-arch",
                "amd64",
                reference,
            ],
        ))
        .unwrap();
        assert_eq!(inspected["Architecture"], "amd64", "{inspected}");
    }
}

#[test]
fn our_own_client_reads_what_is_for_k3s() {
    let project = built("all");
    let manifest = rune_testkit::sample::Sample {
        seed: "behind a prefix".to_owned(),
        ..Default::default()
    }
    .build();
    for (repository, tag) in [
        ("library/postgres", "17-alpine"),
        ("lpasquali/rune", "v0.0.0a6"),
    ] {
        project
            .registry
            .put_image(&format!("far/side/{repository}"), tag, &manifest);
    }
    let there = format!("{}/far/side", project.registry.host());
    ends_with(
        &mirror(
            &project,
            "k3s",
            &[
                &there,
                "--plain-http",
                "--out",
                project.path("k3s").to_str().unwrap(),
            ],
        ),
        0,
    );
    project.registry.forget_requests();
    // What the tags mean now is what is behind the prefix.
    ends_with(
        &project.run(&[
            "lock",
            "--check",
            "--registry-config",
            "k3s/registries.yaml",
        ]),
        5,
    );
    let asked = project.registry.requests();
    assert!(
        !asked.is_empty()
            && asked
                .iter()
                .all(|request| request.path == "/v2/" || request.path.starts_with("/v2/far/side/")),
        "{asked:?}"
    );
}

#[test]
fn docker_is_sent_elsewhere_for_docker_hub_alone() {
    let project = built("[linux/amd64]");
    let output = mirror(&project, "docker", &["registry.lan:5000"]);
    let said = ends_with(&output, 0);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        printed,
        json!({"registry-mirrors": ["https://registry.lan:5000"]})
    );
    assert!(
        said.contains("cannot be sent elsewhere for ghcr.io"),
        "{said}"
    );
    let report = report(
        &mirror(
            &project,
            "docker",
            &["registry.lan:5000", "--plain-http", "--json"],
        ),
        0,
    );
    let content: Value =
        serde_json::from_str(report["files"][0]["content"].as_str().unwrap()).unwrap();
    let expected = json!({"registry-mirrors": ["http://registry.lan:5000"], "insecure-registries": ["registry.lan:5000"]});
    assert_eq!(
        (content, &report["leftOut"]),
        (expected, &json!(["ghcr.io"]))
    );
    assert!(
        ends_with(&mirror(&project, "docker", &["registry.lan:5000/far"]), 2)
            .contains("a prefix of a registry, here `far`")
    );
}

#[test]
fn k3s_is_told_endpoint_rewrite_and_certificate() {
    let project = built("[linux/amd64]");
    let output = mirror(
        &project,
        "k3s",
        &["registry.lan/far", "--ca-file", "/etc/ca.crt", "--quiet"],
    );
    ends_with(&output, 0);
    let expected = "mirrors:\n  \"docker.io\":\n    endpoint:\n      - \"https://registry.lan\"\n    rewrite:\n      \"^(.*)$\": \"far/$1\"\n  \
                    \"ghcr.io\":\n    endpoint:\n      - \"https://registry.lan\"\n    rewrite:\n      \"^(.*)$\": \"far/$1\"\n\
                    configs:\n  \"registry.lan\":\n    tls:\n      ca_file: \"/etc/ca.crt\"\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_file_with_other_content_is_never_replaced_and_then_nothing_is_written() {
    let (project, scratch) = (built("[linux/amd64]"), Scratch::new());
    let out = scratch.path("").to_str().unwrap().to_owned();
    fs::create_dir(scratch.path("ghcr.io")).unwrap();
    fs::write(
        scratch.path("ghcr.io/hosts.toml"),
        "server = \"https://mine\"\n",
    )
    .unwrap();
    let said = ends_with(
        &mirror(&project, "containerd", &["registry.lan", "--out", &out]),
        12,
    );
    assert!(
        said.contains("ghcr.io/hosts.toml") && said.contains("nothing was written"),
        "{said}"
    );
    assert_eq!(scratch.names(), ["ghcr.io"]);
    fs::remove_file(scratch.path("ghcr.io/hosts.toml")).unwrap();
    let state = |report: &Value| {
        report["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["state"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        state(&report(
            &mirror(
                &project,
                "containerd",
                &["registry.lan", "--out", &out, "--json"]
            ),
            0
        )),
        ["written", "written"]
    );
    assert_eq!(
        state(&report(
            &mirror(
                &project,
                "containerd",
                &["registry.lan", "--out", &out, "--json"]
            ),
            0
        )),
        ["unchanged", "unchanged"]
    );
}

#[test]
fn the_bundle_must_be_trusted_and_the_registry_be_one() {
    let (project, scratch) = (built("[linux/amd64]"), Scratch::new());
    let [bundle, key, _] = with_key(&project, "bundle.tar");
    let other = scratch.path("other.pub").to_str().unwrap().to_owned();
    fs::write(
        &other,
        rune_bundle::sign::PrivateKey::generate()
            .unwrap()
            .public_key()
            .to_pem(),
    )
    .unwrap();
    ends_with(&rune_bundle(["mirror", "k3s", &bundle, "registry.lan"]), 7);
    ends_with(
        &rune_bundle(["mirror", "k3s", &bundle, &key, &other, "registry.lan"]),
        7,
    );
    for (arguments, part) in [
        (&["https://registry.lan"][..], "REGISTRY[:PORT][/PREFIX]"),
        (
            &["registry.lan", "--ca-file", "ca.crt"],
            "expected the absolute path",
        ),
        (
            &["registry.lan", "--ca-file", "/ca.crt", "--plain-http"],
            "cannot be used with",
        ),
    ] {
        let said = ends_with(&mirror(&project, "k3s", arguments), 2);
        assert!(said.contains(part), "{said}");
    }
}
