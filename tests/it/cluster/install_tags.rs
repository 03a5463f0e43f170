//! `install` on a real cluster of a chart that names its image by the tag alone: what runs is
//! compared with the bundle.

use std::fs;

use rune_testkit::cluster::{Cluster, ImageLayout};
use serde_json::json;

use crate::{
    bundle::small_bundle::ends_with,
    cluster::install::{REGISTRY, Works, history},
    cluster::support::PATIENCE,
};

/// A deployment without a value for a digest, and a test whose image nobody has.
const OBJECTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: tagged}
spec:
  selector: {matchLabels: {app: tagged}}
  template:
    metadata: {labels: {app: tagged}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsNonRoot: true, runAsUser: 70, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: main
          image: {{ .Values.global.imageRegistry | default \"docker.io\" }}/tests/tagged:1
          imagePullPolicy: Always
          command: [sleep, '3600']
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Pod
metadata: {name: tagged-test, annotations: {helm.sh/hook: test}}
spec: {restartPolicy: Never, containers: [{name: t, image: 'docker.io/tests/nowhere:1'}]}
";

const MANIFEST: &str = "apiVersion: rune-bundle/v1
kind: BundleManifest
name: tagged
version: 1.0.0
images: [{ name: tagged, reference: 'docker.io/tests/tagged:1', license: MIT }]
charts: [{ path: charts/tagged }]
policy: policy.yaml
";

const POLICY: &str = "apiVersion: rune-bundle/v1
kind: Policy
licenses: { allow: [MIT] }
sources: { allow: [docker.io/tests/*] }
images: { leaveOutTests: [{ name: tagged-test, reason: 'its image is nowhere' }] }
pins: [{ image: docker.io/tests/tagged, pin: tag, reason: 'no value for a digest' }]
";

#[test]
fn an_image_that_is_named_by_its_tag_must_run_as_the_bundle_has_it() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    let namespace = cluster.namespace("tags");
    let (own, other) = (ImageLayout::postgres(), ImageLayout::postgres().updated());
    cluster.push(&own, "tests/tagged:1");
    let write = |file: &str, text: &str| {
        let path = works.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "charts/tagged/Chart.yaml",
        "apiVersion: v2\nname: tagged\nversion: 1.0.0\n",
    );
    write(
        "charts/tagged/values.yaml",
        "global: { imageRegistry: '' }\n",
    );
    write("charts/tagged/templates/all.yaml", OBJECTS);
    write("bundle-manifests/tagged.yaml", MANIFEST);
    write("policy.yaml", POLICY);
    let access = [
        "bundle-manifests/tagged.yaml",
        "--registry-config",
        "registries.yaml",
    ];
    ends_with(
        &works
            .command(&[&["lock"], &access[..]].concat())
            .output()
            .unwrap(),
        0,
    );
    let build = [
        &["build", "--key", "release.key", "--output", "tagged.tar"],
        &access[..],
    ]
    .concat();
    ends_with(&works.command(&build).output().unwrap(), 0);
    let install = |options: &[&str], code| {
        let given = [
            "install",
            "tagged.tar",
            "--key",
            "release.pub",
            "--namespace",
            namespace.name(),
            "--timeout",
            "100s",
            "--release",
            "rune",
        ];
        ends_with(
            &works.command(&[&given, options].concat()).output().unwrap(),
            code,
        )
    };

    // Another image under the tag: the registry is asked where one is named, and otherwise the pods
    // are.
    cluster.push(&other, "tests/tagged:1");
    let said = install(&["--registry", REGISTRY], 4);
    assert!(
        said.contains(&format!("another image under this tag, {}", other.digest())),
        "{said}"
    );
    let said = install(&[], 13);
    assert!(
        said.contains("with other images than the bundle has")
            && said.contains(&other.digest())
            && said.contains(&own.digest()),
        "{said}"
    );
    assert!(
        said.contains("container main: `docker.io/tests/tagged:1` runs as")
            && history(&namespace).is_empty(),
        "{said}"
    );

    // The image of the bundle is taken, and the test that was left out is not run.
    cluster.push(&own, "tests/tagged:1");
    install(&["--registry", REGISTRY], 0);
    namespace.wait("deployment/tagged", "condition=Available", PATIENCE);
    let status = namespace.get("deployment/tagged");
    assert_eq!(
        status["spec"]["template"]["spec"]["containers"][0]["image"],
        json!(format!("{REGISTRY}/tests/tagged:1"))
    );
    assert!(
        namespace
            .try_kubectl(&["get", "pod", "tagged-test"])
            .is_err()
    );
}
