//! What holds for every way to install the charts: a matrix of values, under Helm 3 and Helm 4, for
//! several Kubernetes versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::charts::support::{Helm, Objects, text};

const RUNE: &str = "charts/rune";
const POSTGRES: &str = "charts/rune/charts/postgres";
/// The labels that may select; anything else changes from release to release, and selectors cannot.
const STABLE: [&str; 3] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
];
/// The labels of a peer in the network policy of the database.
const CLIENT: [&str; 2] = ["app.kubernetes.io/instance", "rune/db-client"];

/// Every way to install that the charts are checked with, by name. Each gives a password or a
/// Secret, so that renders can be compared.
pub(crate) fn cases() -> BTreeMap<&'static str, (&'static str, Value)> {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let bundled = |postgres: Value, more: Value| {
        let mut values = json!({ "image": { "tag": "v0.1.0" }, "postgres": { "enabled": true, "auth": { "password": "0123456789abcdef" } } });
        merge(&mut values["postgres"], postgres);
        merge(&mut values, more);
        (RUNE, values)
    };
    let snapshot = json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before" });
    let egress =
        json!({ "to": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }], "ports": [{ "port": 636 }] });
    let security =
        json!({ "supplementalGroups": [5555], "seLinuxOptions": { "level": "s0:c1,c2" } });
    let jobs = json!({
        "podAnnotations": { "note": "y" }, "podLabels": { "sidecar.istio.io/inject": "false" }, "nodeSelector": { "jobs": "yes" },
        "tolerations": [{ "key": "jobs", "operator": "Exists" }],
        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "jobs", "operator": "Exists" }] }] } } },
    });
    let external = json!({ "existingSecret": "rune-db-app", "existingSecretKey": "uri" });
    BTreeMap::from([
        ("default, which is SQLite", (RUNE, json!({}))),
        (
            "SQLite without a volume",
            (RUNE, json!({ "persistence": { "enabled": false } })),
        ),
        ("bundled", bundled(json!({}), json!({}))),
        (
            "bundled, waiting for the move",
            bundled(
                json!({}),
                json!({ "rune": { "database": { "backend": "sqlite" } } }),
            ),
        ),
        (
            "airgap",
            bundled(
                json!({ "image": { "digest": digest }, "backup": { "enabled": true } }),
                json!({
                    "global": { "imageRegistry": "registry.local:5000", "imagePullSecrets": [{ "name": "pull" }] },
                    "image": { "digest": digest },
                    "rune": { "database": { "migrate": { "image": { "digest": digest } } } },
                }),
            ),
        ),
        (
            "Secret of one's own",
            bundled(
                json!({ "auth": { "password": "", "generate": false, "existingSecret": "mine" } }),
                json!({}),
            ),
        ),
        (
            "TLS",
            bundled(
                json!({ "tls": { "enabled": true, "secretName": "tls" }, "backup": { "enabled": true } }),
                json!({}),
            ),
        ),
        (
            "OpenShift",
            bundled(
                json!({ "backup": { "enabled": true } }),
                json!({ "global": { "openshift": true } }),
            ),
        ),
        (
            "backup",
            bundled(
                json!({ "backup": { "enabled": true, "persistence": { "existingClaim": "nfs" } } }),
                json!({}),
            ),
        ),
        (
            "restore",
            bundled(
                json!({ "backup": { "enabled": true }, "restore": { "file": "rune-20260101T000000Z.dump", "confirm": "rune" } }),
                json!({ "replicaCount": 0 }),
            ),
        ),
        (
            "move from SQLite",
            bundled(
                json!({}),
                json!({ "replicaCount": 0, "rune": { "database": { "transfer": { "enabled": true } } } }),
            ),
        ),
        (
            "two replicas and a job",
            bundled(
                json!({}),
                json!({ "replicaCount": 2, "rune": { "database": { "migrate": { "mode": "job" } } } }),
            ),
        ),
        (
            "no volume",
            bundled(json!({ "persistence": { "enabled": false } }), json!({})),
        ),
        (
            "maintenance",
            bundled(
                json!({ "replicaCount": 0, "backup": { "enabled": true } }),
                json!({ "replicaCount": 0 }),
            ),
        ),
        (
            "elsewhere, with TLS",
            (
                RUNE,
                json!({
                    "image": { "tag": "v0.1.0" },
                    "replicaCount": 3,
                    "rune": { "database": external },
                    "ingress": { "enabled": true, "hosts": [{ "host": "rune.example" }] },
                }),
            ),
        ),
        (
            "postgres alone",
            (
                POSTGRES,
                json!({ "auth": { "existingSecret": "mine" }, "backup": { "enabled": true } }),
            ),
        ),
        (
            "everything of the site",
            bundled(
                json!({
                    "commonLabels": { "site": "one" }, "podLabels": { "team": "data" }, "podAnnotations": { "note": "x" },
                    "extraEnv": [{ "name": "TZ", "value": "UTC" }], "priorityClassName": "high", "nodeSelector": { "disk": "ssd" },
                    "tolerations": [{ "key": "db", "operator": "Exists" }], "initdb": { "scripts": { "a.sql": "SELECT 1" } },
                    "extraVolumes": [{ "name": "more", "emptyDir": {} }], "extraVolumeMounts": [{ "name": "more", "mountPath": "/more" }],
                    "service": { "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"], "annotations": { "note": "x" } },
                    "backup": { "enabled": true, "persistence": { "annotations": { "note": "x" }, "dataSource": snapshot } },
                    "persistence": { "annotations": { "note": "x" }, "dataSource": snapshot }, "config": { "max_connections": 50 },
                    "jobs": jobs, "podSecurity": security, "networkPolicy": { "extraEgress": [egress], "extraJobEgress": [egress] },
                    "livenessProbe": { "periodSeconds": 30 },
                }),
                json!({
                    "jobs": jobs, "podSecurity": security, "networkPolicy": { "extraEgress": [egress], "extraJobEgress": [egress] },
                    "global": { "dnsPorts": [53, 8053] }, "service": { "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"] },
                    "readinessProbe": { "timeoutSeconds": 9 },
                    "commonLabels": { "site": "one" }, "podLabels": { "team": "api" }, "podAnnotations": { "note": "x" }, "priorityClassName": "high",
                    "s3": { "enabled": true, "bucket": "rune", "existingSecret": "s3" }, "nodeSelector": { "disk": "ssd" },
                    "extraVolumes": [{ "name": "more", "emptyDir": {} }], "extraVolumeMounts": [{ "name": "more", "mountPath": "/more" }],
                    "rune": { "existingSecret": "api", "extraEnv": [{ "name": "A", "value": "b" }], "extraEnvFrom": [{ "configMapRef": { "name": "c" } }] },
                    "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": { "matchLabels": { "app.kubernetes.io/component": "api" } } }],
                }),
            ),
        ),
    ])
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// Renders every case twice with each Helm, which must all agree, and checks what holds for each.
fn holds_for(kubernetes: &str) {
    for (name, (chart, values)) in cases() {
        let renders = Helm::both().map(|helm| {
            [0, 1].map(|_| {
                helm.template(chart, kubernetes, &values.to_string())
                    .unwrap_or_else(|error| panic!("{name}: {error}"))
            })
        });
        let objects = &renders[0][0];
        assert!(
            renders.iter().flatten().all(|render| render == objects),
            "{name}: two renders differ"
        );
        selectors_are_stable(name, objects);
        pods_are_restricted(name, objects);
        names_are_short(name, objects);
        references_lead_somewhere(name, objects);
    }
}

fn selectors_are_stable(name: &str, objects: &Objects) {
    for object in &objects.0 {
        let spec = &object["spec"];
        for selector in [
            &spec["selector"],
            &spec["selector"]["matchLabels"],
            &spec["podSelector"]["matchLabels"],
        ] {
            let Some(labels) = selector
                .as_object()
                .filter(|labels| labels.values().all(Value::is_string))
            else {
                continue;
            };
            assert!(
                labels.keys().all(|label| STABLE.contains(&label.as_str())),
                "{name}: {object}"
            );
        }
        for peer in spec["ingress"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|rule| rule["from"].as_array().into_iter().flatten())
        {
            let labels = peer["podSelector"]["matchLabels"].as_object().unwrap();
            assert!(
                labels.keys().all(|label| CLIENT.contains(&label.as_str())),
                "{name}: {peer}"
            );
        }
        let template = &spec["template"]["metadata"]["labels"];
        for (label, value) in spec["selector"]["matchLabels"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|_| template.is_object())
        {
            assert_eq!(
                &template[label], value,
                "{name}: {}",
                object["metadata"]["name"]
            );
        }
    }
    // No two workloads share a Service or a selector: what one selects is of one component.
    let database = objects.pod_templates().filter(|template| {
        template["metadata"]["labels"]["app.kubernetes.io/component"] == "database"
    });
    assert!(database.count() <= 1, "{name}");
}

fn pods_are_restricted(name: &str, objects: &Objects) {
    for pod in objects.pods() {
        for (field, expected) in [
            ("automountServiceAccountToken", false),
            ("enableServiceLinks", false),
        ] {
            assert_eq!(pod[field], expected, "{name}: {field}");
        }
        assert!(
            ["hostNetwork", "hostPID", "hostIPC"]
                .iter()
                .all(|field| pod.get(field).is_none()),
            "{name}"
        );
        let context = &pod["securityContext"];
        assert_eq!(
            (&context["runAsNonRoot"], &context["seccompProfile"]["type"]),
            (&json!(true), &json!("RuntimeDefault")),
            "{name}"
        );
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(
                context.get(id).is_none(),
                name == "OpenShift",
                "{name}: {id}"
            );
            assert!(
                context.get(id).is_none_or(|id| id.as_u64().unwrap() > 0),
                "{name}: {id}"
            );
        }
    }
    let expected = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "capabilities": { "drop": ["ALL"] } });
    for container in objects.containers() {
        assert_eq!(
            container["securityContext"], expected,
            "{name}: {}",
            container["name"]
        );
        for kind in ["requests", "limits"] {
            for resource in ["cpu", "memory", "ephemeral-storage"] {
                assert!(
                    container["resources"][kind][resource].is_string(),
                    "{name}: {} has no {kind}.{resource}",
                    container["name"]
                );
            }
        }
        if name == "airgap" {
            let image = text(&container["image"]);
            assert!(
                image.starts_with("registry.local:5000/") && image.contains("@sha256:"),
                "{image}"
            );
        }
    }
    if name == "airgap" {
        assert!(
            objects
                .pods()
                .all(|pod| pod["imagePullSecrets"] == json!([{ "name": "pull" }])),
            "{name}"
        );
    }
}

fn names_are_short(name: &str, objects: &Objects) {
    for object in &objects.0 {
        let longest = if object["kind"] == "CronJob" { 52 } else { 63 };
        assert!(
            text(&object["metadata"]["name"]).len() <= longest,
            "{name}: {}",
            object["metadata"]["name"]
        );
    }
}

/// What a pod mounts and is given is in its own volumes; config maps and claims without a name of
/// the site's are in the same render.
fn references_lead_somewhere(name: &str, objects: &Objects) {
    let names = objects.names();
    for pod in objects.pods() {
        let volumes: Vec<&Value> = pod["volumes"].as_array().into_iter().flatten().collect();
        let containers =
            ["initContainers", "containers"].map(|key| pod[key].as_array().into_iter().flatten());
        for container in containers.into_iter().flatten() {
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                assert!(
                    volumes.iter().any(|volume| volume["name"] == mount["name"]),
                    "{name}: no volume for {mount}"
                );
            }
        }
        for volume in volumes {
            let claim = volume["persistentVolumeClaim"]["claimName"]
                .as_str()
                .filter(|claim| *claim != "nfs");
            let map = volume["configMap"]["name"].as_str();
            let wanted = [
                claim.map(|name| format!("PersistentVolumeClaim {name}")),
                map.map(|name| format!("ConfigMap {name}")),
            ];
            for wanted in wanted.into_iter().flatten() {
                assert!(names.contains(&wanted), "{name}: nothing makes {wanted}");
            }
        }
    }
}

#[test]
fn the_matrix_holds_on_kubernetes_1_30() {
    holds_for("1.30.0");
}

#[test]
fn the_matrix_holds_on_kubernetes_1_33() {
    holds_for("1.33.0");
}

#[test]
fn the_matrix_holds_on_the_newest_kubernetes() {
    holds_for("1.36.0");
}

#[test]
fn names_stay_within_the_limits_for_the_longest_release_name() {
    let release = "r".repeat(53);
    for helm in Helm::both() {
        for (chart, values) in cases().into_values() {
            let objects = helm
                .template_as(&release, chart, "1.33.0", &values.to_string())
                .unwrap();
            names_are_short("a long name", &objects);
        }
    }
}

/// Fields that Kubernetes does not let change: a release that changes one of them cannot be
/// upgraded to.
#[test]
fn what_cannot_be_changed_is_as_in_the_last_release() {
    let mut fields = Vec::new();
    for (name, (chart, values)) in cases()
        .into_iter()
        .filter(|(name, _)| ["default, which is SQLite", "airgap", "postgres alone"].contains(name))
    {
        for object in Helm::new("helm4")
            .template(chart, "1.33.0", &values.to_string())
            .unwrap()
            .0
        {
            let (kind, spec) = (text(&object["kind"]), &object["spec"]);
            let fixed = match kind {
                "StatefulSet" => json!([
                    spec["selector"],
                    spec["serviceName"],
                    spec["podManagementPolicy"],
                    spec["volumeClaimTemplates"]
                ]),
                "Deployment" => json!([spec["selector"]]),
                "Service" => json!([spec["type"], spec["clusterIP"]]),
                "Secret" => json!([object["type"], object["immutable"]]),
                "PersistentVolumeClaim" => json!([
                    spec["accessModes"],
                    spec["storageClassName"],
                    spec["volumeMode"],
                    spec["selector"]
                ]),
                _ => continue,
            };
            fields.push(format!(
                "{name}: {kind} {} {fixed}",
                text(&object["metadata"]["name"])
            ));
        }
    }
    fields.sort();
    insta::assert_snapshot!(fields.join("\n"));
}
