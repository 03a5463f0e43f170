//! A project with a chart of its own whose images are held against a lock by the real Helm.

use std::{fs, path::PathBuf, process::Output};

use rune_testkit::sample::Sample;
use serde_json::Value;

use crate::{bundle::project::Project, bundle::small_bundle::ends_with, charts::support::tool};

/// The Helms that the check must work with.
pub(crate) const HELMS: [&str; 2] = ["helm3", "helm4"];

/// A chart `app` with a template of its pins, and two sample images: `one` is what its deployment
/// runs, `two` is extra unless a test says otherwise.
pub(crate) struct App {
    pub(crate) project: Project,
    helm: &'static str,
}

const MANIFEST: &str = "apiVersion: rune-bundle/v1
kind: BundleManifest
name: app
version: 1.0.0
components: { side: { description: beside } }
images:
  - { name: one, reference: docker.io/library/one:1, license: MIT }
  - { name: two, reference: docker.io/library/two:2, license: MIT, component: side, extra: true }
charts: [{ path: charts/app }]
profiles:
  - { name: plain, values: [values/plain.yaml] }
  - { name: full, values: [values/full.yaml] }
policy: policy.yaml
";

const POLICY: &str = "apiVersion: rune-bundle/v1
kind: Policy
licenses: { allow: [MIT] }
sources: { allow: [docker.io/library/*] }
images:
  variables: [RELATED_IMAGE_*]
  options: [--sidecar-image]
  fields: [{ kind: Widget.example.com, path: spec.image }]
";

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: main, image: {{ include \"image\" .Values.one }}}]}
";

const HELPERS: &str = "{{- define \"image\" -}}\n\"{{ .registry }}/{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}\"\n{{- end -}}\n";

const VALUES: &str = "<% for name in [\"one\", \"two\"] %>
<@ name | raw @>: { registry: <@ images[name].registry @>, repository: <@ images[name].repository @>, tag: <@ images[name].tag @>, digest: <@ images[name].digest @> }
<% endfor %>
";

impl App {
    pub(crate) fn new(helm: &'static str) -> Self {
        let project = Project::with_manifest(MANIFEST);
        for part in ["charts", "templates", "migrations"] {
            fs::remove_dir_all(project.path(part)).unwrap();
        }
        for name in ["one", "two"] {
            let tag = if name == "one" { "1" } else { "2" };
            project.put(
                &format!("library/{name}"),
                tag,
                &Sample {
                    seed: name.to_owned(),
                    ..Sample::default()
                },
            );
        }
        let app = Self { project, helm };
        app.write("policy.yaml", POLICY);
        app.write(
            "charts/app/Chart.yaml",
            "apiVersion: v2\nname: app\nversion: 0.1.0\n",
        );
        app.write("charts/app/templates/_helpers.tpl", HELPERS);
        app.write("charts/app/templates/deployment.yaml", DEPLOYMENT);
        app.write("templates/charts/app/values.yaml.j2", VALUES);
        app.write("values/plain.yaml", "{}\n");
        app.write("values/full.yaml", "{}\n");
        app
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.project.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces a part of a file.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.project.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// An image of the chart as a template writes it; `two` is used then, too.
    pub(crate) fn two(&self) -> &'static str {
        self.edit("bundle-manifests/rune.yaml", ", extra: true", "");
        "{{ include \"image\" .Values.two }}"
    }

    /// Runs the tool with the Helm of this test.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.project
            .command(arguments)
            .env("RUNE_BUNDLE_HELM", tool(self.helm))
            .output()
            .unwrap()
    }

    pub(crate) fn lock(&self, more: &[&str]) -> Output {
        self.run(&[&["lock", "--registry-config", "registries.yaml"], more].concat())
    }

    /// Locks without a check, for what `build` is to find by itself.
    pub(crate) fn locked(self) -> Self {
        ends_with(&self.lock(&["--no-chart-check"]), 0);
        self
    }

    pub(crate) fn build(&self, more: &[&str]) -> Output {
        self.run(&[&self.project.build_arguments("x.tar"), more].concat())
    }

    /// The findings of a build that ends with 8 before anything is fetched or written.
    pub(crate) fn findings(&self) -> Vec<Value> {
        self.project.registry.forget_requests();
        let output = self.build(&["--json"]);
        ends_with(&output, 8);
        assert!(
            self.project.registry.requests().is_empty(),
            "something was fetched"
        );
        assert!(
            !self.project.path("x.tar").exists() && !self.project.path("x.tar.partial").exists()
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["error"]["details"].as_array().unwrap().clone()
    }

    /// The only finding, as `profiles: file: object [container] path: message`.
    pub(crate) fn finding(&self) -> String {
        let findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        line(&findings[0])
    }

    /// Asserts that the bundle is built and says that it was checked; then it is removed.
    pub(crate) fn is_complete(&self) {
        ends_with(&self.build(&[]), 0);
        let said = ends_with(&self.run(&["inspect", "x.tar", "--key", "release.pub"]), 0);
        assert!(
            said.contains("completeness   checked when it was built"),
            "{said}"
        );
        fs::remove_file(self.project.path("x.tar")).unwrap();
    }

    /// A program that stands in for Helm: a shell script behind the answer about its version.
    pub(crate) fn stand_in(&self, script: &str) -> PathBuf {
        let path = self.project.path("stand-in");
        self.write(
            "stand-in",
            &format!("#!/bin/sh\ncase $1 in version) echo v3.99.0; exit;; esac\n{script}\n"),
        );
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }
}

/// A finding in one line.
pub(crate) fn line(finding: &Value) -> String {
    let part = |name: &str| finding[name].as_str().unwrap_or("-").to_owned();
    let profiles: Vec<&str> = finding["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let [file, object, container, path, message] =
        ["file", "object", "container", "path", "message"].map(part);
    format!(
        "{}: {file}: {object} [{container}] {path}: {message}",
        profiles.join("+")
    )
}
