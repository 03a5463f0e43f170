//! What gives out the ids of events: `verify`, `repair`, `backup` and the move agree about it.

use rune_testkit::postgres::{MAJORS, Server};

use rune_testkit::rows::Source;
use rune_testkit::tool::{rune_db, sqlite_query};

const EVENTS: &str = "INSERT INTO workflow_events (event, status, recorded_at) VALUES ('e', 'ok', 1), ('e', 'ok', 1)";

#[test]
fn a_sequence_that_belongs_to_no_column_is_found_by_every_verb() {
    let source = Source::with_rows();
    for major in MAJORS {
        let server = Server::shared(major);
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!(
            "SET ROLE {0}; CREATE SCHEMA numbers; ALTER SEQUENCE workflow_events_id_seq OWNED BY NONE;
            ALTER SEQUENCE workflow_events_id_seq SET SCHEMA numbers; SELECT setval('numbers.workflow_events_id_seq', 1000)",
            database.name()
        ));
        rune_db(&["verify"]).on(&database.url()).run().succeeds();
        let repair = rune_db(&["repair"]).on(&database.url()).run().succeeds();
        assert!(
            repair.contains("nothing to repair") && !repair.contains("left as it is"),
            "{repair}"
        );
        let file = source.beside(&format!("backup-{major}.db"));
        rune_db(&["backup", "--output", file.to_str().unwrap()])
            .on(&database.url())
            .run()
            .succeeds();
        assert_eq!(
            sqlite_query(&file, "SELECT seq FROM sqlite_sequence"),
            "1000",
            "PostgreSQL {major}"
        );
        rune_db(&[
            "migrate-to-postgres",
            "--source",
            &source.url(),
            "--target",
            &database.url(),
        ])
        .run()
        .succeeds();
        assert_eq!(
            database.query("SELECT nextval('numbers.workflow_events_id_seq')"),
            "9000000006"
        );
    }
}

#[test]
fn a_sequence_that_repairs_can_mend_is_a_finding_before_and_none_afterwards() {
    let server = Server::shared(17);
    for (sql, words) in [
        ("ALTER SEQUENCE workflow_events_id_seq MAXVALUE 2000 CYCLE", "cycles"),
        ("ALTER SEQUENCE workflow_events_id_seq MAXVALUE 2000", "ends at 2000"),
        ("ALTER SEQUENCE workflow_events_id_seq AS integer", "ends at 2147483647"),
        ("ALTER SEQUENCE workflow_events_id_seq MAXVALUE 2", "ends at 2"),
        ("ALTER SEQUENCE workflow_events_id_seq INCREMENT BY -1 MINVALUE -1000 MAXVALUE 5", "counts down"),
        ("ALTER SEQUENCE workflow_events_id_seq AS integer INCREMENT BY -1 MINVALUE -1000", "counts down"),
        ("ALTER SEQUENCE workflow_events_id_seq SET UNLOGGED", "is UNLOGGED"),
        (
            "ALTER TABLE workflow_events ALTER id DROP DEFAULT; DROP SEQUENCE workflow_events_id_seq;
            ALTER TABLE workflow_events ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 10 MAXVALUE 20)",
            "ends at 20",
        ),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {EVENTS}; {sql}", database.name()));
        let found = rune_db(&["verify"]).on(&database.url()).run();
        assert!(found.code == 5 && found.stdout.contains(words), "{sql}: {found:?}");
        let plan = rune_db(&["repair", "--dry-run"]).on(&database.url()).report();
        assert_eq!(plan["repairs"].as_array().unwrap().len(), 1, "{sql}: {plan}");
        let report = rune_db(&["repair"]).on(&database.url()).report();
        assert_eq!(report["repairs"], plan["repairs"]);
        rune_db(&["verify"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {EVENTS}", database.name()));
        assert_eq!(database.query("SELECT count(*) = count(DISTINCT id) AND max(id) > 2 FROM workflow_events"), "t", "{sql}");
    }
}

#[test]
fn a_source_of_ids_that_no_repair_can_mend_is_a_finding_and_no_target() {
    let (server, source) = (Server::shared(17), Source::with_rows());
    for (sql, words) in [
        (
            "CREATE TABLE site (n bigint DEFAULT nextval('workflow_events_id_seq'))",
            "is shared with site.n",
        ),
        (
            "CREATE FUNCTION next() RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'; ALTER TABLE workflow_events ALTER id SET DEFAULT next()",
            "a default that is not a sequence: `next()`",
        ),
        (
            "ALTER TABLE workflow_events ALTER id SET DEFAULT nextval('workflow_events_id_seq'::text)",
            "a default that is not a sequence",
        ),
        (
            "ALTER TABLE workflow_events ALTER id DROP DEFAULT",
            "has no default that takes its ids from the sequence",
        ),
        (
            "ALTER TABLE workflow_events ALTER id DROP DEFAULT; DROP SEQUENCE workflow_events_id_seq",
            "has no sequence",
        ),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {sql}", database.name()));
        let found = rune_db(&["verify"]).on(&database.url()).run();
        assert!(
            found.code == 5 && found.stdout.contains(words),
            "{sql}: {found:?}"
        );
        let repair = rune_db(&["repair"]).on(&database.url()).run().succeeds();
        assert!(
            repair.contains("left as it is: workflow_events.id") && repair.contains(words),
            "{repair}"
        );
        for dry in [&["--dry-run"][..], &[]] {
            let (from, to) = (source.url(), database.url());
            let call = [
                &["migrate-to-postgres", "--source", &from, "--target", &to],
                dry,
            ]
            .concat();
            rune_db(&call).run().fails(5, &[words, "help: "]);
        }
    }
}
