//! The same on real file systems by FUSE: ntfs-3g, exfat-fuse and sshfs. A machine without
//! /dev/fuse skips these tests and says so.

use std::{
    fs,
    process::{Command, Output},
};

use crate::bundle::small_bundle::ends_with;
use crate::disks::support::{FuseDisk, Site, write_databases};
use rune_testkit::rows::Source;

fn as_it_is(command: &Command) -> Output {
    let mut same = Command::new(command.get_program());
    same.args(command.get_args()).envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .get_current_dir()
        .map(|directory| same.current_dir(directory));
    same.output().unwrap()
}

fn every_verb_writes_on(kind: &'static str) {
    let Some(disk) = FuseDisk::mount(kind) else {
        return;
    };
    let site = Site::on(disk.path("project"));
    site.write_everything(as_it_is);
    write_databases(&Source::with_rows(), &disk.path("project"), as_it_is);
}

#[test]
fn every_verb_writes_on_ntfs() {
    every_verb_writes_on("NTFS");
}

#[test]
fn every_verb_writes_on_exfat() {
    every_verb_writes_on("exFAT");
}

#[test]
fn every_verb_writes_on_sshfs() {
    every_verb_writes_on("sshfs");
}

fn a_private_key_is_refused_on(kind: &'static str) {
    let Some(disk) = FuseDisk::mount(kind) else {
        return;
    };
    let site = Site::on(disk.path("project"));
    for more in [&[][..], &["--dry-run"]] {
        let mut arguments = vec!["keygen", "--out", "new"];
        arguments.extend(more);
        let said = ends_with(&site.command(&arguments).output().unwrap(), 9);
        assert!(said.contains("0777") && said.contains("help: "), "{said}");
    }
    assert!(!site.path("new.key").exists() && !site.path("new.pub").exists());
    site.leaves_nothing_behind();
}

#[test]
fn a_private_key_is_refused_on_ntfs_that_shows_it_to_everybody() {
    a_private_key_is_refused_on("NTFS");
}

#[test]
fn a_private_key_is_refused_on_exfat_that_shows_it_to_everybody() {
    a_private_key_is_refused_on("exFAT");
}

#[test]
fn a_name_that_exfat_does_not_take_is_said_to_be_one() {
    let Some(disk) = FuseDisk::mount("exFAT") else {
        return;
    };
    let site = Site::on(disk.path("project"));
    let bundle = site.project.build("x.tar");
    for arguments in [
        &[
            "report",
            bundle.to_str().unwrap(),
            "--key",
            "release.pub",
            "--output",
            "a:b.html",
        ][..],
        &site.project.build_arguments("a:b.tar"),
        &[
            "unpack",
            bundle.to_str().unwrap(),
            "a:b",
            "--key",
            "release.pub",
        ],
    ] {
        let said = ends_with(&site.command(arguments).output().unwrap(), 3);
        assert!(
            said.contains("does not take such a name") && said.contains("help: "),
            "{said}"
        );
    }
    site.leaves_nothing_behind();
}

#[test]
fn a_build_killed_on_exfat_goes_on_and_a_name_that_is_taken_stays() {
    let Some(disk) = FuseDisk::mount("exFAT") else {
        return;
    };
    let site = Site::on(disk.path("project"));
    let arguments = site.project.build_arguments("x.tar");
    let mut build = site.command(&arguments);
    site.project.registry.hold_from("/v2/*/blobs/*", 3);
    let mut running = build.spawn().unwrap();
    site.project.registry.wait_for_requests("/v2/*/blobs/*", 3);
    running.kill().unwrap();
    running.wait().unwrap();
    site.project.registry.end_hold();
    ends_with(&site.command(&arguments).output().unwrap(), 0);
    ends_with(
        &site
            .command(&["verify", "x.tar", "--key", "release.pub"])
            .output()
            .unwrap(),
        0,
    );
    let before = fs::read(site.path("x.tar")).unwrap();
    ends_with(&site.command(&arguments).output().unwrap(), 12);
    assert!(fs::read(site.path("x.tar")).unwrap() == before);
    site.leaves_nothing_behind();
}
