//! `install` on a real cluster of charts in the styles of the wild, none of which takes a registry:
//! every pod, the finished ones of hooks and tests too, runs from the registry that was named.

use std::fs;

use rune_testkit::{
    cluster::{Cluster, Helm, ImageLayout, Namespace, Program},
    unique,
};

use crate::{
    bundle::small_bundle::ends_with,
    cluster::install::{REGISTRY, Works},
};

/// A repository and a tag without a registry, and a document that names an image as well.
const PARTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: wild}
spec:
  selector: {matchLabels: {app: wild}}
  template:
    metadata: {labels: {app: wild}, annotations: {note: '{{ .Values.note }}'}}
    spec: POD(\"{{ .Values.image.repository }}:{{ .Values.image.tag }}\", 3600)
---
apiVersion: v1
kind: ConfigMap
metadata: {name: wild}
data:
  pod.yaml: |
    # docker.io/tests/wild:1
    spec: {containers: [{name: a, image: docker.io/tests/wild:1}]}
";

/// A whole reference in a value, which a hook has too, and one that no value sets.
const WHOLE: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: wild-before, annotations: {helm.sh/hook: 'pre-install,pre-upgrade,pre-rollback'}}
spec: {template: {spec: POD('{{ .Values.images.main }}', 0)}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: wild}
spec:
  selector: {matchLabels: {app: wild}}
  template:
    metadata: {labels: {app: wild}, annotations: {note: '{{ .Values.note }}'}}
    spec: POD('docker.io/tests/wild:1', 3600)
";

/// Nothing but hard-coded images, in a job before the installation and in a test as well.
const FIXED: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: wild-before, annotations: {helm.sh/hook: 'pre-install,pre-upgrade,pre-rollback'}}
spec: {template: {spec: POD('tests/wild:1', 0)}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: wild}
spec:
  selector: {matchLabels: {app: wild}}
  template:
    metadata: {labels: {app: wild}, annotations: {note: '{{ .Values.note }}'}}
    spec: POD('docker.io/tests/wild:1', 3600)
---
apiVersion: v1
kind: Pod
metadata: {name: wild-test, annotations: {helm.sh/hook: test}}
spec: POD('docker.io/tests/wild:1', 0)
";

const MANIFEST: &str = "apiVersion: rune-bundle/v1
kind: BundleManifest
name: wild
version: 1.0.0
images: [{ name: wild, reference: 'docker.io/tests/wild:1', license: MIT }]
charts: [{ path: charts/wild }]
policy: policy.yaml
";

const POLICY: &str = "apiVersion: rune-bundle/v1
kind: Policy
licenses: { allow: [MIT] }
sources: { allow: [docker.io/tests/*] }
images: { fields: [{ kind: ConfigMap, path: 'data[pod.yaml].spec.containers[].image' }] }
pins: [{ image: docker.io/tests/wild, pin: tag, reason: 'no value for a digest' }]
";

/// The specification of a pod that runs for some seconds.
fn pod(image: &str, seconds: &str) -> String {
    let restart = if seconds == "0" {
        "restartPolicy: Never, "
    } else {
        ""
    };
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

/// A bundle with one of the charts, and where it is installed.
struct Site<'a> {
    works: Works<'a>,
    namespace: Namespace<'a>,
    helm: Helm,
    registry: String,
    /// The repository of the image.
    wild: String,
    /// The image in the registry.
    target: String,
}

impl<'a> Site<'a> {
    fn new(cluster: &'a Cluster, helm: Helm, template: &str, values: &str) -> Self {
        let program = if helm == Helm::Three {
            "helm3"
        } else {
            "helm4"
        };
        let works = Works::new(cluster, program);
        // An image that nothing else runs: the kubelet says any of the names under which it has
        // pulled one.
        let id = unique();
        let (wild, path) = (format!("tests/wild-{id}"), format!("/etc/only-for-{id}"));
        let image = ImageLayout::postgres().with_programs(&[Program {
            path: &path,
            content: b"",
        }]);
        cluster.push(&image, &format!("{wild}:1"));
        let write = |file: &str, text: &str| {
            let path = works.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("tests/wild", &wild)).unwrap();
        };
        write(
            "charts/wild/Chart.yaml",
            "apiVersion: v2\nname: wild\nversion: 1.0.0\n",
        );
        write("charts/wild/values.yaml", values);
        write("charts/wild/templates/all.yaml", &with_pods(template));
        write("bundle-manifests/wild.yaml", MANIFEST);
        write("policy.yaml", POLICY);
        let access = [
            "bundle-manifests/wild.yaml",
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
            &["build", "--key", "release.key", "--output", "wild.tar"],
            &access[..],
        ]
        .concat();
        ends_with(&works.command(&build).output().unwrap(), 0);
        let registry = format!("{REGISTRY}/site-{id}");
        let target = format!("{registry}/{wild}@{}", image.digest());
        Self {
            works,
            namespace: cluster.namespace("objects"),
            helm,
            registry,
            wild,
            target,
        }
    }

    fn install(&self, options: &[&str], code: i32) -> String {
        let given = [
            "install",
            "wild.tar",
            "--key",
            "release.pub",
            "--namespace",
            self.namespace.name(),
        ];
        let chosen = ["--registry", &self.registry, "--timeout", "100s"];
        ends_with(
            &self
                .works
                .command(&[&given[..], &chosen, options].concat())
                .output()
                .unwrap(),
            code,
        )
    }

    /// What the API server says that pods run, and what the kubelet says that they did.
    fn all_run_from_there(&self, step: &str) {
        let pods = self.namespace.get("pods");
        let pods = pods["items"].as_array().unwrap();
        assert!(!pods.is_empty(), "{step}");
        for pod in pods {
            let named = pod["spec"]["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|container| &container["image"]);
            let ran = pod["status"]["containerStatuses"]
                .as_array()
                .into_iter()
                .flatten();
            for image in named.chain(ran.map(|container| &container["imageID"])) {
                let image = image.as_str().unwrap();
                assert!(
                    image.is_empty() || image == self.target,
                    "{step}: {} runs {image}",
                    pod["metadata"]["name"]
                );
            }
        }
    }

    fn installs_upgrades_and_rolls_back(&self) {
        self.install(&["--push"], 0);
        self.all_run_from_there("install");
        self.install(&["--set", "note=b"], 0);
        self.all_run_from_there("upgrade");
        self.namespace
            .helm(
                self.helm,
                &["rollback", "wild", "1", "--wait", "--timeout", "100s"],
            )
            .unwrap();
        self.all_run_from_there("rollback");
        self.namespace
            .helm(self.helm, &["test", "wild", "--timeout", "100s"])
            .unwrap();
        self.all_run_from_there("test");
    }
}

fn parts(helm: Helm) {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(
        &cluster,
        helm,
        PARTS,
        "image: {repository: tests/wild, tag: '1'}\nnote: a\n",
    );
    let Site {
        wild,
        registry,
        target,
        ..
    } = &site;
    site.installs_upgrades_and_rolls_back();
    let kept = site.namespace.get("configmap/wild");
    let text =
        format!("# docker.io/{wild}:1\nspec: {{containers: [{{name: a, image: {target}}}]}}\n");
    assert_eq!(kept["data"]["pod.yaml"], text.as_str());
    if helm == Helm::Three {
        return;
    }
    // What a value makes of it is not in the bundle, and the value is named where one is known.
    let said = site.install(&["--set", "image.repository=tests/none"], 8);
    assert!(
        said.contains("`tests/none:1` in") && said.contains("not an image of the bundle"),
        "{said}"
    );
    let said = site.install(&["--map", "values", "--dry-run"], 8);
    assert!(
        said.contains("ConfigMap/wild") && said.contains("no value of the chart sets it"),
        "{said}"
    );
    assert!(!said.contains("Deployment/wild"), "{said}");
    let own = format!("image.repository=docker.io/{wild}");
    let said = site.install(&["--map", "values", "--dry-run", "--set", &own], 8);
    assert!(
        said.contains(&format!("set `image.repository` to `{registry}/{wild}`")),
        "{said}"
    );
}

fn whole(helm: Helm) {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(
        &cluster,
        helm,
        WHOLE,
        "images: {main: 'docker.io/tests/wild:1'}\nnote: a\n",
    );
    site.installs_upgrades_and_rolls_back();
    site.install(&["--dry-run", "--write-values", "mapped.yaml"], 0);
    let text = fs::read_to_string(site.works.path("mapped.yaml")).unwrap();
    // A long value may stand on a line of its own.
    assert!(
        text.contains("main: ") && text.contains(&site.target),
        "{text}"
    );
    let hard = format!(
        "# No value sets: docker.io/{}:1 in wild/templates/all.yaml, Deployment/wild",
        site.wild
    );
    assert!(text.contains(&hard) && !text.contains("Job/"), "{text}");
}

#[test]
fn a_chart_with_repository_and_tag_runs_from_the_registry_with_helm_3() {
    parts(Helm::Three);
}

#[test]
fn a_chart_with_repository_and_tag_runs_from_the_registry_with_helm_4() {
    parts(Helm::Four);
}

#[test]
fn a_chart_with_whole_references_runs_from_the_registry_with_helm_3_hooks_by_their_values() {
    whole(Helm::Three);
}

#[test]
fn a_chart_with_whole_references_runs_from_the_registry_with_helm_4() {
    whole(Helm::Four);
}

#[test]
fn a_chart_with_nothing_but_hard_coded_images_runs_from_the_registry_with_helm_4() {
    let Some(cluster) = Cluster::up() else { return };
    Site::new(&cluster, Helm::Four, FIXED, "note: a\n").installs_upgrades_and_rolls_back();
}

#[test]
fn hard_coded_images_of_hooks_are_findings_with_helm_3_and_nothing_is_applied() {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(&cluster, Helm::Three, FIXED, "note: a\n");
    let said = site.install(&["--push"], 8);
    for word in [
        "Job/wild-before",
        "Pod/wild-test",
        "Helm 4 with --helm",
        "leaveOutTests",
        "mirror",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("Deployment/wild"), "{said}");
    assert!(
        site.namespace
            .try_kubectl(&["get", "job", "wild-before"])
            .is_err()
    );
    assert!(
        site.namespace
            .try_kubectl(&["get", "deployment", "wild"])
            .is_err()
    );
}
