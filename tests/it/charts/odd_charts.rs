//! Charts of others on their whole way: locked, built, verified, pushed, served, and pulled by
//! Helm.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    bundle::foreign_support::{Distribution, Foreign},
    bundle::project::sha256,
    bundle::small_bundle::KEY,
    charts::support::tool,
    registry::serve_support::Serving,
};
use rune_testkit::process::succeeded;

const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: [\"**\"] }\n";

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {chart: '{{ .Chart.Name }} {{ .Chart.Version }}'}\n";

/// The directory, what its `Chart.yaml` says, and the repository below `charts/` with the tag.
const CHARTS: [(&str, &str, &str, &str); 9] = [
    (
        "v",
        "apiVersion: v2\nname: with-v\nversion: v1.15.1\n",
        "with-v",
        "v1.15.1",
    ),
    (
        "two",
        "apiVersion: v2\nname: two-parts\nversion: 1.20\n",
        "two-parts",
        "1.2",
    ),
    (
        "zeros",
        "apiVersion: v2\nname: zeros\nversion: 3.3.000\n",
        "zeros",
        "3.3.000",
    ),
    (
        "pre",
        "apiVersion: v2\nname: pre\nversion: 1.2.3-rc.1+build.5\n",
        "pre",
        "1.2.3-rc.1_build.5",
    ),
    (
        "capital",
        "apiVersion: v2\nname: Demo\nversion: 1.0.0\n",
        "demo",
        "1.0.0",
    ),
    (
        "dots",
        "apiVersion: v2\nname: de.mo_x\nversion: 1.0.0\n",
        "de.mo_x",
        "1.0.0",
    ),
    (
        "signs",
        "apiVersion: v2\nname: a..b-\nversion: 1.0.0\n",
        "a-b",
        "1.0.0",
    ),
    (
        "old",
        "apiVersion: v1\nname: old\nversion: 1.0.0\nappVersion: 1.10\nmaintainers: [{email: a@example.org}, {name: B}]\nannotations: {a: 1, org.opencontainers.image.url: https://own.example}\nhome: https://home.example\ndeprecated: true\ndescription: \"é\\tx\"\n",
        "old",
        "1.0.0",
    ),
    (
        "parent",
        "apiVersion: v2\nname: parent\nversion: 1.0.0\nengine: gotpl\nsources: [https://one.example, https://two.example]\nkubeVersion: ~1.27.4\ndependencies:\n- {name: sub, version: '>=0.1.0 <0.2.0 || 3.x', repository: '', condition: a.b, tags: [x], alias: other, import-values: [data, {child: c, parent: d}]}\n",
        "parent",
        "1.0.0",
    ),
];

/// Rendering every chart with Helm takes long and is not what most of these tests are about.
const UNCHECKED: [&str; 1] = ["--no-chart-check"];

/// A bundle of all these charts.
struct OddCharts(Foreign);

impl OddCharts {
    /// Locks, builds and unpacks; whether the charts are rendered is said by `options`.
    fn build(options: &[&str]) -> Self {
        let odd = Self(Foreign::new());
        let mut manifest =
            "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: odd\nversion: 1.0.0\npolicy: policy.yaml\ncharts:\n".to_owned();
        for (directory, chart_yaml, ..) in CHARTS {
            odd.write(&format!("charts/{directory}/Chart.yaml"), chart_yaml);
            odd.write(&format!("charts/{directory}/templates/a.yaml"), TEMPLATE);
            manifest.push_str(&format!("  - path: charts/{directory}\n"));
        }
        odd.write(
            "charts/old/requirements.yaml",
            "dependencies:\n- {name: sub, version: ^0.1, repository: '@local', enabled: true}\n",
        );
        odd.write(
            "sub/Chart.yaml",
            "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
        );
        for parent in ["old", "parent"] {
            let charts = format!("charts/{parent}/charts");
            fs::create_dir(odd.0.path(&charts)).unwrap();
            odd.0
                .run("helm4", ["package", "sub", "--destination", &charts]);
        }
        // One of them comes packed.
        odd.0
            .run("helm3", ["package", "charts/v", "--destination", "charts"]);
        odd.write(
            "bundle-manifests/odd.yaml",
            &manifest.replace("charts/v\n", "charts/with-v-v1.15.1.tgz\n"),
        );
        odd.write("policy.yaml", POLICY);
        odd.write("odd.key", KEY);
        succeeded(
            Command::new("openssl")
                .args(["pkey", "-in", "odd.key", "-pubout", "-out", "odd.pub"])
                .current_dir(odd.0.path("")),
        );
        odd.run(
            "helm3",
            &[&["lock", "bundle-manifests/odd.yaml"], options].concat(),
        );
        odd.run(
            "helm4",
            &[
                &[
                    "build",
                    "bundle-manifests/odd.yaml",
                    "--key",
                    "odd.key",
                    "--output",
                    "odd.tar",
                ],
                options,
            ]
            .concat(),
        );
        odd.run(
            "helm4",
            &["unpack", "odd.tar", "unpacked", "--key", "odd.pub"],
        );
        odd
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.0.path(path).parent().unwrap()).unwrap();
        fs::write(self.0.path(path), text).unwrap();
    }

    fn command(&self, helm: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .current_dir(self.0.path(""))
            .env("HOME", self.0.path(""))
            .env("RUNE_BUNDLE_HELM", tool(helm));
        command
    }

    fn run(&self, helm: &str, arguments: &[&str]) -> String {
        succeeded(&mut self.command(helm, arguments))
    }

    /// The files of the charts, in the order of [`CHARTS`].
    fn packed(&self) -> Vec<PathBuf> {
        let file = |chart_yaml: &str, tag: &str| {
            let name = chart_yaml
                .lines()
                .find_map(|line| line.strip_prefix("name: "))
                .unwrap();
            self.0.path(&format!(
                "unpacked/charts/{name}-{}.tgz",
                tag.replace('_', "+")
            ))
        };
        CHARTS
            .iter()
            .map(|(_, chart_yaml, _, tag)| file(chart_yaml, tag))
            .collect()
    }

    /// Pulls every chart with both Helms, by the version that its `Chart.yaml` has, and compares
    /// with the file in the bundle.
    fn are_pulled_from(&self, place: &str) {
        for ((_, _, repository, tag), packed) in CHARTS.iter().zip(self.packed()) {
            let version = tag.replace('_', "+");
            for helm in ["helm3", "helm4"] {
                let directory = format!("{helm}-{repository}");
                let _ = fs::remove_dir_all(self.0.path(&directory));
                fs::create_dir(self.0.path(&directory)).unwrap();
                let source = format!("oci://{place}/charts/{repository}");
                self.0.run(
                    helm,
                    [
                        "pull",
                        &source,
                        "--version",
                        &version,
                        "--plain-http",
                        "--destination",
                        &directory,
                    ],
                );
                let pulled = fs::read_dir(self.0.path(&directory))
                    .unwrap()
                    .next()
                    .unwrap()
                    .unwrap()
                    .path();
                assert_eq!(sha256(&pulled), sha256(&packed), "{helm} {source}");
            }
        }
    }
}

#[test]
fn helm_pulls_every_odd_chart_from_a_registry() {
    let odd = OddCharts::build(&UNCHECKED);
    let registry = Distribution::start("plain");
    odd.run(
        "helm4",
        &[
            "push",
            "odd.tar",
            &format!("{}/site", registry.host()),
            "--key",
            "odd.pub",
            "--receipts",
            "receipts",
        ],
    );
    odd.are_pulled_from(&format!("{}/site", registry.host()));
}

#[test]
fn helm_pulls_every_odd_chart_from_serve() {
    let odd = OddCharts::build(&UNCHECKED);
    let serving = Serving::run(&mut odd.command(
        "helm4",
        &[
            "serve",
            "odd.tar",
            "--key",
            "odd.pub",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ],
    ));
    odd.are_pulled_from(serving.host());
}

#[test]
fn the_install_text_names_the_file_of_every_odd_chart_and_helm_renders_it() {
    let odd = OddCharts::build(&[]);
    let install = fs::read_to_string(odd.0.path("unpacked/INSTALL.md")).unwrap();
    for packed in odd.packed() {
        let file = packed.file_name().unwrap().to_str().unwrap();
        assert!(
            install.contains(&format!("`charts/{file}`")),
            "{file}: {install}"
        );
        for helm in ["helm3", "helm4"] {
            odd.0.run(
                helm,
                [
                    "template",
                    "x",
                    packed.to_str().unwrap(),
                    "--kube-version",
                    "1.27.5",
                ],
            );
        }
    }
}

#[test]
fn configuration_and_annotations_in_a_registry_are_those_of_helm_push() {
    let odd = OddCharts::build(&UNCHECKED);
    let registry = Distribution::start("plain");
    odd.run(
        "helm4",
        &[
            "push",
            "odd.tar",
            registry.host(),
            "--key",
            "odd.pub",
            "--receipts",
            "receipts",
        ],
    );
    for helm in ["helm3", "helm4"] {
        for ((_, _, repository, tag), packed) in CHARTS.iter().zip(odd.packed()) {
            if ["demo", "a-b"].contains(repository) {
                // Helm refuses to push what is not called like a repository.
                continue;
            }
            let theirs = format!("{}/{helm}/{repository}:{tag}", registry.host());
            odd.0.run(
                helm,
                [
                    "push",
                    packed.to_str().unwrap(),
                    &format!("oci://{}/{helm}", registry.host()),
                    "--plain-http",
                ],
            );
            let ours = format!("{}/charts/{repository}:{tag}", registry.host());
            let read = |reference: &str| {
                let manifest: Value = serde_json::from_str(
                    &odd.0.run("crane", ["manifest", "--insecure", reference]),
                )
                .unwrap();
                let mut annotations = manifest["annotations"].clone();
                annotations
                    .as_object_mut()
                    .unwrap()
                    .remove("org.opencontainers.image.created");
                let config: Value =
                    serde_json::from_str(&odd.0.run("crane", ["config", "--insecure", reference]))
                        .unwrap();
                (config, annotations, manifest["layers"].clone())
            };
            assert_eq!(read(&ours), read(&theirs), "{repository} {helm}");
        }
    }
}
