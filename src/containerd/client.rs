//! `ctr`: containerd's own client.
//!
//! It speaks the protocol of the version that runs here; k3s and k0s have it inside.
//!
//! It is told which platform to import: left alone it also wants what a machine could
//! run besides, such as 386 on amd64, and stops at the gaps that an index has in a bundle of few
//! platforms.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Read, Write as _},
    os::unix::net::UnixStream,
    process::{Child, Command, ExitStatus, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::ContainerdError;
use crate::oci::Platform;
use rune_core::{digest::Digest, fsx, text::shown};

/// Where containerd listens, by who installed it.
const USUAL_ADDRESSES: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
];

const WITH_CTR_INSIDE: [&str; 2] = ["k3s", "k0s"];

/// The most that is kept of what `ctr` says, in bytes, of a list and of its standard error.
const MAX_LIST_BYTES: u64 = 16 << 20;
const MAX_STDERR_BYTES: u64 = 16 << 10;

/// How much is read at once of a content.
const CHUNK_BYTES: usize = 256 << 10;

#[derive(Debug, Clone)]
pub(crate) struct ContainerdOptions {
    /// `ctr`, or a program that has it inside; without one, whichever is there.
    pub(crate) client: Option<Utf8PathBuf>,
    /// The socket; without one, the usual places.
    pub(crate) address: Option<Utf8PathBuf>,
    /// The namespace of the images; that of the kubelet is `k8s.io`.
    pub(crate) namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentStatus {
    pub(crate) digest: String,
    /// Whether everything is there that this machine needs of it, and unpacked.
    pub(crate) is_complete: bool,
    /// Whether it is unpacked, and not all that it was unpacked from is there any more.
    pub(crate) is_discarded: bool,
}

#[derive(Debug)]
pub(crate) struct Containerd {
    program: Utf8PathBuf,
    address: Utf8PathBuf,
    namespace: String,
}

impl Containerd {
    pub(crate) fn find(options: &ContainerdOptions) -> Result<Self, ContainerdError> {
        let address = match &options.address {
            Some(address) => Utf8PathBuf::from(address.as_str().trim_start_matches("unix://")),
            None => usual_address(&USUAL_ADDRESSES)?,
        };
        UnixStream::connect(&address).map_err(|source| ContainerdError::Socket {
            address: address.clone(),
            source,
        })?;
        let candidates: Vec<Utf8PathBuf> = match &options.client {
            Some(client) => vec![client.clone()],
            None => std::iter::once("ctr")
                .chain(WITH_CTR_INSIDE)
                .map(Utf8PathBuf::from)
                .collect(),
        };
        let mut refusals = Vec::new();
        for program in candidates {
            match client(&program)
                .arg("--version")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
            {
                Ok(_) => {
                    return Ok(Self {
                        program,
                        address,
                        namespace: options.namespace.clone(),
                    });
                }
                Err(source) => refusals.push(ContainerdError::Start { program, source }),
            }
        }
        Err(refusals.swap_remove(0))
    }

    pub(crate) fn address(&self) -> &Utf8Path {
        &self.address
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What is there under these names; a name that is not there is not in the answer.
    pub(crate) fn status(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, ContentStatus>, ContainerdError> {
        let filters: Vec<String> = names.iter().map(|name| format!("name=={name}")).collect();
        let images = self.images(&filters)?;
        let is_named = |(name, _): &(String, ContentStatus)| names.contains(name);
        Ok(images.into_iter().filter(is_named).collect())
    }

    /// The images that are unpacked and lack some of what they were unpacked from, by name.
    pub(crate) fn discarded(&self) -> Result<BTreeSet<String>, ContainerdError> {
        let images = self.images(&[])?.into_iter();
        let discarded = images.filter(|(_, status)| status.is_discarded);
        Ok(discarded.map(|(name, _)| name).collect())
    }

    fn images(&self, filters: &[String]) -> Result<Vec<(String, ContentStatus)>, ContainerdError> {
        let mut command = self.ctr(&["images", "check"]);
        command.args(filters);
        let list = self.list("asking containerd for its images", command)?;
        Ok(rows(&list).collect())
    }

    pub(crate) fn contents(&self) -> Result<BTreeSet<Digest>, ContainerdError> {
        let command = self.ctr(&["content", "ls", "--quiet"]);
        let list = self.list("asking containerd for its blobs", command)?;
        let digests = list.lines().filter_map(|line| line.trim().parse().ok());
        Ok(digests.collect())
    }

    fn list(&self, doing: &'static str, mut command: Command) -> Result<String, ContainerdError> {
        let mut child = self.start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let stderr = end_of_stderr(child.stderr.take());
        let mut list = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = stdout.take(MAX_LIST_BYTES).read_to_end(&mut list);
        }
        self.check(doing, child.wait(), stderr)?;
        Ok(String::from_utf8_lossy(&list).into_owned())
    }

    /// Reads a content, and hands on pieces of it until `take` says that it is enough.
    pub(crate) fn read(
        &self,
        digest: Digest,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ContainerdError> {
        const DOING: &str = "reading from containerd";
        let mut command = self.ctr(&["content", "get", &digest.to_string()]);
        let mut child = self.start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let stderr = end_of_stderr(child.stderr.take());
        let mut buffer = vec![0; CHUNK_BYTES];
        if let Some(mut stdout) = child.stdout.take() {
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if !take(buffer.get(..count).unwrap_or_default()) {
                    // Whatever it says of a reader that is gone: it was enough.
                    drop(stdout);
                    let _ = (child.kill(), child.wait());
                    return Ok(());
                }
            }
        }
        self.check(DOING, child.wait(), stderr)
    }

    pub(crate) fn import(&self, platform: &Platform) -> Result<Import<'_>, ContainerdError> {
        let platform = platform.to_string();
        let mut command = self.ctr(&["images", "import", "--platform", &platform, "-"]);
        let mut child = self.start(command.stdin(Stdio::piped()).stdout(Stdio::null()))?;
        Ok(Import {
            stderr: end_of_stderr(child.stderr.take()),
            containerd: self,
            child,
        })
    }

    fn start(&self, command: &mut Command) -> Result<Child, ContainerdError> {
        command.spawn().map_err(|source| self.cannot_start(source))
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut command = client(&self.program);
        command
            .args([
                "--address",
                self.address.as_str(),
                "--namespace",
                &self.namespace,
            ])
            .args(arguments);
        command.stderr(Stdio::piped());
        command
    }

    fn cannot_start(&self, source: io::Error) -> ContainerdError {
        ContainerdError::Start {
            program: self.program.clone(),
            source,
        }
    }

    fn check(
        &self,
        doing: &'static str,
        ended: io::Result<ExitStatus>,
        stderr: Stderr,
    ) -> Result<(), ContainerdError> {
        let said = stderr.join().unwrap_or_default();
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(ContainerdError::Client {
                doing,
                program: self.program.clone(),
                ended: format!("ended with {status}"),
                said,
            }),
            Err(source) => Err(self.cannot_start(source)),
        }
    }
}

impl fmt::Display for Containerd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "containerd at {}", self.address)
    }
}

pub(crate) struct Import<'a> {
    containerd: &'a Containerd,
    child: Child,
    stderr: Stderr,
}

impl Import<'_> {
    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(piece),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits until it is imported and unpacked.
    pub(crate) fn finish(mut self) -> Result<(), ContainerdError> {
        // `ctr` reads to the end of it.
        drop(self.child.stdin.take());
        let ended = self.child.wait();
        let doing = "importing into containerd";
        self.containerd.check(doing, ended, self.stderr)
    }
}

/// The one of the usual places where there is a socket.
fn usual_address(usual: &[&str]) -> Result<Utf8PathBuf, ContainerdError> {
    let mut existing: Vec<&str> = usual
        .iter()
        .copied()
        .filter(|address| fsx::exists(Utf8Path::new(address)))
        .collect();
    let texts = |addresses: &[&str]| {
        addresses
            .iter()
            .map(|address| (*address).to_owned())
            .collect()
    };
    match (existing.pop(), existing.is_empty()) {
        (Some(address), true) => Ok(address.into()),
        (Some(address), false) => Err(ContainerdError::SeveralContainerds(texts(
            &[&existing[..], &[address]].concat(),
        ))),
        (None, _) => Err(ContainerdError::NoContainerd(texts(usual))),
    }
}

fn client(program: &Utf8Path) -> Command {
    let mut command = Command::new(program);
    if program
        .file_name()
        .is_some_and(|name| WITH_CTR_INSIDE.contains(&name))
    {
        command.arg("ctr");
    }
    command
}

type Stderr = std::thread::JoinHandle<String>;

/// What a program complains about, read to its end while it runs: the end of it, on one line.
fn end_of_stderr(stream: Option<impl Read + Send + 'static>) -> Stderr {
    std::thread::spawn(move || {
        let (mut last, mut piece) = (Vec::new(), [0; 4096]);
        let Some(mut stream) = stream else {
            return String::new();
        };
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            last.extend_from_slice(piece.get(..count).unwrap_or_default());
            let surplus = last
                .len()
                .saturating_sub(usize::try_from(MAX_STDERR_BYTES).unwrap_or(usize::MAX));
            last.drain(..surplus);
        }
        shown(
            &String::from_utf8_lossy(&last)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        )
    })
}

/// The rows of `ctr images check`: name, media type, digest, whether it is complete, sizes, whether
/// it is unpacked. A disk that fills up while containerd unpacks leaves names behind, of images
/// that are complete but for that.
fn rows(list: &str) -> impl Iterator<Item = (String, ContentStatus)> {
    list.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (name, digest, status) = (columns.next()?, columns.nth(1)?, columns.next()?);
        let is_unpacked = columns.last() == Some("true");
        let status = ContentStatus {
            digest: digest.to_owned(),
            is_complete: status == "complete" && is_unpacked,
            is_discarded: status == "incomplete" && is_unpacked,
        };
        digest
            .starts_with("sha256:")
            .then(|| (name.to_owned(), status))
    })
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{ContentStatus, client, end_of_stderr, rows, usual_address};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        fsx,
    };

    #[test]
    fn reads_the_list_of_ctr() {
        let list = "REF  TYPE  DIGEST  STATUS  SIZE  UNPACKED\n\
                    r/a:1 application/x sha256:00 complete (2/2) 273.0 B/273.0 B true\n\
                    r/b:1 application/x sha256:11 incomplete (1/2) 1.0 B/2.0 B false\n\
                    r/c:1 application/x sha256:22 complete (2/2) 273.0 B/273.0 B false\n\
                    r/d:1 application/x sha256:33 incomplete (1/2) 1.0 B/2.0 B true\n";
        let expected = [
            ("r/a:1", "sha256:00", true, false),
            ("r/b:1", "sha256:11", false, false),
            ("r/c:1", "sha256:22", false, false),
            ("r/d:1", "sha256:33", false, true),
        ];
        let expected = expected.map(|(name, digest, is_complete, is_discarded)| {
            let status = ContentStatus {
                digest: digest.to_owned(),
                is_complete,
                is_discarded,
            };
            (name.to_owned(), status)
        });
        assert_eq!(rows(list).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn asks_which_containerd_is_meant_when_there_are_several() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (one, other) = (path("one"), path("other"));
        assert_eq!(
            usual_address(&[&one, &other]).unwrap_err().kind(),
            FailureKind::NotFound
        );
        fsx::write_atomic(other.as_str().into(), b"").unwrap();
        assert_eq!(usual_address(&[&one, &other]).unwrap(), other);
        fsx::write_atomic(one.as_str().into(), b"").unwrap();
        let error = usual_address(&[&one, &other]).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().contains(&one)),
            (FailureKind::Usage, true),
            "{error}"
        );
    }

    #[test]
    fn the_client_inside_k3s_is_called_through_it() {
        let arguments = |program: &str| {
            client(Utf8Path::new(program))
                .get_args()
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(arguments("/usr/local/bin/k3s"), ["ctr"]);
        assert!(arguments("/usr/bin/ctr").is_empty());
    }

    #[test]
    fn keeps_the_end_of_a_long_standard_error_without_control_characters() {
        let said = format!("{}\n\u{1b}[31mthe reason\n", "x".repeat(20_000));
        let kept = end_of_stderr(Some(std::io::Cursor::new(said)))
            .join()
            .unwrap();
        assert!(
            kept.ends_with("\\u{1b}[31mthe reason") && kept.len() < 17_000,
            "{kept}"
        );
    }
}
