//! What a site puts on RUNE's tables, and what each verb makes of it.

use rune_testkit::postgres::{Database, MAJORS, PASSWORD, Server};
use serde_json::json;

use crate::legacy::ERA_B;
use rune_testkit::rows::Source;
use rune_testkit::tool::{rune_db, sqlite_execute, sqlite_query, sqlite_url};

/// An old job with one row in every table that belongs to it.
const OLD_JOB: &str = "INSERT INTO jobs VALUES ('j1', 't', 'k', 'failed', '{}', NULL, NULL, NULL, 1, 1);
    INSERT INTO workflow_events (job_id, event, status, recorded_at) VALUES ('j1', 'e', 'ok', 4e9);
    INSERT INTO audit_artifact VALUES ('a1', 'j1', 'log', 'n', 0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '', 1)";

fn migrated(server: &Server) -> Database<'_> {
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database
}

/// Runs SQL as RUNE's role.
fn as_owner(database: &Database<'_>, sql: &str) -> String {
    database.query(&format!("SET ROLE {}; {sql}", database.name()))
}

const PRUNE: &[&str] = &["prune", "--older-than", "300d"];

#[test]
fn prune_refuses_by_name_what_acts_on_deletes_in_postgres_and_changes_nothing() {
    const LOG: &str = "CREATE TABLE other (id int, job_id text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO other VALUES (1, 1); RETURN OLD; END'";
    let server = Server::shared(17);
    for (sql, words) in [
        (
            "ALTER TABLE audit_artifact ADD CONSTRAINT keep FOREIGN KEY (job_id) REFERENCES jobs ON DELETE CASCADE",
            "foreign key `keep` of table `audit_artifact` does CASCADE",
        ),
        (
            "ALTER TABLE other ADD CONSTRAINT fk FOREIGN KEY (job_id) REFERENCES jobs ON DELETE SET NULL",
            "foreign key `fk` of table `other` does SET NULL",
        ),
        (
            "ALTER TABLE other ADD CONSTRAINT fd FOREIGN KEY (job_id) REFERENCES jobs ON DELETE SET DEFAULT",
            "does SET DEFAULT",
        ),
        (
            "CREATE TRIGGER t1 AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION note()",
            "trigger `t1` acts on DELETE of table `jobs`",
        ),
        (
            "CREATE TRIGGER t2 BEFORE UPDATE OF status ON jobs FOR EACH ROW EXECUTE FUNCTION note()",
            "trigger `t2` acts on UPDATE",
        ),
        (
            "CREATE CONSTRAINT TRIGGER t3 AFTER DELETE ON workflow_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()",
            "trigger `t3`",
        ),
        (
            "CREATE TRIGGER t4 AFTER DELETE ON chain_state FOR EACH STATEMENT EXECUTE FUNCTION note(); ALTER TABLE chain_state ENABLE ALWAYS TRIGGER t4",
            "trigger `t4`",
        ),
        (
            "CREATE RULE r1 AS ON DELETE TO jobs DO INSTEAD NOTHING",
            "rule `r1` acts on DELETE",
        ),
        (
            "CREATE RULE r2 AS ON UPDATE TO jobs DO ALSO DELETE FROM other",
            "rule `r2` acts on UPDATE",
        ),
        (
            "CREATE TABLE more () INHERITS (jobs)",
            "table `more` inherits from `jobs`",
        ),
    ] {
        let database = migrated(&server);
        as_owner(&database, &format!("{OLD_JOB}; {LOG}; {sql}"));
        for dry in [&["--dry-run"][..], &[]] {
            rune_db(&[PRUNE, dry].concat())
                .on(&database.url())
                .run()
                .fails(12, &[words, "help: "]);
        }
        assert_eq!(
            database
                .query("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM audit_artifact)"),
            "1|1",
            "{sql}"
        );
        let verify = rune_db(&["status"]).on(&database.url()).run().succeeds();
        assert!(verify.contains(words), "status says so too: {verify}");
    }
}

#[test]
fn what_fires_for_a_role_that_acts_as_a_replica_is_what_counts() {
    let server = Server::shared(17);
    let database = migrated(&server);
    as_owner(
        &database,
        &format!(
            "{OLD_JOB}; CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM audit_artifact; RETURN OLD; END';
            CREATE TRIGGER replicas AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION gone(); ALTER TABLE jobs ENABLE REPLICA TRIGGER replicas;
            CREATE RULE replicas AS ON DELETE TO chain_state DO INSTEAD NOTHING; ALTER TABLE chain_state ENABLE REPLICA RULE replicas"
        ),
    );
    rune_db(&[PRUNE, &["--dry-run"]].concat())
        .on(&database.url())
        .run()
        .succeeds();
    database.query(&format!(
        "ALTER ROLE {} SET session_replication_role = replica",
        database.name()
    ));
    rune_db(PRUNE).on(&database.url()).run().fails(
        12,
        &[
            "trigger `replicas` acts on DELETE of table `jobs`",
            "rule `replicas`",
        ],
    );
    as_owner(
        &database,
        "ALTER TABLE jobs ENABLE TRIGGER replicas; ALTER TABLE chain_state ENABLE RULE replicas",
    );
    rune_db(PRUNE).on(&database.url()).run().succeeds();
    assert_eq!(
        database.query("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM audit_artifact)"),
        "0|1"
    );
}

#[test]
fn prune_goes_on_beside_what_cannot_act_on_its_deletes() {
    let server = Server::shared(17);
    let database = migrated(&server);
    as_owner(
        &database,
        &format!(
            "{OLD_JOB}; CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
            CREATE TRIGGER off BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION no(); ALTER TABLE jobs DISABLE TRIGGER off;
            CREATE TRIGGER ins BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION no();
            CREATE TRIGGER guard BEFORE DELETE ON audit_artifact FOR EACH ROW EXECUTE FUNCTION no();
            CREATE TRIGGER set BEFORE DELETE ON settings FOR EACH ROW EXECUTE FUNCTION no();
            CREATE TABLE other (job_id text REFERENCES jobs)"
        ),
    );
    let report = rune_db(PRUNE).on(&database.url()).report();
    assert_eq!(
        (&report["jobs"], &report["auditArtifacts"]),
        (&json!(1), &json!(0))
    );
    assert!(
        report["warnings"][0]
            .as_str()
            .unwrap()
            .contains("keeps the rows of `jobs` that it names"),
        "{report}"
    );
    rune_db(&[PRUNE, &["--with-audit-artifacts"]].concat())
        .on(&database.url())
        .run()
        .fails(12, &["trigger `guard`"]);
}

#[test]
fn an_allowed_cascade_is_one_transaction_that_counts_every_table_it_reaches() {
    let server = Server::shared(17);
    let database = migrated(&server);
    as_owner(
        &database,
        &format!(
            "{OLD_JOB}; ALTER TABLE audit_artifact ADD FOREIGN KEY (job_id) REFERENCES jobs ON DELETE CASCADE;
            CREATE SCHEMA site; CREATE TABLE site.\"Reports\" (id int PRIMARY KEY, job_id text REFERENCES jobs ON DELETE CASCADE);
            CREATE TABLE site.pages (report int REFERENCES site.\"Reports\" ON DELETE CASCADE);
            CREATE TABLE site.elsewhere (n int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM site.elsewhere; RETURN OLD; END';
            CREATE TRIGGER log AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION note();
            INSERT INTO site.elsewhere VALUES (1); INSERT INTO site.\"Reports\" VALUES (1, 'j1'); INSERT INTO site.pages VALUES (1), (1)"
        ),
    );
    let plan = rune_db(&[PRUNE, &["--allow-cascade", "--dry-run"]].concat())
        .on(&database.url())
        .run()
        .succeeds();
    assert!(
        plan.contains("foreign keys reach table site.pages") && plan.contains("trigger `log`"),
        "{plan}"
    );
    let report = rune_db(&[PRUNE, &["--allow-cascade"]].concat())
        .on(&database.url())
        .report();
    let table = |name: &str| {
        report["tables"]
            .as_array()
            .unwrap()
            .iter()
            .find(|table| table["table"] == name)
            .unwrap()
            .clone()
    };
    for (name, before) in [
        ("jobs", 1),
        ("audit_artifact", 1),
        ("site.\"Reports\"", 1),
        ("site.pages", 2),
    ] {
        assert_eq!(
            table(name),
            json!({"table": name, "before": before, "after": 0})
        );
    }
    assert_eq!(table("workflow_events")["after"], 1);
    assert!(
        report["warnings"].to_string().contains(
            "trigger `log` acts on DELETE of table `jobs`; what it did elsewhere is unknown"
        ),
        "{report}"
    );
    assert_eq!(database.query("SELECT count(*) FROM site.pages"), "0");
}

#[test]
fn prune_refuses_by_name_what_acts_on_deletes_in_a_file_and_counts_what_is_allowed() {
    for (sql, words) in [
        (
            "CREATE TABLE more (j TEXT REFERENCES jobs (job_id) ON DELETE CASCADE); CREATE TABLE far (m TEXT)",
            "foreign key `more.0` of table `more` does CASCADE",
        ),
        (
            "CREATE TABLE more (j TEXT REFERENCES Jobs (job_id) ON DELETE SET NULL)",
            "does SET NULL",
        ),
        (
            "CREATE TRIGGER \"t 1\" DELETE ON jobs BEGIN DELETE FROM audit_artifact; END",
            "trigger `t 1` acts on DELETE of table `jobs`",
        ),
        (
            "CREATE TRIGGER t2 AFTER UPDATE OF status ON jobs BEGIN SELECT 1; END",
            "trigger `t2` acts on UPDATE",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jobs.db");
        let url = sqlite_url(&path);
        rune_db(&["migrate"]).on(&url).run().succeeds();
        sqlite_execute(&path, &format!("{OLD_JOB}; {sql}"));
        for dry in [&["--dry-run"][..], &[]] {
            rune_db(&[PRUNE, dry].concat())
                .on(&url)
                .run()
                .fails(12, &[words, "--allow-cascade"]);
        }
        assert_eq!(
            sqlite_query(
                &path,
                "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM audit_artifact)"
            ),
            "1|1",
            "{sql}"
        );
        if sql.contains("more") {
            sqlite_execute(&path, "INSERT INTO more VALUES ('j1')");
            let report = rune_db(&[PRUNE, &["--allow-cascade"]].concat())
                .on(&url)
                .report();
            let more = report["tables"]
                .as_array()
                .unwrap()
                .iter()
                .find(|table| table["table"] == "\"more\"")
                .unwrap();
            assert_eq!(more["before"], 1, "{report}");
            assert_eq!(
                sqlite_query(&path, "SELECT count(*) FROM more WHERE j = 'j1'"),
                "0"
            );
        } else {
            rune_db(&[PRUNE, &["--allow-cascade"]].concat())
                .on(&url)
                .run()
                .succeeds();
        }
        assert_eq!(sqlite_query(&path, "SELECT count(*) FROM jobs"), "0");
    }
}

#[test]
fn an_age_in_minutes_or_of_nothing_is_refused_with_what_is_meant() {
    for (age, words) in [("3m", "`90d`"), ("0d", "the shortest age is `1h`")] {
        rune_db(&["prune", "--older-than", age])
            .on("sqlite:////nowhere.db")
            .run()
            .fails(2, &[words]);
    }
}

/// Every verb that reads or writes rows, in a form that could run; `{file}` is a name that is free.
const VERBS: &[&[&str]] = &[
    &["backup", "--output", "{file}"],
    &["export-sqlite", "--output", "{file}"],
    &["prune", "--older-than", "90d", "--dry-run"],
    &["jobs", "list"],
    &["events", "list"],
    &["settings", "list"],
    &["repair", "--dry-run"],
];

#[test]
fn runes_tables_in_two_schemas_are_refused_unless_the_url_names_one() {
    let server = Server::shared(17);
    let database = migrated(&server);
    let name = database.name();
    as_owner(
        &database,
        &format!(
            "{OLD_JOB}; CREATE SCHEMA {name}; CREATE TABLE {name}.jobs (LIKE public.jobs INCLUDING ALL)"
        ),
    );
    as_owner(
        &database,
        &format!(
            "CREATE TABLE {name}.schema_version (LIKE public.schema_version INCLUDING ALL); INSERT INTO {name}.schema_version SELECT * FROM public.schema_version"
        ),
    );
    let (directory, url) = (tempfile::tempdir().unwrap(), database.url());
    let named = format!("{url}?options=-csearch_path%3Dpublic");
    for (number, verb) in VERBS.iter().enumerate() {
        let file = directory.path().join(number.to_string());
        let verb: Vec<&str> = verb
            .iter()
            .map(|word| {
                if *word == "{file}" {
                    file.to_str().unwrap()
                } else {
                    word
                }
            })
            .collect();
        let with_source = |url: &str| {
            if verb[0] == "export-sqlite" {
                rune_db(&[&verb[..], &["--source", url]].concat())
            } else {
                rune_db(&verb).on(url)
            }
        };
        with_source(&url).run().fails(
            12,
            &["RUNE's tables exist in schema `public`", "%3Dpublic`"],
        );
        assert!(!file.exists(), "{verb:?}");
        with_source(&named).run().succeeds();
    }
    let verify = rune_db(&["verify"]).on(&url).run();
    assert!(
        verify.code == 5
            && verify
                .stdout
                .contains("RUNE's tables exist in schema `public`"),
        "{verify:?}"
    );
    let status = rune_db(&["status"]).on(&named).run().succeeds();
    assert!(
        status.contains(&format!(
            "exist in schema `{name}` too; the URL names schema `public`"
        )),
        "{status}"
    );
    rune_db(&["verify"]).on(&named).run().succeeds();
}

#[test]
fn the_advice_for_a_schema_of_any_name_can_be_pasted_into_the_url() {
    const ODD: &str = "Odd \"Sch\\ema, é";
    let server = Server::shared(17);
    let database = migrated(&server);
    let quoted = format!("\"{}\"", ODD.replace('"', "\"\""));
    as_owner(
        &database,
        &format!(
            "CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.jobs (LIKE public.jobs INCLUDING ALL)"
        ),
    );
    database.query(&format!(
        "ALTER ROLE {} SET search_path = {quoted}",
        database.name()
    ));
    let ended = rune_db(&["jobs", "list"]).on(&database.url()).run();
    ended.fails(12, &["exist in schema `public`"]);
    let options = ended
        .stderr
        .split('`')
        .find(|word| word.starts_with("?options="))
        .unwrap();
    let status = rune_db(&["status"])
        .on(&format!("{}{options}", database.url()))
        .run();
    assert!(
        status
            .stdout
            .contains("in schema `public` too; the URL names schema `Odd"),
        "{status:?}"
    );
}

#[test]
fn a_repair_names_what_depends_on_the_columns_that_it_would_alter() {
    let servers = MAJORS.map(|major| (major, Server::shared(major)));
    for (major, sql, words) in [
        (
            17,
            "CREATE VIEW report AS SELECT duration_ms FROM workflow_events",
            "view report prevents altering the type of `workflow_events.duration_ms`",
        ),
        (
            15,
            "CREATE MATERIALIZED VIEW m AS SELECT created_at FROM jobs",
            "materialized view m prevents altering the type of `jobs.created_at`",
        ),
        (
            17,
            "CREATE RULE r AS ON UPDATE TO jobs WHERE new.updated_at > 1 DO ALSO SELECT 1",
            "rule r on table jobs prevents altering",
        ),
        (
            17,
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE UPDATE OF updated_at ON jobs FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger t on table jobs prevents altering",
        ),
        (
            17,
            "CREATE POLICY p ON jobs USING (created_at > 0)",
            "policy p on table jobs prevents altering",
        ),
        (
            18,
            "ALTER TABLE jobs ADD COLUMN day real GENERATED ALWAYS AS (created_at / 86400) STORED",
            "column day of table jobs prevents altering",
        ),
        (
            16,
            "CREATE PUBLICATION pub FOR TABLE jobs WHERE (updated_at > 1)",
            "publication",
        ),
        (
            17,
            "CREATE TABLE kept (job jobs)",
            "column kept.job holds whole rows of `jobs`",
        ),
        (
            17,
            "CREATE DOMAIN whole AS jobs; CREATE TABLE kept (job whole)",
            "column kept.job holds whole rows of `jobs`",
        ),
        (
            15,
            "CREATE TYPE pair AS (job jobs, note text); CREATE TABLE kept (pairs pair[])",
            "column kept.pairs holds whole rows of `jobs`",
        ),
        (
            17,
            "CREATE FUNCTION g() RETURNS real LANGUAGE sql BEGIN ATOMIC SELECT max(created_at) FROM jobs; END",
            "function g() prevents altering",
        ),
    ] {
        let server = servers
            .iter()
            .find(|(known, _)| *known == major)
            .map(|(_, server)| server)
            .unwrap();
        let database = server.database();
        as_owner(&database, ERA_B);
        if sql.contains("PUBLICATION") {
            database.query(sql)
        } else {
            as_owner(&database, sql)
        };
        for dry in [&["repair", "--dry-run"][..], &["repair", "--wait", "0s"]] {
            rune_db(dry)
                .on(&database.url())
                .run()
                .fails(12, &[words, "help: "]);
        }
        let narrow = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND atttypid = 'real'::regtype AND attname LIKE '%ed_at'";
        assert_eq!(database.query(narrow), "2", "{sql}");
    }
}

#[test]
fn a_view_or_foreign_table_under_runes_name_is_named() {
    let server = Server::shared(17);
    let database = migrated(&server);
    as_owner(
        &database,
        "ALTER TABLE settings RENAME TO kept; CREATE VIEW settings AS SELECT * FROM kept",
    );
    for verb in [
        &["jobs", "list"][..],
        &["prune", "--older-than", "90d"],
        &["settings", "set", "k", "{}"],
    ] {
        rune_db(verb)
            .on(&database.url())
            .run()
            .fails(12, &["`settings` is a view, not an ordinary table"]);
    }
    let verify = rune_db(&["verify"]).on(&database.url()).run();
    assert!(
        verify.code == 5 && verify.stdout.contains("`settings` is a view"),
        "{verify:?}"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    sqlite_execute(
        &path,
        "ALTER TABLE settings RENAME TO kept; CREATE VIEW settings AS SELECT * FROM kept; CREATE TRIGGER t INSTEAD OF DELETE ON settings BEGIN SELECT 1; END",
    );
    rune_db(&["settings", "set", "k", "{}"])
        .on(&sqlite_url(&path))
        .run()
        .fails(12, &["`settings` is a view, not an ordinary table"]);
}

#[test]
fn a_move_names_what_its_rows_would_meet_before_the_first_is_sent() {
    let source = Source::with_rows();
    for major in [15, 18] {
        let server = Server::shared(major);
        for (sql, code, words) in [
            (
                "ALTER TABLE jobs SET UNLOGGED",
                12,
                "table `jobs` is UNLOGGED",
            ),
            (
                "CREATE TRIGGER drop BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION f()",
                12,
                "trigger `drop` acts on INSERT",
            ),
            (
                "CREATE TABLE child () INHERITS (settings)",
                12,
                "table `child` inherits from `settings`",
            ),
            (
                "ALTER TABLE jobs DROP COLUMN message; ALTER TABLE jobs ADD COLUMN message text GENERATED ALWAYS AS (kind) STORED",
                12,
                "column `message` of table `jobs` is generated",
            ),
            (
                "ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; ALTER TABLE jobs FORCE ROW LEVEL SECURITY",
                9,
                "row-level security of table `jobs`",
            ),
        ] {
            let database = migrated(&server);
            as_owner(
                &database,
                &format!(
                    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; {sql}"
                ),
            );
            for dry in [&["--dry-run"][..], &[]] {
                let (from, to) = (source.url(), database.url());
                let call = [
                    &["migrate-to-postgres", "--source", &from, "--target", &to],
                    dry,
                ]
                .concat();
                rune_db(&call).run().fails(code, &[words, "help: "]);
            }
        }
    }
}

#[test]
fn what_a_site_defers_to_the_commit_happens_before_the_proof_of_a_move() {
    let (server, source) = (Server::shared(17), Source::with_rows());
    let database = migrated(&server);
    as_owner(
        &database,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM settings; RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let (from, to) = (source.url(), database.url());
    let call = ["migrate-to-postgres", "--source", &from, "--target", &to];
    let plan = rune_db(&[&call[..], &["--dry-run"]].concat())
        .run()
        .succeeds();
    assert!(
        plan.contains("trigger `late` acts on INSERT of table `settings`"),
        "{plan}"
    );
    rune_db(&call).run().fails(6, &["settings"]);
    assert_eq!(database.query("SELECT count(*) FROM jobs"), "0");
}

#[test]
fn a_plan_on_a_standby_or_behind_a_sites_fence_says_that_it_cannot_be_done() {
    let server = Server::start(17);
    let database = server.database();
    database.query(&format!(
        "ALTER ROLE {} SET default_transaction_read_only = on",
        database.name()
    ));
    for verb in [&["migrate"][..], &["migrate", "--dry-run"]] {
        rune_db(verb)
            .on(&database.url())
            .run()
            .fails(9, &["default_transaction_read_only"]);
    }
}

#[test]
fn a_plan_names_the_event_triggers_and_publications_that_it_would_meet() {
    let server = Server::shared(17);
    let database = server.database();
    as_owner(&database, ERA_B);
    database.query("CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION e()");
    database.query("CREATE PUBLICATION copies FOR TABLE jobs");
    for verb in [
        &["migrate", "--dry-run"][..],
        &["repair", "--dry-run"],
        &["repair"],
    ] {
        let text = rune_db(verb).on(&database.url()).run().succeeds();
        assert!(
            text.contains("event trigger `watch`")
                && text.contains("publication `copies` sends changes of table `jobs`"),
            "{text}"
        );
    }
}

#[test]
fn a_role_that_may_not_be_acted_as_is_named_with_the_grant() {
    let server = Server::shared(17);
    let database = server.database();
    let owner = database.name();
    let other = format!("{owner}_member");
    database.query(&format!(
        "CREATE ROLE {other} LOGIN PASSWORD '{PASSWORD}'; GRANT {owner} TO {other} WITH SET FALSE"
    ));
    let ended = rune_db(&["migrate", "--owner", owner])
        .on(&database.url_of(&other))
        .run();
    ended.fails(9, &[&format!("`GRANT \"{owner}\" TO … WITH SET TRUE`")]);
    database.query(&format!("DROP ROLE {other}"));
}

#[test]
fn a_publication_of_a_table_without_replica_identity_is_refused_by_the_verbs_whose_statements_it_forbids()
 {
    const SET: &[&str] = &["settings", "set", "k", "{\"a\": 1}"];
    const DELETE: &[&str] = &["settings", "delete", "k"];
    const STALE: &[&str] = &["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"];
    let server = Server::shared(17);
    // What the site did, and the verbs that the server would refuse with 55000.
    for (sql, refused) in [
        (
            "ALTER TABLE settings REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE settings",
            &[SET, DELETE][..],
        ),
        (
            "ALTER TABLE settings REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE settings WITH (publish = 'update')",
            &[SET],
        ),
        (
            "ALTER TABLE settings REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE settings WITH (publish = 'delete')",
            &[DELETE],
        ),
        (
            "ALTER TABLE settings REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE settings WITH (publish = 'insert')",
            &[],
        ),
        (
            "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey CASCADE; CREATE PUBLICATION p FOR ALL TABLES",
            &[PRUNE, STALE],
        ),
        (
            "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD PRIMARY KEY (job_id) DEFERRABLE; CREATE PUBLICATION p FOR TABLES IN SCHEMA public",
            &[PRUNE, STALE],
        ),
        (
            "CREATE UNIQUE INDEX other ON jobs (job_id); ALTER TABLE jobs REPLICA IDENTITY USING INDEX other; DROP INDEX other; CREATE PUBLICATION p FOR TABLE jobs WITH (publish = 'delete')",
            &[PRUNE],
        ),
        (
            "ALTER TABLE jobs REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR ALL TABLES",
            &[],
        ),
    ] {
        for verb in [SET, STALE, PRUNE, DELETE] {
            let database = migrated(&server);
            database.query(&format!("{OLD_JOB}; INSERT INTO jobs VALUES ('j2', 't', 'k', 'running', '{{}}', NULL, NULL, NULL, 1, 1); INSERT INTO settings VALUES ('k', '{{}}', 1)"));
            database.query(sql);
            let ended = rune_db(verb).on(&database.url()).run();
            if refused.contains(&verb) {
                ended.fails(
                    12,
                    &[
                        "publication `p` sends",
                        "which has no replica identity",
                        "REPLICA IDENTITY FULL",
                    ],
                );
                assert_eq!(database.query("SELECT (SELECT count(*) FROM jobs), (SELECT string_agg(value_json, '') FROM settings)"), "2|{}");
            } else {
                assert_eq!(ended.code, 0, "{sql}: {verb:?}: {ended:?}");
            }
        }
    }
}

#[test]
fn a_child_table_is_one_finding() {
    let server = Server::shared(17);
    let database = migrated(&server);
    as_owner(&database, "CREATE TABLE jobs_old () INHERITS (jobs)");
    let verify = rune_db(&["verify"]).on(&database.url()).run();
    assert!(
        verify.code == 5 && verify.stdout.matches("jobs_old").count() == 1,
        "{verify:?}"
    );
}
