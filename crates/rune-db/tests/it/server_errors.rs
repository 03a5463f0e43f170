//! What a site's servers, settings and objects cause has an exit code, a name and advice, and is
//! never called a bug.

use rune_testkit::postgres::{Database, Server, Setup};

use crate::legacy::ERA_B;
use rune_testkit::rows::{PAYLOAD, Source, moved};
use rune_testkit::tool::rune_db;

fn era_b(server: &Server) -> Database<'_> {
    let database = server.database();
    database.query(&format!("SET ROLE {}; {ERA_B}", database.name()));
    database
}

#[test]
fn a_view_of_the_site_on_a_column_is_named() {
    let server = Server::shared(17);
    let database = era_b(&server);
    database.query("CREATE VIEW grafana AS SELECT created_at FROM jobs");
    rune_db(&["repair"])
        .on(&database.url())
        .run()
        .fails(12, &["grafana", "help: "]);
}

#[test]
fn what_an_event_trigger_forbids_is_a_matter_of_permission() {
    let server = Server::shared(17);
    let database = server.database();
    database.query(
        "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'DDL only by the DBA team'; END $$;
        CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION no()",
    );
    rune_db(&["migrate"])
        .on(&database.url())
        .run()
        .fails(9, &["DDL only by the DBA team", "[P0001]", "event trigger"]);
}

#[test]
fn a_database_that_takes_no_connections_is_waited_for() {
    let server = Server::shared(17);
    let database = server.database();
    server.query(
        "postgres",
        &format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", database.name()),
    );
    rune_db(&["status"])
        .on(&database.url())
        .run()
        .fails(10, &["[55000]", "ALLOW_CONNECTIONS"]);
    rune_db(&["wait", "--timeout", "1s"])
        .on(&database.url())
        .run()
        .fails(10, &["timed out after 1s", "[55000]"]);
}

#[test]
fn a_limit_on_connections_is_a_limit() {
    let server = Server::shared(17);
    for whose in ["ROLE", "DATABASE"] {
        let database = server.database();
        database.query(&format!(
            "ALTER {whose} {} CONNECTION LIMIT 0",
            database.name()
        ));
        rune_db(&["status"])
            .on(&database.url())
            .run()
            .fails(11, &["[53300]", "CONNECTION LIMIT"]);
    }
}

#[test]
fn settings_of_the_url_that_the_server_refuses_are_bad_input() {
    let server = Server::shared(17);
    let database = server.database();
    let url = |option: &str| format!("{}?options=-c%20{option}", database.url());
    rune_db(&["status"])
        .on(&format!("{}?options=nonsense", database.url()))
        .run()
        .fails(3, &["[42601]", "`options`"]);
    rune_db(&["status"])
        .on(&url("work_mem%3Dmuch"))
        .run()
        .fails(3, &["[22023]", "`options`"]);
    rune_db(&["status"])
        .on(&url("no_such_setting%3D1"))
        .run()
        .fails(4, &["[42704]", "`options`"]);
}

#[test]
fn objects_of_the_site_on_the_target_of_a_move_have_their_code_and_no_row_is_shown() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let raising = |code: &str| {
        format!(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '{code}', DETAIL = new::text; END $$;
            CREATE TRIGGER no AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION no()"
        )
    };
    let cases = [
        (raising("P0001"), &[9][..], "P0001"),
        (raising("0A000"), &[12, 9], "0A000"),
        (raising("SITE1"), &[12, 9], "SITE1"),
        (
            "ALTER TABLE jobs ADD CONSTRAINT short CHECK (length(request_json) < 3)".to_owned(),
            &[12],
            "23514",
        ),
        (
            "CREATE UNIQUE INDEX one ON workflow_events ((1))".to_owned(),
            &[12],
            "23505",
        ),
    ];
    for (objects, codes, state) in cases {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&objects);
        let ended = moved(&source.url(), &database.url(), &[]);
        assert!(codes.contains(&ended.code), "{objects}: {ended:?}");
        assert!(!ended.stderr.contains(PAYLOAD), "{ended:?}");
        assert!(
            ended.stderr.contains("help: ") || state == "SITE1",
            "{ended:?}"
        );
        assert_eq!(database.query("SELECT count(*) FROM jobs"), "0");
    }
}

#[test]
fn a_database_of_another_encoding_is_bad_input_for_what_it_cannot_hold() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    let (name, latin) = (database.name(), format!("{}_latin", database.name()));
    server.query(
        "postgres",
        &format!(
            "CREATE DATABASE {latin} OWNER {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
        ),
    );
    let latin = format!("{}{latin}", database.url().strip_suffix(name).unwrap());
    let ended = moved(&source.url(), &latin, &[]);
    ended.fails(3, &["LATIN1", "jobs", "ENCODING 'UTF8'"]);
}

#[test]
fn a_standby_is_said_to_be_one_by_every_verb_that_writes() {
    let standby = Setup::new(17).standby().start();
    let url = format!(
        "postgresql://postgres@/postgres?host={}&port={}",
        standby.socket_directory().display(),
        standby.port()
    );
    for arguments in [&["migrate"][..], &["repair"]] {
        rune_db(arguments)
            .on(&url)
            .run()
            .fails(9, &["standby", "connect to the primary"]);
    }
    moved(&Source::empty().url(), &url, &[]).fails(9, &["standby"]);
}

#[test]
fn a_lock_that_somebody_holds_and_a_statement_that_is_cancelled_are_not_bugs() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    let mut session = server.session(database.name());
    session.run("BEGIN; LOCK TABLE jobs");
    for (end, code, words) in [
        ("pg_cancel_backend", 10, "[57014]"),
        ("pg_terminate_backend", 10, "[57P01]"),
    ] {
        let child = rune_db(&["verify"])
            .on(&database.url())
            .command()
            .spawn()
            .unwrap();
        let waiting = "FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass";
        server.wait_for(database.name(), &format!("SELECT count(*) {waiting}"), "1");
        server.query(database.name(), &format!("SELECT {end}(pid) {waiting}"));
        rune_testkit::tool::Ended::from(child.wait_with_output().unwrap())
            .fails(code, &[words, "help: "]);
    }
}

#[test]
fn tables_that_the_site_has_changed_differ_and_are_not_a_bug_of_ours() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let output = source.beside("x.db");
    for change in [
        "ALTER TABLE jobs DROP COLUMN message",
        "ALTER TABLE jobs ALTER COLUMN created_at TYPE text",
    ] {
        let database = server.database();
        moved(&source.url(), &database.url(), &[]).succeeds();
        database.query(change);
        for arguments in [
            &["jobs", "show", "job-1"][..],
            &["backup", "--output", output.to_str().unwrap()],
            &["verify"],
            &["jobs", "list"],
        ] {
            let ended = rune_db(arguments).on(&database.url()).run();
            assert!(ended.code != 1, "{change}: {arguments:?}: {ended:?}");
        }
    }
}

#[test]
fn a_function_of_a_site_makes_no_bug_of_ours_whatever_code_it_raises() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELEC 1''; RETURN NEW; END';
        CREATE TRIGGER no BEFORE INSERT ON settings FOR EACH ROW EXECUTE FUNCTION no()",
    );
    let set = || {
        rune_db(&["settings", "set", "new", "{}"])
            .on(&database.url())
            .run()
    };
    set().fails(9, &["[42601]", "help: a trigger"]);
    for code in ["25P01", "34000", "42P02", "26000"] {
        database.query(&format!(
            "CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no'' USING ERRCODE = ''{code}''; END'"
        ));
        set().fails(9, &[&format!("[{code}]"), "help: a trigger"]);
    }
}
