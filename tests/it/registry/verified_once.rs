//! What `verify` read to its last byte is not hashed again, and whatever could have changed is.
//!
//! A disk that turns a bit is played by a program that has mapped the file on a tmpfs: what it
//! writes touches no time of the file.

use std::{
    fs::{self, File, FileTimes, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use camino::Utf8PathBuf;
use rune_bundle::commands::bundle::{
    BundleOptions, Origin, Parts, SignerOptions, VerifiedFiles, VerifyOptions, verify,
};
use rune_core::{digest::Digest, progress::Silent};
use rune_testkit::{cluster::note_skip, poll::wait_until, process::succeeded};

use crate::{
    bundle::foreign_support::Distribution,
    bundle::small_bundle::{Scratch, ends_with, entries_of},
    registry::load_support::Containerd,
    registry::serve_support::{Serving, bundle, image, noise},
};

const LAYER_BYTES: usize = 3 << 20;
const TMPFS: &str = "/dev/shm";

/// A bundle in a directory of its own, and the records of one user.
struct Site {
    directory: tempfile::TempDir,
    layer: Vec<u8>,
}

/// Somebody who has mapped the file of a bundle to write to it.
struct Disk {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Site {
    fn on(place: &Path) -> Self {
        let scratch = Scratch::new();
        let layer = noise(3, LAYER_BYTES);
        let images = vec![image("docker.io/library/two:1", vec![layer.clone()])];
        let built = bundle(&scratch, "sample", images);
        let site = Self {
            directory: tempfile::tempdir_in(place).unwrap(),
            layer,
        };
        fs::copy(built, site.file()).unwrap();
        fs::copy(scratch.path("key.pub"), site.path("key.pub")).unwrap();
        fs::set_permissions(site.file(), fs::Permissions::from_mode(0o644)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn utf8(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.path(name)).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.path("sample.tar")
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.layer)
    }

    /// A byte in the middle of the layer.
    fn middle(&self) -> u64 {
        let entries = entries_of(&self.file());
        let layer = entries
            .iter()
            .find(|entry| entry.name.ends_with(&self.digest().hex()));
        layer.unwrap().content + LAYER_BYTES as u64 / 2
    }

    /// Verifies the file, as if the program had been started at this moment.
    fn verify_at(&self, start: SystemTime) -> usize {
        let options = VerifyOptions {
            bundle: BundleOptions {
                bundle: self.utf8("sample.tar"),
                parts: Parts::default(),
                signers: SignerOptions {
                    keys: vec![self.utf8("key.pub")],
                    threshold: 1,
                    trust_file: None,
                    origin: Origin::Options,
                },
                digest: None,
                verified: Some(VerifiedFiles {
                    directory: self.utf8("state/rune-bundle/verified"),
                    start,
                }),
            },
            expect: None,
            policy: None,
            is_set: false,
        };
        verify::run(&options, &Silent).unwrap();
        self.records().len()
    }

    /// Verifies the file when it is old enough for a record, and says how many there are.
    fn verify(&self) -> usize {
        self.verify_at(SystemTime::now() + Duration::from_hours(1))
    }

    fn records(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state/rune-bundle/verified"));
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn verb(&self, verb: &str, file: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .arg(verb)
            .arg(file)
            .args(more)
            .arg("--key")
            .arg(self.path("key.pub"))
            .env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn run(&self, verb: &str, more: &[&str]) -> Output {
        self.verb(verb, &self.file(), more).output().unwrap()
    }

    /// Whether `serve` hashes the layer, which is damaged: then it resets the connection, and gives
    /// the damaged bytes away otherwise.
    fn is_hashed_at(&self, file: &Path, options: &[&str]) -> bool {
        let mut serve = self.verb("serve", file, &["--listen", "127.0.0.1:0", "--json"]);
        let serving = Serving::run(serve.args(options));
        let reply = serving.get(&format!("/v2/library/two/blobs/{}", self.digest()));
        let is_whole = reply.broken.is_none();
        assert!(
            !is_whole || reply.body.len() == LAYER_BYTES && reply.body != self.layer,
            "{} and {} bytes",
            reply.status,
            reply.body.len()
        );
        !is_whole
    }

    fn is_hashed(&self) -> bool {
        self.is_hashed_at(&self.file(), &[])
    }

    /// Writes another byte into the layer, and gives the file its old time of modification.
    fn change_with_times_restored(&self) {
        let modified = fs::metadata(self.file()).unwrap().modified().unwrap();
        let file = OpenOptions::new().write(true).open(self.file()).unwrap();
        let middle = usize::try_from(self.middle()).unwrap();
        let found = fs::read(self.file()).unwrap()[middle];
        file.write_all_at(&[found ^ 1], self.middle()).unwrap();
        file.set_times(FileTimes::new().set_modified(modified))
            .unwrap();
    }
}

impl Disk {
    fn at(file: &Path, at: u64) -> Self {
        const SCRIPT: &str = "import mmap, sys\nfile = open(sys.argv[1], 'r+b')\nmemory = mmap.mmap(file.fileno(), 0)\nat = int(sys.argv[2])\nmemory[at] = memory[at]\nprint('mapped', flush=True)\nsys.stdin.readline()\nmemory[at] ^= 1\nprint('turned', flush=True)\nsys.stdin.readline()\n";
        let mut child = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(file)
            .arg(at.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut disk = Self { child, stdout };
        disk.says("mapped");
        disk
    }

    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), expected);
    }

    /// Turns a bit around, and leaves all times as they are.
    fn turn_a_bit(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.says("turned");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A site whose file is on record and damaged since, without a trace.
fn damaged_on_record() -> (Site, Disk) {
    let site = Site::on(Path::new(TMPFS));
    let mut disk = Disk::at(&site.file(), site.middle());
    assert_eq!(site.verify(), 1);
    disk.turn_a_bit();
    (site, disk)
}

fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        note_skip("only root can mount, and give files to other users");
    }
    is_root
}

#[test]
fn what_verify_read_is_not_hashed_again_unless_it_is_demanded() {
    let (site, _disk) = damaged_on_record();
    assert!(!site.is_hashed());
    assert!(site.is_hashed_at(&site.file(), &["--rehash"]));
}

#[test]
fn unpack_hashes_everything_whatever_is_on_record() {
    let (site, _disk) = damaged_on_record();
    let output = site.run("unpack", &[site.path("new").to_str().unwrap()]);
    let said = ends_with(&output, 6);
    assert!(said.contains(&site.digest().hex()), "{said}");
    assert!(!site.path("new").exists());
}

#[test]
fn the_program_keeps_a_record_of_a_file_that_is_two_seconds_old() {
    let site = Site::on(Path::new(TMPFS));
    wait_until("a record", Duration::from_mins(1), || {
        ends_with(&site.run("verify", &[]), 0);
        !site.records().is_empty()
    });
}

#[test]
fn a_change_is_seen_although_the_time_of_modification_was_restored() {
    for place in [std::env::temp_dir(), TMPFS.into()] {
        let site = Site::on(&place);
        site.verify();
        site.change_with_times_restored();
        assert!(site.is_hashed(), "{}", place.display());
    }
}

/// A change within the tick of the clock in which the file was checked would have the same time.
#[test]
fn a_file_that_changed_less_than_two_seconds_before_the_check_is_not_put_on_record() {
    let site = Site::on(Path::new(TMPFS));
    let changed = fs::metadata(site.file()).unwrap();
    let changed = Duration::new(
        changed.ctime().try_into().unwrap(),
        changed.ctime_nsec().try_into().unwrap(),
    );
    let changed = SystemTime::UNIX_EPOCH + changed;
    assert_eq!(site.verify_at(changed + Duration::from_millis(1999)), 0);
    assert_eq!(site.verify_at(changed + Duration::from_secs(2)), 1);
}

#[test]
fn a_file_that_others_may_write_is_not_put_on_record() {
    let site = Site::on(Path::new(TMPFS));
    fs::set_permissions(site.file(), fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(site.verify(), 0);
    if is_root() {
        fs::set_permissions(site.file(), fs::Permissions::from_mode(0o644)).unwrap();
        chown(site.file(), Some(65_534), None).unwrap();
        assert_eq!(site.verify(), 0);
    }
}

/// A file on record, deleted and made anew on its inode with other bytes and the same times; None
/// when somebody else was given the inode first.
fn made_anew_on_its_inode() -> Option<Site> {
    let site = Site::on(&std::env::temp_dir());
    site.verify();
    site.change_with_times_restored();
    let (bytes, before) = (
        fs::read(site.file()).unwrap(),
        fs::metadata(site.file()).unwrap(),
    );
    fs::remove_file(site.file()).unwrap();
    // What is in the way keeps its inode.
    for number in 0..200 {
        let path = site.path(&format!("{number}"));
        fs::write(&path, &bytes).unwrap();
        if fs::metadata(&path).unwrap().ino() == before.ino() {
            fs::rename(&path, site.file()).unwrap();
            let times = FileTimes::new().set_modified(before.modified().unwrap());
            let file = OpenOptions::new().write(true).open(site.file()).unwrap();
            file.set_times(times).unwrap();
            return Some(site);
        }
        File::create(&path).unwrap();
    }
    None
}

#[test]
fn a_file_that_was_deleted_and_made_anew_on_the_same_inode_is_hashed_again() {
    let Some(site) = (0..10).find_map(|_| made_anew_on_its_inode()) else {
        return note_skip("the file system gives an inode to somebody else first");
    };
    assert!(site.is_hashed());
}

#[test]
fn a_file_that_is_reached_through_another_mount_is_hashed_again() {
    if !is_root() {
        return;
    }
    let (site, _disk) = damaged_on_record();
    let other = tempfile::tempdir().unwrap();
    succeeded(
        Command::new("mount")
            .arg("--bind")
            .args([site.directory.path(), other.path()]),
    );
    let is_hashed = site.is_hashed_at(&other.path().join("sample.tar"), &[]);
    succeeded(Command::new("umount").arg(other.path()));
    assert!(is_hashed);
    assert!(!site.is_hashed());
}

#[test]
fn a_file_on_an_image_that_was_edited_while_it_was_not_mounted_is_hashed_again() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let (image, mounted) = (scratch.path("image"), scratch.path("mounted"));
    File::create(&image).unwrap().set_len(64 << 20).unwrap();
    fs::create_dir(&mounted).unwrap();
    succeeded(Command::new("mkfs.ext4").arg("-q").arg(&image));
    let mount = || {
        succeeded(
            Command::new("mount")
                .args(["-o", "loop"])
                .args([&image, &mounted]),
        )
    };
    let unmount = || succeeded(Command::new("umount").arg(&mounted));
    mount();
    let site = Site::on(&mounted);
    let before = fs::metadata(site.file()).unwrap();
    let records = site.verify();
    unmount();
    let mut bytes = fs::read(&image).unwrap();
    let layer = &site.layer[..64];
    let at = bytes.windows(64).position(|window| window == layer);
    bytes[at.unwrap()] ^= 1;
    fs::write(&image, bytes).unwrap();
    mount();
    let after = fs::metadata(site.file()).unwrap();
    let is_hashed = site.is_hashed();
    drop(site);
    unmount();
    let looks = |found: &fs::Metadata| {
        (
            found.dev(),
            found.ino(),
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        )
    };
    assert_eq!(looks(&before), looks(&after));
    assert_eq!((records, is_hashed), (0, true));
}

#[test]
fn a_record_that_another_user_could_have_written_does_not_count() {
    let (site, _disk) = damaged_on_record();
    let record = site.records().pop().unwrap();
    fs::set_permissions(&record, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(site.is_hashed(), "others may write it");
    fs::set_permissions(&record, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(!site.is_hashed());
    let aside = site.path("aside");
    fs::rename(&record, &aside).unwrap();
    symlink(&aside, &record).unwrap();
    assert!(site.is_hashed(), "it is a link");
    fs::rename(&aside, &record).unwrap();
    if is_root() {
        chown(&record, Some(65_534), None).unwrap();
        assert!(site.is_hashed(), "it belongs to another user");
    }
}

#[test]
fn a_bit_that_the_disk_turned_is_named_when_a_registry_refuses_the_blob() {
    let (site, _disk) = damaged_on_record();
    for program in ["distribution2", "distribution3", "crane"] {
        let registry = Distribution::start_program(program, "plain");
        let said = ends_with(
            &site.run("push", &[registry.host(), "--no-receipt", "--quiet"]),
            6,
        );
        let entry = format!("entry `blobs/sha256/{}`: expected", site.digest().hex());
        assert!(said.contains(&entry), "{program}: {said}");
    }
}

/// containerd takes a damaged layer of an archive and lists the image without it.
#[test]
fn load_hashes_everything_whatever_is_on_record() {
    let (site, _disk) = damaged_on_record();
    let entry = format!("entry `blobs/sha256/{}`: expected", site.digest().hex());
    let containerd = Containerd::start();
    let address = ["--address", containerd.address(), "--platform", "amd64"];
    let said = ends_with(&site.run("load", &address), 6);
    assert!(said.contains(&entry), "{said}");
    assert!(containerd.names().is_empty());

    let images = site.path("images");
    fs::create_dir(&images).unwrap();
    let to = ["--images-dir", images.to_str().unwrap()];
    let options = [&to[..], &["--platform", "amd64"]].concat();
    let said = ends_with(&site.run("load", &options), 6);
    assert!(said.contains(&entry), "{said}");
    assert_eq!(fs::read_dir(&images).unwrap().count(), 0);
}

#[test]
fn headers_are_compared_although_the_file_is_on_record() {
    let site = Site::on(Path::new(TMPFS));
    let entries = entries_of(&site.file());
    let layer = entries
        .iter()
        .find(|entry| entry.name.ends_with(&site.digest().hex()));
    let mut disk = Disk::at(&site.file(), layer.unwrap().header + 100);
    assert_eq!(site.verify(), 1);
    disk.turn_a_bit();
    let said = ends_with(&site.run("serve", &["--listen", "127.0.0.1:0"]), 6);
    assert!(said.contains("header"), "{said}");
}
