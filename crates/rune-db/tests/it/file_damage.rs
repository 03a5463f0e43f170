//! Files that SQLite opens although something is wrong with them: every verb says so alike, and a
//! verb that fails changes nothing.

use std::{fs, path::Path};

use rune_testkit::postgres::Server;

use rune_testkit::rows::Source;
use rune_testkit::tool::{Ended, rune_db, sqlite_execute, sqlite_query, sqlite_url};

/// Where the version that a program must know to write the file stands.
const WRITE_VERSION: usize = 18;
const READ_VERSION: usize = 19;
const RESERVED_BYTES: usize = 20;
const FREE_PAGES: usize = 39;
const SCHEMA_FORMAT: usize = 47;

/// A file with rows of every table, in one of the modes of logging.
fn source(mode: &str) -> Source {
    let source = Source::with_rows();
    source.execute(&format!("PRAGMA journal_mode = {mode}"));
    source
}

fn set(path: &Path, place: usize, value: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] = value;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes)
        .unwrap();
}

const LOOK: &[&[&str]] = &[
    &["status"],
    &["jobs", "list"],
    &["settings", "list"],
    &["events", "list"],
    &["migrate", "--dry-run"],
    &["repair", "--dry-run"],
];
const CHANGE: &[&[&str]] = &[
    &["migrate"],
    &["repair"],
    &["settings", "set", "k", "{}"],
    &["settings", "delete", "rune_config"],
    &["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"],
    &["prune", "--older-than", "300d"],
];

/// Runs what copies or compares all rows of a file, and gives how each ended; nothing may have been
/// written.
fn carried(source: &Source, other: &str, target: &str) -> Vec<Ended> {
    let (url, path) = (source.url(), source.path());
    let (file, restored) = (source.beside("out.db"), source.beside("restored.db"));
    let verbs = [
        rune_db(&["backup", "--output", file.to_str().unwrap()]).on(&url),
        rune_db(&["restore", "--from", path.to_str().unwrap()]).on(&sqlite_url(&restored)),
        rune_db(&["restore", "--from", path.to_str().unwrap()]).on(target),
        rune_db(&["compare", &url, other]),
        rune_db(&["compare", other, &url]),
        rune_db(&[
            "migrate-to-postgres",
            "--source",
            &url,
            "--target",
            target,
            "--dry-run",
        ]),
        rune_db(&["migrate-to-postgres", "--source", &url, "--target", target]),
    ];
    let ended = verbs.map(rune_testkit::tool::RuneDb::run).into();
    assert!(!file.exists() && !restored.exists(), "{ended:?}");
    ended
}

#[test]
fn a_header_or_an_end_that_sqlite_takes_for_whole_is_refused_by_every_verb_alike() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 5] = [
        (
            |path| set(path, WRITE_VERSION, 3),
            "says that only a later version of SQLite may write it",
        ),
        (|path| set(path, READ_VERSION, 3), "file is not a database"),
        (
            |path| set(path, SCHEMA_FORMAT, 5),
            "unsupported file format",
        ),
        (|path| cut(path, 1), "is cut off: it has"),
        (|path| cut(path, 1000), "is cut off: it has"),
    ];
    let server = Server::shared(17);
    let (database, other) = (server.database(), Source::with_rows());
    for mode in ["wal", "delete"] {
        for (damage, words) in cases {
            let source = source(mode);
            damage(&source.path());
            let before = fs::read(source.path()).unwrap();
            for verb in LOOK.iter().chain(CHANGE).chain([&["verify"][..]].iter()) {
                rune_db(verb)
                    .on(&source.url())
                    .run()
                    .fails(3, &[words, "help: "]);
            }
            for ended in carried(&source, &other.url(), &database.url()) {
                ended.fails(3, &[words, "help: "]);
            }
            assert!(
                fs::read(source.path()).unwrap() == before,
                "the file was changed: {mode}, {words}"
            );
        }
    }
    assert_eq!(
        database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );
}

#[test]
fn damage_that_sqlite_reads_around_is_found_by_every_verb_that_promises_all_rows() {
    let server = Server::shared(17);
    let (database, other) = (server.database(), Source::with_rows());
    for (place, value) in [(RESERVED_BYTES, 32), (FREE_PAGES, 9)] {
        for mode in ["wal", "delete"] {
            let source = source(mode);
            set(&source.path(), place, value);
            let verify = rune_db(&["verify"]).on(&source.url()).run();
            assert!(
                verify.code == 5 && verify.stdout.contains("SQLite says: "),
                "{verify:?}"
            );
            for ended in carried(&source, &other.url(), &database.url()) {
                // Where rows lie on pages that do not fit, SQLite itself notices first.
                let words = if ended.code == 3 {
                    "database disk image is malformed"
                } else {
                    "SQLite's integrity check finds faults"
                };
                ended.fails(if ended.code == 3 { 3 } else { 6 }, &[words, "help: "]);
            }
        }
    }
    assert_eq!(
        database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );
}

#[test]
fn a_row_that_no_index_has_is_not_left_behind_by_a_move() {
    let source = source("delete");
    // The index of the key lacks the row, and whoever reads in the order of the key does not see
    // it.
    sqlite_execute(
        &source.path(),
        "CREATE TABLE shadow (key TEXT PRIMARY KEY, value_json TEXT NOT NULL, updated_at REAL NOT NULL);
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_shadow_1')
         WHERE name = 'sqlite_autoindex_settings_1';
         DELETE FROM sqlite_schema WHERE tbl_name = 'shadow'",
    );
    let server = Server::shared(17);
    let (database, other) = (server.database(), Source::with_rows());
    for ended in carried(&source, &other.url(), &database.url()) {
        ended.fails(6, &["integrity check finds faults"]);
    }
}

#[test]
fn a_change_that_fails_leaves_file_and_mode_of_logging_as_they_were() {
    for (damage, verb, code) in [
        (RESERVED_BYTES, &["settings", "set", "k", "{}"][..], 3),
        (RESERVED_BYTES, &["prune", "--older-than", "300d"], 3),
        (0, &["settings", "delete", "not there"], 4),
    ] {
        let source = source("delete");
        source.execute("UPDATE jobs SET updated_at = 1");
        if damage > 0 {
            set(&source.path(), damage, 32);
        }
        let before = fs::read(source.path()).unwrap();
        let ended = rune_db(verb).on(&source.url()).run();
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(
            fs::read(source.path()).unwrap() == before,
            "the file was changed: {verb:?}"
        );
        assert_eq!(
            sqlite_query(&source.path(), "PRAGMA journal_mode"),
            "delete"
        );
    }
}
