//! What was wrong with the charts that RUNE published, one test for each finding (H1 to H17): none
//! of it is true of these.

use std::fs;

use rune_core::yaml;
use serde_json::{Value, json};

use crate::{
    charts::properties::cases,
    charts::support::{Helm, Objects, decoded, pinned, project, renderer, text},
};

const RUNE: &str = "charts/rune";
const POSTGRES: &str = "charts/rune/charts/postgres";

fn render(case: &str) -> Objects {
    let (chart, values) = cases().remove(case).unwrap();
    Helm::new("helm4")
        .template(chart, "1.33.0", &values.to_string())
        .unwrap()
}

fn with(values: &Value) -> Objects {
    Helm::new("helm4")
        .template(RUNE, "1.33.0", &values.to_string())
        .unwrap()
}

fn bundled(postgres: &Value) -> Value {
    json!({ "image": { "tag": "v0.1.0" }, "postgres": { "enabled": true, "auth": postgres } })
}

fn container<'a>(objects: &'a Objects, name: &str) -> &'a Value {
    objects
        .containers()
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("no container {name}"))
}

fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    container["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|variable| variable["name"] == name)
        .unwrap_or(&Value::Null)
}

#[test]
fn h1_the_database_runs_as_the_images_own_user() {
    let objects = render("bundled");
    let context =
        &objects.get("StatefulSet", "rune-postgres")["spec"]["template"]["spec"]["securityContext"];
    assert_eq!(
        [
            &context["runAsUser"],
            &context["runAsGroup"],
            &context["fsGroup"]
        ],
        [&json!(70); 3]
    );
}

#[test]
fn h2_no_container_prepares_the_volume_as_root() {
    for case in cases().into_keys() {
        for container in render(case).containers() {
            assert!(
                container["securityContext"].get("runAsUser").is_none()
                    && container["securityContext"]["runAsNonRoot"] == true,
                "{case}"
            );
        }
    }
}

#[test]
fn h3_the_data_lie_below_the_mount_point_in_a_directory_of_their_major_version() {
    let objects = render("bundled");
    for name in ["bootstrap", "postgres"] {
        let container = container(&objects, name);
        let mount = container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|mount| mount["name"] == "data")
            .unwrap();
        assert_eq!(mount["mountPath"], "/var/lib/postgresql/data");
        assert_eq!(
            variable(container, "PGDATA")["value"],
            "/var/lib/postgresql/data/17/docker"
        );
    }
}

#[test]
fn h4_the_subchart_lies_unpacked_and_there_is_only_one_of_it() {
    let names: Vec<String> = fs::read_dir(project().join("charts/rune/charts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["postgres"]);
    assert!(
        !project().join("charts/rune/Chart.lock").exists()
            && !project().join("charts/postgres").exists()
    );
}

#[test]
fn h5_what_holds_data_outlives_the_release() {
    for case in cases().into_keys() {
        for object in render(case).0.iter().filter(|object| {
            object["kind"] == "PersistentVolumeClaim" || object["kind"] == "Secret"
        }) {
            let annotations = &object["metadata"]["annotations"];
            assert_eq!(
                annotations["helm.sh/resource-policy"], "keep",
                "{case}: {}",
                object["metadata"]["name"]
            );
            assert_eq!(
                annotations["argocd.argoproj.io/sync-options"], "Prune=false,Delete=false",
                "{case}"
            );
        }
    }
}

#[test]
fn h6_there_is_always_a_password_and_it_is_long() {
    let password = || {
        decoded(
            with(&bundled(&json!({}))).get("Secret", "rune-postgres-app"),
            "password",
        )
    };
    let (one, other) = (password(), password());
    assert!(one.len() == 32 && one != other, "{} characters", one.len());
    for helm in Helm::both() {
        for (auth, expected) in [
            (json!({ "password": "fifteen-letters" }), "password"),
            (json!({ "generate": false }), "auth.existingSecret (best)"),
        ] {
            let complaint = helm
                .template(RUNE, "1.33.0", &bundled(&auth).to_string())
                .unwrap_err();
            assert!(complaint.contains(expected), "{complaint}");
        }
    }
}

#[test]
fn h7_every_password_is_encoded_in_the_url_and_a_rotation_restarts_both_sides() {
    let printable: String = (' '..='~').collect();
    let objects = with(&bundled(&json!({ "password": printable })));
    let secret = objects.get("Secret", "rune-postgres-app");
    let url = decoded(secret, "RUNE_DB_URL");
    let encoded = url
        .strip_prefix("postgresql://rune:")
        .unwrap()
        .split_once("@rune-postgres.rune.svc:5432/rune")
        .unwrap()
        .0;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%-_.~".contains(c);
    assert!(encoded.chars().all(is_plain), "{encoded}");
    assert_eq!(
        percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .unwrap(),
        printable
    );
    assert_eq!(decoded(secret, "password"), printable);

    let rotated = with(&bundled(&json!({ "password": printable, "rotation": "2" })));
    for (kind, name) in [("StatefulSet", "rune-postgres"), ("Deployment", "rune-api")] {
        let annotations = |objects: &Objects| {
            objects.get(kind, name)["spec"]["template"]["metadata"]["annotations"].clone()
        };
        assert_ne!(annotations(&objects), annotations(&rotated), "{kind}");
    }
}

#[test]
fn h8_the_network_knows_scram_and_tls_and_no_superuser() {
    let hba = |case: &str| {
        text(&render(case).get("ConfigMap", "rune-postgres")["data"]["pg_hba.conf"]).to_owned()
    };
    let rules = |case: &str| -> Vec<String> {
        let lines = hba(case)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>();
        lines
            .into_iter()
            .filter(|line| !line.starts_with('#') && !line.starts_with("local"))
            .collect()
    };
    assert_eq!(
        rules("bundled"),
        [
            "host all postgres all reject",
            "host rune rune all scram-sha-256",
            "host all all all reject"
        ]
    );
    assert_eq!(rules("TLS")[1], "hostssl rune rune all scram-sha-256");
    let objects = render("TLS");
    let config = text(&objects.get("ConfigMap", "rune-postgres")["data"]["postgresql.conf"]);
    for line in [
        "ssl = on",
        "ssl_min_protocol_version = 'TLSv1.2'",
        "password_encryption = 'scram-sha-256'",
        "allow_alter_system = off",
    ] {
        assert!(
            config.lines().any(|found| found == line),
            "{line} in {config}"
        );
    }
    let url = decoded(objects.get("Secret", "rune-postgres-app"), "uri");
    assert!(
        url.ends_with("?sslmode=verify-full&sslrootcert=/etc/rune-db-ca/ca.crt"),
        "the URL verifies"
    );
    for name in ["api", "db-migrate", "backup", "test", "schema"] {
        let mounts = container(&objects, name)["volumeMounts"]
            .as_array()
            .unwrap();
        assert!(
            mounts
                .iter()
                .any(|mount| mount["mountPath"] == "/etc/rune-db-ca"),
            "{name} has no authority"
        );
    }
    let server = container(&objects, "postgres");
    assert!(
        variable(server, "POSTGRES_USER").is_null()
            && variable(server, "POSTGRES_PASSWORD").is_null()
    );
    assert!(
        server["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|mount| mount["name"] != "password")
    );
}

#[test]
fn h9_every_image_can_be_pinned_and_moved() {
    // What the matrix renders is checked there; here, that the committed values have a digest for
    // every image.
    for (chart, images) in [
        (RUNE, ["/image", "/rune/database/migrate/image"].as_slice()),
        (POSTGRES, ["/image"].as_slice()),
    ] {
        let values = values(chart);
        for image in images {
            let image = values.pointer(image).unwrap();
            assert!(
                ["registry", "repository", "tag", "digest", "pullPolicy"]
                    .iter()
                    .all(|key| image.get(key).is_some()),
                "{image}"
            );
            assert!(
                !text(&image["repository"]).contains(':')
                    && !text(&image["repository"]).contains("docker.io"),
                "{image}"
            );
        }
        assert!(values["imagePullSecrets"].is_array());
    }
}

#[test]
fn h10_probes_leave_recovery_alone_and_the_defaults_are_tight() {
    let objects = render("bundled");
    let server = container(&objects, "postgres");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(
            server[probe]["exec"].is_object(),
            "{probe}: a TCP connection says nothing, and the kubelet may not reach the pod"
        );
        assert_eq!(server[probe]["timeoutSeconds"], 5);
    }
    let startup = &server["startupProbe"];
    assert!(
        startup["periodSeconds"].as_u64().unwrap() * startup["failureThreshold"].as_u64().unwrap()
            >= 600
    );
    let alive = text(&server["livenessProbe"]["exec"]["command"][2]);
    assert!(
        alive.ends_with("[ $? -le 1 ]"),
        "a server that is alive but refuses is not killed: {alive}"
    );
    let pod = &objects.get("StatefulSet", "rune-postgres")["spec"]["template"]["spec"];
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 60);
    assert_eq!(pod["serviceAccountName"], "rune-postgres");
    for name in [
        "NetworkPolicy rune-postgres",
        "NetworkPolicy rune-api",
        "ServiceAccount rune-postgres",
        "ServiceAccount rune-api",
    ] {
        assert!(objects.names().contains(&name.to_owned()), "{name}");
    }
    assert_eq!(
        objects.get("ServiceAccount", "rune-api")["automountServiceAccountToken"],
        false
    );
    let budgets = |case: &str| {
        render(case)
            .names()
            .iter()
            .filter(|name| name.starts_with("PodDisruptionBudget"))
            .count()
    };
    assert_eq!(
        (budgets("bundled"), budgets("two replicas and a job")),
        (0, 1),
        "a budget for one pod only blocks drains"
    );
    let limits = &server["resources"];
    assert_eq!(
        (&limits["limits"]["memory"], &limits["requests"]["memory"]),
        (&json!("1Gi"), &json!("256Mi"))
    );
}

#[test]
fn h11_clients_have_a_service_with_an_address_and_no_name_assumes_a_domain() {
    for case in cases().into_keys() {
        let objects = render(case);
        assert!(
            objects
                .0
                .iter()
                .all(|object| !object.to_string().contains("cluster.local")),
            "{case}"
        );
    }
    let objects = render("bundled");
    assert!(
        objects.get("Service", "rune-postgres")["spec"]
            .get("clusterIP")
            .is_none()
    );
    let headless = &objects.get("Service", "rune-postgres-hl")["spec"];
    assert_eq!(
        (
            &headless["clusterIP"],
            &headless["publishNotReadyAddresses"]
        ),
        (&json!("None"), &json!(true))
    );
    assert_eq!(
        decoded(objects.get("Secret", "rune-postgres-app"), "host"),
        "rune-postgres.rune.svc"
    );
}

#[test]
fn h12_the_schema_exists_before_the_api_and_one_at_a_time_creates_it() {
    let objects = render("bundled");
    let pod = &objects.get("Deployment", "rune-api")["spec"]["template"]["spec"];
    assert_eq!(
        pod["initContainers"][0]["args"],
        json!(["migrate", "--wait", "10m", "--db-url", "env:RUNE_DB_URL"])
    );
    assert!(
        objects
            .0
            .iter()
            .all(|object| !object.to_string().contains("pre-install")
                && !object.to_string().contains("post-install"))
    );

    let objects = render("two replicas and a job");
    let pod = &objects.get("Deployment", "rune-api")["spec"]["template"]["spec"];
    assert_eq!(
        pod["initContainers"][0]["args"],
        json!([
            "wait",
            "--schema",
            "--timeout",
            "10m",
            "--db-url",
            "env:RUNE_DB_URL"
        ])
    );
    assert_eq!(container(&objects, "db-migrate")["args"][0], "migrate");
}

#[test]
fn h13_every_profile_renders_with_one_pod_on_a_volume_and_the_api_asks_for_tokens() {
    for tag in ["v0.0.0a6", "v0.1.0"] {
        let mut context = pinned();
        context.images.get_mut("rune").unwrap().tag = tag.to_owned();
        for profile in ["airgap", "lab", "cnpg", "external"] {
            let values = renderer()
                .render(&format!("templates/values/{profile}.yaml.j2"), &context)
                .unwrap();
            let values = format!("{values}\nimage: {{ tag: {tag} }}\n");
            for helm in Helm::both() {
                let objects = helm
                    .template(RUNE, "1.33.0", &values)
                    .unwrap_or_else(|error| panic!("{profile} {tag}: {error}"));
                let api = objects.get("Deployment", "rune-api");
                let database = variable(container(&objects, "api"), "RUNE_DB_URL");
                assert_eq!(
                    database["value"].is_string(),
                    tag == "v0.0.0a6",
                    "{profile}: an image that cannot use PostgreSQL stays on SQLite"
                );
                assert!(
                    api["spec"]["replicas"] == 1 || database["value"].is_null(),
                    "{profile}: {api}"
                );
                assert_eq!(
                    variable(container(&objects, "api"), "RUNE_API_AUTH_DISABLED")["value"],
                    "0"
                );
            }
        }
    }
}

#[test]
fn h14_the_api_runs_without_root_and_hears_of_its_database_under_every_name() {
    for (case, names) in [
        (
            "default, which is SQLite",
            ["RUNE_DB_URL", "RUNE_DATABASE_URL", "RUNE_API_DB_PATH"].as_slice(),
        ),
        ("bundled", ["RUNE_DB_URL", "RUNE_DATABASE_URL"].as_slice()),
        (
            "elsewhere, with TLS",
            ["RUNE_DB_URL", "RUNE_DATABASE_URL"].as_slice(),
        ),
    ] {
        let objects = render(case);
        let api = container(&objects, "api");
        for name in [
            "RUNE_DB_URL",
            "RUNE_DATABASE_URL",
            "RUNE_API_DB_PATH",
            "RUNE_DB_URI",
            "RUNE_POSTGRES_URL",
        ] {
            assert_eq!(
                variable(api, name).is_object(),
                names.contains(&name),
                "{case}: {name}"
            );
        }
        assert!(
            api["volumeMounts"]
                .as_array()
                .unwrap()
                .iter()
                .all(|mount| !text(&mount["mountPath"]).starts_with("/root"))
        );
        assert!(objects.get("Deployment", "rune-api")["spec"]["template"]["spec"]["securityContext"]["runAsUser"].as_u64() >= Some(1000));
    }
    let complaint = Helm::new("helm4")
        .template(RUNE, "1.33.0", "postgres: { enabled: true }")
        .unwrap_err();
    assert!(
        complaint.contains("cannot use PostgreSQL")
            && complaint.contains("rune.database.backend: sqlite"),
        "{complaint}"
    );
}

#[test]
fn h15_the_defaults_of_the_bundled_database_are_the_ones_that_are_tested() {
    let values = values(POSTGRES);
    assert_eq!(
        (
            &values["persistence"]["enabled"],
            &values["networkPolicy"]["enabled"]
        ),
        (&json!(true), &json!(true))
    );
    let objects = render("bundled");
    for name in [
        "PersistentVolumeClaim rune-postgres-data",
        "StatefulSet rune-postgres",
        "Deployment rune-api",
        "Pod rune-postgres-test",
    ] {
        assert!(objects.names().contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn h16_values_and_schema_name_the_same_keys() {
    for chart in [RUNE, POSTGRES] {
        let schema: Value = serde_json::from_str(
            &fs::read_to_string(project().join(chart).join("values.schema.json")).unwrap(),
        )
        .unwrap();
        let mut findings = Vec::new();
        compare_keys("", &values(chart), &schema, &schema, &mut findings);
        findings.retain(|finding| !["/enabled", "/postgres/enabled"].contains(&finding.as_str()));
        assert!(
            findings.is_empty(),
            "{chart}: in one and not in the other: {findings:?}"
        );
    }
}

/// Compares the keys of a mapping with the properties of its closed schema.
fn compare_keys(
    path: &str,
    values: &Value,
    schema: &Value,
    root: &Value,
    findings: &mut Vec<String>,
) {
    let schema = schema
        .get("$ref")
        .and_then(Value::as_str)
        .map_or(schema, |reference| {
            root.pointer(reference.trim_start_matches('#')).unwrap()
        });
    let (Some(values), Some(properties)) = (values.as_object(), schema["properties"].as_object())
    else {
        return;
    };
    for key in values.keys().chain(properties.keys()) {
        match (values.get(key), properties.get(key)) {
            (Some(value), Some(property)) => {
                compare_keys(&format!("{path}/{key}"), value, property, root, findings);
            }
            _ => findings.push(format!("{path}/{key}")),
        }
    }
}

#[test]
fn h17_no_password_is_written_down_and_the_major_version_is_said_once() {
    let mut context = pinned();
    context.images.get_mut("rune").unwrap().tag = "v0.1.0".to_owned();
    for profile in ["airgap", "lab", "cnpg", "external"] {
        let profile = renderer()
            .render(&format!("templates/values/{profile}.yaml.j2"), &context)
            .unwrap();
        assert!(
            profile
                .lines()
                .filter(|line| !line.trim().starts_with('#'))
                .all(|line| !line.contains("password:")),
            "{profile}"
        );
    }
    let values = values(POSTGRES);
    assert_eq!(values["auth"]["password"], "");
    let major = values["majorVersion"].to_string();
    assert!(
        text(&values["image"]["tag"]).starts_with(&major),
        "the image is of another major version than majorVersion"
    );
}

fn values(chart: &str) -> Value {
    let path = project().join(chart).join("values.yaml");
    yaml::from_str(&path, &fs::read_to_string(&path).unwrap()).unwrap()
}
