//! The bootstrap script of the postgres chart against a real PostgreSQL 17: what it makes, what it
//! survives, what it refuses.

use std::{fs, process::Stdio, time::Instant};

use crate::charts::pod::{PASSWORD, Pod, kill_all, said, wait_until};

#[test]
fn the_first_start_makes_a_database_that_only_its_own_role_reaches() {
    let pod = Pod::new();
    pod.boot();
    let server = pod.serve();
    assert_eq!(
        server.answers(
            PASSWORD,
            "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = 'rune'"
        ),
        "f"
    );
    assert_eq!(
        server.answers(
            PASSWORD,
            "create table t (x int); insert into t values (1); select x from t"
        ),
        "1"
    );
    assert_eq!(server.answers(PASSWORD, "show data_checksums"), "on");
    assert_eq!(
        server.answers(
            PASSWORD,
            "select datlocprovider::text || datlocale from pg_database where datname = 'rune'"
        ),
        "bC.UTF-8"
    );
    for (user, password, database) in [
        ("rune", "wrong-wrong-wrong", "rune"),
        ("postgres", PASSWORD, "rune"),
        ("rune", PASSWORD, "postgres"),
    ] {
        assert!(
            !server
                .psql(user, Some(password), database, "select 1")
                .status
                .success(),
            "{user} {database}"
        );
    }
    let with_password = server
        .socket("select string_agg(rolname, ' ') from pg_authid where rolpassword is not null");
    assert_eq!(said(&with_password).trim(), "rune");
    let refused = server.socket("alter system set work_mem = '1GB'");
    assert!(
        said(&refused).contains("ALTER SYSTEM"),
        "{}",
        said(&refused)
    );
}

#[test]
fn a_changed_password_is_in_force_after_the_next_start_and_the_data_stay() {
    let pod = Pod::new();
    pod.boot();
    pod.serve().answers(PASSWORD, "create table kept (x int)");
    // The server above was killed, so this start also recovers from a crash, with the pid of
    // process 1 in postmaster.pid.
    pod.set_password("another-password-1");
    assert!(
        pod.boot().contains(
            "the password of the role rune is not the one of the Secret; from now on it is"
        )
    );
    assert!(
        !pod.boot().contains("is not the one"),
        "said only when it changed"
    );
    let server = pod.serve();
    assert_eq!(
        server.answers("another-password-1", "select count(*) from kept"),
        "0"
    );
    assert!(
        !server
            .psql("rune", Some(PASSWORD), "rune", "select 1")
            .status
            .success()
    );
}

#[test]
fn a_first_start_that_is_killed_anywhere_is_made_good_by_the_next() {
    let reached = [
        ("initdb has begun", "volume/.init"),
        ("PG_VERSION is written", "volume/.init/PG_VERSION"),
        ("initdb is nearly done", "volume/.init/base/5"),
        ("the private server runs", "volume/.init/postmaster.pid"),
        ("the cluster is renamed", "volume/17/docker"),
    ];
    for (moment, path) in reached {
        let pod = Pod::new();
        let mut process = pod
            .bootstrap()
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let path = pod.path(path);
        wait_until(|| path.exists() || process.try_wait().unwrap().is_some());
        kill_all(process);
        pod.boot();
        assert_eq!(
            pod.serve().answers(PASSWORD, "select current_user"),
            "rune",
            "{moment}"
        );
    }
}

/// Regression: PostgreSQL makes its lock files empty and fills them then; killed in between, it
/// never started again.
#[test]
fn lock_files_that_a_killed_start_left_empty_do_not_stop_the_next() {
    let pod = Pod::new();
    pod.boot();
    for empty in [
        pod.pgdata().join("postmaster.pid"),
        pod.path("run/.s.PGSQL.5432.lock"),
    ] {
        fs::write(&empty, "").unwrap();
        pod.give_away();
        pod.boot();
        assert!(!empty.exists(), "{}", empty.display());
    }
    assert_eq!(pod.serve().answers(PASSWORD, "select current_user"), "rune");
}

#[test]
fn what_must_not_be_guessed_is_refused() {
    let pod = Pod::new();
    fs::write(pod.path("volume/PG_VERSION"), "17\n").unwrap();
    pod.refuses("data directory at its root");
    fs::remove_file(pod.path("volume/PG_VERSION")).unwrap();

    fs::create_dir_all(pod.path("volume/16/docker")).unwrap();
    fs::write(pod.path("volume/16/docker/PG_VERSION"), "16\n").unwrap();
    pod.refuses("data of PostgreSQL 16 and none of 17");
    fs::remove_dir_all(pod.path("volume/16")).unwrap();

    fs::create_dir_all(pod.pgdata()).unwrap();
    fs::write(pod.pgdata().join("precious"), "x").unwrap();
    pod.refuses("has content but no PG_VERSION");
    assert!(pod.pgdata().join("precious").exists());
    fs::write(pod.pgdata().join("PG_VERSION"), "16\n").unwrap();
    pod.refuses("of PostgreSQL 16, the server of PostgreSQL 17");
    fs::remove_dir_all(pod.path("volume/17")).unwrap();

    pod.set_password("");
    pod.refuses("no password");
    pod.refuses_with(
        &[("PASSWORD_FILE", "/nonexistent")],
        "the key that auth.secretKeys.password names is missing or empty",
    );
    pod.set_password("two lines in\none password");
    pod.refuses("more than one line");
}

#[test]
fn another_name_for_the_role_or_the_database_is_refused_before_an_empty_one_appears() {
    let pod = Pod::new();
    pod.boot();
    pod.refuses_with(
        &[("DB_USER", "other")],
        "the database rune belongs to the role rune, the values say other",
    );
    pod.refuses_with(
        &[("DB_NAME", "other")],
        "there is no database other but there is rune",
    );
    pod.boot();
    let server = pod.serve();
    assert_eq!(
        said(&server.socket("select count(*) from pg_database where datname = 'other'")).trim(),
        "0"
    );
    assert_eq!(
        said(&server.socket("select count(*) from pg_roles where rolname = 'other'")).trim(),
        "0"
    );
}

#[test]
fn a_password_of_every_printable_character_lets_the_role_in() {
    let pod = Pod::new();
    let printable: String = (' '..='~').chain("äß語🦀".chars()).collect();
    // What editors leave behind at the end of a file is no part of it.
    pod.set_password(&format!("{printable}\n"));
    let output = pod.bootstrap().output().unwrap();
    assert!(
        output.status.success() && !said(&output).contains("!\"#"),
        "{}",
        said(&output)
    );
    assert_eq!(
        pod.serve().answers(&printable, "select current_user"),
        "rune"
    );
}

#[test]
fn a_short_password_is_worth_a_warning() {
    let pod = Pod::new();
    pod.set_password("fifteen-letters");
    let output = pod.bootstrap().output().unwrap();
    assert!(
        output.status.success() && said(&output).contains("fewer than 16 characters"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_sites_scripts_run_once_and_a_first_start_whose_script_fails_begins_anew() {
    let pod = Pod::new();
    fs::write(
        pod.path("scripts/1-table.sql"),
        "CREATE TABLE made (x int); ALTER TABLE made OWNER TO rune;",
    )
    .unwrap();
    fs::write(
        pod.path("scripts/2-row.sh"),
        "psql -Xqc 'INSERT INTO made VALUES (1)'; test ! -e \"$PGHOST/../fail\"",
    )
    .unwrap();
    fs::write(pod.path("fail"), "").unwrap();
    pod.give_away();
    let output = pod.bootstrap().output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("2-row.sh failed"),
        "{}",
        said(&output)
    );
    assert!(!pod.pgdata().exists(), "half of a first start has no name");
    fs::remove_file(pod.path("fail")).unwrap();
    pod.boot();
    assert!(
        !pod.boot().contains("running"),
        "scripts are for the first start"
    );
    assert_eq!(
        pod.serve().answers(PASSWORD, "select count(*) from made"),
        "1"
    );
}

#[test]
fn the_role_owns_the_database_and_the_schema_and_what_was_taken_is_given_back() {
    let pod = Pod::new();
    pod.boot();
    let owns = "select pg_get_userbyid(datdba) = current_user and pg_has_role((select nspowner from pg_namespace where nspname = 'public'), 'usage') \
                from pg_database where datname = current_database()";
    {
        let server = pod.serve();
        assert_eq!(server.answers(PASSWORD, owns), "t");
        assert!(
            server
                .socket("alter database rune owner to postgres")
                .status
                .success()
        );
        assert!(
            server
                .socket("alter schema public owner to postgres")
                .status
                .success()
        );
        assert!(server.socket("alter role rune superuser").status.success());
    }
    pod.boot();
    let server = pod.serve();
    assert_eq!(server.answers(PASSWORD, owns), "t");
    assert_eq!(
        server.answers(
            PASSWORD,
            "select rolsuper from pg_roles where rolname = current_user"
        ),
        "f"
    );
}

/// Kills first starts at five of twenty moments, spread over the time that one takes here.
fn survives_kills(quarter: u32) {
    let whole = Instant::now();
    Pod::new().boot();
    let whole = whole.elapsed();
    let mut seed = u64::from(std::process::id());
    for part in (0..5).map(|part| part * 4 + quarter) {
        // A different place in each twentieth at each run, so that every phase is met.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let moment = whole.mul_f64(
            (f64::from(part) + f64::from(u32::try_from(seed >> 40).unwrap()) / f64::from(1 << 24))
                / 20.0,
        );
        let pod = Pod::new();
        let mut process = pod
            .bootstrap()
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        wait_until(|| started.elapsed() >= moment || process.try_wait().unwrap().is_some());
        kill_all(process);
        pod.boot();
        assert_eq!(
            pod.serve().answers(PASSWORD, "select current_user"),
            "rune",
            "killed after {moment:?} of {whole:?}, seed {seed}"
        );
    }
}

#[test]
fn a_first_start_that_is_killed_at_random_ends_in_a_working_database_1() {
    survives_kills(0);
}

#[test]
fn a_first_start_that_is_killed_at_random_ends_in_a_working_database_2() {
    survives_kills(1);
}

#[test]
fn a_first_start_that_is_killed_at_random_ends_in_a_working_database_3() {
    survives_kills(2);
}

#[test]
fn a_first_start_that_is_killed_at_random_ends_in_a_working_database_4() {
    survives_kills(3);
}
