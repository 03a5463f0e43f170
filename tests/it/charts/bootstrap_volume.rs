//! What the bootstrap finds on its volumes: data of other charts, storage that sets no owner, a
//! separate volume for the write-ahead log.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use crate::charts::{
    pod::{PASSWORD, Pod, kill_all, said, wait_until},
    support::in_tools_env,
};

/// Where charts and operators keep the data directory below the root of their volume, and how the
/// refusal names the place.
const LAYOUTS: [(&str, &str); 10] = [
    ("", "at its root"),
    ("data", "in data/"),
    ("pgdata", "in pgdata/"),
    ("pg", "in pg/"),
    ("userdata", "in userdata/"),
    ("pg17", "in pg17/"),
    ("17/main", "in 17/main/"),
    ("17/data", "in 17/data/"),
    ("pgroot/data", "in pgroot/data/"),
    ("var/lib/pgsql/data", "in var/lib/pgsql/data/"),
];

#[test]
fn a_volume_that_another_chart_filled_is_refused_with_the_place_and_the_way() {
    for (layout, place) in LAYOUTS {
        let pod = Pod::new();
        let data = pod.path("volume").join(layout);
        fs::create_dir_all(data.join("base/1")).unwrap();
        for file in ["PG_VERSION", "base/1/PG_VERSION"] {
            fs::write(data.join(file), "16\n").unwrap();
        }
        let before = pod.volume();
        pod.refuses(&format!(
            "the volume holds a data directory {place} (PostgreSQL 16), as other charts make it"
        ));
        pod.refuses("docs/operations/from-another-chart.md");
        assert_eq!(pod.volume(), before, "nothing was created beside it");
    }
}

#[test]
fn a_directory_that_cannot_be_looked_into_may_hold_data_and_is_refused() {
    for directory in ["data", "pgroot/data"] {
        let pod = Pod::new();
        let hidden = pod.path("volume").join(directory);
        fs::create_dir_all(&hidden).unwrap();
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o000)).unwrap();
        pod.refuses("cannot see whether the volume holds data of another chart");
    }
}

#[test]
fn what_file_systems_leave_on_a_volume_disturbs_nobody() {
    let pod = Pod::new();
    for name in ["lost+found", ".snapshot/daily.0/data", "notes"] {
        fs::create_dir_all(pod.path("volume").join(name)).unwrap();
    }
    fs::write(pod.path("volume/.snapshot/daily.0/data/PG_VERSION"), "17\n").unwrap();
    fs::set_permissions(
        pod.path("volume/lost+found"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    pod.give_away();
    pod.boot();
    assert_eq!(pod.serve().answers(PASSWORD, "select current_user"), "rune");
}

#[test]
fn a_cluster_of_another_chart_in_this_charts_place_is_refused() {
    let pod = Pod::new();
    // The same programs and user, another superuser: as the official image has it with
    // POSTGRES_USER.
    let initdb = |superuser: &str| {
        let _ = fs::remove_dir_all(pod.pgdata());
        pod.types(&format!(
            "mkdir -p '{}' && initdb -U {superuser} --no-sync >/dev/null",
            pod.path("volume/17").display()
        ));
    };
    initdb("rune");
    pod.refuses("has no superuser postgres, so another chart made it");
    initdb("postgres");
    let socket = pod.path("run").display().to_string();
    let options = format!("-c listen_addresses='' -c unix_socket_directories={socket}");
    let create = format!("psql -qXh {socket} -U postgres -c 'CREATE TABLE theirs (x int)'");
    pod.types(&format!(
        "pg_ctl -w -s start -o \"{options}\" >/dev/null 2>&1; {create}; pg_ctl -w -s stop -m fast"
    ));
    pod.refuses("there is no database rune but there is postgres");
}

#[test]
fn storage_that_sets_no_owner_ends_with_a_sentence() {
    let ids = "this pod runs as uid";
    let refuses = |pod: &Pod, expected: &str| {
        let output = pod.bootstrap().output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(
            said.contains(expected) && said.contains(ids) && said.contains("podSecurity."),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    };
    // A directory that only root may write to, as an export with root_squash and a hostPath have
    // it.
    let pod = Pod::new();
    fs::set_permissions(pod.path("volume"), fs::Permissions::from_mode(0o555)).unwrap();
    refuses(&pod, "cannot write to the volume: mkdir: ");
    fs::set_permissions(pod.path("volume"), fs::Permissions::from_mode(0o000)).unwrap();
    refuses(&pod, "cannot read ");
    fs::set_permissions(pod.path("volume"), fs::Permissions::from_mode(0o700)).unwrap();

    // What is written belongs to somebody else, as with all_squash.
    let real = in_tools_env("command -v stat");
    pod.replace_program(
        "stat",
        &format!("case \"$*\" in '-c %u '*.init) echo 4711 ;; *) exec {real} \"$@\" ;; esac"),
    );
    refuses(
        &pod,
        "belongs to uid 4711 there, as an NFS export with all_squash does it",
    );
    // Modes that are not kept, as on CIFS.
    pod.replace_program(
        "stat",
        &format!("case \"$*\" in '-c %a '*.init) echo 755 ;; *) exec {real} \"$@\" ;; esac"),
    );
    let output = pod.bootstrap().output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(
        said(&output).contains("does not keep the mode 0700"),
        "{}",
        said(&output)
    );
    fs::remove_file(pod.path("programs/stat")).unwrap();

    // Data of another user.
    pod.boot();
    pod.replace_program(
        "stat",
        &format!("case \"$*\" in '-c %u '*docker) echo 4711 ;; *) exec {real} \"$@\" ;; esac"),
    );
    refuses(&pod, "PostgreSQL starts as the owner of its data directory");
    fs::remove_file(pod.path("programs/stat")).unwrap();
    fs::set_permissions(pod.pgdata(), fs::Permissions::from_mode(0o000)).unwrap();
    refuses(&pod, "cannot read ");
    fs::set_permissions(pod.pgdata(), fs::Permissions::from_mode(0o700)).unwrap();
    pod.boot();
}

#[test]
fn an_initdb_that_fails_is_the_last_but_one_thing_that_is_said() {
    let pod = Pod::new();
    let output = pod.bootstrap().arg("--wal-segsize=3").output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.lines()
            .last()
            .unwrap()
            .starts_with("bootstrap: initdb failed for the reason above; the volume has "),
        "{said}"
    );
}

/// Kills a first start whose write-ahead log is elsewhere, at a moment that a path shows, and lets
/// the next one end.
fn survives_with_its_log_elsewhere(major: u32, moment: &str) {
    let pod = Pod::of(major);
    let log = pod.path("wal/log");
    let option = format!("--waldir={}", log.display());
    fs::create_dir(pod.path("wal")).unwrap();
    pod.give_away();
    let mut process = pod
        .bootstrap()
        .arg(&option)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let path = log.join(moment);
    wait_until(|| path.exists() || process.try_wait().unwrap().is_some());
    kill_all(process);
    let output = pod.bootstrap().arg(&option).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_link(pod.pgdata().join("pg_wal")).unwrap(), log);
    assert_eq!(pod.serve().answers(PASSWORD, "select current_user"), "rune");

    // A new volume with the log of another cluster beside it: that log is somebody's data.
    fs::remove_dir_all(pod.path("volume")).unwrap();
    fs::create_dir(pod.path("volume")).unwrap();
    pod.give_away();
    let before = fs::read_dir(&log).unwrap().count();
    for option in [
        vec![option.as_str()],
        vec!["--waldir", log.to_str().unwrap()],
        vec!["-X", log.to_str().unwrap()],
    ] {
        let output = pod.bootstrap().args(&option).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(
            said(&output).contains("it may be the log of another cluster"),
            "{}",
            said(&output)
        );
    }
    assert_eq!(fs::read_dir(&log).unwrap().count(), before);
}

#[test]
fn a_first_start_that_is_killed_with_its_log_elsewhere_is_made_good() {
    survives_with_its_log_elsewhere(17, "000000010000000000000001");
}

#[test]
fn a_first_start_of_the_next_version_that_is_killed_with_its_log_elsewhere_is_made_good() {
    survives_with_its_log_elsewhere(18, "");
}

#[test]
fn a_log_directory_that_initdb_could_not_use_is_refused_before_it_tries() {
    let pod = Pod::new();
    fs::create_dir(pod.path("wal")).unwrap();
    pod.give_away();
    fs::set_permissions(pod.path("wal"), fs::Permissions::from_mode(0o555)).unwrap();
    let output = pod
        .bootstrap()
        .arg("-X")
        .arg(pod.path("wal"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(
        said(&output).contains("initdb cannot use ")
            && said(&output).contains("name a directory below it"),
        "{}",
        said(&output)
    );
}

#[test]
fn initdb_asks_for_no_huge_pages_and_the_server_for_those_of_its_settings() {
    let pod = Pod::new();
    pod.boot();
    let written = fs::read_to_string(pod.pgdata().join("postgresql.conf")).unwrap();
    assert!(
        written
            .lines()
            .any(|line| line.starts_with("huge_pages = off")),
        "what initdb ran with"
    );
    assert_eq!(pod.serve().answers(PASSWORD, "show huge_pages"), "off");

    // With `on` the server uses them or says that it cannot; initdb is done by then.
    let settings = fs::read_to_string(pod.path("postgresql.conf")).unwrap();
    fs::write(
        pod.path("postgresql.conf"),
        settings.replace("huge_pages = 'off'", "huge_pages = 'on'"),
    )
    .unwrap();
    let output = pod.bootstrap().output().unwrap();
    if output.status.success() {
        assert_eq!(
            pod.serve().answers(PASSWORD, "show huge_pages_status"),
            "on"
        );
    } else {
        assert!(
            said(&output).contains("could not map anonymous shared memory"),
            "{}",
            said(&output)
        );
    }
}
