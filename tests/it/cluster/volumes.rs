//! The bundled PostgreSQL and the storage of a node: a claim that another chart filled, a volume
//! that sets no owner, data on no volume.

use std::{fs, os::unix::fs::chown};

use rune_testkit::{
    cluster::{Cluster, Helm, ImageLayout, Namespace},
    poll::poll,
};
use serde_json::{Value, json};

use crate::{
    charts::support::project,
    cluster::shell::Shell,
    cluster::support::{DATABASE, PATIENCE, query, values_file, wait_until},
};

const CHART: &str = "charts/rune/charts/postgres";
const OTHER: &str = "docs/operations/from-another-chart.md";
const PUBLISHED: &str = "docs/operations/from-published-chart.md";
const INSTALL: &str = "docs/operations/install.md";

/// Values of the chart alone, for a small node.
pub(crate) fn values(cluster: &Cluster) -> Value {
    let digest = cluster.push(&ImageLayout::postgres(), "library/postgres:17-alpine");
    json!({
        "image": {"digest": digest},
        "auth": {"existingSecret": "rune-db-secret"},
        "persistence": {"size": "1Gi"},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "backup": {"persistence": {"size": "1Gi"}},
    })
}

/// Installs or upgrades the chart and waits for nothing.
pub(crate) fn begin(namespace: &Namespace<'_>, values: &Value) {
    let file = values_file(values);
    let arguments = [
        "upgrade",
        "--install",
        "rune",
        CHART,
        "--values",
        file.path().to_str().unwrap(),
    ];
    namespace
        .helm(Helm::Four, &arguments)
        .unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) fn is_ready(namespace: &Namespace<'_>) {
    wait_until("the pod is there", || {
        namespace.try_kubectl(&["get", "pod", DATABASE]).is_ok()
    });
    namespace.wait(&format!("pod/{DATABASE}"), "condition=Ready", PATIENCE);
}

/// Waits until the bootstrap has refused with these words and exit code 64.
fn refuses(namespace: &Namespace<'_>, expected: &str) {
    let mut said = Vec::new();
    let has_refused = poll(PATIENCE, || {
        let pod = namespace
            .try_kubectl(&["get", "pod", DATABASE, "--output=json"])
            .unwrap_or_else(|_| "{}".to_owned());
        let pod: Value = serde_json::from_str(&pod).unwrap();
        let status = &pod["status"]["initContainerStatuses"][0];
        // The run that refused may be the one before by now, of which the log is another: both are
        // read.
        let log = |which: &[&str]| {
            namespace.try_kubectl(&[&["logs", DATABASE, "--container=bootstrap"], which].concat())
        };
        said = [&[][..], &["--previous"]]
            .into_iter()
            .filter_map(|which| log(which).ok())
            .collect();
        let is_ended = ["state", "lastState"]
            .iter()
            .any(|state| status[state]["terminated"]["exitCode"] == 64);
        is_ended && said.iter().any(|said| said.contains(expected))
    });
    assert!(
        has_refused,
        "{expected:?} is not in {said:?}\n{}",
        namespace.describe()
    );
}

/// The chart that was there before: the official image with its data in a directory of the volume,
/// and rows.
fn other_chart(namespace: &Namespace<'_>, image: &str) {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-old-postgresql-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old-postgresql-0"},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1001, "runAsGroup": 1001, "fsGroup": 1001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image,
                "env": [{"name": "PGDATA", "value": "/old/data"}, {"name": "POSTGRES_PASSWORD", "value": "x"}, {"name": "POSTGRES_DB", "value": "rune"}],
                "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "postgres"]}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "old", "mountPath": "/old"}, {"name": "run", "mountPath": "/var/run/postgresql"}],
            }],
            "volumes": [{"name": "old", "persistentVolumeClaim": {"claimName": "data-old-postgresql-0"}}, {"name": "run", "emptyDir": {}}],
        },
    });
    namespace.apply(&[claim, pod]);
    namespace.wait("pod/old-postgresql-0", "condition=Ready", PATIENCE);
    let rows = "CREATE TABLE jobs (id int, content text); INSERT INTO jobs SELECT n, md5(n::text) FROM generate_series(1, 1000) n";
    namespace
        .exec(
            "old-postgresql-0",
            "main",
            &["psql", "-U", "postgres", "-d", "rune", "-c", rows],
        )
        .unwrap();
}

#[test]
fn a_claim_that_another_chart_filled_is_refused_and_its_data_come_over() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = values(&cluster);
    let namespace = cluster.namespace("foreign");
    let shell = Shell::with_the_chart(&cluster, Helm::Four, namespace.name());
    shell.apply(INSTALL, &["name: rune-db-secret", "stringData:"]);
    other_chart(
        &namespace,
        &format!(
            "docker.io/library/postgres:17-alpine@{}",
            values["image"]["digest"].as_str().unwrap()
        ),
    );
    shell.follow(OTHER, "kubectl -n rune exec old-postgresql-0");
    let first = shell.read("rune-published.dump");
    namespace.kubectl(&["delete", "pod", "old-postgresql-0", "--timeout=100s"]);

    values["persistence"]["existingClaim"] = json!("data-old-postgresql-0");
    begin(&namespace, &values);
    refuses(
        &namespace,
        "the volume holds a data directory in data/ (PostgreSQL 17), as other charts make it",
    );
    namespace.helm(Helm::Four, &["uninstall", "rune"]).unwrap();
    namespace.wait(&format!("pod/{DATABASE}"), "delete", PATIENCE);

    // Only the claim is left, and nothing has changed on it but the group.
    shell.apply(OTHER, &["name: old-data"]);
    let said = shell.follow(
        OTHER,
        "kubectl -n rune wait --for=condition=Ready pod/old-data",
    );
    assert!(said.contains("rune"), "{said}");
    let dump = shell.read("rune-published.dump");
    assert!(
        dump.len() > 10_000 && dump.len().abs_diff(first.len()) < 1_000,
        "{} and {}",
        first.len(),
        dump.len()
    );

    values["persistence"]["existingClaim"] = json!("");
    values["backup"]["enabled"] = json!(true);
    begin(&namespace, &values);
    is_ready(&namespace);
    shell.apply(PUBLISHED, &["name: bring-a-dump"]);
    namespace.wait("pod/bring-a-dump", "condition=Ready", PATIENCE);
    shell.follow(PUBLISHED, "kubectl -n rune-new exec -i bring-a-dump");
    values["restore"] = json!({"file": "rune-published.dump", "confirm": "rune"});
    begin(&namespace, &values);
    let complete = format!("--timeout={}s", PATIENCE.as_secs());
    wait_until("the job is there", || {
        namespace
            .kubectl(&[
                "get",
                "jobs",
                "--selector=rune/job=restore",
                "--output=name",
            ])
            .contains("restore")
    });
    namespace.kubectl(&[
        "wait",
        "job",
        "--selector=rune/job=restore",
        "--for=condition=Complete",
        &complete,
    ]);
    let rows = query(
        &namespace,
        "SELECT count(*), md5(string_agg(content, '' ORDER BY id)), pg_get_userbyid(min(relowner)) FROM jobs, pg_class WHERE relname = 'jobs'",
    );
    let expected = query(
        &namespace,
        "SELECT count(*), md5(string_agg(md5(n::text), '' ORDER BY n)) FROM generate_series(1, 1000) n",
    );
    assert_eq!(rows, format!("{expected}|rune"));
}

/// A volume for which the kubelet sets no owner, as NFS and hostPath are: its directory, and the
/// claim for it.
fn hand_made_volume(namespace: &Namespace<'_>, directory: &std::path::Path) -> [Value; 2] {
    let name = format!("hand-made-{}", namespace.name());
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "hand-made"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}});
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": directory, "type": "Directory"},
            "claimRef": {"namespace": namespace.name(), "name": "hand-made"}}});
    [volume, claim]
}

#[test]
fn a_volume_without_an_owner_ends_with_a_sentence_and_works_once_it_has_one() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = values(&cluster);
    let namespace = cluster.namespace("owner");
    let shell = Shell::with_the_chart(&cluster, Helm::Four, namespace.name());
    shell.apply(INSTALL, &["name: rune-db-secret", "stringData:"]);
    let directory = tempfile::Builder::new()
        .prefix("hand-made")
        .tempdir_in(cluster.hosts_directory().parent().unwrap())
        .unwrap();
    let [volume, claim] = hand_made_volume(&namespace, directory.path());
    cluster.apply(std::slice::from_ref(&volume));
    namespace.apply(&[claim]);
    values["persistence"]["existingClaim"] = json!("hand-made");
    begin(&namespace, &values);
    refuses(&namespace, "cannot write to the volume: ");
    chown(directory.path(), Some(70), Some(70)).unwrap();
    is_ready(&namespace);

    // The data of another user, for whom this pod is nobody.
    let data = directory.path().join("17/docker");
    chown(&data, Some(4711), Some(70)).unwrap();
    fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();
    namespace.kubectl(&["delete", "pod", DATABASE, "--timeout=150s"]);
    refuses(
        &namespace,
        "PostgreSQL starts as the owner of its data directory",
    );
    chown(&data, Some(70), Some(70)).unwrap();
    is_ready(&namespace);
    namespace.helm(Helm::Four, &["uninstall", "rune"]).unwrap();
    namespace.wait(&format!("pod/{DATABASE}"), "delete", PATIENCE);
    cluster.kubectl(&[
        "delete",
        "persistentvolume",
        volume["metadata"]["name"].as_str().unwrap(),
        "--wait=false",
    ]);
}

/// The values of a section of a page, in YAML.
fn values_of(page: &str, section: &str) -> String {
    let page = fs::read_to_string(project().join(page)).unwrap();
    let after = page
        .split(section)
        .nth(1)
        .unwrap()
        .split("```yaml\n")
        .nth(1)
        .unwrap();
    after.split("```").next().unwrap().to_owned()
}

/// The node here has none, so nothing can run with them; that its API server takes what is rendered
/// is seen all the same.
#[test]
fn an_api_server_takes_the_values_for_huge_pages_that_the_page_has() {
    let Some(cluster) = Cluster::up() else { return };
    let namespace = cluster.namespace("pages");
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let offer = |values: &str| {
        fs::write(file.path(), values).unwrap();
        let path = file.path().to_str().unwrap();
        let chart = [
            "template",
            "rune",
            "charts/rune",
            "--values",
            path,
            "--set",
            "rune.database.allowUnprovenImage=true",
            "--namespace",
            namespace.name(),
        ];
        let rendered = namespace.helm(Helm::Four, &chart).unwrap();
        let sets = rendered
            .split("\n---\n")
            .filter(|object| object.contains("\nkind: StatefulSet\n"));
        fs::write(file.path(), sets.collect::<Vec<_>>().join("\n---\n")).unwrap();
        namespace.try_kubectl(&[
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            path,
        ])
    };
    let values = values_of(INSTALL, "### Huge pages");
    assert!(
        values.contains("hugepages-2Mi") && values.contains("huge_pages: \"on\""),
        "{values}"
    );
    let said = offer(&values).unwrap();
    assert!(
        said.contains("statefulset.apps/rune-postgres created (server dry run)"),
        "{said}"
    );
    // It looks at them: a request that is not the limit is refused.
    let other = values.replace(
        "    limits: {",
        "    requests: { hugepages-2Mi: 128Mi }\n    limits: {",
    );
    let said = offer(&other).unwrap_err();
    assert!(said.contains("hugepages-2Mi"), "{said}");
}

/// What a database writes without a volume must fit the limit that the kubelet watches.
#[test]
fn without_a_volume_a_database_may_write_more_than_its_other_files_may_take() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = values(&cluster);
    values["persistence"] = json!({"enabled": false, "size": "2Gi"});
    values["resources"]["limits"]["ephemeral-storage"] = json!("256Mi");
    let namespace = cluster.namespace("temporary");
    let shell = Shell::with_the_chart(&cluster, Helm::Four, namespace.name());
    shell.apply(INSTALL, &["name: rune-db-secret", "stringData:"]);
    begin(&namespace, &values);
    is_ready(&namespace);
    query(
        &namespace,
        "CREATE TABLE bulk AS SELECT n, md5(n::text) AS content FROM generate_series(1, 600000) n; UPDATE bulk SET content = content || 'x'; CHECKPOINT",
    );
    // The kubelet measures now and then; once it has seen more than the old limit, it would have
    // evicted the pod.
    wait_until("the kubelet has measured it", || {
        used_bytes(&cluster, &namespace) > Some(256 << 20)
    });
    assert_eq!(query(&namespace, "SELECT count(*) FROM bulk"), "600000");
    let pod = namespace.get(&format!("pod/{DATABASE}"));
    assert_eq!(pod["status"]["phase"], "Running", "{}", pod["status"]);
}

/// How much temporary storage the kubelet counts for the database's pod.
fn used_bytes(cluster: &Cluster, namespace: &Namespace<'_>) -> Option<u64> {
    let node = cluster.kubectl(&[
        "get",
        "nodes",
        "--output=jsonpath={.items[0].metadata.name}",
    ]);
    let stats: Value = serde_json::from_str(&cluster.kubectl(&[
        "get",
        "--raw",
        &format!("/api/v1/nodes/{node}/proxy/stats/summary"),
    ]))
    .unwrap();
    let pods = stats["pods"].as_array()?.iter();
    let mut ours = pods.filter(|pod| {
        pod["podRef"]["namespace"] == namespace.name() && pod["podRef"]["name"] == DATABASE
    });
    ours.next()?["ephemeral-storage"]["usedBytes"].as_u64()
}
