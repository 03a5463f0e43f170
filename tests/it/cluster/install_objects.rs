//! `install` on a real cluster of charts in the styles of the wild, none of which takes a registry:
//! every pod, the finished ones of hooks and tests too, runs from the registry that was named.

use std::fs;

use rune_testkit::cluster::{Cluster, Helm, ImageLayout, Namespace, Program};

use crate::{
    bundle::small_bundle::ends_with,
    cluster::install::{REGISTRY, Works},
};

/// A repository and a tag without a registry, and a document that names an image as well.
const PARTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: parts}
spec:
  selector: {matchLabels: {app: parts}}
  template:
    metadata: {labels: {app: parts}, annotations: {note: '{{ .Values.note }}'}}
    spec: POD(\"{{ .Values.image.repository }}:{{ .Values.image.tag }}\", 3600)
---
apiVersion: v1
kind: ConfigMap
metadata: {name: parts}
data:
  pod.yaml: |
    # docker.io/tests/wild:1
    spec: {containers: [{name: a, image: docker.io/tests/wild:1}]}
";

/// A whole reference in a value, which a hook has too, and one that no value sets.
const WHOLE: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: whole-before, annotations: {helm.sh/hook: 'pre-install,pre-upgrade,pre-rollback'}}
spec: {template: {spec: POD('{{ .Values.images.main }}', 0)}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: whole}
spec:
  selector: {matchLabels: {app: whole}}
  template:
    metadata: {labels: {app: whole}, annotations: {note: '{{ .Values.note }}'}}
    spec: POD('docker.io/tests/wild:1', 3600)
";

/// Nothing but hard-coded images, in a job before the installation and in a test as well.
const FIXED: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: fixed-before, annotations: {helm.sh/hook: 'pre-install,pre-upgrade,pre-rollback'}}
spec: {template: {spec: POD('tests/wild:1', 0)}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: fixed}
spec:
  selector: {matchLabels: {app: fixed}}
  template:
    metadata: {labels: {app: fixed}, annotations: {note: '{{ .Values.note }}'}}
    spec: POD('docker.io/tests/wild:1', 3600)
---
apiVersion: v1
kind: Pod
metadata: {name: fixed-test, annotations: {helm.sh/hook: test}}
spec: POD('docker.io/tests/wild:1', 0)
";

const MANIFEST: &str = "apiVersion: rune-bundle/v1
kind: BundleManifest
name: wild
version: 1.0.0
images: [{ name: wild, reference: 'docker.io/tests/wild:1', license: MIT }]
charts: [{ path: charts/parts }, { path: charts/whole }, { path: charts/fixed }]
policy: policy.yaml
";

const POLICY: &str = "apiVersion: rune-bundle/v1
kind: Policy
licenses: { allow: [MIT] }
sources: { allow: [docker.io/tests/*] }
images: { fields: [{ kind: ConfigMap, path: 'data[pod.yaml].spec.containers[].image' }] }
pins: [{ image: docker.io/tests/wild, pin: tag, reason: 'no value for a digest' }]
";

/// An image that nothing else runs: the kubelet says any of the names under which it has pulled one.
fn image(helm: &str) -> ImageLayout {
    let path = format!("/etc/only-for-{helm}");
    ImageLayout::postgres().with_programs(&[Program { path: &path, content: b"" }])
}

/// The specification of a pod that runs for some seconds.
fn pod(image: &str, seconds: &str) -> String {
    let restart = if seconds == "0" { "restartPolicy: Never, " } else { "" };
    format!(
        "{{{restart}terminationGracePeriodSeconds: 0, securityContext: {{runAsNonRoot: true, \
         runAsUser: 70, seccompProfile: {{type: RuntimeDefault}}}}, containers: [{{name: main, \
         image: {image}, imagePullPolicy: Always, command: [sleep, '{seconds}'], securityContext: \
         {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}]}}"
    )
}

fn with_pods(template: &str) -> String {
    let mut parts = template.split("POD(");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (arguments, rest) = part.split_once("0)").unwrap();
        let (image, seconds) = arguments.rsplit_once(", ").unwrap();
        text.push_str(&pod(image, &format!("{seconds}0")));
        text.push_str(rest);
    }
    text
}

/// A bundle of the three charts, built with some Helm.
fn built<'a>(cluster: &'a Cluster, helm: &str) -> Works<'a> {
    let works = Works::new(cluster, helm);
    cluster.push(&image(helm), &format!("tests/wild-{helm}:1"));
    let write = |file: &str, text: &str| {
        let path = works.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("tests/wild", &format!("tests/wild-{helm}"))).unwrap();
    };
    for (name, template, values) in [
        ("parts", PARTS, "image: {repository: tests/wild, tag: '1'}\nnote: a\n"),
        ("whole", WHOLE, "images: {main: 'docker.io/tests/wild:1'}\nnote: a\n"),
        ("fixed", FIXED, "note: a\n"),
    ] {
        let chart = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
        write(&format!("charts/{name}/Chart.yaml"), &chart);
        write(&format!("charts/{name}/values.yaml"), values);
        write(&format!("charts/{name}/templates/all.yaml"), &with_pods(template));
    }
    write("bundle-manifests/wild.yaml", MANIFEST);
    write("policy.yaml", POLICY);
    let access = ["bundle-manifests/wild.yaml", "--registry-config", "registries.yaml"];
    ends_with(&works.command(&[&["lock"], &access[..]].concat()).output().unwrap(), 0);
    let build = [&["build", "--key", "release.key", "--output", "wild.tar"], &access[..]].concat();
    ends_with(&works.command(&build).output().unwrap(), 0);
    works
}

/// What the API server says that pods run, and what the kubelet says that they did.
fn images(namespace: &Namespace<'_>) -> Vec<String> {
    let pods = namespace.get("pods");
    let pods = pods["items"].as_array().unwrap().iter();
    let images = pods.flat_map(|pod| {
        let named = pod["spec"]["containers"].as_array().unwrap().iter().map(|c| &c["image"]);
        let ran = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        named.chain(ran.map(|c| &c["imageID"])).collect::<Vec<_>>()
    });
    images.map(|image| image.as_str().unwrap().to_owned()).filter(|image| !image.is_empty()).collect()
}

fn install_everywhere(helm: &str, own: Helm) {
    let Some(cluster) = Cluster::up() else { return };
    let works = built(&cluster, helm);
    let registry = format!("{REGISTRY}/site/{helm}");
    let wild = format!("tests/wild-{helm}");
    let target = format!("{registry}/{wild}@{}", image(helm).digest());
    for chart in ["parts", "whole", "fixed"] {
        let namespace = cluster.namespace(&format!("objects-{helm}-{chart}"));
        let name = namespace.name();
        let install = |options: &[&str], code| {
            let given = ["install", "wild.tar", "--key", "release.pub", "--namespace", name];
            let chosen = ["--chart", chart, "--registry", &registry, "--push", "--timeout", "100s"];
            let output = works.command(&[&given[..], &chosen, options].concat()).output().unwrap();
            ends_with(&output, code)
        };
        let all_from_there = |step: &str| {
            let images = images(&namespace);
            assert!(!images.is_empty(), "{chart}: {step}");
            for image in images {
                assert!(image.starts_with(&format!("{registry}/")), "{chart}: {step}: {image}");
            }
        };
        if chart == "fixed" && own == Helm::Three {
            // Helm 3 sends no hooks to a post-renderer, and no value sets them.
            let said = install(&[], 8);
            for word in ["Job/fixed-before", "Pod/fixed-test", "Helm 4 with --helm", "leaveOutTests", "mirror"] {
                assert!(said.contains(word), "{word}: {said}");
            }
            assert!(!said.contains("Deployment/fixed"), "{said}");
            assert!(namespace.try_kubectl(&["get", "job", "fixed-before"]).is_err());
            continue;
        }
        install(&[], 0);
        all_from_there("install");
        install(&["--set", "note=b"], 0);
        all_from_there("upgrade");
        if chart == "parts" {
            // What a value makes of it is not in the bundle, and the value is named where one is known.
            let said = install(&["--set", "image.repository=tests/none"], 8);
            assert!(said.contains("`tests/none:1` in") && said.contains("not an image of the bundle"), "{said}");
            let said = install(&["--map", "values", "--dry-run"], 8);
            assert!(said.contains("ConfigMap/parts") && said.contains("no value of the chart sets it"), "{said}");
            assert!(!said.contains("Deployment/parts"), "{said}");
            let own = ["--map", "values", "--dry-run", "--set", &format!("image.repository=docker.io/{wild}")];
            let said = install(&own, 8);
            assert!(said.contains(&format!("set `image.repository` to `{registry}/{wild}`")), "{said}");
        }
        if chart == "whole" {
            install(&["--dry-run", "--write-values", "mapped.yaml"], 0);
            let text = fs::read_to_string(works.path("mapped.yaml")).unwrap();
            assert!(text.contains(&format!("main: {target}")), "{text}");
            let hard = format!("# No value sets: docker.io/{wild}:1 in whole/templates/all.yaml, Deployment/whole");
            assert!(text.contains(&hard) && !text.contains("Job/"), "{text}");
        }
        namespace.helm(own, &["rollback", chart, "1", "--wait", "--timeout", "100s"]).unwrap();
        all_from_there("rollback");
        namespace.helm(own, &["test", chart, "--timeout", "100s"]).unwrap();
        all_from_there("test");
        let pod = &namespace.get(&format!("deployment/{chart}"))["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["image"], target.as_str());
        if chart == "parts" {
            let kept = namespace.get("configmap/parts");
            let text = format!("# docker.io/{wild}:1\nspec: {{containers: [{{name: a, image: {target}}}]}}\n");
            assert_eq!(kept["data"]["pod.yaml"], text.as_str());
        }
    }
}

#[test]
fn charts_without_a_registry_run_from_the_one_that_was_named_with_helm_3() {
    install_everywhere("helm3", Helm::Three);
}

#[test]
fn charts_without_a_registry_run_from_the_one_that_was_named_with_helm_4() {
    install_everywhere("helm4", Helm::Four);
}
