//! A process that is killed while it gives a file its name, on disks where that takes two steps:
//! nothing passes for whole, and the same command again ends right.

use std::{fs, os::unix::fs::MetadataExt as _, process::Command};

use crate::{
    bundle::small_bundle::ends_with,
    disks::support::{Lacking, Site},
};
use rune_testkit::rows::{Source, compared};
use rune_testkit::tool::{rune_db, sqlite_url};

/// Without `RENAME_NOREPLACE` and hard links.
const BARE: Lacking = Lacking {
    name: "bare",
    calls: &["renameat2:error=EINVAL", "link,linkat:error=EPERM"],
};

/// Runs a command that is killed when it is about to rename onto the name that it reserved.
fn killed_at_the_rename(command: &Command) {
    let killed = BARE
        .command(
            command,
            &["-e", "inject=rename,renameat:signal=KILL:when=1"],
        )
        .output()
        .unwrap();
    assert!(!killed.status.success(), "it ended before the rename");
}

#[test]
fn a_bundle_whose_name_was_only_reserved_is_not_a_bundle_and_the_next_build_finishes_it() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    let build = site.command(&site.project.build_arguments("x.tar"));
    killed_at_the_rename(&build);
    assert_eq!(fs::metadata(site.path("x.tar")).unwrap().len(), 0);
    for arguments in [
        &["verify", "x.tar", "--key", "release.pub"][..],
        &["inspect", "x.tar"],
    ] {
        let said = ends_with(&site.command(arguments).output().unwrap(), 3);
        assert!(
            said.contains("is empty") && said.contains("killed"),
            "{said}"
        );
    }
    site.project.registry.forget_requests();
    ends_with(&BARE.run(&build), 0);
    let asked = site.project.registry.requests();
    assert!(
        asked
            .iter()
            .all(|request| !request.path.contains("/blobs/")),
        "what was finished was fetched again"
    );
    ends_with(
        &site
            .command(&["verify", "x.tar", "--key", "release.pub"])
            .output()
            .unwrap(),
        0,
    );
    site.leaves_nothing_behind();
}

#[test]
fn a_page_and_a_file_of_images_whose_names_were_only_reserved_are_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    ends_with(
        &site
            .command(&site.project.build_arguments("x.tar"))
            .output()
            .unwrap(),
        0,
    );
    fs::create_dir(site.path("images")).unwrap();
    let page: &[&str] = &[
        "report",
        "x.tar",
        "--key",
        "release.pub",
        "--output",
        "page.html",
    ];
    let images: &[&str] = &[
        "load",
        "x.tar",
        "--key",
        "release.pub",
        "--images-dir",
        "images",
        "--platform",
        "linux/amd64",
    ];
    for (arguments, name) in [
        (page, "page.html"),
        (images, "images/rune-0.1.0-linux-amd64.tar"),
    ] {
        killed_at_the_rename(&site.command(arguments));
        assert_eq!(fs::metadata(site.path(name)).unwrap().len(), 0, "{name}");
        ends_with(&site.command(arguments).output().unwrap(), 0);
        assert!(fs::metadata(site.path(name)).unwrap().len() > 0, "{name}");
    }
    site.leaves_nothing_behind();
}

#[test]
fn a_key_whose_name_was_only_reserved_is_not_a_key_and_the_next_keygen_creates_one() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    ends_with(
        &site
            .command(&site.project.build_arguments("x.tar"))
            .output()
            .unwrap(),
        0,
    );
    killed_at_the_rename(&site.command(&["keygen", "--out", "new"]));
    assert_eq!(fs::metadata(site.path("new.key")).unwrap().len(), 0);
    let said = ends_with(
        &site
            .command(&["sign", "x.tar", "--key", "new.key"])
            .output()
            .unwrap(),
        3,
    );
    assert!(said.contains("is empty"), "{said}");
    ends_with(
        &site.command(&["keygen", "--out", "new"]).output().unwrap(),
        0,
    );
    ends_with(
        &site
            .command(&["sign", "x.tar", "--key", "new.key"])
            .output()
            .unwrap(),
        0,
    );
    site.leaves_nothing_behind();
}

#[test]
fn a_receipt_whose_name_was_only_reserved_is_said_and_completed_by_the_next_push() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    ends_with(
        &site
            .command(&site.project.build_arguments("x.tar"))
            .output()
            .unwrap(),
        0,
    );
    let registry = rune_testkit::registry::Registry::start();
    let host = registry.host();
    let push = site.command(&[
        "push",
        "x.tar",
        &host,
        "--key",
        "release.pub",
        "--receipts",
        "receipts",
    ]);
    let verify = site.command(&["receipts", "verify", "--receipts", "receipts"]);
    let run = |command: &Command| BARE.run(command);
    ends_with(&run(&push), 0);
    killed_at_the_rename(&push);
    let said = ends_with(&run(&verify), 6);
    assert!(said.contains("receipt 2 is not finished"), "{said}");
    ends_with(&run(&push), 0);
    let said = ends_with(&run(&verify), 0);
    assert!(
        said.contains('3'),
        "the receipt of the push that was killed, and the one of the next: {said}"
    );
    site.leaves_nothing_behind();
}

#[test]
fn a_database_whose_name_was_only_reserved_is_not_opened_and_the_same_command_again_writes_it() {
    let (source, directory) = (Source::with_rows(), tempfile::tempdir().unwrap());
    let (backup, restored) = (
        directory.path().join("backup.db"),
        directory.path().join("restored.db"),
    );
    let make = || {
        rune_db(&["backup", "--output", backup.to_str().unwrap()])
            .on(&source.url())
            .command()
    };
    let restore = || {
        rune_db(&["restore", "--from", backup.to_str().unwrap()])
            .on(&sqlite_url(&restored))
            .command()
    };
    for (mut command, path) in [(make(), &backup), (restore(), &restored)] {
        killed_at_the_rename(&command);
        assert_eq!(fs::metadata(path).unwrap().len(), 0);
        for verb in ["status", "migrate", "verify"] {
            let said = rune_db(&[verb]).on(&sqlite_url(path)).run();
            said.fails(3, &["is empty", "killed"]);
        }
        assert_eq!(fs::metadata(path).unwrap().len(), 0, "it is still nothing");
        ends_with(&command.output().unwrap(), 0);
    }
    compared(&source.url(), &sqlite_url(&restored), &[]).succeeds();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_bundle_that_had_two_names_when_the_build_was_killed_is_not_written_to_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    let build = || {
        site.command(&site.project.build_arguments("x.tar"))
            .output()
            .unwrap()
    };
    ends_with(&build(), 0);
    // What a kill leaves between the hard link and the removal of the first name, once somebody has
    // moved the bundle away.
    let whole = fs::read(site.path("x.tar")).unwrap();
    fs::rename(site.path("x.tar"), site.path("shipped.tar")).unwrap();
    fs::hard_link(site.path("shipped.tar"), site.path("x.tar.partial")).unwrap();
    ends_with(&build(), 0);
    let links = |name: &str| fs::metadata(site.path(name)).unwrap().nlink();
    assert_eq!((links("shipped.tar"), links("x.tar")), (1, 1));
    assert!(
        fs::read(site.path("shipped.tar")).unwrap() == whole
            && fs::read(site.path("x.tar")).unwrap() == whole
    );
    site.leaves_nothing_behind();
}
