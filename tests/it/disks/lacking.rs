//! Every verb that writes works where the file system lacks calls of the kernel. `strace` plays
//! such a file system.

use std::{os::unix::fs::PermissionsExt as _, process::Output};

use crate::bundle::small_bundle::ends_with;
use crate::disks::support::{DISKS, Lacking, Site, write_databases};
use rune_testkit::rows::Source;

/// The disk of this name.
fn disk(name: &str) -> Lacking {
    DISKS.into_iter().find(|disk| disk.name == name).unwrap()
}

fn every_verb_writes_on(name: &str) {
    let (disk, directory) = (disk(name), tempfile::tempdir().unwrap());
    Site::on(directory.path().join("project")).write_everything(|command| disk.run(command));
    write_databases(
        &Source::with_rows(),
        &directory.path().join("project"),
        |command| disk.run_with_sqlite(command),
    );
}

#[test]
fn every_verb_writes_on_nfs_and_9p() {
    every_verb_writes_on("NFS or 9p");
}

#[test]
fn every_verb_writes_on_nfs_without_locks() {
    every_verb_writes_on("NFS without its lock service");
}

#[test]
fn every_verb_writes_without_hard_links_and_permissions() {
    every_verb_writes_on("exFAT by FUSE or vboxsf");
}

#[test]
fn every_verb_writes_where_the_calls_are_not_implemented() {
    every_verb_writes_on("an old kernel");
}

#[test]
fn every_verb_writes_where_the_calls_are_not_supported() {
    every_verb_writes_on("CIFS");
}

#[test]
fn every_verb_writes_where_the_calls_are_those_of_no_file() {
    every_verb_writes_on("a file system that answers as a device");
}

fn keygen(site: &Site, disk: &Lacking, prefix: &str) -> Output {
    disk.run(&site.command(&["keygen", "--out", prefix]))
}

#[test]
fn a_private_key_is_written_without_hard_links_where_its_mode_holds() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    for (number, disk) in DISKS.iter().enumerate() {
        let prefix = format!("key{number}");
        ends_with(&keygen(&site, disk, &prefix), 0);
        let mode = site
            .path(&format!("{prefix}.key"))
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{}", disk.name);
        assert!(
            ends_with(&keygen(&site, disk, &prefix), 12).contains("already exists"),
            "{}",
            disk.name
        );
    }
    site.leaves_nothing_behind();
}

#[test]
fn what_is_there_is_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::on(directory.path().join("project"));
    let names = ["x.tar", "page.html", "unpacked"];
    for disk in &DISKS {
        for name in names {
            std::fs::write(site.path(name), "mine").unwrap();
        }
        ends_with(
            &disk.run(&site.command(&site.project.build_arguments("x.tar"))),
            12,
        );
        site.project.build("whole.tar");
        let bundle = site.project.path("whole.tar");
        let bundle = bundle.to_str().unwrap();
        ends_with(
            &disk.run(&site.command(&["unpack", bundle, "unpacked", "--key", "release.pub"])),
            12,
        );
        ends_with(
            &disk.run(&site.command(&[
                "report",
                bundle,
                "--key",
                "release.pub",
                "--output",
                "page.html",
            ])),
            12,
        );
        for name in names {
            assert_eq!(
                std::fs::read_to_string(site.path(name)).unwrap(),
                "mine",
                "{}",
                disk.name
            );
        }
        std::fs::remove_file(site.project.path("whole.tar")).unwrap();
    }
    site.leaves_nothing_behind();
}
