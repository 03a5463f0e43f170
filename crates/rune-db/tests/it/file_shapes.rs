//! Tables of unusual kinds under RUNE's names in a SQLite file.

use rune_testkit::rows::{Source, compared};
use rune_testkit::tool::{rune_db, sqlite_execute, sqlite_query, sqlite_url};

/// Puts a table in the place of one of RUNE's, with the same columns and rows.
fn replace(source: &Source, table: &str, change: impl Fn(&str) -> String) {
    let sql = sqlite_query(
        &source.path(),
        &format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'"),
    );
    let indexes = sqlite_query(
        &source.path(),
        &format!(
            "SELECT sql || ';' FROM sqlite_schema WHERE type = 'index' AND tbl_name = '{table}' AND sql IS NOT NULL"
        ),
    );
    source.execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}; DROP TABLE {table}; {}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept; {indexes}", change(&sql)));
}

#[test]
fn strict_tables_are_read_moved_and_changed_as_any_others() {
    let source = Source::with_rows();
    for table in ["jobs", "settings", "chain_state"] {
        replace(&source, table, |sql| format!("{sql} STRICT"));
    }
    rune_db(&["jobs", "list"])
        .on(&source.url())
        .run()
        .succeeds();
    rune_db(&["settings", "set", "k", "{}"])
        .on(&source.url())
        .run()
        .succeeds();
    rune_db(&["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"])
        .on(&source.url())
        .run()
        .succeeds();
    let copy = source.beside("copy.db");
    rune_db(&["backup", "--output", copy.to_str().unwrap()])
        .on(&source.url())
        .run()
        .succeeds();
    assert!(
        compared(&source.url(), &sqlite_url(&copy), &[])
            .succeeds()
            .ends_with("equal\n")
    );
    let server = rune_testkit::postgres::Server::shared(17);
    let database = server.database();
    rune_testkit::rows::moved(&source.url(), &database.url(), &[]).succeeds();
    assert!(
        compared(&source.url(), &database.url(), &[])
            .succeeds()
            .ends_with("equal\n")
    );
    let back = source.beside("back.db");
    rune_db(&["restore", "--from", copy.to_str().unwrap()])
        .on(&sqlite_url(&back))
        .run()
        .succeeds();
    assert!(
        sqlite_query(&back, "SELECT sql FROM sqlite_schema WHERE name = 'jobs'")
            .ends_with("STRICT")
    );
}

#[test]
fn a_table_without_rowid_is_refused_by_name_by_every_verb_and_listed_by_status() {
    let source = Source::with_rows();
    replace(&source, "settings", |sql| format!("{sql} WITHOUT ROWID"));
    let server = rune_testkit::postgres::Server::shared(17);
    let database = server.database();
    let (file, target, url) = (source.beside("x.db"), database.url(), source.url());
    let file = file.to_str().unwrap();
    let words = "`settings` is a table WITHOUT ROWID, not an ordinary table";
    for verb in [
        &["jobs", "list"][..],
        &["settings", "set", "k", "{}"],
        &["prune", "--older-than", "300d", "--dry-run"],
        &["repair", "--dry-run"],
        &["backup", "--output", file],
        &[
            "migrate-to-postgres",
            "--source",
            &url,
            "--target",
            &target,
            "--dry-run",
        ],
        &["migrate-to-postgres", "--source", &url, "--target", &target],
        &["compare", &url, &target],
    ] {
        rune_db(verb).on(&url).run().fails(12, &[words, "help: "]);
    }
    assert!(
        rune_db(&["status"])
            .on(&url)
            .run()
            .succeeds()
            .contains(words)
    );
    let verify = rune_db(&["verify"]).on(&url).run();
    assert!(
        verify.code == 5 && verify.stdout.contains(words),
        "{verify:?}"
    );
    assert!(!source.beside("x.db").exists());
}

#[test]
fn a_generated_column_is_refused_by_name_where_it_would_be_written() {
    for kind in ["STORED", "VIRTUAL"] {
        let source = Source::empty();
        source.execute(&format!(
            "DROP TABLE settings; CREATE TABLE settings (key TEXT PRIMARY KEY, value_json TEXT NOT NULL, updated_at REAL GENERATED ALWAYS AS (length(key)) {kind})"
        ));
        source.execute("INSERT INTO settings (key, value_json) VALUES ('k', '{}')");
        let words = "column `updated_at` of table `settings` is generated";
        for verb in [
            &["settings", "set", "k", "{\"a\": 1}"][..],
            &["settings", "delete", "k"],
        ] {
            rune_db(verb)
                .on(&source.url())
                .run()
                .fails(12, &[words, "help: "]);
        }
        assert_eq!(
            sqlite_query(&source.path(), "SELECT value_json FROM settings"),
            "{}"
        );
        assert!(
            rune_db(&["status"])
                .on(&source.url())
                .run()
                .succeeds()
                .contains(words)
        );
        assert!(
            rune_db(&["settings", "list"])
                .on(&source.url())
                .run()
                .succeeds()
                .contains('k')
        );
        rune_db(&["prune", "--older-than", "300d"])
            .on(&source.url())
            .run()
            .succeeds();
    }
}

#[test]
fn a_restore_into_a_file_names_what_a_copy_of_pages_would_delete() {
    let (source, directory) = (Source::with_rows(), tempfile::tempdir().unwrap());
    for (number, (sql, words)) in [
        (
            "CREATE TRIGGER t AFTER INSERT ON jobs BEGIN SELECT 1; END",
            "trigger `t`",
        ),
        ("CREATE VIEW report AS SELECT * FROM jobs", "view `report`"),
        ("CREATE TABLE invoices (id)", "table `invoices`"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = directory.path().join(format!("{number}.db"));
        rune_db(&["migrate"])
            .on(&sqlite_url(&path))
            .run()
            .succeeds();
        sqlite_execute(&path, sql);
        let before = sqlite_query(&path, "SELECT group_concat(name) FROM sqlite_schema");
        let restore = rune_db(&["restore", "--from", source.path().to_str().unwrap()])
            .on(&sqlite_url(&path))
            .run();
        restore.fails(12, &[words, "help: choose a file that does not exist"]);
        assert_eq!(
            sqlite_query(&path, "SELECT group_concat(name) FROM sqlite_schema"),
            before
        );
    }
}

#[test]
fn verify_says_what_has_the_name_of_a_table_and_does_not_fail_on_it() {
    for (table, sql, words) in [
        (
            "audit_artifact",
            "ALTER TABLE audit_artifact RENAME TO kept; CREATE VIEW audit_artifact AS SELECT * FROM kept",
            "a view",
        ),
        (
            "jobs",
            "ALTER TABLE jobs RENAME TO kept; CREATE VIEW jobs AS SELECT * FROM kept",
            "a view",
        ),
        (
            "audit_artifact",
            "DROP TABLE audit_artifact; CREATE VIRTUAL TABLE audit_artifact USING fts5(artifact_id, job_id, kind, name, size_bytes, sha256, content, created_at)",
            "a virtual table",
        ),
    ] {
        let source = Source::with_rows();
        source.execute(sql);
        let verify = rune_db(&["verify"]).on(&source.url()).run();
        let words = format!("`{table}` is {words}, not an ordinary table");
        assert!(
            verify.code == 5 && verify.stdout.contains(&words),
            "{verify:?}"
        );
        let (file, url) = (source.beside("x.db"), source.url());
        rune_db(&["backup", "--output", file.to_str().unwrap()])
            .on(&url)
            .run()
            .fails(12, &[&words]);
        rune_db(&["restore", "--from", source.path().to_str().unwrap()])
            .on(&sqlite_url(&file))
            .run()
            .fails(12, &[&words]);
        rune_db(&["compare", &url, &url]).run().fails(12, &[&words]);
    }
    let source = Source::with_rows();
    replace(&source, "audit_artifact", |sql| {
        format!("{sql} WITHOUT ROWID")
    });
    let verify = rune_db(&["verify"]).on(&source.url()).run();
    assert!(
        verify.code == 5
            && verify
                .stdout
                .contains("`audit_artifact` is a table WITHOUT ROWID"),
        "{verify:?}"
    );
}

#[test]
fn a_generated_column_of_the_sites_own_is_not_left_behind_without_a_word() {
    let source = Source::with_rows();
    source.execute("ALTER TABLE jobs ADD COLUMN day INTEGER AS (created_at / 86400) VIRTUAL");
    let server = rune_testkit::postgres::Server::shared(17);
    let database = server.database();
    for options in [&["--dry-run"][..], &[]] {
        rune_testkit::rows::moved(&source.url(), &database.url(), options)
            .fails(12, &["columns that this program does not know: jobs.day"]);
    }
    assert!(
        compared(&source.url(), &source.url(), &[])
            .succeeds()
            .contains("jobs.day; that was not compared")
    );
    let copy = source.beside("copy.db");
    rune_db(&["backup", "--output", copy.to_str().unwrap()])
        .on(&source.url())
        .run()
        .succeeds();
    assert!(
        sqlite_query(&copy, "SELECT sql FROM sqlite_schema WHERE name = 'jobs'")
            .contains("day INTEGER AS")
    );
}
