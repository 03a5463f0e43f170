//! Running a foreign program with nothing of this machine's configuration and no way to the network.
//!
//! It sees a directory of its own as home and for temporary files, and a proxy that refuses
//! everything but loopback. It gets a time limit, and what it prints is limited too.

use std::{fmt, io, process::Stdio, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};

use rune_core::{
    failure::FailureKind,
    fsx::{self, PathError},
    text::size,
};

/// The most that is kept of standard error, in bytes.
const MAX_STDERR_BYTES: u64 = 16 << 10;

/// Nobody answers there: what would leave the machine is refused at once.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Layers are larger unpacked than packed by this factor at most, in all likelihood.
const UNPACKED_FACTOR: u64 = 4;

/// What a program that unpacks layers needs besides.
const SPARE_BYTES: u64 = 64 << 20;

pub(crate) const MORE_SPACE: &str = "set TMPDIR to a directory with more space";

pub(crate) struct Ended {
    pub(crate) is_success: bool,
    pub(crate) output: Vec<u8>,
    stderr: Vec<u8>,
}

/// How much space there is where a program would unpack layers, which is not enough.
#[derive(Debug)]
pub(crate) struct MissingSpace {
    pub(crate) directory: Utf8PathBuf,
    needed_bytes: u64,
    available_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessFailure {
    #[error("it did not finish within {} seconds", .0.as_secs())]
    TimeLimit(Duration),
    #[error("it printed too much")]
    TooMuch,
    #[error(transparent)]
    Wait(io::Error),
}

pub(crate) fn kind_of_start(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => FailureKind::Access,
        _ => FailureKind::NotFound,
    }
}

pub(crate) fn kind_of_end(said: &str) -> FailureKind {
    if said.contains("no space left on device") {
        FailureKind::Space
    } else {
        FailureKind::Input
    }
}

impl Ended {
    /// What it wrote to standard error, without the path of its own directory.
    pub(crate) fn stderr_text(&self, directory: &Utf8Path) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let text = text.replace(&format!("{directory}/"), "");
        text.trim().to_owned()
    }
}

impl MissingSpace {
    /// Nothing when a program that has this directory can unpack layers of so many bytes in it.
    pub(crate) fn to_unpack(
        packed_bytes: u64,
        directory: &Utf8Path,
    ) -> Result<Option<Self>, PathError> {
        let needed_bytes = packed_bytes
            .saturating_mul(UNPACKED_FACTOR)
            .saturating_add(SPARE_BYTES);
        let available_bytes = fsx::available_space(directory)?;
        Ok((needed_bytes > available_bytes).then(|| Self {
            directory: fsx::parent(directory).to_owned(),
            needed_bytes,
            available_bytes,
        }))
    }
}

impl fmt::Display for MissingSpace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} needed, {} available",
            size(self.needed_bytes),
            size(self.available_bytes)
        )
    }
}

/// A program that works in a directory of its own, in a process group of its own.
pub(crate) fn isolated(program: &Utf8Path, directory: &Utf8Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env_clear();
    command
        .env("HOME", directory.join("home"))
        .env("TMPDIR", directory);
    command.envs([
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LC_ALL", "C.UTF-8"),
    ]);
    command.envs(
        ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map(|name| (name, NOWHERE)),
    );
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own, so that whatever it starts can be ended with it.
    command.process_group(0).kill_on_drop(true);
    command
}

struct Group(Child);

impl Group {
    /// What a program prints may not be larger than is kept: then it is ended, and the rest of it
    /// not read.
    async fn run(&mut self, max_bytes: u64) -> Result<Ended, ProcessFailure> {
        let (output, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let output = async {
            let output = start_of(output, max_bytes).await;
            if output.len() as u64 > max_bytes {
                Err(ProcessFailure::TooMuch)
            } else {
                Ok(output)
            }
        };
        let stderr = async { Ok(all_but_the_rest(stderr, MAX_STDERR_BYTES).await) };
        let (output, stderr) = tokio::try_join!(output, stderr)?;
        let status = self.0.wait().await.map_err(ProcessFailure::Wait)?;
        Ok(Ended {
            is_success: status.success(),
            output,
            stderr,
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The id is there only as long as nobody else can have it.
        if let Some(group) = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Waits for a program to end. When the time is over, when it prints more than `max_bytes`, or when
/// the future is dropped, it is ended with all that it started.
pub(crate) async fn ended(
    child: Child,
    time_limit: Duration,
    max_bytes: u64,
) -> Result<Ended, ProcessFailure> {
    let mut group = Group(child);
    tokio::time::timeout(time_limit, group.run(max_bytes))
        .await
        .unwrap_or(Err(ProcessFailure::TimeLimit(time_limit)))
}

/// The first bytes of a stream, one more than `max_bytes` when there are more. What cannot be read
/// counts as its end.
async fn start_of(stream: Option<impl AsyncRead + Unpin>, max_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let _ = stream
            .take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .await;
    }
    bytes
}

async fn all_but_the_rest(stream: Option<impl AsyncRead + Unpin>, max_bytes: u64) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let bytes = start_of(Some(&mut stream), max_bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    bytes
}

/// At most a few lines, without characters that a terminal would act upon.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 2000;
    let mut shown = String::new();
    for character in text.chars().take(MAX_CHARACTERS) {
        match character {
            '\n' => shown.push_str("\n      "),
            character if character.is_control() => shown.extend(character.escape_unicode()),
            character => shown.push(character),
        }
    }
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}
