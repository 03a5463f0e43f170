//! What a site's triggers, rules and foreign keys do when a verb changes single rows: named, and
//! never an undone change that is reported as done.

use rune_testkit::postgres::Server;
use serde_json::Value;

use rune_testkit::rows::Source;
use rune_testkit::tool::{rune_db, sqlite_query};

const ROWS: &str = "INSERT INTO settings VALUES ('k', '{}', 1); INSERT INTO jobs VALUES ('j1', 't', 'k', 'running', '{}', NULL, NULL, NULL, 1, 1)";
const SET: &[&str] = &["settings", "set", "k", "{\"a\": 1}"];
const DELETE: &[&str] = &["settings", "delete", "k"];
const STALE: &[&str] = &["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"];
const STATE: &str = "SELECT (SELECT count(*) FROM settings WHERE value_json = '{}'), (SELECT count(*) FROM jobs WHERE status = 'running')";

fn file_with(sql: &str) -> Source {
    let source = Source::empty();
    source.execute(&format!("{ROWS}; {sql}"));
    source
}

fn warnings(report: &Value) -> String {
    report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| format!("{}\n", warning.as_str().unwrap()))
        .collect()
}

#[test]
fn a_trigger_or_key_of_a_file_that_acts_on_the_change_is_named() {
    for (sql, verb, words) in [
        (
            "CREATE TRIGGER t AFTER UPDATE ON settings BEGIN DELETE FROM jobs; END",
            SET,
            "trigger `t` acts on UPDATE of table `settings`; what it does elsewhere",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON settings BEGIN SELECT 1; END",
            SET,
            "trigger `t` acts on INSERT",
        ),
        (
            "CREATE TRIGGER t AFTER DELETE ON settings BEGIN DELETE FROM jobs; END",
            DELETE,
            "trigger `t` acts on DELETE",
        ),
        (
            "CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN DELETE FROM settings; END",
            STALE,
            "trigger `t` acts on UPDATE of table `jobs`",
        ),
        (
            "CREATE TABLE more (k TEXT REFERENCES settings ON DELETE CASCADE)",
            DELETE,
            "foreign key `more.0` of table `more` does CASCADE when a row of `settings` is deleted",
        ),
    ] {
        let source = file_with(sql);
        let report = rune_db(verb).on(&source.url()).report();
        assert!(warnings(&report).contains(words), "{report}");
    }
    let quiet = "CREATE TRIGGER a AFTER DELETE ON settings BEGIN SELECT 1; END; CREATE TRIGGER b AFTER INSERT ON jobs BEGIN SELECT 1; END";
    for verb in [SET, STALE] {
        let report = rune_db(verb).on(&file_with(quiet).url()).report();
        assert_eq!(warnings(&report), "", "{verb:?}");
    }
    let source = file_with("CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN SELECT 1; END");
    let dry = rune_db(&[STALE, &["--dry-run"]].concat())
        .on(&source.url())
        .run()
        .succeeds();
    assert!(
        dry.starts_with("warning: trigger `t` acts on UPDATE of table `jobs`"),
        "{dry}"
    );
}

#[test]
fn a_change_that_a_trigger_of_a_file_undoes_is_an_error_and_rolled_back() {
    for (sql, verb) in [
        (
            "CREATE TRIGGER t BEFORE INSERT ON settings BEGIN SELECT RAISE(IGNORE); END",
            SET,
        ),
        (
            "CREATE TRIGGER t AFTER UPDATE ON settings WHEN new.value_json <> old.value_json BEGIN UPDATE settings SET value_json = old.value_json; END",
            SET,
        ),
        (
            "CREATE TRIGGER t BEFORE DELETE ON settings BEGIN SELECT RAISE(IGNORE); END",
            DELETE,
        ),
        (
            "CREATE TRIGGER t AFTER DELETE ON settings BEGIN INSERT INTO settings VALUES (old.key, old.value_json, 2); END",
            DELETE,
        ),
        (
            "CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN UPDATE jobs SET status = old.status WHERE job_id = old.job_id; END",
            STALE,
        ),
        (
            "CREATE TRIGGER t BEFORE UPDATE ON jobs BEGIN SELECT RAISE(IGNORE); END",
            STALE,
        ),
    ] {
        let source = file_with(sql);
        rune_db(verb).on(&source.url()).run().fails(
            12,
            &[
                "was undone or altered by a trigger or rule of this site",
                "rune-db status",
            ],
        );
        assert_eq!(sqlite_query(&source.path(), STATE), "1|1", "{sql}");
    }
}

const FUNCTION: &str = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS";

#[test]
fn a_trigger_rule_or_key_on_a_server_that_acts_on_the_change_is_named() {
    let server = Server::shared(17);
    for (sql, verb, words) in [
        (
            format!(
                "{FUNCTION} 'BEGIN DELETE FROM jobs; RETURN NULL; END'; CREATE TRIGGER t AFTER UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            SET,
            "trigger `t` acts on UPDATE of table `settings`; what it does elsewhere is unknown",
        ),
        (
            format!(
                "{FUNCTION} 'BEGIN DELETE FROM settings; RETURN NULL; END'; CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            STALE,
            "trigger `t` acts on UPDATE of table `jobs`",
        ),
        (
            "CREATE RULE r AS ON DELETE TO settings DO ALSO DELETE FROM jobs".to_owned(),
            DELETE,
            "rule `r` acts on DELETE of table `settings`",
        ),
        (
            "CREATE TABLE more (k text REFERENCES settings ON DELETE CASCADE)".to_owned(),
            DELETE,
            "foreign key `more_k_fkey` of table `more` does CASCADE when a row of `settings` is deleted",
        ),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {ROWS}; {sql}", database.name()));
        let report = rune_db(verb).on(&database.url()).report();
        assert!(warnings(&report).contains(words), "{report}");
    }
}

#[test]
fn a_change_that_a_trigger_or_rule_of_a_server_undoes_is_an_error_and_rolled_back() {
    let server = Server::shared(17);
    for (sql, verb) in [
        (
            format!(
                "{FUNCTION} 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT OR UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            SET,
        ),
        (
            format!(
                "{FUNCTION} 'BEGIN new.value_json = ''{{}}''; RETURN new; END'; CREATE TRIGGER t BEFORE UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            SET,
        ),
        (
            format!(
                "{FUNCTION} 'BEGIN UPDATE settings SET value_json = ''{{}}'' WHERE value_json <> ''{{}}''; RETURN NULL; END'; CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            SET,
        ),
        (
            "CREATE RULE r AS ON DELETE TO settings DO INSTEAD NOTHING".to_owned(),
            DELETE,
        ),
        (
            "CREATE RULE r AS ON UPDATE TO jobs DO INSTEAD NOTHING".to_owned(),
            STALE,
        ),
        (
            format!(
                "{FUNCTION} 'BEGIN new.status = old.status; RETURN new; END'; CREATE TRIGGER t BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            STALE,
        ),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {ROWS}; {sql}", database.name()));
        rune_db(verb).on(&database.url()).run().fails(
            12,
            &[
                "was undone or altered by a trigger or rule of this site",
                "rune-db status",
            ],
        );
        assert_eq!(database.query(STATE), "1|1", "{sql}");
    }
}
