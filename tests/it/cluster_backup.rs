//! The chart's backups on a real node: a scheduled one, a volume that is lost, and the same rows again.

use rune_testkit::cluster::{Cluster, Helm};
use serde_json::json;

use crate::cluster_support::{Images, PATIENCE, install, query, uninstall};

const MARK: &str = "SELECT value FROM marks";

#[test]
fn a_scheduled_backup_brings_the_rows_back_after_the_volume_was_lost() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values();
    values["postgres"]["backup"] = json!({"enabled": true, "persistence": {"size": "1Gi"}});
    let namespace = cluster.namespace("backup");
    install(&namespace, Helm::Four, &values);
    query(&namespace, "SET ROLE rune; CREATE TABLE marks (value text); INSERT INTO marks VALUES ('before the loss')");

    namespace.kubectl(&["create", "job", "by-hand", "--from=cronjob/rune-postgres-backup"]);
    namespace.wait("job/by-hand", "condition=Complete", PATIENCE);
    let said = namespace.kubectl(&["logs", "job/by-hand"]);
    let (_, dump) = said.split_once("dumping to ").unwrap_or_else(|| panic!("no dump in: {said}"));
    let dump = dump.lines().next().unwrap();
    query(&namespace, "UPDATE marks SET value = 'after the backup'");

    uninstall(&namespace, Helm::Four);
    namespace.kubectl(&["delete", "persistentvolumeclaim", "rune-postgres-data", "--timeout=100s"]);
    values["replicaCount"] = json!(0);
    values["postgres"]["restore"] = json!({"file": dump, "confirm": "rune"});
    install(&namespace, Helm::Four, &values);
    let jobs = namespace.kubectl(&["get", "jobs", "--output=name"]);
    let restore = jobs.lines().find(|name| name.contains("rune-postgres-restore-")).unwrap_or_else(|| panic!("no restore in: {jobs}"));
    namespace.wait(restore, "condition=Complete", PATIENCE);
    assert_eq!(query(&namespace, MARK), "before the loss");
    assert_eq!(query(&namespace, "SELECT max(version) FROM schema_version"), "6", "RUNE's own tables are back too");
}
