//! Lock, then look: a table that is rewritten while a verb waits for it is read whole.

use std::process::Child;

use rune_testkit::postgres::{Database, MAJORS, PASSWORD, Server};

use rune_testkit::rows::{Source, compared, moved, python_digests};
use rune_testkit::tool::{Ended, names_in, rune_db, sqlite_query, sqlite_url};

const WAITING: &str = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// What puts rows into a new file of their table.
const REWRITE: &str = "CREATE TEMPORARY TABLE kept AS SELECT * FROM jobs; CREATE TEMPORARY TABLE versions AS SELECT * FROM schema_version;
    TRUNCATE jobs, schema_version; INSERT INTO jobs SELECT * FROM kept; INSERT INTO schema_version SELECT * FROM versions;
    ALTER TABLE workflow_events ALTER COLUMN status TYPE text USING status || '';
    ALTER TABLE audit_artifact ALTER COLUMN kind TYPE text USING kind || '';
    ALTER TABLE settings ALTER COLUMN key TYPE text USING key || ''";
/// What puts another table under the name.
const REPLACEMENT: &str =
    "ALTER TABLE jobs RENAME TO jobs_before; CREATE TABLE jobs (LIKE jobs_before INCLUDING ALL);
    INSERT INTO jobs SELECT * FROM jobs_before; DROP TABLE jobs_before; LOCK TABLE schema_version";

fn start(database: &Database<'_>, source: &Source, arguments: &[&str]) -> Child {
    rune_db(&[arguments, &["--json"][..]].concat())
        .on(&database.url())
        .env("SOURCE", &source.url())
        .command()
        .spawn()
        .unwrap()
}

#[test]
fn what_is_rewritten_while_a_verb_waits_is_read_whole() {
    for major in MAJORS {
        read_while(major, REWRITE);
    }
}

#[test]
fn a_table_that_another_one_replaces_while_a_verb_waits_is_read_whole() {
    read_while(17, REPLACEMENT);
}

/// Runs every verb that reads while a transaction holds the tables, and ends that transaction when
/// all of them wait.
fn read_while(major: u32, change: &str) {
    let (source, server) = (Source::with_rows(), Server::shared(major));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    let [backup, export] = ["backup.db", "export.db"].map(|name| source.beside(name));
    let verbs: [&[&str]; 11] = [
        &["backup", "--output", backup.to_str().unwrap()],
        &[
            "export-sqlite",
            "--source",
            "env:RUNE_DB_URL",
            "--output",
            export.to_str().unwrap(),
        ],
        &["compare", "env:SOURCE", "env:RUNE_DB_URL"],
        &["compare", "--rows", "env:SOURCE", "env:RUNE_DB_URL"],
        &["status", "--strict"],
        &["jobs", "list"],
        &["events", "list"],
        &["audit", "list"],
        &["settings", "list"],
        &["verify"],
        &["prune", "--older-than", "1d", "--dry-run"],
    ];
    let said = |children: Vec<Child>| {
        children
            .into_iter()
            .map(|child| Ended::from(child.wait_with_output().unwrap()))
            .collect::<Vec<_>>()
    };
    let before = said(
        verbs[5..]
            .iter()
            .map(|verb| start(&database, &source, verb))
            .collect(),
    );
    let mut session = server.session(database.name());
    session.run(&format!("SET ROLE {}; BEGIN; {change}", database.name()));
    let children: Vec<Child> = verbs
        .iter()
        .map(|verb| start(&database, &source, verb))
        .collect();
    server.wait_for(database.name(), WAITING, &children.len().to_string());
    session.run("COMMIT");
    let ended = said(children);
    for (verb, ended) in verbs.iter().zip(&ended) {
        // What `verify` finds in these rows is in the source too.
        assert_eq!(
            ended.code,
            if verb[0] == "verify" { 5 } else { 0 },
            "PostgreSQL {major}: {verb:?}: {ended:?}"
        );
    }
    for (found, before) in ended[5..].iter().zip(&before) {
        // The moment before which `prune` deletes is another one each time.
        let lines = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("\"before\""))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&found.stdout),
            lines(&before.stdout),
            "PostgreSQL {major}"
        );
    }
    let expected = python_digests(&source.url());
    for file in [&backup, &export] {
        assert_eq!(
            python_digests(&sqlite_url(file)),
            expected,
            "PostgreSQL {major}"
        );
    }
}

#[test]
fn a_backup_that_waits_for_a_repair_has_every_row() {
    let (source, server) = (Source::empty(), Server::shared(17));
    let database = server.database();
    let owner = database.name();
    database.query(&format!(
        "SET ROLE {owner}; {}; INSERT INTO jobs SELECT 'j' || n, 't', 'k', 's', '{{}}', NULL, NULL, NULL, n, n FROM generate_series(1, 500) n",
        crate::legacy::ERA_B
    ));
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    // The last table is in use, so the repair holds those before it and waits.
    let mut session = server.session(database.name());
    session.run("BEGIN; LOCK TABLE workflow_events IN ACCESS SHARE MODE");
    let repair = start(&database, &source, &["repair"]);
    server.wait_for(database.name(), WAITING, "1");
    let output = source.beside("backup.db");
    let backup = start(
        &database,
        &source,
        &["backup", "--output", output.to_str().unwrap()],
    );
    session.run("COMMIT");
    let (repair, backup) = (
        repair.wait_with_output().unwrap(),
        Ended::from(backup.wait_with_output().unwrap()),
    );
    assert!(repair.status.success(), "{repair:?}");
    backup.succeeds();
    assert_eq!(sqlite_query(&output, "SELECT count(*) FROM jobs"), "500");
}

#[test]
fn tables_that_may_not_be_read_are_named_with_the_grant() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    let reader = format!("{}_reader", database.name());
    database.query(&format!("CREATE ROLE {reader} LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"));
    database.query(&format!("REVOKE SELECT ON chain_state, jobs FROM {reader}"));
    let url = database.url_of(&reader);
    let output = source.beside("x.db");
    let grants = [
        format!("GRANT SELECT ON TABLE public.jobs TO {reader}"),
        format!("GRANT SELECT ON SEQUENCE public.workflow_events_id_seq TO {reader}"),
    ];
    for arguments in [
        &["backup", "--output", output.to_str().unwrap()][..],
        &["verify"],
        &["compare", "env:SOURCE", "env:RUNE_DB_URL"],
    ] {
        let ended = rune_db(arguments)
            .on(&url)
            .env("SOURCE", &source.url())
            .run();
        ended.fails(9, &["chain_state", &grants[0], &grants[1]]);
    }
    assert!(
        !names_in(source.directory())
            .iter()
            .any(|name| name.contains("x.db"))
    );
    // What needs none of them works.
    rune_db(&["settings", "list"]).on(&url).run().succeeds();
    database.query(&format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}"
    ));
    rune_db(&["backup", "--output", output.to_str().unwrap()])
        .on(&url)
        .run()
        .succeeds();
    assert!(
        compared(&source.url(), &sqlite_url(&output), &[])
            .succeeds()
            .ends_with("equal\n")
    );
}

#[test]
fn two_who_lock_in_another_order_do_not_end_a_backup() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    let mut session = server.session(database.name());
    // Whoever waits longest is the one that is ended.
    session.run("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE settings");
    let output = source.beside("backup.db");
    let backup = start(
        &database,
        &source,
        &["backup", "--output", output.to_str().unwrap()],
    );
    server.wait_for(database.name(), WAITING, "1");
    session.run("LOCK TABLE audit_artifact");
    session.run("COMMIT");
    Ended::from(backup.wait_with_output().unwrap()).succeeds();
    assert_eq!(sqlite_query(&output, "SELECT count(*) FROM jobs"), "2");
}
