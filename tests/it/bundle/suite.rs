//! The manifest of RUNE's suite: several releases, with charts that stand in for those that are not
//! in this project.

use std::fs;

use rune_testkit::sample::Sample;
use serde_json::Value;

use crate::bundle::{project::Project, small_bundle::ends_with};

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: '{{ .Release.Name }}'}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: a, image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'}]}
";

#[test]
fn the_suite_is_locked_and_built_with_its_releases_in_order() {
    let project = Project::new();
    for (name, tag) in [("rune-operator", "v0.0.0a0"), ("rune-ui", "v0.0.0a0")] {
        let repository = format!("lpasquali/{name}");
        let sample = Sample {
            seed: name.to_owned(),
            ..Sample::default()
        };
        project.put(&repository, tag, &sample);
        let write = |file: &str, text: &str| {
            let path = project.path(format!("rune-charts/charts/{name}/{file}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let chart = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
        write("Chart.yaml", &chart);
        let values = format!("image: {{repository: ghcr.io/{repository}, tag: latest}}\n");
        write("values.yaml", &values);
        write("templates/all.yaml", DEPLOYMENT);
    }
    let manifest = "bundle-manifests/suite.yaml";
    let access = ["--registry-config", "registries.yaml"];
    ends_with(
        &project.run(&[&["lock", manifest], &access[..]].concat()),
        0,
    );
    let build = ["build", manifest, "--key", "release.key", "--output"];
    let build = [&build[..], &["suite.tar"], &access].concat();
    ends_with(&project.run(&build), 0);
    let inspect = ["inspect", "suite.tar", "--key", "release.pub", "--json"];
    let report = project.run(&inspect);
    ends_with(&report, 0);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let releases = report["index"]["releases"].as_array().unwrap().iter();
    let places: Vec<String> = releases
        .map(|release| {
            let text = |key: &str| release[key].as_str().unwrap();
            format!("{} {} {}", text("namespace"), text("name"), text("profile"))
        })
        .collect();
    assert_eq!(
        places,
        [
            "rune-operator rune-operator operator",
            "rune rune airgap",
            "rune rune-ui ui"
        ]
    );
    assert_eq!(
        report["index"]["requires"]
            .as_array()
            .unwrap()
            .last()
            .unwrap(),
        "releases"
    );
    let said = ends_with(&project.run(&["inspect", "suite.tar"]), 0);
    assert!(
        said.contains("release        rune-ui: rune-ui, profile ui, namespace rune, after rune"),
        "{said}"
    );
    let path = project.path("suite.tar");
    let mut extract = std::process::Command::new("tar");
    let output = extract
        .args(["-xOf", path.to_str().unwrap(), "INSTALL.md"])
        .output()
        .unwrap();
    let page = ends_with(&output, 0);
    let order = [
        "\n1. `rune-operator`: chart `rune-operator`, profile `operator`, namespace `rune-operator`\n",
        "\n2. `rune`: chart `rune`, profile `airgap`, namespace `rune`\n",
        "\n3. `rune-ui`: chart `rune-ui`, profile `ui`, namespace `rune`\n",
        "helm upgrade --install rune-operator charts/rune-operator-0.1.0.tgz --namespace rune-operator ",
        "helm upgrade --install rune-ui charts/rune-ui-0.1.0.tgz --namespace rune ",
    ];
    let places = order.map(|line| page.find(line).unwrap_or_else(|| panic!("{line}: {page}")));
    assert!(places.is_sorted(), "{page}");
}
