//! The chart's backups on a real node, by the commands of the documents: a volume that is lost and
//! the same rows again; a dump that is damaged and a database that stays as it is.

use rune_testkit::cluster::{Cluster, Helm};
use serde_json::{Value, json};

use crate::{
    cluster::shell::Shell,
    cluster::support::{Images, PATIENCE, install, query, uninstall},
    docs::cluster::yaml,
};

const INSTALL: &str = "docs/operations/install.md";
const BACKUP: &str = "docs/operations/backup-restore.md";
const PUBLISHED: &str = "docs/operations/from-published-chart.md";
const MARK: &str = "SELECT value FROM marks";
const SUM: &str = "SELECT count(*), md5(string_agg(content, '' ORDER BY id)) FROM bulk";

/// The rows that come and go, and enough of them that a dump has a middle.
const ROWS: &str = "SET ROLE rune; CREATE TABLE marks (value text); INSERT INTO marks VALUES ('before the loss');
    CREATE TABLE bulk (id int, content text); INSERT INTO bulk SELECT n, md5(n::text) FROM generate_series(1, 5000) n";

/// The values of the release with those of a page on top.
fn with(values: &Value, page: &str, words: &[&str], dump: &str) -> String {
    let path = camino::Utf8Path::new(page);
    let more: Value = rune_core::yaml::from_str(path, &yaml(page, words)).unwrap();
    let mut all = values.clone();
    merge(&mut all, &more);
    all["postgres"]["restore"]["file"] = json!(dump);
    all.to_string()
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[test]
fn a_scheduled_backup_brings_the_rows_back_and_a_damaged_one_changes_nothing() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values();
    values["postgres"]["backup"] = json!({"enabled": true, "persistence": {"size": "1Gi"}});
    values["postgres"]["auth"] = json!({"existingSecret": "rune-db-secret"});
    let namespace = cluster.namespace("backup");
    let shell = Shell::with_the_chart(&cluster, Helm::Four, namespace.name());
    shell.apply(INSTALL, &["name: rune-db-secret", "stringData:"]);
    install(&namespace, Helm::Four, &values);
    query(&namespace, ROWS);
    let rows = query(&namespace, SUM);

    let said = shell.follow(BACKUP, "kubectl -n rune create job");
    let (_, dump) = said
        .split_once("dumping to ")
        .unwrap_or_else(|| panic!("no dump in: {said}"));
    let dump = dump.lines().next().unwrap().to_owned();
    query(
        &namespace,
        "UPDATE marks SET value = 'after the backup'; DELETE FROM bulk",
    );

    uninstall(&namespace, Helm::Four);
    namespace.kubectl(&[
        "delete",
        "persistentvolumeclaim",
        "rune-postgres-data",
        "--timeout=100s",
    ]);
    install(&namespace, Helm::Four, &values);
    assert_eq!(
        query(&namespace, "SELECT to_regclass('marks') IS NULL"),
        "t",
        "the volume is a new one"
    );
    // The API still runs when the restore begins: one upgrade stops it and starts the job.
    shell.write(
        "values.yaml",
        &with(&values, BACKUP, &["restore:", "confirm: rune"], &dump),
    );
    let said = shell.follow(BACKUP, "helm upgrade rune ");
    assert!(said.contains(&format!("{dump} is restored")), "{said}");
    assert_eq!(
        (query(&namespace, MARK).as_str(), query(&namespace, SUM)),
        ("before the loss", rows.clone())
    );
    assert_eq!(
        query(&namespace, "SELECT max(version) FROM schema_version"),
        "6",
        "RUNE's own tables are back too"
    );

    // A dump that somebody brings, damaged in the middle.
    shell.apply(PUBLISHED, &["name: bring-a-dump"]);
    namespace.wait("pod/bring-a-dump", "condition=Ready", PATIENCE);
    shell.type_in(&format!(
        "kubectl -n rune exec bring-a-dump -- cat /backup/{dump} > rune-published.dump"
    ));
    let mut bytes = shell.read("rune-published.dump");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0);
    shell.write_bytes("rune-published.dump", &bytes);
    shell.follow(PUBLISHED, "kubectl -n rune-new exec -i bring-a-dump");
    query(&namespace, "UPDATE marks SET value = 'after the restore'");
    shell.write(
        "values.yaml",
        &with(
            &values,
            PUBLISHED,
            &["restore:", "confirm: rune"],
            "rune-published.dump",
        ),
    );
    shell.type_in("helm upgrade rune charts/rune-0.2.0.tgz --namespace rune --values values.yaml");
    let failed = format!("--timeout={}s", PATIENCE.as_secs());
    namespace.kubectl(&[
        "wait",
        "job",
        "--selector=rune/job=restore",
        "--for=condition=Failed",
        &failed,
    ]);
    let said = namespace.kubectl(&["logs", "--selector=rune/job=restore", "--tail=-1"]);
    assert!(
        said.contains("rune-published.dump is damaged; the database is untouched"),
        "{said}"
    );
    assert_eq!(
        (query(&namespace, MARK).as_str(), query(&namespace, SUM)),
        ("after the restore", rows)
    );

    install(&namespace, Helm::Four, &values);
    assert_eq!(
        query(&namespace, MARK),
        "after the restore",
        "the API is back"
    );
}
