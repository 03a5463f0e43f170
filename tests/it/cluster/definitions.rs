//! Custom resource definitions of a chart's `crds/` on a real cluster: what an upgrade changes, what
//! it keeps, and what it would lose.

use std::fs;

use rune_testkit::{
    cluster::{Cluster, Namespace},
    unique,
};
use serde_json::{Value, json};

use crate::{bundle::small_bundle::ends_with, cluster::install::Works};

const MANIFEST: &str = "apiVersion: rune-bundle/v1
kind: BundleManifest
name: widgets
version: VERSION
charts: [{ path: charts/widgets }]
policy: policy.yaml
";

struct Site<'a> {
    cluster: &'a Cluster,
    works: Works<'a>,
    namespace: Namespace<'a>,
    /// The API group, which nothing else has.
    group: String,
}

impl Site<'_> {
    /// Installs a bundle whose definition has these fields.
    fn install(&self, version: &str, fields: &Value, short_name: &str, code: i32) -> String {
        let works = &self.works;
        let write = |file: &str, text: &str| {
            let path = works.path(&format!("charts/widgets/{file}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let chart = format!("apiVersion: v2\nname: widgets\nversion: {version}\n");
        write("Chart.yaml", &chart);
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: widgets}\n";
        write("templates/all.yaml", map);
        write(
            "crds/widget.yaml",
            &self.definition(fields, short_name).to_string(),
        );
        let manifest = MANIFEST.replace("VERSION", version);
        fs::write(works.path("bundle-manifests/widgets.yaml"), manifest).unwrap();
        let lock = ["lock", "bundle-manifests/widgets.yaml"];
        ends_with(&works.command(&lock).output().unwrap(), 0);
        let file = format!("{version}.tar");
        let build = [
            "build",
            "bundle-manifests/widgets.yaml",
            "--key",
            "release.key",
        ];
        let build = [&build[..], &["--output", &file]].concat();
        ends_with(&works.command(&build).output().unwrap(), 0);
        let install = ["install", &file, "--key", "release.pub", "--namespace"];
        let install = [&install[..], &[self.namespace.name(), "--timeout", "60s"]].concat();
        ends_with(&works.command(&install).output().unwrap(), code)
    }

    fn definition(&self, fields: &Value, short_name: &str) -> Value {
        let group = &self.group;
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}});
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        let client = json!({"service": {"name": "nobody", "namespace": "default"}});
        let webhook = json!({"conversionReviewVersions": ["v1"], "clientConfig": client});
        let names = json!({"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", "shortNames": [short_name]});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("widgets.{group}")},
            "spec": {
                "group": group, "scope": "Namespaced", "names": names, "versions": [version],
                "conversion": {"strategy": "Webhook", "webhook": webhook},
            },
        })
    }

    fn live(&self) -> Value {
        let name = format!("crd/widgets.{}", self.group);
        let text = self.cluster.kubectl(&["get", &name, "--output=json"]);
        serde_json::from_str(&text).unwrap()
    }

    fn patch(&self, object: &str, manager: &str, patch: &Value) {
        let manager = format!("--field-manager={manager}");
        let patch = patch.to_string();
        let given = ["patch", object, "--type=merge", &manager, "--patch", &patch];
        self.namespace.kubectl(&given);
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let name = format!("crd/widgets.{}", self.group);
        let delete = ["delete", &name, "--wait=false", "--ignore-not-found"];
        let _ = self.namespace.try_kubectl(&delete);
    }
}

fn life(helm: &str) {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, helm);
    fs::write(
        works.path("policy.yaml"),
        "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: [docker.io/tests/*] }\n",
    )
    .unwrap();
    let site = Site {
        cluster: &cluster,
        works,
        namespace: cluster.namespace(&format!("crds-{helm}")),
        group: format!("{helm}-{}.example.com", unique()),
    };
    // Helm created it, long ago; somebody puts a certificate in.
    let (size, color) = (json!({"type": "integer"}), json!({"type": "string"}));
    cluster
        .try_apply(
            &[site.definition(&json!({"size": size}), "wg")],
            &["--server-side", "--field-manager=helm"],
        )
        .unwrap();
    let config = cluster.kubectl(&["config", "view", "--raw", "--output=json"]);
    let config: Value = serde_json::from_str(&config).unwrap();
    let ca = &config["clusters"][0]["cluster"]["certificate-authority-data"];
    let injected = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": ca}}}}});
    let definition = format!("crd/widgets.{}", site.group);
    site.patch(&definition, "injector", &injected);
    let established = ["wait", &definition, "--for=condition=Established"];
    site.namespace.kubectl(&established);

    // A field is added, and what is stored in it stays.
    let both = json!({"size": size, "color": color});
    let said = site.install("1.0.0", &both, "wg", 0);
    assert!(said.contains("does not go back"), "{said}");
    let widget = json!({"apiVersion": format!("{}/v1", site.group), "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3, "color": "red"}});
    site.namespace.apply(&[widget]);
    let stored = site.namespace.get(&format!("widgets.{}/w", site.group));
    assert_eq!(stored["spec"]["color"], "red");
    let live = site.live();
    assert_eq!(
        &live["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"],
        ca
    );

    // A definition that would lose it is refused, and nothing is changed.
    let said = site.install("2.0.0", &json!({"size": size}), "wg", 12);
    assert!(said.contains("spec.color"), "{said}");
    assert_eq!(site.live()["spec"], live["spec"]);

    // What somebody else has set is not taken from them.
    let names = json!({"spec": {"names": {"shortNames": ["theirs"]}}});
    site.patch(&definition, "somebody", &names);
    let said = site.install("3.0.0", &both, "wg", 12);
    assert!(
        said.contains(".spec.names.shortNames") && said.contains("`somebody`"),
        "{said}"
    );
    // A field more for those who leave their part alone.
    let more = json!({"size": size, "color": color, "note": color});
    let said = site.install("4.0.0", &more, "theirs", 0);
    assert!(said.contains("widgets 4.0.0 runs"), "{said}");
    assert!(site.live()["spec"].to_string().contains("note"));
}

#[test]
fn definitions_gain_fields_and_lose_none_with_helm_3() {
    life("helm3");
}

#[test]
fn definitions_gain_fields_and_lose_none_with_helm_4() {
    life("helm4");
}
