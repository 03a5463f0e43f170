//! Disks to write to, and what is written there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rune_testkit::{cluster::note_skip, registry::Registry};

use crate::bundle::{
    project::{Project, copy},
    small_bundle::ends_with,
};
use rune_testkit::rows::{Source, compared};
use rune_testkit::tool::{rune_db, sqlite_url};

/// What a kind of disk does not have: calls of the kernel, and what they answer there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lacking {
    /// Where it is like that.
    pub(crate) name: &'static str,
    /// As `strace` takes them: `CALLS:error=ERRNO`.
    pub(crate) calls: &'static [&'static str],
}

/// Neither locks nor permissions nor reserved space, and no `fsync`, whatever the answer is.
macro_rules! nothing_answers {
    ($errno:literal) => {
        &[
            concat!("renameat2:error=", $errno),
            concat!("link,linkat:error=", $errno),
            concat!("chmod,fchmod,fchmodat:error=", $errno),
            concat!("flock:error=", $errno),
            concat!("fsync,fdatasync:error=", $errno),
            concat!("fallocate:error=", $errno),
            concat!("syncfs:error=", $errno),
        ]
    };
}

pub(crate) const DISKS: [Lacking; 6] = [
    Lacking {
        name: "NFS or 9p",
        calls: &[
            "renameat2:error=EINVAL",
            "fallocate:error=EOPNOTSUPP",
            "fsync:error=EINVAL",
        ],
    },
    Lacking {
        name: "NFS without its lock service",
        calls: &[
            "renameat2:error=EINVAL",
            "flock:error=ENOLCK",
            "fallocate:error=EOPNOTSUPP",
        ],
    },
    Lacking {
        name: "exFAT by FUSE or vboxsf",
        calls: &[
            "renameat2:error=EINVAL",
            "link,linkat:error=EPERM",
            "chmod,fchmod,fchmodat:error=EPERM",
            "fsync:error=EBADF",
        ],
    },
    Lacking {
        name: "an old kernel",
        calls: nothing_answers!("ENOSYS"),
    },
    Lacking {
        name: "CIFS",
        calls: nothing_answers!("EOPNOTSUPP"),
    },
    Lacking {
        name: "a file system that answers as a device",
        calls: nothing_answers!("ENOTTY"),
    },
];

impl Lacking {
    /// The same command on such a disk, for programs that let SQLite write: `strace` cannot tell
    /// the `fsync` of a directory from that of a file, which every disk has and SQLite insists on.
    pub(crate) fn run_with_sqlite(&self, command: &Command) -> Output {
        self.strace(command, |call| !call.starts_with("fsync"), &[])
            .output()
            .unwrap()
    }

    /// The same command on such a disk.
    pub(crate) fn run(&self, command: &Command) -> Output {
        self.command(command, &[]).output().unwrap()
    }

    /// The same command on such a disk; `more` are further options of `strace`.
    pub(crate) fn command(&self, command: &Command, more: &[&str]) -> Command {
        self.strace(command, |_| true, more)
    }

    fn strace(&self, command: &Command, is_meant: impl Fn(&str) -> bool, more: &[&str]) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null"]);
        let calls: Vec<&str> = self
            .calls
            .iter()
            .copied()
            .filter(|call| is_meant(call))
            .collect();
        let names: Vec<&str> = calls
            .iter()
            .map(|call| call.split(':').next().unwrap())
            .collect();
        strace.args(["-e", &format!("trace={},rename,renameat", names.join(","))]);
        for call in calls {
            strace.args(["-e", &format!("inject={call}")]);
        }
        strace
            .args(more)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
        {
            strace.env(name, value);
        }
        if let Some(directory) = command.get_current_dir() {
            strace.current_dir(directory);
        }
        strace
    }
}

/// A file system by FUSE in a file, mounted until the value is dropped.
pub(crate) struct FuseDisk {
    directory: tempfile::TempDir,
}

impl FuseDisk {
    /// Makes and mounts one, or says loudly why not.
    pub(crate) fn mount(kind: &'static str) -> Option<Self> {
        let disk = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        if let Err(hindrance) = disk.try_mount(kind) {
            eprintln!("skipped: {kind} by FUSE: {hindrance}");
            note_skip(&format!("{kind} by FUSE: {hindrance}"));
            return None;
        }
        Some(disk)
    }

    fn try_mount(&self, kind: &str) -> Result<(), String> {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|error| format!("/dev/fuse: {error}"))?;
        fs::create_dir(self.mount_point()).unwrap();
        match kind {
            "NTFS" => self.mount_image(&["mkntfs", "--quick", "--force", "--quiet"], "ntfs-3g"),
            "exFAT" => self.mount_image(&["mkfs.exfat"], "mount.exfat-fuse"),
            "sshfs" => self.mount_sshfs(),
            _ => panic!("no disk of kind {kind}"),
        }
    }

    fn mount_image(&self, make: &[&str], mount: &str) -> Result<(), String> {
        let image = self.directory.path().join("image");
        fs::File::create(&image)
            .unwrap()
            .set_len(256 << 20)
            .unwrap();
        run(Command::new(make[0]).args(&make[1..]).arg(&image))?;
        // exfat-fuse takes block devices only. The kernel frees this one when it is unmounted.
        let device = run(Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image))?;
        let mounted = run(Command::new(mount).arg(&device).arg(self.mount_point()));
        run(Command::new("losetup").args(["--detach", &device]))?;
        mounted.map(drop)
    }

    /// Without a network: in place of `ssh` the server of its protocol runs here.
    fn mount_sshfs(&self) -> Result<(), String> {
        let (remote, ssh) = (
            self.directory.path().join("remote"),
            self.directory.path().join("ssh"),
        );
        fs::create_dir(&remote).unwrap();
        fs::write(&ssh, "#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n").unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        let (command, source) = (
            format!("ssh_command={}", ssh.display()),
            format!("remote:{}", remote.display()),
        );
        run(Command::new("sshfs")
            .args(["-o", &command, &source])
            .arg(self.mount_point()))
        .map(drop)
    }

    fn mount_point(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.mount_point().join(name)
    }
}

impl Drop for FuseDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.mount_point()).output();
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    // Programs of the administrator, which PATH does not have for everybody.
    command.env(
        "PATH",
        format!(
            "{}:/usr/sbin:/sbin",
            std::env::var("PATH").unwrap_or_default()
        ),
    );
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(said(&output.stderr))
    }
}

/// A project with a lock, a registry to push to, and a directory on a disk with a copy of the
/// project.
pub(crate) struct Site {
    pub(crate) project: Project,
    pub(crate) directory: PathBuf,
    registry: Registry,
}

impl Site {
    pub(crate) fn on(directory: PathBuf) -> Self {
        let project = Project::new();
        project.lock();
        copy(&project.path("."), &directory);
        Self {
            project,
            directory,
            registry: Registry::start(),
        }
    }

    /// `rune-bundle` in the copy on the disk.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command
            .current_dir(&self.directory)
            .env("COSIGN_PASSWORD", "of a test");
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs every verb that writes files, each by `run`, and checks what it wrote. Not `keygen`,
    /// which needs permissions.
    pub(crate) fn write_everything(&self, run: impl Fn(&Command) -> Output) {
        fs::create_dir(self.path("images")).unwrap();
        let registry = self.registry.host();
        let verbs: [&[&str]; 10] = [
            &["lock", "--registry-config", "registries.yaml"],
            &["render"],
            &["render", "--lock", "--out", "rendered"],
            &[
                "build",
                "--registry-config",
                "registries.yaml",
                "--key",
                "release.key",
                "--output",
                "x.tar",
            ],
            &["unpack", "x.tar", "unpacked", "--key", "release.pub"],
            &[
                "report",
                "x.tar",
                "--key",
                "release.pub",
                "--output",
                "page.html",
            ],
            &[
                "mirror",
                "containerd",
                "x.tar",
                "registry.example:5000",
                "--key",
                "release.pub",
                "--out",
                "certs.d",
            ],
            &[
                "load",
                "x.tar",
                "--key",
                "release.pub",
                "--images-dir",
                "images",
                "--platform",
                "linux/amd64",
            ],
            &[
                "push",
                "x.tar",
                &registry,
                "--key",
                "release.pub",
                "--receipts",
                "receipts",
            ],
            &[
                "push",
                "x.tar",
                &registry,
                "--key",
                "release.pub",
                "--receipts",
                "receipts",
            ],
        ];
        fs::remove_file(self.path("bundle-manifests/rune.lock")).unwrap();
        for arguments in verbs {
            ends_with(&run(&self.command(arguments)), 0);
        }
        let checks: [&[&str]; 3] = [
            &["verify", "x.tar", "--key", "release.pub"],
            &["receipts", "verify", "--receipts", "receipts"],
            &["render", "--lock", "--out", "rendered", "--check"],
        ];
        for arguments in checks {
            ends_with(&self.command(arguments).output().unwrap(), 0);
        }
        for name in [
            "unpacked/index.json",
            "page.html",
            "certs.d/docker.io/hosts.toml",
            "images/rune-0.1.0-linux-amd64.tar",
        ] {
            assert!(fs::metadata(self.path(name)).unwrap().len() > 0, "{name}");
        }
        self.leaves_nothing_behind();
    }

    /// Nothing that was to be renamed or removed is there any more.
    pub(crate) fn leaves_nothing_behind(&self) {
        let left = names_below(&self.directory).into_iter().filter(|name| {
            let last = name.rsplit('/').next().unwrap();
            [".partial", ".journal"]
                .iter()
                .any(|end| last.ends_with(end))
                || last.starts_with(".rune-")
                || last.contains(':')
        });
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    }
}

/// Every file below a directory.
pub(crate) fn names_below(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(names_below(&path));
        } else {
            names.push(path.display().to_string());
        }
    }
    names
}

/// Runs every verb of `rune-db` that writes files into a directory, each by `run`, and checks what
/// it wrote.
pub(crate) fn write_databases(source: &Source, directory: &Path, run: impl Fn(&Command) -> Output) {
    let (new, backup, restored) = (
        directory.join("new.db"),
        directory.join("backup.db"),
        directory.join("restored.db"),
    );
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    ends_with(
        &run(&rune_db(&["migrate"]).on(&sqlite_url(&new)).command()),
        0,
    );
    ends_with(
        &run(&rune_db(&["backup", "--output", &text(&backup)])
            .on(&source.url())
            .command()),
        0,
    );
    ends_with(
        &run(&rune_db(&["restore", "--from", &text(&backup)])
            .on(&sqlite_url(&restored))
            .command()),
        0,
    );
    compared(&source.url(), &sqlite_url(&restored), &[]).succeeds();
    let left: Vec<_> = names_below(directory)
        .into_iter()
        .filter(|name| name.contains(".partial") || name.contains("-journal"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
