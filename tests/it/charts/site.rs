//! What a site's cluster asks of the charts: IPv6, name servers at other ports, meshes, placement
//! of jobs, storage, groups, probes.

use serde_json::{Value, json};

use crate::charts::support::{Helm, Objects, text};

const RUNE: &str = "charts/rune";
const POSTGRES: &str = "charts/rune/charts/postgres";

/// RUNE with the bundled database and all of its jobs, and with these values.
fn everything(values: Value) -> Objects {
    let mut all = json!({
        "image": {"tag": "v0.1.0"},
        "rune": {"database": {"migrate": {"mode": "job"}}},
        "postgres": {"enabled": true, "auth": {"existingSecret": "x"}, "backup": {"enabled": true}},
    });
    merge(&mut all, values);
    render(RUNE, &all)
}

fn render(chart: &str, values: &Value) -> Objects {
    let [three, four] =
        Helm::both().map(|helm| helm.template(chart, "1.33.0", &values.to_string()).unwrap());
    assert_eq!(three, four, "Helm 3 and Helm 4 disagree");
    three
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

/// A pod of a job or test, and not of the API or the server.
fn is_job(template: &Value) -> bool {
    template["metadata"]["labels"]["app.kubernetes.io/component"] == "database-job"
}

fn server(objects: &Objects) -> &Value {
    objects.get("StatefulSet", "rune-postgres")
}

#[test]
fn on_ipv6_every_service_has_its_families_and_the_api_listens_there() {
    let families = json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]});
    let objects = everything(json!({"service": families, "postgres": {"service": families}}));
    let services: Vec<_> = objects
        .0
        .iter()
        .filter(|object| object["kind"] == "Service")
        .collect();
    assert_eq!(services.len(), 3);
    for service in services {
        assert_eq!(
            (
                &service["spec"]["ipFamilyPolicy"],
                &service["spec"]["ipFamilies"]
            ),
            (&json!("SingleStack"), &json!(["IPv6"]))
        );
    }
    let host = |values: Value| {
        let objects = everything(values);
        let api = objects
            .containers()
            .find(|container| container["name"] == "api")
            .unwrap()
            .clone();
        let env = api["env"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|variable| variable["name"] == "RUNE_API_HOST")
            .collect::<Vec<_>>();
        assert_eq!(env.len(), 1);
        text(&env[0]["value"]).to_owned()
    };
    assert_eq!(host(json!({})), "0.0.0.0");
    assert_eq!(
        host(json!({"service": {"ipFamilies": ["IPv4", "IPv6"]}})),
        "0.0.0.0"
    );
    assert_eq!(
        host(json!({"service": {"ipFamilies": ["IPv6", "IPv4"]}})),
        "::"
    );
    assert_eq!(host(json!({"rune": {"api": {"host": "::"}}})), "::");
}

#[test]
fn pods_of_jobs_take_annotations_labels_and_placement_of_their_own() {
    let of_all = json!({"podAnnotations": {"mesh": "in", "note": "all"}, "podLabels": {"team": "data"}, "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "db"}], "affinity": {"podAntiAffinity": {}}});
    let jobs = json!({"jobs": {"podAnnotations": {"mesh": "out"}, "podLabels": {"inject": "false"}, "nodeSelector": {"disk": "any"},
        "tolerations": [{"key": "jobs"}], "affinity": {"nodeAffinity": {}}}});
    let both = |values: &Value| {
        let mut all = values.clone();
        merge(&mut all, json!({"postgres": values}));
        everything(all)
    };
    let objects = both(&of_all);
    let mut with_jobs = of_all.clone();
    merge(&mut with_jobs, jobs);
    let changed = both(&with_jobs);
    // Backup, first backup, their test; migrate, and the test of the schema.
    assert_eq!(
        objects
            .pod_templates()
            .filter(|template| is_job(template))
            .count(),
        5
    );
    for template in objects.pod_templates() {
        let (metadata, spec) = (&template["metadata"], &template["spec"]);
        assert_eq!(
            (
                &metadata["annotations"]["mesh"],
                &metadata["labels"]["team"]
            ),
            (&json!("in"), &json!("data")),
            "{metadata}"
        );
        assert_eq!(
            (
                &spec["nodeSelector"]["disk"],
                &spec["tolerations"][0]["key"]
            ),
            (&json!("ssd"), &json!("db"))
        );
        assert_eq!(
            spec.get("affinity").is_some(),
            !is_job(template),
            "the server's neighbours are not those of jobs"
        );
    }
    for template in changed.pod_templates() {
        let (metadata, spec) = (&template["metadata"], &template["spec"]);
        let (annotations, labels) = (&metadata["annotations"], &metadata["labels"]);
        assert_eq!(
            (&annotations["note"], &labels["team"]),
            (&json!("all"), &json!("data"))
        );
        let found = json!([
            annotations["mesh"],
            labels["inject"],
            spec["nodeSelector"]["disk"],
            spec["tolerations"][0]["key"],
            spec["affinity"]
        ]);
        let expected = if is_job(template) {
            json!(["out", "false", "any", "jobs", {"nodeAffinity": {}}])
        } else {
            json!(["in", null, "ssd", "db", {"podAntiAffinity": {}}])
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn every_pod_may_ask_the_name_servers_of_the_cluster_and_what_the_site_adds() {
    let rule = |port: u16| json!([{"ports": [{"port": port}]}]);
    let objects = everything(json!({
        "global": {"dnsPorts": [1053]},
        "networkPolicy": {"extraEgress": rule(1), "extraJobEgress": rule(2)},
        "postgres": {"networkPolicy": {"extraEgress": rule(3), "extraJobEgress": rule(4)}},
    }));
    for (policy, added) in [
        ("rune-api", 1),
        ("rune-jobs", 2),
        ("rune-postgres", 3),
        ("rune-postgres-jobs", 4),
    ] {
        let egress = objects.get("NetworkPolicy", policy)["spec"]["egress"]
            .as_array()
            .unwrap();
        let first = egress[0]["ports"].as_array().unwrap();
        assert_eq!(
            first[..2],
            [
                json!({"port": 1053, "protocol": "UDP"}),
                json!({"port": 1053, "protocol": "TCP"})
            ],
            "{policy}"
        );
        assert_eq!(
            egress.last().unwrap()["ports"][0]["port"],
            added,
            "{policy}"
        );
        assert!(
            !json!(egress)
                .to_string()
                .contains("53,\"protocol\":\"UDP\"},{\"port\":53,"),
            "{policy}"
        );
    }
    assert_eq!(
        everything(json!({})).get("NetworkPolicy", "rune-postgres")["spec"]["egress"],
        json!([]),
        "the server reaches nothing by itself"
    );
}

#[test]
fn a_temporary_volume_may_grow_to_the_size_of_the_claim_that_it_stands_for() {
    let volume = |pod: &Value, name: &str| {
        let volumes = pod["volumes"].as_array().unwrap().iter();
        volumes
            .filter(|volume| volume["name"] == name)
            .map(|volume| volume["emptyDir"].clone())
            .next()
            .unwrap()
    };
    let limits = |pod: &Value| -> Vec<Value> {
        let containers =
            ["initContainers", "containers"].map(|key| pod[key].as_array().into_iter().flatten());
        containers
            .into_iter()
            .flatten()
            .map(|container| container["resources"]["limits"]["ephemeral-storage"].clone())
            .collect()
    };
    let objects =
        everything(json!({"postgres": {"persistence": {"enabled": false, "size": "3Gi"}}}));
    let pod = &server(&objects)["spec"]["template"]["spec"];
    assert_eq!(
        (volume(pod, "data"), limits(pod)),
        (
            json!({"sizeLimit": "3Gi"}),
            vec![json!("3Gi"), json!("3Gi")]
        )
    );
    let objects = everything(json!({}));
    assert_eq!(
        limits(&server(&objects)["spec"]["template"]["spec"]),
        ["256Mi", "256Mi"],
        "the data are on a claim"
    );

    let objects = render(
        RUNE,
        &json!({"persistence": {"enabled": false, "size": "3Gi"}}),
    );
    let pod = &objects.get("Deployment", "rune-api")["spec"]["template"]["spec"];
    assert_eq!(
        (volume(pod, "data"), limits(pod).last()),
        (json!({"sizeLimit": "3Gi"}), Some(&json!("3Gi")))
    );
}

#[test]
fn every_pod_has_the_sites_groups_and_labels_of_selinux_on_openshift_too() {
    let security = json!({"podSecurity": {"supplementalGroups": [5555, 6_000_000], "seLinuxOptions": {"level": "s0:c1,c2"}}});
    for openshift in [false, true] {
        let mut values = security.clone();
        merge(
            &mut values,
            json!({"postgres": security, "global": {"openshift": openshift}}),
        );
        let objects = everything(values);
        assert!(objects.pods().count() > 5);
        for pod in objects.pods() {
            let context = &pod["securityContext"];
            assert_eq!(
                (&context["supplementalGroups"], &context["seLinuxOptions"]),
                (&json!([5555, 6_000_000]), &json!({"level": "s0:c1,c2"}))
            );
            assert_eq!(context.get("fsGroup").is_none(), openshift);
        }
    }
}

#[test]
fn claims_have_annotations_and_may_come_from_a_snapshot() {
    let source =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"});
    let persistence =
        json!({"annotations": {"backup.velero.io/excluded": "true"}, "dataSource": source});
    let bundled = everything(
        json!({"postgres": {"persistence": persistence, "backup": {"persistence": persistence}}}),
    );
    let alone = render(RUNE, &json!({"persistence": persistence}));
    let claims = [
        (&bundled, "rune-postgres-data"),
        (&bundled, "rune-postgres-backup"),
        (&alone, "rune-api-data"),
    ];
    for (objects, name) in claims {
        let claim = objects.get("PersistentVolumeClaim", name);
        let annotations = &claim["metadata"]["annotations"];
        assert_eq!(
            (
                &annotations["backup.velero.io/excluded"],
                &annotations["helm.sh/resource-policy"]
            ),
            (&json!("true"), &json!("keep"))
        );
        assert_eq!(claim["spec"]["dataSource"], source, "{name}");
    }
}

#[test]
fn probes_take_numbers_and_pg_isready_ends_before_they_do() {
    let slow = json!({"initialDelaySeconds": 7, "periodSeconds": 60, "timeoutSeconds": 30, "failureThreshold": 9});
    let probes = json!({"startupProbe": slow, "livenessProbe": slow, "readinessProbe": slow});
    let mut values = probes.clone();
    merge(&mut values, json!({"postgres": probes}));
    let objects = everything(values);
    for container in objects
        .containers()
        .filter(|container| ["api", "postgres"].contains(&text(&container["name"])))
    {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let probe = &container[probe];
            for (key, value) in slow.as_object().unwrap() {
                assert_eq!(&probe[key], value, "{probe}");
            }
            let command = probe["exec"]["command"].to_string();
            assert!(
                probe["httpGet"].is_object()
                    || command.contains("-t 28 ")
                    || command.contains("\"28\""),
                "{command}"
            );
        }
    }
    let one = render(
        POSTGRES,
        &json!({"auth": {"existingSecret": "x"}, "readinessProbe": {"timeoutSeconds": 1}}),
    );
    let command = &one
        .containers()
        .find(|container| container["name"] == "postgres")
        .unwrap()["readinessProbe"]["exec"]["command"];
    assert_eq!(command[3], "1");
}

#[test]
fn huge_pages_are_off_unless_the_site_asks_for_them() {
    let settings = |values: Value| {
        let objects = render(POSTGRES, &values);
        let config = text(&objects.get("ConfigMap", "rune-postgres")["data"]["postgresql.conf"]);
        config
            .lines()
            .filter(|line| line.starts_with("huge_pages"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        settings(json!({"auth": {"existingSecret": "x"}})),
        ["huge_pages = 'off'"]
    );
    let pages = json!({"auth": {"existingSecret": "x"}, "config": {"huge_pages": "on"}, "resources": {"limits": {"hugepages-2Mi": "256Mi"}}});
    assert_eq!(settings(pages.clone()), ["huge_pages = 'on'"]);
    for container in render(POSTGRES, &pages)
        .containers()
        .filter(|container| ["bootstrap", "postgres"].contains(&text(&container["name"])))
    {
        assert_eq!(container["resources"]["limits"]["hugepages-2Mi"], "256Mi");
    }
}
