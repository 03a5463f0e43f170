//! Several releases that are installed together, on a real cluster: in order, back in reverse, and
//! one of them alone.

use std::fs;

use rune_testkit::cluster::{Cluster, Helm, ImageLayout, Namespace, Program};
use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::ends_with,
    cluster::install::{REGISTRY, Works},
    docs::reports::Reader,
};

const NAMES: [&str; 3] = ["first", "second", "third"];

/// A deployment that is ready when its probe says so.
const OBJECTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: '{{ .Release.Name }}'}
spec:
  selector: {matchLabels: {app: '{{ .Release.Name }}'}}
  template:
    metadata: {labels: {app: '{{ .Release.Name }}', app.kubernetes.io/instance: '{{ .Release.Name }}'}, annotations: {note: '{{ .Values.note }}'}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsNonRoot: true, runAsUser: 70, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: main
          image: 'docker.io/tests/set:{{ .Chart.Version }}'
          command: [sleep, '3600']
          readinessProbe: {exec: {command: ['{{ .Values.probe }}']}, periodSeconds: 1}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

/// The releases stand in another order than they are installed in.
const MANIFEST: &str = "apiVersion: rune-bundle/v1
kind: BundleManifest
name: set
version: VERSION
images: [{ name: set, reference: 'docker.io/tests/set:VERSION', license: MIT }]
charts: [{ path: charts/first }, { path: charts/second }, { path: charts/third }]
releases:
  - { name: third, chart: charts/third, after: [second] }
  - { name: first, chart: charts/first }
  - { name: second, chart: charts/second, after: [first] }
policy: policy.yaml
";

const POLICY: &str = "apiVersion: rune-bundle/v1
kind: Policy
licenses: { allow: [MIT] }
sources: { allow: [docker.io/tests/*] }
pins: [{ image: docker.io/tests/set, pin: tag, reason: 'no value for a digest' }]
";

pub(crate) struct Site<'a> {
    cluster: &'a Cluster,
    pub(crate) works: Works<'a>,
    pub(crate) namespace: Namespace<'a>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(cluster: &'a Cluster, helm: Helm) -> Self {
        let program = if helm == Helm::Three {
            "helm3"
        } else {
            "helm4"
        };
        let works = Works::new(cluster, program);
        fs::write(works.path("policy.yaml"), POLICY).unwrap();
        Self {
            cluster,
            works,
            namespace: cluster.namespace("set"),
        }
    }

    pub(crate) fn build(&self, version: &str) {
        self.build_with(version, "");
    }

    /// The same with more in the manifest.
    pub(crate) fn build_with(&self, version: &str, more: &str) {
        let works = &self.works;
        // Another image in each version.
        let file = Program {
            path: "/etc/set-version",
            content: version.as_bytes(),
        };
        let image = ImageLayout::postgres().with_programs(&[file]);
        self.cluster.push(&image, &format!("tests/set:{version}"));
        for name in NAMES {
            let write = |file: &str, text: &str| {
                let path = works.path(&format!("charts/{name}/{file}"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
            write("Chart.yaml", &chart);
            write(
                "values.yaml",
                &format!("note: '{version}'\nprobe: 'true'\n"),
            );
            write("templates/all.yaml", OBJECTS);
        }
        let manifest = format!("{}{more}", MANIFEST.replace("VERSION", version));
        fs::write(works.path("bundle-manifests/set.yaml"), manifest).unwrap();
        let given = [
            "bundle-manifests/set.yaml",
            "--registry-config",
            "registries.yaml",
        ];
        let lock = works.command(&[&["lock"], &given[..]].concat()).output();
        ends_with(&lock.unwrap(), 0);
        let file = format!("{version}.tar");
        let build = ["build", "--key", "release.key", "--output", &file];
        let build = works.command(&[&build, &given[..]].concat()).output();
        ends_with(&build.unwrap(), 0);
    }

    pub(crate) fn report(&self, verb: &[&str], code: i32) -> Value {
        let given = ["--namespace", self.namespace.name(), "--json"];
        let output = self.works.command(&[verb, &given].concat()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        let ended = output.status.code();
        assert_eq!(ended, Some(code), "{verb:?}: {said}\n{printed}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        if report.get("error").is_none() {
            Reader::new().report(verb[0], report.clone());
        }
        report
    }

    pub(crate) fn install(&self, version: &str, options: &[&str], code: i32) -> Value {
        let file = format!("{version}.tar");
        let given = ["install", &file, "--key", "release.pub"];
        let registry = ["--registry", REGISTRY];
        self.report(&[&given, &registry[..], options].concat(), code)
    }

    /// The version of each release, each healthy and without drift.
    pub(crate) fn versions(&self) -> Vec<String> {
        let status = self.report(&["status"], 0);
        let releases = status["releases"].as_array().unwrap().iter();
        releases
            .map(|release| {
                let name = release["release"].as_str().unwrap();
                let version = release["installed"]["version"].as_str().unwrap();
                let deployment = self.namespace.get(&format!("deployment/{name}"));
                let note = &deployment["spec"]["template"]["metadata"]["annotations"]["note"];
                assert_eq!(note, version, "{name} runs what its record says");
                format!("{name} {version}")
            })
            .collect()
    }

    /// How many revisions each release has.
    fn revisions(&self, helm: Helm) -> Vec<usize> {
        let revisions = |name: &str| {
            let given = ["history", name, "--output", "json"];
            let history = self.namespace.helm(helm, &given).unwrap();
            let history: Value = serde_json::from_str(&history).unwrap();
            history.as_array().unwrap().len()
        };
        NAMES.map(revisions).to_vec()
    }
}

fn life(helm: Helm) {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(&cluster, helm);
    let all = |version: &str| NAMES.map(|name| format!("{name} {version}")).to_vec();
    site.build("1.0.0");
    site.build("2.0.0");

    let first = site.install("1.0.0", &[], 0);
    let order: Vec<&str> = first["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|release| release["release"].as_str().unwrap())
        .collect();
    assert_eq!(order, NAMES);
    assert_eq!(first["receipt"]["number"], 1, "one receipt for the set");
    assert_eq!(site.versions(), all("1.0.0"));

    // The third never becomes ready.
    let failing = ["--set", "third:probe=false", "--timeout", "45s"];
    let failed = site.install("2.0.0", &failing, 13);
    let left = failed["error"]["details"].as_array().unwrap().iter();
    let left: Vec<_> = left
        .map(|release| (release["release"].as_str().unwrap(), &release["left"]))
        .collect();
    let back = json!({"state": "rolledBack", "to": 1});
    assert_eq!(
        left,
        [("third", &back), ("second", &back), ("first", &back)],
        "the last one first"
    );
    assert_eq!(site.versions(), all("1.0.0"));
    assert_eq!(site.revisions(helm), [3, 3, 3]);

    let second = site.install("2.0.0", &[], 0);
    assert_eq!(second["receipt"]["number"], 3);
    assert_eq!(site.versions(), all("2.0.0"));

    // One of them alone; then the set is not what was installed together any more.
    site.install("2.0.0", &["--only", "second"], 0);
    assert_eq!(site.revisions(helm), [4, 5, 4]);
    let refused = site.report(&["rollback", "first"], 12);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("second was changed since"), "{message}");
    site.report(&["rollback", "second"], 0);
    assert_eq!(site.versions(), all("2.0.0"));

    // The set goes back as one, until one of them does not; then it goes on from there.
    site.namespace
        .kubectl(&["create", "quota", "none", "--hard=pods=0"]);
    let stuck = site.report(&["rollback", "first", "--timeout", "10s"], 13);
    let left = stuck["error"]["details"].as_array().unwrap();
    let states: Vec<&Value> = left
        .iter()
        .map(|release| &release["left"]["state"])
        .collect();
    assert_eq!(states, ["stuck", "at", "at"], "{left:?}");
    site.namespace.kubectl(&["delete", "quota", "none"]);
    let back = site.report(&["rollback", "first"], 0);
    assert_eq!(back["releases"].as_array().unwrap().len(), 3);
    assert_eq!(site.versions(), all("1.0.0"));
    let listed = site.works.command(&["receipts", "list"]).output().unwrap();
    let listed = ends_with(&listed, 0);
    assert!(
        listed.contains("rolled back to set 1.0.0: release third, second, first"),
        "{listed}"
    );
}

#[test]
fn a_set_is_installed_in_order_and_goes_back_in_reverse_with_helm_3() {
    life(Helm::Three);
}

#[test]
fn a_set_is_installed_in_order_and_goes_back_in_reverse_with_helm_4() {
    life(Helm::Four);
}
