//! Backup and restore of the postgres chart with the real `pg_dump` and `pg_restore`: what counts
//! as a backup, and what a restore may touch.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use rune_testkit::{
    postgres::{Database, ENCODED_PASSWORD, Server},
    sha256,
};

use crate::charts::image::Job;

/// Tables as RUNE's, with what is hard to carry: quotes, line breaks, bytes, doubles.
const ROWS: &str = "CREATE TABLE jobs (job_id text PRIMARY KEY, note text, created_at double precision, content bytea);
    INSERT INTO jobs SELECT n, E'it''s\\nline \\\\ ' || repeat('x', n), 1700000000.123456 + n, decode(md5(n::text), 'hex') FROM generate_series(1, 2000) n;
    CREATE SEQUENCE events; SELECT setval('events', 4711)";
const SUM: &str = "SELECT count(*), md5(string_agg(job_id || note || created_at || content::text, '|' ORDER BY job_id)) FROM jobs";

fn filled(server: &Server) -> Database<'_> {
    let database = server.database();
    as_owner(&database, ROWS);
    database
}

fn as_owner(database: &Database<'_>, sql: &str) {
    database.query(&format!("SET ROLE {}; {sql}", database.name()));
}

/// Damages a dump in the middle of its data, where the list of its contents does not look.
fn damage(job: &Job, name: &str) {
    let mut bytes = fs::read(job.backup(name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0);
    fs::write(job.backup(name), bytes).unwrap();
}

#[test]
fn a_backup_brings_back_the_same_rows_and_nothing_younger() {
    let server = Server::shared(17);
    let database = filled(&server);
    let before = database.query(SUM);
    let job = Job::new(&database);
    job.succeeds("backup.sh", &[]);
    let dump = job.dump();
    let sum = sha256(&fs::read(job.backup(&dump)).unwrap());
    assert_eq!(
        fs::read_to_string(job.backup(&format!("{dump}.sha256"))).unwrap(),
        format!("{}  {dump}\n", sum.trim_start_matches("sha256:"))
    );

    as_owner(
        &database,
        "DELETE FROM jobs WHERE created_at > 1700000900; CREATE TABLE settings (key text); CREATE VIEW few AS SELECT * FROM jobs",
    );
    job.succeeds("restore.sh", &[("FILE", &dump)]);
    assert_eq!(database.query(SUM), before);
    assert_eq!(database.query("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace"), "jobs");
    assert_eq!(database.query("SELECT last_value FROM events"), "4711");
    assert_eq!(
        database.query("SELECT tableowner FROM pg_tables WHERE tablename = 'jobs'"),
        database.name()
    );
}

#[test]
fn a_lost_database_comes_back_into_an_empty_one_of_another_server() {
    let server = Server::start(17);
    let (job, before) = {
        let database = filled(&server);
        let job = Job::new(&database);
        job.succeeds("backup.sh", &[]);
        (job, database.query(SUM))
    };
    drop(server);
    let other = Server::start(17);
    let empty = other.database();
    let next = Job::new(&empty);
    for file in job.backups() {
        fs::write(next.backup(&file), fs::read(job.backup(&file)).unwrap()).unwrap();
    }
    next.succeeds("restore.sh", &[("FILE", &next.dump())]);
    assert_eq!(empty.query(SUM), before);
}

#[test]
fn old_dumps_go_only_after_a_new_one_is_whole() {
    let server = Server::shared(17);
    let database = filled(&server);
    let job = Job::new(&database);
    let old = ["20200101T000000Z", "20210101T000000Z", "20220101T000000Z"]
        .map(|time| format!("{}-{time}.dump", database.name()));
    let foreign = [
        "other-20200101T000000Z.dump".to_owned(),
        format!("{}-notes.txt", database.name()),
    ];
    for file in old.iter().chain(&foreign) {
        fs::write(job.backup(file), "x").unwrap();
        fs::write(job.backup(&format!("{file}.sha256")), "x").unwrap();
    }
    let before = job.backups();
    // A dump that cannot be read back: the real pg_dump, whose file is cut afterwards.
    job.replace_program(
        "pg_dump",
        "/usr/local/bin/pg_dump \"$@\" || exit\nfor argument; do case $argument in --file=*) truncate -s 3000 \"${argument#--file=}\" ;; esac; done",
    );
    job.fails(
        "backup.sh",
        &[],
        1,
        "cannot be read back; older ones are untouched",
    );
    assert_eq!(job.backups(), before);
    job.replace_program("pg_dump", "exec /usr/local/bin/pg_dump \"$@\"");
    let said = job.succeeds("backup.sh", &[]);
    assert!(said.contains(&format!("removed {}", old[1])), "{said}");
    let kept = job.backups();
    for (file, is_kept) in [
        (&old[0], false),
        (&old[1], false),
        (&old[2], true),
        (&foreign[0], true),
        (&foreign[1], true),
    ] {
        assert_eq!(kept.contains(file), is_kept, "{file}: {kept:?}");
        assert!(
            kept.contains(&format!("{file}.sha256")) == is_kept || foreign.contains(file),
            "{file}: {kept:?}"
        );
    }
}

#[test]
fn a_dump_that_fails_leaves_nothing_that_looks_like_one() {
    let server = Server::shared(17);
    let database = filled(&server);
    let job = Job::new(&database);
    // Another owner's table, which the role cannot read.
    database.query("CREATE TABLE theirs (x int)");
    job.fails(
        "backup.sh",
        &[],
        1,
        "pg_dump failed for the reason above; older dumps are untouched",
    );
    assert_eq!(job.backups(), Vec::<String>::new());
}

#[test]
fn a_damaged_dump_is_refused_and_the_database_untouched() {
    let server = Server::shared(17);
    let database = filled(&server);
    let job = Job::new(&database);
    job.succeeds("backup.sh", &[]);
    let dump = job.dump();
    damage(&job, &dump);
    let before = database.query(SUM);
    job.fails(
        "restore.sh",
        &[("FILE", &dump)],
        64,
        "is not what was written",
    );
    // Without a checksum it is still read to its end.
    fs::remove_file(job.backup(&format!("{dump}.sha256"))).unwrap();
    let list = job.in_image(&["pg_restore", "--list", &format!("/backup/{dump}")], &[]);
    assert!(
        list.status.success(),
        "a check that only lists would have let it pass"
    );
    job.fails(
        "restore.sh",
        &[("FILE", &dump)],
        64,
        "is damaged; the database is untouched",
    );
    assert_eq!(database.query(SUM), before);
}

#[test]
fn a_restore_that_fails_midway_changes_nothing() {
    let server = Server::shared(17);
    let database = filled(&server);
    let job = Job::new(&database);
    job.succeeds("backup.sh", &[]);
    let dump = job.dump();
    as_owner(&database, "DELETE FROM jobs WHERE created_at > 1700000900");
    let before = database.query(SUM);
    // pg_restore ends early: in the middle of the rows, and between two statements.
    for bytes in ["20000", "700"] {
        job.replace_program(
            "pg_restore",
            &format!("case \"$*\" in *--file=-*) /usr/local/bin/pg_restore \"$@\" | head -c {bytes}; exit 1 ;; esac\nexec /usr/local/bin/pg_restore \"$@\""),
        );
        job.fails("restore.sh", &[("FILE", &dump)], 1, "nothing was changed");
        assert_eq!(database.query(SUM), before);
    }
}

/// Regression: `pg_restore` puts a transaction of its own around large objects, whose end was the
/// end of ours.
#[test]
fn a_dump_with_large_objects_is_all_or_nothing_too() {
    let server = Server::shared(17);
    let database = filled(&server);
    as_owner(&database, "SELECT lo_from_bytea(4711, 'large')");
    let job = Job::new(&database);
    job.succeeds("backup.sh", &[]);
    let dump = job.dump();
    as_owner(
        &database,
        "DELETE FROM jobs WHERE created_at > 1700000900; SELECT lo_unlink(4711)",
    );
    let before = database.query(SUM);
    // pg_restore ends early: after the last row and before the end.
    job.replace_program(
        "pg_restore",
        "case \"$*\" in *--file=-*) /usr/local/bin/pg_restore \"$@\" >/tmp/all; head -c $(($(wc -c </tmp/all) - 200)) /tmp/all; exit 1 ;; esac\nexec /usr/local/bin/pg_restore \"$@\"",
    );
    job.fails("restore.sh", &[("FILE", &dump)], 1, "nothing was changed");
    assert_eq!(database.query(SUM), before);
    job.replace_program("pg_restore", "exec /usr/local/bin/pg_restore \"$@\"");
    job.succeeds("restore.sh", &[("FILE", &dump)]);
    assert_eq!(
        database.query("SELECT convert_from(lo_get(4711), 'UTF8'), (SELECT count(*) FROM jobs)"),
        "large|2000"
    );
}

#[test]
fn a_backup_volume_that_the_job_may_not_use_ends_with_a_sentence() {
    let server = Server::shared(17);
    let database = filled(&server);
    let job = Job::new(&database);
    job.succeeds("backup.sh", &[]);
    let (dump, mode) = (job.dump(), |name: &str, mode| {
        fs::set_permissions(job.backup(name), fs::Permissions::from_mode(mode)).unwrap();
    });
    let before = job.backups();
    mode("", 0o555);
    job.fails(
        "backup.sh",
        &[],
        64,
        "backup: cannot write to the backup volume: ",
    );
    mode("", 0o700);
    job.fails(
        "restore.sh",
        &[("FILE", &dump)],
        64,
        "restore: cannot read the backup volume: it belongs to uid ",
    );
    mode("", 0o777);
    Command::new("chown")
        .arg("0:0")
        .arg(job.backup(&dump))
        .status()
        .unwrap();
    job.fails(
        "restore.sh",
        &[("FILE", &dump)],
        64,
        &format!("restore: cannot read {dump}: it belongs to uid 0"),
    );
    assert_eq!(job.backups(), before);
}

#[test]
fn a_restore_wants_the_right_file_and_the_database_for_itself() {
    let server = Server::shared(17);
    let database = filled(&server);
    let job = Job::new(&database);
    job.succeeds("backup.sh", &[]);
    let dump = job.dump();
    job.fails(
        "restore.sh",
        &[("FILE", "yesterday.dump")],
        64,
        &format!("there is no yesterday.dump on the backup volume; it has: {dump}"),
    );
    let mut session = server.session(database.name());
    session.run("SELECT 1");
    // A while is for sessions that are ending; this one stays.
    job.fails(
        "restore.sh",
        &[("FILE", &dump), ("WAIT_SECONDS", "2")],
        64,
        "1 other sessions are connected",
    );
    std::thread::scope(|scope| {
        let restored = scope.spawn(|| job.succeeds("restore.sh", &[("FILE", &dump)]));
        drop(session);
        restored.join().unwrap();
    });
}

#[test]
fn without_a_server_a_job_says_what_it_waits_for_and_gives_up() {
    let server = Server::shared(17);
    let database = server.database();
    let job = Job::new(&database);
    job.fails(
        "backup.sh",
        &[("PGPORT", "1"), ("WAIT_SECONDS", "2")],
        1,
        "no server at 127.0.0.1:1 after 2 seconds",
    );
    job.fails(
        "backup.sh",
        &[("PASSWORD_FILE", "/run/secrets/other")],
        64,
        "the Secret has no password",
    );
}

#[test]
fn the_chart_test_tells_the_right_role_from_others() {
    let server = Server::start(17);
    let database = server.database();
    let job = Job::new(&database);
    let (url, name) = (database.url(), database.name());
    let check = |url: &str, user: &str| {
        job.run(
            "test.sh",
            &[("RUNE_DB_URL", url), ("DB_USER", user), ("DB_NAME", name)],
        )
    };
    let said = |url: &str, user: &str| {
        let output = check(url, user);
        assert!(!output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(check(&url, name).status.success());
    assert!(said(&url, "rune").contains("another role"));
    let raw = url.replace(ENCODED_PASSWORD, "p@ss/w:rd%zz");
    assert!(!said(&raw, name).contains("w:rd"), "{}", said(&raw, name));
    database.query(&format!("ALTER ROLE {name} CREATEDB"));
    assert!(said(&url, name).contains("rights over the server"));
}
