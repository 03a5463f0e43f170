//! `rune-db` on SQLite files: what it makes, what it leaves alone, what it says about bad files.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    time::Duration,
};

use rune_testkit::poll::wait_until;

use rune_testkit::tool::{
    ALL_VERSIONS, Ended, names_in, rune_db, sqlite_execute, sqlite_query, sqlite_url,
    sqlite_versions,
};

/// Every column as RUNE makes it: table, column, type, whether it must be given, place in the
/// primary key.
const COLUMNS: &str = "\
audit_artifact|artifact_id|TEXT|0|1
audit_artifact|job_id|TEXT|1|0
audit_artifact|kind|TEXT|1|0
audit_artifact|name|TEXT|1|0
audit_artifact|size_bytes|INTEGER|1|0
audit_artifact|sha256|TEXT|1|0
audit_artifact|content|BLOB|1|0
audit_artifact|created_at|REAL|1|0
chain_state|job_id|TEXT|0|1
chain_state|state_json|TEXT|1|0
chain_state|overall_status|TEXT|1|0
chain_state|updated_at|REAL|1|0
idempotency_keys|tenant_id|TEXT|1|1
idempotency_keys|operation|TEXT|1|2
idempotency_keys|idempotency_key|TEXT|1|3
idempotency_keys|job_id|TEXT|1|0
idempotency_keys|created_at|REAL|1|0
jobs|job_id|TEXT|0|1
jobs|tenant_id|TEXT|1|0
jobs|kind|TEXT|1|0
jobs|status|TEXT|1|0
jobs|request_json|TEXT|1|0
jobs|result_json|TEXT|0|0
jobs|error|TEXT|0|0
jobs|message|TEXT|0|0
jobs|created_at|REAL|1|0
jobs|updated_at|REAL|1|0
schema_version|version|INTEGER|0|1
schema_version|applied_at|REAL|1|0
settings|key|TEXT|0|1
settings|value_json|TEXT|1|0
settings|updated_at|REAL|1|0
workflow_events|id|INTEGER|0|1
workflow_events|job_id|TEXT|0|0
workflow_events|event|TEXT|1|0
workflow_events|status|TEXT|1|0
workflow_events|duration_ms|REAL|0|0
workflow_events|error_type|TEXT|0|0
workflow_events|labels_json|TEXT|0|0
workflow_events|recorded_at|REAL|1|0";

#[test]
fn a_new_file_has_exactly_runes_tables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/er/jobs.db");
    let report = rune_db(&["migrate"]).on(&sqlite_url(&path)).report();
    assert_eq!(
        (&report["created"], &report["database"]["found"]),
        (&true.into(), &"ours".into())
    );
    let columns = "SELECT m.name, p.name, p.type, p.\"notnull\", p.pk FROM sqlite_schema m JOIN pragma_table_info(m.name) p
        WHERE m.type = 'table' AND m.name NOT IN ('rune_db_ledger', 'sqlite_sequence') ORDER BY m.name, p.cid";
    assert_eq!(sqlite_query(&path, columns), COLUMNS);
    let indexes =
        "SELECT m.name, m.tbl_name, p.name FROM sqlite_schema m JOIN pragma_index_info(m.name) p
        WHERE m.type = 'index' AND m.sql IS NOT NULL ORDER BY m.name";
    assert_eq!(
        sqlite_query(&path, indexes),
        "idx_audit_artifact_job_id|audit_artifact|job_id\nidx_workflow_events_event|workflow_events|event\n\
         idx_workflow_events_job_id|workflow_events|job_id"
    );
    assert_eq!(
        sqlite_query(
            &path,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'"
        ),
        "1"
    );
    assert_eq!(sqlite_query(&path, "PRAGMA journal_mode"), "wal");
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
    assert_eq!(names_in(path.parent().unwrap()), ["jobs.db"]);
}

#[test]
fn a_second_run_has_nothing_to_do_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    let before = fs::read(&path).unwrap();
    let report = rune_db(&["migrate"]).on(&sqlite_url(&path)).report();
    assert_eq!(
        (&report["created"], &report["applied"]),
        (&false.into(), &serde_json::json!([]))
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn looking_makes_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (
        directory.path().join("new/jobs.db"),
        sqlite_url(&directory.path().join("new/jobs.db")),
    );
    rune_db(&["status"])
        .on(&url)
        .run()
        .fails(4, &["jobs.db", "No such file"]);
    let plan = rune_db(&["migrate", "--dry-run"]).on(&url).report();
    assert_eq!(
        (
            &plan["dryRun"],
            &plan["created"],
            plan["applied"].as_array().unwrap().len()
        ),
        (&true.into(), &true.into(), 6)
    );
    assert_eq!(names_in(directory.path()), [""; 0]);
    rune_db(&["migrate"]).on(&url).run().succeeds();
    let before = fs::read(&path).unwrap();
    rune_db(&["status"]).on(&url).run().succeeds();
    rune_db(&["migrate", "--dry-run"]).on(&url).run().succeeds();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names_in(path.parent().unwrap()), ["jobs.db"]);
}

#[test]
fn a_plan_for_a_legacy_file_does_not_touch_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    crate::legacy::make_legacy(&path);
    let before = fs::read(&path).unwrap();
    let text = rune_db(&["migrate", "--dry-run"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    assert!(
        text.contains("would adopt 3") && text.contains("would apply 4 (0004_chain_state.sql)"),
        "{text}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn status_sees_what_a_running_rune_has_not_yet_checkpointed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    let running = rusqlite::Connection::open(&path).unwrap();
    running
        .execute_batch("INSERT INTO schema_version VALUES (7, 1.0)")
        .unwrap();
    let status = rune_db(&["status"]).on(&sqlite_url(&path)).report();
    assert_eq!(status["database"]["unknown"], serde_json::json!([7]));
    assert!(
        names_in(directory.path()).contains(&"jobs.db-wal".to_owned()),
        "the side files of the running program are its own"
    );
}

#[test]
fn unknown_higher_versions_are_a_warning_and_with_strict_a_conflict() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (
        directory.path().join("jobs.db"),
        sqlite_url(&directory.path().join("jobs.db")),
    );
    rune_db(&["migrate"]).on(&url).run().succeeds();
    sqlite_execute(
        &path,
        "INSERT INTO schema_version VALUES (7, 1.0), (99, 1.0)",
    );
    let text = rune_db(&["migrate"]).on(&url).run().succeeds();
    assert!(
        text.contains("warning: schema version 7, 99 is not known here"),
        "{text}"
    );
    rune_db(&["migrate", "--strict"])
        .on(&url)
        .run()
        .fails(12, &["7, 99", "--strict"]);
    assert_eq!(rune_db(&["status"]).on(&url).run().code, 0);
    assert_eq!(rune_db(&["status", "--strict"]).on(&url).run().code, 12);
}

#[test]
fn holes_are_filled() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (
        directory.path().join("jobs.db"),
        sqlite_url(&directory.path().join("jobs.db")),
    );
    rune_db(&["migrate"]).on(&url).run().succeeds();
    sqlite_execute(
        &path,
        "DROP TABLE chain_state; DELETE FROM schema_version WHERE version = 4; DELETE FROM rune_db_ledger WHERE version = 4",
    );
    let report = rune_db(&["migrate"]).on(&url).report();
    assert_eq!(report["applied"][0]["file"], "0004_chain_state.sql");
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
}

#[test]
fn a_recorded_version_without_its_table_is_pointed_out() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (
        directory.path().join("jobs.db"),
        sqlite_url(&directory.path().join("jobs.db")),
    );
    rune_db(&["migrate"]).on(&url).run().succeeds();
    sqlite_execute(
        &path,
        "DROP TABLE settings; DROP INDEX idx_audit_artifact_job_id",
    );
    let text = rune_db(&["status"]).on(&url).run().succeeds();
    assert!(text.contains("its table `settings` is not there"), "{text}");
    assert!(
        text.contains("`audit_artifact` lacks its index `idx_audit_artifact_job_id`"),
        "{text}"
    );
}

#[test]
fn files_that_are_not_a_database_are_refused_and_left_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&good))
        .run()
        .succeeds();
    let mut header = fs::read(&good).unwrap();
    header.truncate(5000);
    let random: Vec<u8> = (0..9000_u32)
        .map(|number| u8::try_from(number.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect();
    for (name, bytes, words) in [
        ("text", b"hello\n".repeat(100), "not a SQLite database"),
        ("encrypted", random, "not a SQLite database"),
        ("truncated", header, "restore a backup"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, &bytes).unwrap();
        for verb in [&["migrate"][..], &["status"], &["migrate", "--dry-run"]] {
            rune_db(verb)
                .on(&sqlite_url(&path))
                .run()
                .fails(3, &[name, words]);
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
    assert_eq!(
        names_in(directory.path()),
        ["encrypted", "good.db", "text", "truncated"]
    );
}

#[test]
fn an_empty_file_is_an_empty_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    fs::write(&path, "").unwrap();
    assert_eq!(
        rune_db(&["status"]).on(&sqlite_url(&path)).report()["database"]["found"],
        "empty"
    );
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
}

#[test]
fn a_directory_and_a_dangling_link_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, link) = (
        directory.path().join("folder.db"),
        directory.path().join("link.db"),
    );
    fs::create_dir(&folder).unwrap();
    symlink("nowhere.db", &link).unwrap();
    for verb in ["migrate", "status"] {
        rune_db(&[verb])
            .on(&sqlite_url(&folder))
            .run()
            .fails(3, &["folder.db", "directory"]);
        rune_db(&[verb])
            .on(&sqlite_url(&link))
            .run()
            .fails(4, &["link.db"]);
    }
    assert_eq!(names_in(directory.path()), ["folder.db", "link.db"]);
}

#[test]
fn a_locked_file_is_waited_for_and_then_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder
        .execute_batch("BEGIN EXCLUSIVE; CREATE TABLE other (a)")
        .unwrap();
    let child = rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .command()
        .spawn()
        .unwrap();
    // It has opened the file when its descriptor shows up; only then the lock is let go.
    let descriptors = format!("/proc/{}/fd", child.id());
    let is_open = || {
        fs::read_dir(&descriptors)
            .unwrap()
            .any(|entry| fs::read_link(entry.unwrap().path()).is_ok_and(|to| to == path))
    };
    wait_until("the file is open", Duration::from_secs(20), is_open);
    holder.execute_batch("COMMIT").unwrap();
    drop(holder);
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
}

/// Runs it as a user who owns nothing: root may write what it likes.
pub(crate) fn as_nobody(arguments: &[&str], url: &str) -> Ended {
    let call = rune_db(arguments).on(url).command();
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if !is_root {
        return rune_db(arguments).on(url).run();
    }
    // The build directory may be closed to others, so they get a copy.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("rune-db");
    fs::copy(call.get_program(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(call.get_args());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("RUNE_DB_URL", url)
        .output()
        .unwrap()
        .into()
}

#[test]
fn a_file_that_may_only_be_read_can_be_inspected_and_not_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let (legacy, current) = (
        directory.path().join("legacy.db"),
        directory.path().join("current.db"),
    );
    crate::legacy::make_legacy(&legacy);
    rune_db(&["migrate"])
        .on(&sqlite_url(&current))
        .run()
        .succeeds();
    let contents = [fs::read(&legacy).unwrap(), fs::read(&current).unwrap()];
    for path in [&legacy, &current] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    assert!(
        as_nobody(&["status"], &sqlite_url(&legacy))
            .succeeds()
            .contains("era L")
    );
    as_nobody(&["migrate"], &sqlite_url(&legacy)).fails(9, &["legacy.db"]);
    // SQLite cannot open a file in WAL mode where it may make no files, and we do not pretend that
    // nobody writes it.
    as_nobody(&["status"], &sqlite_url(&current)).fails(9, &["current.db", "beside it"]);
    assert_eq!(
        [fs::read(&legacy).unwrap(), fs::read(&current).unwrap()],
        contents
    );
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_database_is_chosen_by_rank_and_a_conflict_is_named_without_values() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (
        directory.path().join("one.db"),
        directory.path().join("two.db"),
    );
    let report = rune_db(&["migrate"])
        .on(&sqlite_url(&one))
        .env("RUNE_API_DB_PATH", two.to_str().unwrap())
        .report();
    assert_eq!(report["database"]["selectedBy"], "RUNE_DB_URL");
    let warning = report["database"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("`RUNE_DB_URL` and `RUNE_API_DB_PATH` name different databases"),
        "{warning}"
    );
    assert!(!warning.contains(".db"), "{warning}");
    assert_eq!(names_in(directory.path()), ["one.db"]);

    fs::write(
        directory.path().join("url"),
        format!("{}\n", sqlite_url(&one)),
    )
    .unwrap();
    let file = format!("file:{}", directory.path().join("url").display());
    for option in ["env:HERE", &file, &sqlite_url(&one)] {
        let call = rune_db(&["status", "--db-url", option]).env("HERE", &sqlite_url(&one));
        let report = call.on("postgresql://nobody@nowhere/nothing").report();
        assert_eq!(report["database"]["location"], sqlite_url(&one), "{option}");
        assert_eq!(report["database"]["warnings"], serde_json::json!([]));
    }
    rune_db(&["status", "--db-url", "env:HERE"])
        .run()
        .fails(2, &["`HERE` is not set"]);
}

#[test]
fn without_any_word_the_database_is_the_one_in_the_home_directory() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_str().unwrap();
    let report = rune_db(&["migrate"])
        .env("HOME", home)
        .env("RUNE_DB_URL", " ")
        .report();
    assert_eq!(
        report["database"]["location"],
        format!("sqlite:///{home}/.rune-api/jobs.db")
    );
    rune_db(&["migrate"])
        .run()
        .fails(2, &["home directory", "--db-url"]);
    let report = rune_db(&["migrate"])
        .within(directory.path())
        .env("RUNE_API_DB_PATH", "data/jobs.db")
        .report();
    assert_eq!(
        report["database"]["location"],
        format!("sqlite:///{home}/data/jobs.db")
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_url(&directory.path().join("jobs.db"));
    rune_db(&["migrate", "--owner", "rune"])
        .on(&url)
        .run()
        .fails(2, &["--owner"]);
    rune_db(&["migrate"])
        .on("sqlite://")
        .run()
        .fails(2, &["in memory"]);
    rune_db(&["migrate", "--password-file", "x"])
        .on(&url)
        .run()
        .fails(2, &["--password-file"]);
    rune_db(&["migrate"])
        .on("sqlite://jobs.db")
        .run()
        .fails(2, &["`RUNE_DB_URL`", "four slashes"]);
    rune_db(&["migrate"])
        .on("mysql://u:p@ssword@h/d")
        .run()
        .fails(2, &["unsupported storage URL scheme 'mysql'"]);
    assert_eq!(names_in(directory.path()), [""; 0]);
}

#[test]
fn a_url_with_two_meanings_for_rune_is_refused_and_a_scheme_that_rune_refuses_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let ambiguous = rune_db(&["migrate"])
        .on("sqlite:///data/jobs.db")
        .within(directory.path())
        .run();
    ambiguous.fails(
        2,
        &[
            "two meanings",
            "`sqlite:////data/jobs.db` or `sqlite:///./data/jobs.db`",
        ],
    );
    assert!(names_in(directory.path()).is_empty());
    // From the root directory both meanings are one file.
    let path = directory.path().join("jobs.db");
    let three = format!("sqlite://{}", path.display());
    rune_db(&["migrate"])
        .on(&three)
        .within(Path::new("/"))
        .run()
        .succeeds();
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
    let ended = rune_db(&["status"])
        .on(&format!("sqlite+pysqlite:///{}", path.display()))
        .run();
    assert!(
        ended.stdout.contains(
            "RUNE will not take the URL of `RUNE_DB_URL`: it has to begin with `sqlite://`"
        ),
        "{ended:?}"
    );
    assert_eq!(ended.code, 0);
    let ended = rune_db(&["status"])
        .on("POSTGRESQL+psycopg://rune@127.0.0.1:1/rune")
        .run();
    ended.fails(10, &["RUNE will not take the URL", "`postgresql://`"]);
}
