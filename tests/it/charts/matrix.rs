//! The charts under the real Helm 3 and Helm 4: what they make of which values, and what they
//! refuse.

use std::fs;

use rune_bundle::chart::{ChartTree, Context, package};
use serde_json::{Value, json};
use url::Url;

use crate::charts::support::{
    Helm, Objects, decoded, digest_of, pinned, pinned_package, project, renderer, text,
};

const RUNE: &str = "charts/rune";
const POSTGRES: &str = "charts/rune/charts/postgres";
const KUBERNETES: [&str; 3] = ["1.30.0", "1.33.0", "1.35.0"];
/// The oldest Kubernetes that is not under test otherwise; a Helm without a cluster has to be told
/// some version.
const ANY: &str = "1.33.0";
/// RUNE with PostgreSQL, as a later image can do it.
const BUNDLED: &str =
    "image: { tag: v0.1.0 }\npostgres: { enabled: true, auth: { password: 0123456789abcdef } }\n";

/// Renders with both Helm versions, which must agree.
fn render(chart: &str, values: &str) -> Objects {
    let [three, four] = Helm::both().map(|helm| helm.template(chart, ANY, values).unwrap());
    assert_eq!(three, four, "Helm 3 and Helm 4 disagree");
    three
}

#[test]
fn both_charts_lint_without_a_warning() {
    for helm in Helm::both() {
        for chart in [RUNE, POSTGRES] {
            let output = helm.run(&["lint", "--strict", "--with-subcharts", chart]);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && !said.contains('['), "{said}");
        }
    }
}

#[test]
fn alone_rune_keeps_one_pod_on_a_sqlite_file_that_stays() {
    for version in KUBERNETES {
        for helm in Helm::both() {
            let objects = helm.template(RUNE, version, "").unwrap();
            let expected = [
                "Deployment rune-api",
                "NetworkPolicy rune-api",
                "PersistentVolumeClaim rune-api-data",
                "Service rune-api",
                "ServiceAccount rune-api",
            ];
            assert_eq!(objects.names(), expected);
            let deployment = &objects.get("Deployment", "rune-api")["spec"];
            assert_eq!(
                (&deployment["replicas"], &deployment["strategy"]["type"]),
                (&json!(1), &json!("Recreate"))
            );
            for container in objects.containers() {
                assert_eq!(
                    environment(container, "RUNE_DB_URL")["value"],
                    "sqlite:////app/.rune-api/jobs.db"
                );
                assert_eq!(
                    environment(container, "RUNE_DATABASE_URL")["value"],
                    "sqlite:////app/.rune-api/jobs.db"
                );
            }
            let claim = objects.get("PersistentVolumeClaim", "rune-api-data");
            assert_eq!(
                claim["metadata"]["annotations"]["helm.sh/resource-policy"],
                "keep"
            );
        }
    }
}

#[test]
fn with_postgres_both_variables_come_from_one_key_of_the_subcharts_secret() {
    for version in KUBERNETES {
        for helm in Helm::both() {
            let objects = helm.template(RUNE, version, BUNDLED).unwrap();
            let deployment = objects.get("Deployment", "rune-api");
            for part in ["initContainers", "containers"] {
                let container = &deployment["spec"]["template"]["spec"][part][0];
                let mut key = json!({ "name": "rune-postgres-app", "key": "RUNE_DB_URL" });
                if part == "initContainers" {
                    // rune-db says what is missing; the API must not even start.
                    key["optional"] = json!(true);
                    assert_eq!(
                        container["args"],
                        json!(["migrate", "--wait", "10m", "--db-url", "env:RUNE_DB_URL"])
                    );
                }
                assert_eq!(
                    environment(container, "RUNE_DB_URL")["valueFrom"]["secretKeyRef"],
                    key
                );
                assert_eq!(
                    environment(container, "RUNE_DATABASE_URL")["valueFrom"]["secretKeyRef"],
                    key
                );
                assert!(
                    container["env"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|variable| variable["name"] != "RUNE_API_DB_PATH")
                );
            }
            assert_eq!(
                deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
                0
            );
            for (kind, name) in [
                ("Secret", "rune-postgres-app"),
                ("PersistentVolumeClaim", "rune-postgres-data"),
            ] {
                assert_eq!(
                    objects.get(kind, name)["metadata"]["annotations"]["helm.sh/resource-policy"],
                    "keep"
                );
            }
        }
    }
}

#[test]
fn in_the_airgap_every_image_is_pinned_and_comes_from_the_one_registry() {
    for rune_tag in ["v0.0.0a6", "v0.1.0"] {
        let mut context = pinned();
        context.images.get_mut("rune").unwrap().tag = rune_tag.to_owned();
        let objects = airgap(&context);
        for container in objects.containers() {
            let image = match text(&container["name"]) {
                "api" => "rune",
                "db-migrate" | "schema" => "rune-db",
                "bootstrap" | "postgres" | "backup" | "test" => "postgres",
                other => panic!("a container `{other}` that this test does not know"),
            };
            let image_context = &context.images[image];
            let expected = format!(
                "registry.local:5000/{}:{}@{}",
                image_context.repository,
                image_context.tag,
                digest_of(image)
            );
            assert_eq!(text(&container["image"]), expected);
        }
        let api = objects
            .containers()
            .find(|found| found["name"] == "api")
            .unwrap();
        assert_eq!(
            environment(api, "RUNE_DB_URL")["value"].is_string(),
            rune_tag == "v0.0.0a6",
            "{api}"
        );
        assert!(
            objects
                .names()
                .iter()
                .all(|name| !name.starts_with("Secret ")),
            "{:?}",
            objects.names()
        );
    }
}

/// The airgap profile of the packed and pinned charts, rendered twice by each Helm with one result.
fn airgap(context: &Context) -> Objects {
    let directory = tempfile::tempdir().unwrap();
    let chart = directory.path().join("rune.tgz");
    fs::write(&chart, pinned_package(context).bytes).unwrap();
    let mut values = renderer()
        .render("templates/values/airgap.yaml.j2", context)
        .unwrap();
    values.push_str("global: { imageRegistry: 'registry.local:5000' }\n");
    let mut renders: Vec<Objects> = Helm::both()
        .into_iter()
        .flat_map(|helm| {
            [0, 1].map(|_| {
                helm.template(chart.to_str().unwrap(), ANY, &values)
                    .unwrap()
            })
        })
        .collect();
    let first = renders.remove(0);
    assert!(
        renders.iter().all(|other| *other == first),
        "renders differ"
    );
    first
}

#[test]
fn every_pod_fits_the_restricted_pod_security_standard() {
    for (chart, values) in [
        (RUNE, ""),
        (RUNE, BUNDLED),
        (POSTGRES, "auth: { existingSecret: x }"),
    ] {
        let objects = render(chart, values);
        for pod in objects.pods() {
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["enableServiceLinks"], false);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0);
        }
        for container in objects.containers() {
            let expected = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "capabilities": { "drop": ["ALL"] },
            });
            assert_eq!(
                container["securityContext"], expected,
                "{}",
                container["name"]
            );
            for limit in ["cpu", "memory"] {
                assert!(
                    container["resources"]["limits"][limit].is_string(),
                    "{container}"
                );
            }
        }
    }
}

#[test]
fn on_openshift_no_ids_are_named() {
    let values = format!("{BUNDLED}openshift: true\n")
        .replace("enabled: true,", "enabled: true, openshift: true,");
    for pod in render(RUNE, &values).pods() {
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(pod["securityContext"].get(id).is_none(), "{pod}");
        }
    }
}

/// OpenShift's name servers listen on another port than their Service, and policies look at packets
/// behind the Service.
#[test]
fn who_may_ask_the_name_service_may_do_so_on_openshift_too() {
    for (openshift, ports) in [(false, vec![53, 53]), (true, vec![53, 53, 5353, 5353])] {
        let objects = render(
            RUNE,
            &format!("{BUNDLED}global: {{ openshift: {openshift} }}\n"),
        );
        for policy in ["rune-api", "rune-jobs", "rune-postgres-jobs"] {
            let rule = objects.get("NetworkPolicy", policy)["spec"]["egress"][0]["ports"]
                .as_array()
                .unwrap();
            let found: Vec<_> = rule
                .iter()
                .filter_map(|port| port["port"].as_u64())
                .filter(|port| [53, 5353].contains(port))
                .collect();
            assert_eq!(found, ports, "{policy}");
        }
    }
}

#[test]
fn any_password_comes_back_out_of_the_url() {
    for password in [
        "p@ss w:rd/%+#?&=012",
        "ünïcödé-0123456789",
        "'\"$(x)`y`\\0123456789",
        "a+b c%20d|e<f>g^h{i}",
    ] {
        let objects = render(
            RUNE,
            &json!({ "image": { "tag": "v0.1.0" }, "postgres": { "enabled": true, "auth": { "password": password } } }).to_string(),
        );
        let secret = objects.get("Secret", "rune-postgres-app");
        let url = Url::parse(&decoded(secret, "RUNE_DB_URL")).unwrap();
        let back = percent_encoding::percent_decode_str(url.password().unwrap())
            .decode_utf8()
            .unwrap();
        assert_eq!(back, password, "{url}");
        assert!(
            !url.as_str().contains('+'),
            "a plus sign is taken literally by libpq: {url}"
        );
        assert_eq!(
            (url.username(), url.host_str(), url.path()),
            ("rune", Some("rune-postgres.rune.svc"), "/rune")
        );
        assert_eq!(
            (decoded(secret, "password").as_str(), decoded(secret, "uri")),
            (password, url.as_str().to_owned())
        );
    }
}

#[test]
fn a_secret_of_ones_own_is_only_referred_to() {
    let values = "image: { tag: v0.1.0 }\npostgres: { enabled: true, auth: { existingSecret: mine, secretKeys: { password: pw, url: uri } } }\n";
    let objects = render(RUNE, values);
    assert!(
        objects
            .names()
            .iter()
            .all(|name| !name.starts_with("Secret ")),
        "{:?}",
        objects.names()
    );
    let api = objects
        .containers()
        .find(|container| container["name"] == "api")
        .unwrap();
    assert_eq!(
        environment(api, "RUNE_DB_URL")["valueFrom"]["secretKeyRef"],
        json!({ "name": "mine", "key": "uri" })
    );
    let volumes =
        &objects.get("StatefulSet", "rune-postgres")["spec"]["template"]["spec"]["volumes"];
    let password = volumes
        .as_array()
        .unwrap()
        .iter()
        .find(|volume| volume["name"] == "password")
        .unwrap();
    assert_eq!(
        password["secret"],
        json!({ "secretName": "mine", "defaultMode": 0o440 })
    );
    let bootstrap = objects
        .containers()
        .find(|container| container["name"] == "bootstrap")
        .unwrap();
    assert_eq!(
        environment(bootstrap, "PASSWORD_FILE")["value"],
        "/run/secrets/rune-postgres/pw"
    );
}

#[test]
fn a_database_elsewhere_is_one_secret_and_nothing_of_postgres() {
    let objects = render(
        RUNE,
        "image: { tag: v0.1.0 }\nrune: { database: { existingSecret: rune-db-app, existingSecretKey: uri, networkPolicyPort: 6432 } }",
    );
    let expected = [
        "Deployment rune-api",
        "NetworkPolicy rune-api",
        "NetworkPolicy rune-jobs",
        "Pod rune-schema-test",
        "Service rune-api",
        "ServiceAccount rune-api",
    ];
    assert_eq!(objects.names(), expected);
    for policy in ["rune-api", "rune-jobs"] {
        let ports = &objects.get("NetworkPolicy", policy)["spec"]["egress"][1]["ports"];
        assert_eq!(ports, &json!([{ "port": 6432, "protocol": "TCP" }]));
    }
}

#[test]
fn the_databases_network_policy_admits_the_api_and_no_one_else() {
    let objects = render(RUNE, BUNDLED);
    let policy = &objects.get("NetworkPolicy", "rune-postgres")["spec"];
    let admitted = &policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
    let api = &objects.get("Deployment", "rune-api")["spec"]["template"]["metadata"]["labels"];
    for (label, value) in admitted.as_object().unwrap() {
        assert_eq!(&api[label], value);
    }
    assert_eq!(policy["egress"], json!([]));
    let database =
        &objects.get("StatefulSet", "rune-postgres")["spec"]["template"]["metadata"]["labels"];
    assert!(database.get("rune/db-client").is_none());
}

#[test]
fn settings_of_the_server_are_quoted_and_large_numbers_stay_whole() {
    let objects = render(
        POSTGRES,
        "auth: { existingSecret: x }\nconfig: { log_line_prefix: \"it's %m\\\\ \", max_wal_size: 10485760, log_connections: true }",
    );
    let config = text(&objects.get("ConfigMap", "rune-postgres")["data"]["postgresql.conf"]);
    for line in [
        "log_line_prefix = 'it''s %m\\\\ '",
        "max_wal_size = 10485760",
        "log_connections = true",
        "listen_addresses = '*'",
    ] {
        assert!(
            config.lines().any(|found| found == line),
            "{line} in {config}"
        );
    }
}

#[test]
fn the_notes_say_where_things_are_and_never_show_the_password() {
    let directory = tempfile::tempdir().unwrap();
    for (chart, values, expected) in [
        (
            POSTGRES,
            "auth: { password: hunter2hunter2hunter2 }",
            "rune-postgres-app",
        ),
        (
            RUNE,
            "image: { tag: v0.1.0 }\npostgres: { enabled: true, auth: { password: hunter2hunter2hunter2 } }",
            "rune-postgres.rune.svc",
        ),
        (RUNE, "", "SQLite in the volume rune-api-data"),
        (
            RUNE,
            "rune: { database: { existingSecret: mine, backend: sqlite } }",
            "The API asks for tokens and has none",
        ),
        (
            RUNE,
            "image: { tag: v0.1.0 }\nrune: { database: { existingSecret: mine } }",
            "Secret mine",
        ),
    ] {
        // Without a cluster Helm shows no notes, so here they are an object.
        let mut tree = ChartTree::read(&project().join(chart)).unwrap();
        tree.insert(
            "notes.tpl",
            tree.get("templates/NOTES.txt").unwrap().to_vec(),
        );
        tree.insert(
            "templates/notes.yaml",
            "kind: Notes\nmetadata: { name: notes }\ntext: {{ tpl (.Files.Get \"notes.tpl\") . | quote }}\n",
        );
        let file = directory.path().join("chart.tgz");
        fs::write(&file, package(chart, &tree).unwrap().bytes).unwrap();
        let objects = render(file.to_str().unwrap(), values);
        let notes = text(&objects.get("Notes", "notes")["text"]);
        assert!(
            notes.contains(expected) && !notes.contains("hunter2"),
            "{notes}"
        );
    }
}

#[test]
fn the_data_move_by_a_job_that_reads_the_volume_while_the_api_is_stopped() {
    let values = format!(
        "{BUNDLED}replicaCount: 0\nrune: {{ database: {{ transfer: {{ enabled: true }} }} }}\n"
    );
    let objects = render(RUNE, &values);
    let transfer = objects
        .containers()
        .find(|container| container["name"] == "db-transfer")
        .unwrap();
    let arguments = [
        "migrate-to-postgres",
        "--source",
        "sqlite:////app/.rune-api/jobs.db",
        "--target",
        "env:RUNE_DB_URL",
    ];
    assert_eq!(transfer["args"], json!(arguments));
    assert_eq!(transfer["volumeMounts"][0]["mountPath"], "/app/.rune-api");
    assert!(
        objects
            .names()
            .contains(&"PersistentVolumeClaim rune-api-data".to_owned())
    );
    let name = |values: &str| {
        render(RUNE, values)
            .names()
            .into_iter()
            .find(|name| name.starts_with("Job rune-transfer-"))
            .unwrap()
    };
    assert_ne!(
        name(&values),
        name(&values.replace("enabled: true } } }", "enabled: true, attempt: '2' } } }")),
        "another attempt is another job"
    );
    let dry = render(
        RUNE,
        &values.replace("enabled: true } } }", "enabled: true, dryRun: true } } }"),
    );
    let dry = dry
        .containers()
        .find(|container| container["name"] == "db-transfer")
        .unwrap()["args"]
        .clone();
    assert_eq!(dry[5], "--dry-run");
}

#[test]
fn a_job_has_another_name_when_it_does_something_else() {
    let names = |values: &str| -> Vec<String> {
        render(POSTGRES, values)
            .names()
            .into_iter()
            .filter(|name| name.starts_with("Job "))
            .collect()
    };
    let backup = "auth: { existingSecret: x }\nbackup: { enabled: true }\n";
    assert_eq!(names(backup), names(backup));
    assert_ne!(
        names(backup),
        names(&format!("{backup}image: {{ tag: 17.9-alpine }}\n"))
    );
    let restore = |file: &str| {
        format!("auth: {{ existingSecret: x }}\nrestore: {{ file: {file}, confirm: rune }}\n")
    };
    assert_ne!(names(&restore("a.dump")), names(&restore("b.dump")));
    assert_ne!(
        names(&restore("a.dump")),
        names(&restore("a.dump, attempt: '2'"))
    );
    assert_eq!(
        names("auth: { existingSecret: x }\nbackup: { enabled: true }\nreplicaCount: 0"),
        Vec::<String>::new()
    );
}

#[test]
fn a_database_elsewhere_is_verified_without_a_word_in_its_url() {
    let objects = render(
        RUNE,
        "image: { tag: v0.1.0 }\nrune: { database: { existingSecret: rune-db-app, existingSecretKey: uri, tls: { mode: verify-full, caSecret: rune-db-ca } } }",
    );
    for name in ["api", "db-migrate", "schema"] {
        let container = objects
            .containers()
            .find(|container| container["name"] == name)
            .unwrap();
        assert_eq!(environment(container, "PGSSLMODE")["value"], "verify-full");
        assert_eq!(
            environment(container, "PGSSLROOTCERT")["value"],
            "/etc/rune-db-ca/ca.crt"
        );
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(
            mounts
                .iter()
                .any(|mount| mount["name"] == "db-ca" && mount["mountPath"] == "/etc/rune-db-ca"),
            "{name}"
        );
    }
}

/// A variable of a container's environment.
fn environment<'a>(container: &'a Value, name: &str) -> &'a Value {
    let found = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|variable| variable["name"] == name)
        .collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{name} in {}", container["name"]);
    found[0]
}
