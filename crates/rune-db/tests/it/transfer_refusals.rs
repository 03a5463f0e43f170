//! What cannot be carried exactly stops a move before its COMMIT, and says table, key and column.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path};

use rune_testkit::postgres::Server;

use crate::sqlite::as_nobody;
use rune_testkit::rows::{Source, moved, moving, traces};
use rune_testkit::tool::{names_in, rune_db, sqlite_execute, sqlite_query};

/// What is put into a source with rows, and what is said about it.
const CANNOT_CARRY: [(&str, &str, &str); 14] = [
    (
        "U+0000 in a text",
        "UPDATE jobs SET message = 'a' || char(0) || 'b' WHERE job_id = 'job-1'",
        "jobs.message: text with U+0000 (count 1; key `job-1`)",
    ),
    (
        "invalid UTF-8",
        "UPDATE jobs SET error = CAST(x'ff41' AS TEXT) WHERE job_id = 'job-1'",
        "jobs.error: text that is not UTF-8",
    ),
    (
        "a blob in a text",
        "UPDATE chain_state SET state_json = x'00'",
        "chain_state.state_json: values of another type (count 1; key `job-1`)",
    ),
    (
        "a text in a float",
        "UPDATE jobs SET created_at = 'yesterday' WHERE job_id = 'job-1'",
        "jobs.created_at: values of another type",
    ),
    (
        "a text in a content",
        "UPDATE audit_artifact SET content = 'text' WHERE artifact_id = 'a-1'",
        "audit_artifact.content: values of another type (count 1; key `a-1`)",
    ),
    (
        "a number in a content",
        "UPDATE audit_artifact SET content = 7 WHERE artifact_id = 'a-1'",
        "audit_artifact.content: values of another type",
    ),
    (
        "a fraction as a size",
        "UPDATE audit_artifact SET size_bytes = 1.5 WHERE artifact_id = 'a-1'",
        "audit_artifact.size_bytes: values of another type",
    ),
    (
        "a size beyond int4",
        "UPDATE audit_artifact SET size_bytes = 2147483648 WHERE artifact_id = 'a-1'",
        "audit_artifact.size_bytes: numbers beyond the range",
    ),
    (
        "the last id",
        "UPDATE workflow_events SET id = 9223372036854775807 WHERE id = 7",
        "workflow_events.id: numbers beyond the range",
    ),
    (
        "NULL keys",
        "INSERT INTO settings VALUES (NULL, '{}', 1.0), (NULL, '{}', 1.0)",
        "settings.key: NULL in the primary key (count 2; key `NULL`, `NULL`)",
    ),
    (
        "a long key",
        "INSERT INTO settings VALUES (hex(randomblob(1400)), '{}', 1.0)",
        "settings.key: keys of more than 2600 bytes",
    ),
    (
        "a long indexed column",
        "UPDATE workflow_events SET event = hex(randomblob(1400)) WHERE id = 7",
        "workflow_events.event: keys of more than 2600 bytes",
    ),
    (
        "long keys together",
        "INSERT INTO idempotency_keys SELECT hex(randomblob(500)), hex(randomblob(500)), hex(randomblob(500)), 'j', 1.0",
        "idempotency_keys.idempotency_key: keys of more",
    ),
    (
        "two kinds at once",
        "UPDATE jobs SET message = char(0); UPDATE settings SET updated_at = x'00'",
        "settings.updated_at: values of another type",
    ),
];

#[test]
fn every_kind_of_cell_that_cannot_be_transferred_is_named_and_nothing_is_done() {
    let server = Server::shared(16);
    let database = server.database();
    for (case, sql, words) in CANNOT_CARRY {
        let source = Source::with_rows();
        source.execute(sql);
        moved(&source.url(), &database.url(), &[]).fails(3, &[words]);
        moved(&source.url(), &database.url(), &["--dry-run"]).fails(3, &[words]);
        assert_eq!(traces(&database), "", "{case}");
    }
}

#[test]
fn findings_are_a_list_for_programs_with_a_few_keys_of_many() {
    let source = Source::large(20);
    source.execute("UPDATE jobs SET message = char(0)");
    let ended = moved(
        &source.url(),
        "postgresql://rune@127.0.0.1:1/rune",
        &["--json"],
    );
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let finding = &report["error"]["details"][0];
    assert_eq!(
        (&finding["table"], &finding["column"], &finding["kind"]),
        (&"jobs".into(), &"message".into(), &"nul".into())
    );
    assert_eq!(
        (&finding["count"], finding["keys"].as_array().unwrap().len()),
        (&20.into(), 5)
    );
}

#[test]
fn null_where_a_value_must_be_is_found_in_files_that_allow_it() {
    let source = Source::empty();
    source.execute(
        "DROP TABLE settings; CREATE TABLE settings (key TEXT PRIMARY KEY, value_json TEXT, updated_at REAL);
        INSERT INTO settings VALUES ('k', NULL, 1.0)",
    );
    moved(&source.url(), "postgresql://rune@127.0.0.1:1/rune", &[])
        .fails(3, &["settings.value_json: NULL where a value must be"]);
}

#[test]
fn what_this_program_does_not_know_is_refused_by_name() {
    let target = "postgresql://rune@127.0.0.1:1/rune";
    for (sql, code, words) in [
        (
            "INSERT INTO schema_version VALUES (7, 0)",
            12,
            "schema versions that this program does not know: 7",
        ),
        (
            "CREATE TABLE invoices (id TEXT)",
            12,
            "tables that this program does not know: invoices",
        ),
        (
            "ALTER TABLE jobs ADD COLUMN priority INTEGER",
            12,
            "columns that this program does not know: jobs.priority",
        ),
        (
            "ALTER TABLE jobs RENAME COLUMN kind TO sort",
            12,
            "it has no column `kind`",
        ),
        (
            "DROP TABLE settings",
            3,
            "tables that are not there: settings",
        ),
    ] {
        let source = Source::with_rows();
        source.execute(sql);
        moved(&source.url(), target, &[]).fails(code, &[words]);
    }
}

#[test]
fn files_of_runes_older_releases_are_moved_with_the_tables_that_they_have() {
    let server = Server::shared(17);
    let source = Source::empty();
    let (legacy, older) = (source.beside("legacy.db"), source.beside("older.db"));
    crate::legacy::make_legacy(&legacy);
    std::fs::copy(source.path(), &older).unwrap();
    sqlite_execute(
        &older,
        "DROP TABLE settings; DROP TABLE rune_db_ledger; DELETE FROM schema_version WHERE version = 6",
    );
    for (path, jobs) in [(legacy, "j1|{\"x\": NaN}|1775000000.123456"), (older, "")] {
        let database = server.database();
        let before = std::fs::read(&path).unwrap();
        moved(
            &format!("sqlite:///{}", path.display()),
            &database.url(),
            &[],
        )
        .succeeds();
        assert_eq!(
            database.query("SELECT job_id, request_json, created_at FROM jobs"),
            jobs
        );
        assert_eq!(database.query("SELECT count(*) FROM settings"), "0");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_target_with_types_that_lose_digits_is_sent_to_repair() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query("ALTER TABLE jobs ALTER COLUMN created_at TYPE real");
    let before = traces(&database);
    for options in [&[][..], &["--dry-run"]] {
        moved(&source.url(), &database.url(), options).fails(
            5,
            &[
                "jobs.created_at is `real`, not `double precision`",
                "rune-db repair",
            ],
        );
    }
    assert_eq!(traces(&database), before);
}

#[test]
fn a_sequence_that_is_ahead_is_not_set_back() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query("SELECT setval('workflow_events_id_seq', 9500000000)");
    assert_eq!(
        moving(&source.url(), &database.url(), &[]).report()["move"]["nextEventId"],
        9_500_000_001_i64
    );
}

#[test]
fn a_file_in_wal_mode_is_read_with_what_is_in_the_log_only() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    let writer = rusqlite::Connection::open(source.path()).unwrap();
    writer
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; INSERT INTO settings VALUES ('late', '{}', 2.0)")
        .unwrap();
    assert!(
        std::fs::metadata(source.beside("jobs.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    moved(&source.url(), &database.url(), &["--immutable-source"])
        .fails(12, &["jobs.db-wal", "holds changes"]);
    moved(&source.url(), &database.url(), &[]).succeeds();
    assert_eq!(database.query("SELECT count(*) FROM settings"), "2");
}

#[test]
fn a_source_that_may_only_be_read_is_moved_or_refused_with_what_to_do() {
    let server = Server::shared(17);
    let allow = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let close = |source: &Source| {
        for name in names_in(source.directory()) {
            allow(&source.beside(&name), 0o444);
        }
        allow(source.directory(), 0o555);
    };
    let moved = |source: &Source, target: &str, options: &[&str]| {
        let url = source.url();
        let arguments = [
            &[
                "migrate-to-postgres",
                "--source",
                &url,
                "--target",
                "env:RUNE_DB_URL",
            ],
            options,
        ]
        .concat();
        as_nobody(&arguments, target)
    };
    let settings = "SELECT count(*) FROM settings";

    let source = Source::with_rows();
    source.execute("PRAGMA journal_mode = DELETE");
    let before = names_in(source.directory());
    close(&source);
    let database = server.database();
    moved(&source, &database.url(), &[]).succeeds();
    assert_eq!(
        (
            database.query(settings).as_str(),
            names_in(source.directory())
        ),
        ("1", before)
    );
    allow(source.directory(), 0o755);

    // In WAL mode a reader needs the files beside it, or must be told that there is nobody else.
    let source = Source::with_rows();
    assert_eq!(names_in(source.directory()), ["jobs.db"]);
    close(&source);
    let database = server.database();
    moved(&source, &database.url(), &[]).fails(
        9,
        &[
            "jobs.db",
            "without changing anything there",
            "--immutable-source",
        ],
    );
    assert_eq!(traces(&database), "");
    moved(&source, &database.url(), &["--immutable-source"]).succeeds();
    assert_eq!(database.query(settings), "1");
    allow(source.directory(), 0o755);

    let source = Source::with_rows();
    let writer = rusqlite::Connection::open(source.path()).unwrap();
    writer
        .execute_batch(
            "PRAGMA wal_autocheckpoint = 0; INSERT INTO settings VALUES ('late', '{}', 2.0)",
        )
        .unwrap();
    assert_eq!(
        names_in(source.directory()),
        ["jobs.db", "jobs.db-shm", "jobs.db-wal"]
    );
    close(&source);
    let database = server.database();
    moved(&source, &database.url(), &["--immutable-source"])
        .fails(12, &["jobs.db-wal", "holds changes"]);
    moved(&source, &database.url(), &[]).succeeds();
    assert_eq!(database.query(settings), "2");
    allow(source.directory(), 0o755);
}

#[test]
fn a_transaction_that_was_broken_off_has_to_be_undone_first() {
    let source = Source::with_rows();
    // A copy taken in the middle of a transaction: the journal beside it is hot.
    let connection = rusqlite::Connection::open(source.path()).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE").unwrap();
    connection
        .execute_batch("UPDATE audit_artifact SET content = randomblob(900000)")
        .unwrap();
    let copy = source.beside("copy.db");
    std::fs::copy(source.path(), &copy).unwrap();
    std::fs::copy(
        source.beside("jobs.db-journal"),
        source.beside("copy.db-journal"),
    )
    .unwrap();
    drop(connection);
    let url = format!("sqlite:///{}", copy.display());
    let ended = moved(&url, "postgresql://rune@127.0.0.1:1/rune", &[]);
    ended.fails(12, &["in the middle of a transaction", "integrity_check"]);
    assert!(source.beside("copy.db-journal").exists());
    moved(
        &url,
        "postgresql://rune@127.0.0.1:1/rune",
        &["--immutable-source"],
    )
    .fails(12, &["copy.db-journal"]);
    assert_eq!(sqlite_query(&copy, "PRAGMA integrity_check"), "ok");
    moved(&url, "postgresql://rune@127.0.0.1:1/rune", &[]).fails(10, &[]);
}

#[test]
fn the_source_is_never_changed() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    source.execute("PRAGMA journal_mode = DELETE");
    let bytes = std::fs::read(source.path()).unwrap();
    let names = rune_testkit::tool::names_in(source.directory());
    moved(&source.url(), &server.database().url(), &[]).succeeds();
    moved(
        &source.url(),
        &server.database().url(),
        &["--immutable-source"],
    )
    .succeeds();
    assert_eq!(std::fs::read(source.path()).unwrap(), bytes);
    assert_eq!(rune_testkit::tool::names_in(source.directory()), names);
}

#[test]
fn a_file_with_utf_16_texts_is_refused() {
    let source = Source::empty();
    let path = source.beside("wide.db");
    sqlite_execute(
        &path,
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE jobs (job_id TEXT)",
    );
    moved(
        &format!("sqlite:///{}", path.display()),
        "postgresql://rune@127.0.0.1:1/rune",
        &[],
    )
    .fails(3, &["UTF-16le"]);
}
