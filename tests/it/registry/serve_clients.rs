//! Programs that nobody here wrote pull everything from `serve`, with the digests that were locked.

use std::{fs, path::Path, process::Command};

use rune_bundle::bundle::{ChartRecord, ImageRecord};
use serde_json::Value;

use crate::{
    bundle::foreign_containers::containerd,
    bundle::foreign_shipment::{POSTGRES, Shipment},
    bundle::foreign_support::Foreign,
    bundle::project::sha256,
    registry::serve_support::Serving,
};
use rune_testkit::process::succeeded;

/// Serves a shipment, as whoever got it with the release key would.
fn serve(shipment: &Shipment) -> Serving {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command.args([
        "serve",
        &shipment.bundle(),
        "--key",
        &shipment.text_path("release.pub"),
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    Serving::run(&mut command)
}

/// `repository:tag` of an image.
fn name(image: &ImageRecord) -> String {
    format!(
        "{}:{}",
        image.reference.repository(),
        image.reference.tag().unwrap()
    )
}

/// Everything in a shipment that has a tag, with its digest: images and charts.
fn everything(shipment: &Shipment) -> Vec<(String, String)> {
    let index = shipment.index();
    let images = index
        .images
        .iter()
        .map(|image| (name(image), image.target.digest.to_string()));
    let charts = index
        .charts
        .iter()
        .map(|chart| (chart_name(chart), chart.artifact.digest.to_string()));
    let all: Vec<_> = images.chain(charts).collect();
    assert!(all.len() > 3);
    all
}

fn chart_name(chart: &ChartRecord) -> String {
    format!("charts/{}:{}", chart.name, chart.version)
}

/// The digest of the only thing that an OCI layout has, or has a name for.
fn only_root(layout: &Path) -> String {
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let all = index["manifests"].as_array().unwrap();
    let named = || {
        all.iter()
            .filter(|root| root["annotations"]["org.opencontainers.image.ref.name"].is_string())
    };
    let roots: Vec<_> = if named().count() > 0 {
        named().collect()
    } else {
        all.iter().collect()
    };
    assert_eq!(roots.len(), 1, "{index}");
    roots[0]["digest"].as_str().unwrap().to_owned()
}

/// Pulls everything into a layout of its own each with a client, and compares.
fn pulls_everything(pull: impl Fn(&Foreign, &Serving, &str, &str)) {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let serving = serve(&shipment);
    for (number, (name, digest)) in everything(&shipment).iter().enumerate() {
        let layout = format!("layout-{number}");
        pull(&tools, &serving, name, &layout);
        assert_eq!(only_root(&tools.path(&layout)), *digest, "{name}");
    }
}

#[test]
fn skopeo_pulls_every_image_and_chart() {
    pulls_everything(|tools, serving, name, layout| {
        let from = format!("docker://{}/{name}", serving.host());
        tools.run(
            "skopeo",
            [
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--src-tls-verify=false",
                &from,
                &format!("oci:{layout}"),
            ],
        );
    });
}

#[test]
fn crane_pulls_every_image_and_chart() {
    pulls_everything(|tools, serving, name, layout| {
        let from = format!("{}/{name}", serving.host());
        tools.run(
            "crane",
            ["pull", "--insecure", "--format=oci", &from, layout],
        );
    });
}

#[test]
fn oras_pulls_every_image_and_chart() {
    pulls_everything(|tools, serving, name, layout| {
        let from = format!("{}/{name}", serving.host());
        tools.run(
            "oras",
            [
                "cp",
                "--no-tty",
                "--from-plain-http",
                &from,
                "--to-oci-layout",
                &format!("{layout}:pulled"),
            ],
        );
    });
}

#[test]
fn regctl_pulls_every_image_and_chart() {
    pulls_everything(|tools, serving, name, layout| {
        let (host, from) = (
            format!("reg={},tls=disabled", serving.host()),
            format!("{}/{name}", serving.host()),
        );
        tools.run(
            "regctl",
            [
                "--host",
                &host,
                "image",
                "copy",
                &from,
                &format!("ocidir://{layout}:pulled"),
            ],
        );
    });
}

#[test]
fn oras_discovers_the_signatures_of_the_bundle() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let serving = serve(&shipment);
    let index = shipment.index();
    let statement = format!(
        "{}/bundles/{}:{}",
        serving.host(),
        index.name,
        index.version
    );
    let found = tools.run(
        "oras",
        ["discover", "--plain-http", "--format", "json", &statement],
    );
    let found: Value = serde_json::from_str(&found).unwrap();
    let referrers = found["referrers"]
        .as_array()
        .or_else(|| found["manifests"].as_array())
        .unwrap();
    assert_eq!(referrers.len(), 2, "release and second person: {found}");
}

#[test]
fn helm_pulls_the_charts_as_the_files_that_the_bundle_includes() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let serving = serve(&shipment);
    for helm in ["helm3", "helm4"] {
        fs::create_dir(tools.path(helm)).unwrap();
        for chart in shipment.index().charts {
            let source = format!("oci://{}/charts/{}", serving.host(), chart.name);
            tools.run(
                helm,
                [
                    "pull",
                    &source,
                    "--version",
                    &chart.version,
                    "--plain-http",
                    "--destination",
                    helm,
                ],
            );
            let pulled = tools.path(&format!("{helm}/{}-{}.tgz", chart.name, chart.version));
            assert_eq!(
                sha256(&pulled),
                sha256(&shipment.path(&format!("unpacked/{}", chart.path))),
                "{helm}"
            );
        }
    }
}

/// Has containerd get every image by the reference that charts know, with `serve` as the mirror of
/// every registry.
fn containerd_pulls(shipment: &Shipment, how: &[&str]) {
    let tools = Foreign::new();
    let serving = serve(shipment);
    let (_containerd, ctr) = containerd(&tools);
    for image in shipment.index().images {
        let hosts = tools.path(&format!("hosts/{}", image.reference.registry()));
        fs::create_dir_all(&hosts).unwrap();
        let mirror = format!(
            "[host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
            serving.host()
        );
        fs::write(hosts.join("hosts.toml"), mirror).unwrap();
        let reference = image.reference.to_string();
        let pull = ["--address", &ctr]
            .into_iter()
            .chain(how.iter().copied())
            .chain(["--hosts-dir", "hosts", &reference]);
        succeeded(&mut tools.command("ctr", pull));
        for (list, word) in [
            ("ls", image.target.digest.to_string()),
            ("check", "complete".to_owned()),
        ] {
            let listed = tools.run("ctr", ["--address", &ctr, "images", list]);
            let line = listed
                .lines()
                .find(|line| line.starts_with(&format!("{reference} ")))
                .unwrap_or_default();
            assert!(line.contains(&word), "{reference} in\n{listed}");
        }
        serving.says(&[
            "GET",
            image.reference.repository(),
            &format!("ns={}", image.reference.registry()),
        ]);
    }
}

#[test]
fn containerd_fetches_every_platform_of_every_image_through_a_mirror() {
    containerd_pulls(&Shipment::whole(), &["content", "fetch", "--all-platforms"]);
}

#[test]
fn containerd_pulls_and_unpacks_every_image_through_a_mirror() {
    containerd_pulls(&Shipment::whole(), &["images", "pull"]);
}

#[test]
fn containerd_pulls_the_included_platform_by_the_digest_of_the_whole_index() {
    let shipment = Shipment::of_one_platform();
    assert!(shipment.image(POSTGRES).reduced_index.is_some());
    containerd_pulls(&shipment, &["images", "pull"]);
}
