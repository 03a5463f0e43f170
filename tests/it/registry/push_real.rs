//! `push` against the registries that people run, and foreign programs that read what was pushed.

use std::fs;

use rune_bundle::bundle::BundleIndex;
use serde_json::{Value, json};

use crate::{
    bundle::foreign_shipment::{POSTGRES, Shipment},
    bundle::foreign_support::{Distribution, Foreign},
    bundle::small_bundle::{ends_with, rune_bundle},
};

/// What `push` has to be told to get into a registry.
fn access(registry: &Distribution, files: &Foreign) -> Vec<String> {
    let mut arguments = Vec::new();
    for (option, key) in [
        ("--ca-file", "ca"),
        ("--client-cert", "client_certificate"),
        ("--client-key", "client_key"),
    ] {
        arguments.extend(
            registry
                .text(key)
                .into_iter()
                .flat_map(|path| [option.to_owned(), path.to_owned()]),
        );
    }
    if let Some((username, password)) = registry.text("user").zip(registry.text("password")) {
        let entry =
            json!({"auths": {registry.host(): {"username": username, "password": password}}});
        fs::write(files.path("config.json"), entry.to_string()).unwrap();
        arguments.extend([
            "--authfile".to_owned(),
            files.path("config.json").to_str().unwrap().to_owned(),
        ]);
    }
    arguments
}

/// Pushes a shipment below `rune/` and gives the report.
fn push(shipment: &Shipment, registry: &Distribution, options: &[&str]) -> Value {
    let files = Foreign::new();
    let mut arguments = vec![
        "push".to_owned(),
        shipment.bundle(),
        format!("{}/rune", registry.host()),
    ];
    arguments.extend([
        "--receipts".to_owned(),
        files.path("receipts").to_str().unwrap().to_owned(),
    ]);
    arguments.extend([
        "--key".to_owned(),
        shipment.text_path("release.pub"),
        "--json".to_owned(),
        "--quiet".to_owned(),
    ]);
    arguments.extend(access(registry, &files));
    arguments.extend(options.iter().map(|option| (*option).to_owned()));
    let output = rune_bundle(arguments);
    ends_with(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Pushes twice: the first time everything, the second nothing.
fn takes_everything_once(program: &str, mode: &str) {
    let shipment = Shipment::whole();
    let registry = Distribution::start_program(program, mode);
    let first = push(&shipment, &registry, &[]);
    assert!(
        first["blobs"]["uploaded"].as_u64().unwrap() > 20,
        "{first:#}"
    );
    assert_eq!(
        first["sentBytes"], first["blobs"]["uploadedBytes"],
        "{program} {mode}"
    );
    let second = push(&shipment, &registry, &[]);
    assert_eq!(
        (&second["sentBytes"], &second["blobs"]["uploaded"]),
        (&0.into(), &0.into()),
        "{program} {mode}: {second:#}"
    );
}

#[test]
fn distribution_2_takes_everything_once() {
    takes_everything_once("distribution2", "plain");
}

#[test]
fn distribution_2_takes_everything_under_a_private_ca_with_passwords() {
    takes_everything_once("distribution2", "tls-basic");
}

#[test]
fn distribution_2_takes_everything_with_tokens() {
    takes_everything_once("distribution2", "tls-token");
}

#[test]
fn distribution_2_takes_everything_from_a_known_client() {
    takes_everything_once("distribution2", "mutual-tls");
}

#[test]
fn distribution_3_takes_everything_once() {
    takes_everything_once("distribution3", "plain");
}

#[test]
fn distribution_3_takes_everything_under_a_private_ca_with_passwords() {
    takes_everything_once("distribution3", "tls-basic");
}

#[test]
fn distribution_3_takes_everything_with_tokens() {
    takes_everything_once("distribution3", "token");
}

#[test]
fn the_registry_of_crane_takes_everything_once() {
    takes_everything_once("crane", "plain");
}

#[test]
fn parts_arrive_whole_at_every_registry() {
    let shipment = Shipment::whole();
    for program in ["distribution2", "distribution3", "crane"] {
        let registry = Distribution::start_program(program, "plain");
        push(&shipment, &registry, &["--chunk-size", "1MiB"]);
        let tools = Foreign::new();
        let place = format!(
            "docker://{}/rune/library/postgres:17-alpine",
            registry.host()
        );
        let copy = format!("oci:{}:x", tools.path("copy").display());
        let arguments = [
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            &place,
            &copy,
        ];
        tools.run(
            "skopeo",
            [&["--insecure-policy"][..], &arguments[..]].concat(),
        );
    }
}

#[test]
fn a_bundle_of_one_platform_arrives_with_an_index_that_the_registry_takes() {
    let shipment = Shipment::of_one_platform();
    let image = shipment.image(POSTGRES);
    for program in ["distribution2", "distribution3", "crane"] {
        let registry = Distribution::start_program(program, "plain");
        let report = push(&shipment, &registry, &[]);
        let references = report["references"].as_array().unwrap();
        let postgres = references
            .iter()
            .find(|reference| reference["source"] == POSTGRES)
            .unwrap();
        let (index, digest) = (
            postgres["index"].as_str().unwrap(),
            postgres["digest"].as_str().unwrap(),
        );
        let expected = if index == "reduced" {
            image.reduced_index.as_ref().unwrap().digest
        } else {
            image.target.digest
        };
        assert_eq!(digest, expected.to_string(), "{program}");
        assert_eq!(
            registry.digest("rune/library/postgres", "17-alpine"),
            digest,
            "{program}"
        );
        assert_eq!(push(&shipment, &registry, &[])["sentBytes"], 0, "{program}");
    }
}

#[test]
fn foreign_programs_read_what_was_pushed_with_the_digests_of_the_lock() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let registry = Distribution::start_program("distribution3", "plain");
    push(&shipment, &registry, &[]);
    let index: BundleIndex = shipment.index();
    for image in &index.images {
        let place = format!(
            "{}/rune/{}:{}",
            registry.host(),
            image.reference.repository(),
            image.reference.tag().unwrap()
        );
        let digest = image.target.digest.to_string();
        assert_eq!(
            tools.run("crane", ["digest", "--insecure", &place]).trim(),
            digest
        );
        tools.run(
            "crane",
            ["validate", "--fast", "--insecure", "--remote", &place],
        );
        let raw = tools.run(
            "skopeo",
            [
                "inspect",
                "--raw",
                "--tls-verify=false",
                &format!("docker://{place}"),
            ],
        );
        assert_eq!(rune_testkit::sha256(raw.as_bytes()), digest);
        let copy = format!("oci:{}:x", tools.path(&image.name).display());
        let arguments = [
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            &format!("docker://{place}"),
            &copy,
        ];
        tools.run(
            "skopeo",
            [&["--insecure-policy"][..], &arguments[..]].concat(),
        );
        let described = tools.run(
            "oras",
            ["manifest", "fetch", "--plain-http", "--descriptor", &place],
        );
        assert_eq!(
            serde_json::from_str::<Value>(&described).unwrap()["digest"],
            digest
        );
    }
    for helm in ["helm3", "helm4"] {
        for chart in &index.charts {
            let place = format!("oci://{}/rune/charts/{}", registry.host(), chart.name);
            let folder = tools.path(helm);
            fs::create_dir_all(&folder).unwrap();
            tools.run(
                helm,
                [
                    "pull",
                    &place,
                    "--version",
                    &chart.version,
                    "--plain-http",
                    "--destination",
                    folder.to_str().unwrap(),
                ],
            );
            let packed =
                fs::read(folder.join(format!("{}-{}.tgz", chart.name, chart.version))).unwrap();
            assert_eq!(
                packed,
                fs::read(shipment.path(&format!("unpacked/{}", chart.path))).unwrap()
            );
        }
    }
    // Who signed is found from the registry alone, and with foreign tools.
    let statement = format!(
        "{}/rune/bundles/{}:{}",
        registry.host(),
        index.name,
        index.version
    );
    let referrers = tools.run(
        "oras",
        ["discover", "--plain-http", "--format", "json", &statement],
    );
    assert_eq!(
        referrers
            .matches("application/vnd.dev.sigstore.bundle.v0.3+json")
            .count(),
        2,
        "{referrers}"
    );
}
