//! A session means the same everywhere, whatever a site has set for its roles, databases and
//! connections.

use std::process::Command;

use rune_testkit::{
    pgbouncer::PgBouncer,
    postgres::{Database, MAJORS, Server},
    sha256,
};
use serde_json::Value;

use crate::legacy::ERA_B;
use rune_testkit::process::succeeded;
use rune_testkit::rows::{Source, compared, moved, python_digests, sqlite3};
use rune_testkit::tool::{names_in, rune_db, sqlite_url};

/// Each setting at the value that would do most harm. Those of the second half are of the kind that
/// is left alone.
const AWKWARD: &[(&str, &str)] = &[
    ("extra_float_digits", "-15"),
    ("client_encoding", "LATIN1"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "off"),
    ("escape_string_warning", "off"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("quote_all_identifiers", "on"),
    ("bytea_output", "escape"),
    ("DateStyle", "SQL, DMY"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "Pacific/Chatham"),
    ("lc_numeric", "POSIX"),
    ("xmlbinary", "hex"),
    ("xmloption", "document"),
    ("check_function_bodies", "off"),
    ("exit_on_error", "on"),
    ("client_min_messages", "debug1"),
    ("gin_fuzzy_search_limit", "1"),
    ("synchronize_seqscans", "on"),
    ("statement_timeout", "300ms"),
    ("lock_timeout", "1ms"),
    ("idle_in_transaction_session_timeout", "1ms"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("row_security", "on"),
    ("synchronous_commit", "off"),
    ("search_path", "pg_temp, public, pg_catalog"),
    ("default_toast_compression", "pglz"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_indexscan", "off"),
    ("constraint_exclusion", "on"),
    ("cursor_tuple_fraction", "0"),
];
/// What only a superuser can give a role.
const BY_SUPERUSERS: &[(&str, &str)] = &[
    ("session_replication_role", "replica"),
    ("zero_damaged_pages", "on"),
    ("lc_messages", "POSIX"),
];
/// Functions that stand before the server's own in that search path.
const IMPOSTORS: &str = "CREATE FUNCTION public.octet_length(text) RETURNS integer LANGUAGE sql AS 'SELECT -1';
    CREATE FUNCTION public.octet_length(bytea) RETURNS integer LANGUAGE sql AS 'SELECT -1';
    CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT ''x''::bytea';
    CREATE FUNCTION public.has_table_privilege(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'";

fn with_options(url: &str, settings: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace(' ', "%5C%20").replace(',', "%2C");
    let one = |(name, value): &(&str, &str)| format!("-c%20{name}%3D{}", escaped(value));
    format!(
        "{url}?options={}",
        settings.iter().map(one).collect::<Vec<_>>().join("%20")
    )
}

/// Takes out what differs from run to run.
fn steady(value: &mut Value, names: &[&str]) {
    const VARIES: [&str; 12] = [
        "seconds",
        "waitedMs",
        "attempts",
        "appliedAt",
        "location",
        "tool",
        "target",
        "source",
        "output",
        "bytes",
        "before",
        "repairedAt",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !VARIES.contains(&key.as_str()));
            fields.values_mut().for_each(|value| steady(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| steady(item, names)),
        Value::String(text) => {
            *text = names
                .iter()
                .fold(text.clone(), |text, name| text.replace(name, "NAME"));
        }
        _ => {}
    }
}

/// Runs every verb on three databases of a server and gives what each said: an empty one that is
/// moved into, one that is restored into, and one of era B.
fn every_verb(databases: &[Database<'_>; 3]) -> Vec<(String, Value)> {
    let source = Source::with_rows();
    source.execute("INSERT INTO jobs VALUES ('stale', 't', 'k', 'running', '{}', NULL, NULL, NULL, 1, 1), ('old', 't', 'k', 'failed', '{}', NULL, NULL, NULL, 1, 1)");
    let digest = sha256(&[0, 0xff, 0x10]);
    source.execute(&format!(
        "UPDATE audit_artifact SET sha256 = '{}' WHERE artifact_id = 'a-1'",
        digest.trim_start_matches("sha256:")
    ));
    let [main, restored, era_b] = databases.each_ref().map(Database::url);
    let file = |name: &str| source.beside(name).to_str().unwrap().to_owned();
    let (exported, backup, artifact) = (file("exported.db"), file("backup.db"), file("artifact"));
    let calls: &[(&str, &[&str])] = &[
        (&main, &["migrate"]),
        (&main, &["migrate"]),
        (&main, &["status"]),
        (&main, &["wait", "--schema"]),
        (&main, &["doctor"]),
        (
            &main,
            &[
                "migrate-to-postgres",
                "--source",
                "env:SOURCE",
                "--target",
                "env:RUNE_DB_URL",
                "--dry-run",
            ],
        ),
        (
            &main,
            &[
                "migrate-to-postgres",
                "--source",
                "env:SOURCE",
                "--target",
                "env:RUNE_DB_URL",
            ],
        ),
        (&main, &["compare", "env:SOURCE", "env:RUNE_DB_URL"]),
        (
            &main,
            &["compare", "--rows", "env:SOURCE", "env:RUNE_DB_URL"],
        ),
        (&main, &["verify"]),
        (
            &main,
            &[
                "export-sqlite",
                "--source",
                "env:RUNE_DB_URL",
                "--output",
                &exported,
            ],
        ),
        (&main, &["backup", "--output", &backup]),
        (&restored, &["restore", "--from", &backup]),
        (&restored, &["compare", "env:SOURCE", "env:RUNE_DB_URL"]),
        (&main, &["jobs", "list"]),
        (&main, &["jobs", "show", "job-1", "--payload"]),
        (
            &main,
            &[
                "jobs",
                "fail-stale",
                "--older-than",
                "1d",
                "--tenant",
                "t",
                "--dry-run",
            ],
        ),
        (
            &main,
            &["jobs", "fail-stale", "--older-than", "1d", "--tenant", "t"],
        ),
        (&main, &["events", "list"]),
        (&main, &["events", "summary"]),
        (&main, &["audit", "list"]),
        (&main, &["audit", "export", "a-1", "--output", &artifact]),
        (&main, &["audit", "verify"]),
        (&main, &["settings", "set", "new", "{\"a\": 1}"]),
        (&main, &["settings", "get", "rune_config"]),
        (&main, &["settings", "list", "--prefix", "rune"]),
        (&main, &["settings", "delete", "new"]),
        (&main, &["prune", "--older-than", "1d", "--dry-run"]),
        (&main, &["prune", "--older-than", "1d"]),
        (&main, &["verify"]),
        (&era_b, &["repair", "--dry-run"]),
        (&era_b, &["repair"]),
        (&era_b, &["verify"]),
        (&era_b, &["status"]),
    ];
    let directory = source.directory().to_str().unwrap();
    let names: Vec<&str> = databases
        .iter()
        .map(Database::name)
        .chain([directory])
        .collect();
    let mut said = Vec::new();
    for (url, arguments) in calls {
        let ended = rune_db(&[arguments, &["--json"][..]].concat())
            .on(url)
            .env("SOURCE", &source.url())
            .run();
        let mut report: Value = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
        steady(&mut report, &names);
        if arguments == &["doctor"] {
            // What it says of the session is what the site has set.
            report = report["checks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|check| check["name"].clone())
                .collect();
        }
        said.push((arguments.join(" "), serde_json::json!([ended.code, report])));
    }
    for path in [exported, backup] {
        said.push((
            path.rsplit('/').next().unwrap().to_owned(),
            python_digests(&format!("sqlite:///{path}")),
        ));
    }
    said.push((
        "artifact".to_owned(),
        Value::from(std::fs::read(artifact).unwrap()),
    ));
    let values = "SELECT job_id, created_at, updated_at FROM jobs ORDER BY 1";
    said.push(("repaired".to_owned(), databases[2].query(values).into()));
    said
}

fn three(server: &Server) -> [Database<'_>; 3] {
    let databases = [(); 3].map(|()| server.database());
    let era_b = &databases[2];
    era_b.query(&format!(
        "SET ROLE {}; {ERA_B}; INSERT INTO jobs SELECT 'j' || n, 't', 'k', 's', '{{}}', NULL, NULL, NULL, 1790000000 + n * 997, n / 3.0
        FROM generate_series(1, 40) n",
        era_b.name()
    ));
    databases
}

#[test]
fn every_verb_says_and_does_the_same_whatever_a_role_and_a_database_set_on_the_oldest_version() {
    same_whatever_is_set(MAJORS[0]);
}

#[test]
fn every_verb_says_and_does_the_same_whatever_a_role_and_a_database_set_on_the_newest_version() {
    same_whatever_is_set(MAJORS[MAJORS.len() - 1]);
}

fn same_whatever_is_set(major: u32) {
    let server = Server::shared(major);
    let expected = every_verb(&three(&server));
    let databases = three(&server);
    for (place, database) in databases.iter().enumerate() {
        database.query(IMPOSTORS);
        for (number, (name, value)) in AWKWARD.iter().chain(BY_SUPERUSERS).enumerate() {
            let whose = if (number + place) % 2 == 0 {
                "ROLE"
            } else {
                "DATABASE"
            };
            let value = if *name == "search_path" {
                (*value).to_owned()
            } else {
                format!("'{value}'")
            };
            database.query(&format!(
                "ALTER {whose} {} SET {name} = {value}",
                database.name()
            ));
        }
        if major >= 17 {
            database.query(&format!(
                "ALTER ROLE {} SET transaction_timeout = '1s'",
                database.name()
            ));
        }
    }
    for ((verb, found), (_, expected)) in every_verb(&databases).iter().zip(&expected) {
        assert_eq!(found, expected, "`{verb}` on PostgreSQL {major}");
    }
}

#[test]
fn no_setting_alone_in_the_url_changes_what_a_digest_is() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    database.query(IMPOSTORS);
    for setting in AWKWARD {
        let ended = compared(
            &source.url(),
            &with_options(&database.url(), &[*setting]),
            &[],
        );
        assert_eq!(ended.code, 0, "{setting:?}: {ended:?}");
    }
}

#[test]
fn a_repair_keeps_all_digits_where_the_database_shows_few() {
    let server = Server::shared(17);
    let databases = three(&server);
    let [few, ..] = &databases;
    few.query(&format!("SET ROLE {}; {ERA_B}", few.name()));
    few.query(
        "INSERT INTO jobs SELECT 'j' || n, 't', 'k', 's', '{}', NULL, NULL, NULL, 1790000000 + n * 997, 1 FROM generate_series(1, 40) n",
    );
    let distinct = "SELECT count(DISTINCT created_at), min(created_at::float8), max(created_at::float8) FROM jobs";
    let before = few.query(distinct);
    few.query(&format!(
        "ALTER DATABASE {} SET extra_float_digits = 0",
        few.name()
    ));
    rune_db(&["repair"]).on(&few.url()).run().succeeds();
    let spread = |text: &str| {
        text.split('|')
            .map(|part| part.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    let (before, after) = (spread(&before), spread(&few.query(distinct)));
    assert_eq!(
        before[0].to_bits(),
        after[0].to_bits(),
        "no two values become one"
    );
    assert!(
        (before[1] - after[1]).abs() < 65.0 && (before[2] - after[2]).abs() < 65.0,
        "{before:?} {after:?}"
    );
}

#[test]
fn a_read_only_role_is_never_made_to_write() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let (database, empty) = (server.database(), server.database());
    moved(&source.url(), &database.url(), &[]).succeeds();
    database.query("UPDATE jobs SET status = 'running'");
    let digests = python_digests(&database.url());
    let backup = source.path();
    for fenced in [&database, &empty] {
        database.query(&format!(
            "ALTER ROLE {} SET default_transaction_read_only = on",
            fenced.name()
        ));
    }
    let calls: &[&[&str]] = &[
        &["repair"],
        &["settings", "set", "k", "{}"],
        &["settings", "delete", "rune_config"],
        &["jobs", "fail-stale", "--older-than", "1d", "--tenant", "t"],
        &["prune", "--older-than", "1d"],
    ];
    for arguments in calls {
        rune_db(arguments)
            .on(&database.url())
            .run()
            .fails(9, &["default_transaction_read_only", "help: "]);
    }
    for arguments in [
        &["migrate"][..],
        &["restore", "--from", backup.to_str().unwrap()],
    ] {
        rune_db(arguments)
            .on(&empty.url())
            .run()
            .fails(9, &["default_transaction_read_only"]);
    }
    moved(&source.url(), &empty.url(), &[]).fails(9, &["default_transaction_read_only"]);
    let by_url = with_options(&database.url(), &[("default_transaction_read_only", "on")]);
    rune_db(&["settings", "set", "k", "{}"])
        .on(&by_url)
        .run()
        .fails(9, &["default_transaction_read_only"]);
    assert_eq!(python_digests(&database.url()), digests);
    assert_eq!(
        empty.query("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        "0"
    );
    // Reading is what it is for.
    rune_db(&["status", "--strict"])
        .on(&database.url())
        .run()
        .succeeds();
    rune_db(&["jobs", "list"])
        .on(&database.url())
        .run()
        .succeeds();
}

#[test]
fn rows_that_a_policy_hides_are_refused_and_not_left_out() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    database.query(
        "ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON jobs USING (tenant_id = 'nobody')",
    );
    let output = source.beside("x.db");
    let calls: &[&[&str]] = &[
        &["backup", "--output", output.to_str().unwrap()],
        &["compare", "env:SOURCE", "env:RUNE_DB_URL"],
        &["verify"],
        &["jobs", "list"],
        &["jobs", "fail-stale", "--older-than", "1d", "--tenant", "t"],
        &["prune", "--older-than", "1d", "--dry-run"],
    ];
    for arguments in calls {
        let ended = rune_db(arguments)
            .on(&database.url())
            .env("SOURCE", &source.url())
            .run();
        ended.fails(9, &["row-level security", "jobs", "help: "]);
    }
    assert!(
        !names_in(source.directory())
            .iter()
            .any(|name| name.contains("x.db"))
    );
}

#[test]
fn through_a_pool_of_one_another_client_finds_its_own_settings_after_each_verb() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    let bouncer = PgBouncer::start_with(&database, "transaction", "default_pool_size = 1\n");
    let url = bouncer.url(&database);
    let psql = |sql: &str| {
        succeeded(Command::new("psql").args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--command",
            sql,
            "--dbname",
            &url,
        ]))
    };
    rune_db(&["migrate"]).on(&url).run().succeeds();
    for (name, value) in AWKWARD
        .iter()
        .filter(|(name, _)| !["client_encoding", "search_path"].contains(name))
    {
        // Not so short that the pooler's own session ends.
        let value = if name.contains("timeout") {
            "10min"
        } else {
            value
        };
        psql(&format!("SET {name} = '{value}'"));
    }
    psql("SET search_path = pg_temp, public");
    psql("CREATE TEMPORARY TABLE jobs (job_id text)");
    // The pooler itself passes on these as each client has them.
    let settings = || {
        psql(
            "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
            WHERE name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')",
        )
    };
    let before = settings();
    assert!(before.contains("extra_float_digits=-15"), "{before}");
    let file = |name: &str| source.beside(name).to_str().unwrap().to_owned();
    let (backup, artifact) = (file("backup.db"), file("artifact"));
    let calls: &[&[&str]] = &[
        &["status", "--strict"],
        &["migrate"],
        &["repair"],
        &[
            "migrate-to-postgres",
            "--source",
            "env:SOURCE",
            "--target",
            "env:RUNE_DB_URL",
        ],
        &["verify"],
        &["compare", "--rows", "env:SOURCE", "env:RUNE_DB_URL"],
        &["backup", "--output", &backup],
        &["jobs", "list"],
        &["events", "list"],
        &["audit", "export", "a-1", "--output", &artifact],
        &["settings", "set", "k", "{}"],
        &["settings", "get", "k"],
        &["jobs", "fail-stale", "--older-than", "1d", "--tenant", "t"],
        &["prune", "--older-than", "1d"],
        &["wait", "--schema"],
    ];
    for arguments in calls {
        rune_db(arguments)
            .on(&url)
            .env("SOURCE", &source.url())
            .env("RUNE_PG_POOL_MIN", "1")
            .run();
        assert_eq!(settings(), before, "after {arguments:?}");
    }
    assert_eq!(
        sqlite3(&source.beside("backup.db"), "SELECT count(*) FROM jobs"),
        "2"
    );
    assert!(
        compared(&source.url(), &sqlite_url(&source.beside("backup.db")), &[])
            .succeeds()
            .ends_with("equal\n")
    );
}
