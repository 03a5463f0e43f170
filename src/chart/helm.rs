//! Running the real Helm, as little as possible of it: its version, and `helm template` of a packed
//! chart.
//!
//! Helm sees a directory of its own as home (no plugins, no repositories, no registry logins), no
//! cluster, and a proxy that refuses everything, so that nothing is fetched. It gets a time limit,
//! and what it prints is limited too. The directory is gone, and Helm with all that it started is
//! ended, when the value or the future that waits for it is dropped.

use std::{process::Stdio, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};

use super::{Package, kubernetes::kubernetes_version};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::{PathError, ScratchDirectory},
};

const MAX_OUTPUT_BYTES: u64 = 64 << 20;

const MAX_COMPLAINT_BYTES: u64 = 16 << 10;

/// Release and namespace that charts are rendered for. Their images must not depend on either.
const RELEASE: &str = "rune-bundle-check";

/// Nobody answers there: what would leave the machine is refused at once.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A Helm that was found to be one, and the directory in which it works.
#[derive(Debug)]
pub(crate) struct Helm {
    program: Utf8PathBuf,
    version: String,
    time_limit: Duration,
    scratch: ScratchDirectory,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(NotFound: "set --helm to Helm 3 or 4")]
pub(crate) enum HelmError {
    #[error("cannot start `{program}`")]
    #[failure(kind: match .source.kind() {
        std::io::ErrorKind::PermissionDenied => FailureKind::Access,
        _ => FailureKind::NotFound,
    })]
    Start {
        program: Utf8PathBuf,
        source: std::io::Error,
    },
    #[error("`{program}` is not Helm 3 or 4: asked for its version, {answer}")]
    Unknown {
        program: Utf8PathBuf,
        answer: String,
    },
    #[error(transparent)]
    Path(#[from] PathError),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum RenderFailure {
    #[error("helm cannot render it: {0}")]
    Refused(String),
    #[error("helm did not finish within {} seconds", .0.as_secs())]
    TimeLimit(Duration),
    #[error("helm printed more than {} MiB", MAX_OUTPUT_BYTES >> 20)]
    TooMuch,
    #[error("helm printed something that is not UTF-8 text")]
    NotText,
}

/// Whether a chart is rendered as for a first installation or as for an upgrade: templates may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenderMode {
    /// `helm install`.
    Install,
    /// `helm upgrade`.
    Upgrade,
}

impl RenderMode {
    pub(crate) const ALL: [Self; 2] = [Self::Install, Self::Upgrade];
}

struct Ended {
    is_success: bool,
    output: Vec<u8>,
    stderr: Vec<u8>,
}

impl Helm {
    pub(crate) async fn find(program: &Utf8Path, time_limit: Duration) -> Result<Self, HelmError> {
        let scratch = ScratchDirectory::create()?;
        let mut helm = Self {
            program: program.to_owned(),
            version: String::new(),
            time_limit,
            scratch,
        };
        let unknown = |answer: String| HelmError::Unknown {
            program: program.to_owned(),
            answer,
        };
        let mut command = helm.command();
        command.args(["version", "--short"]);
        let child = command.spawn().map_err(|source| HelmError::Start {
            program: program.to_owned(),
            source,
        })?;
        let ended = match ended(child, time_limit).await {
            Ok(ended) => ended,
            Err(failure) => return Err(unknown(format!("it failed: {failure}"))),
        };
        let answer = String::from_utf8_lossy(&ended.output);
        let version = answer.trim();
        let is_known = ended.is_success
            && ["v3.", "v4."]
                .iter()
                .any(|major| version.starts_with(major))
            && !version.contains('\n');
        if !is_known {
            return Err(unknown(format!("it said `{}`", shortened(version))));
        }
        version.clone_into(&mut helm.version);
        Ok(helm)
    }

    /// What it calls its version, such as `v3.18.4+gd80839c`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Renders a packed chart with values files, given as name and text, later ones winning: every
    /// template, hook, test and custom resource definition.
    pub(crate) async fn template(
        &self,
        chart: &Package,
        values: &[(String, String)],
        render_mode: RenderMode,
    ) -> Result<Result<String, RenderFailure>, HelmError> {
        let archive = self
            .scratch
            .write(&chart.metadata.file_name(), &chart.bytes)?;
        let kubernetes = kubernetes_version(&chart.metadata.kube_version);
        let mut command = self.command();
        command.args(["template", RELEASE]).arg(&archive);
        command.args([
            "--namespace",
            RELEASE,
            "--kube-version",
            &kubernetes,
            "--include-crds",
        ]);
        if render_mode == RenderMode::Upgrade {
            command.arg("--is-upgrade");
        }
        for (number, (_, text)) in values.iter().enumerate() {
            command.arg("--values").arg(
                self.scratch
                    .write(&format!("values/{number}.yaml"), text.as_bytes())?,
            );
        }
        let child = command.spawn().map_err(|source| HelmError::Start {
            program: self.program.clone(),
            source,
        })?;
        let ended = match ended(child, self.time_limit).await {
            Ok(ended) => ended,
            Err(failure) => return Ok(Err(failure)),
        };
        if !ended.is_success {
            let stderr = String::from_utf8_lossy(&ended.stderr);
            let stderr = stderr.replace(&format!("{}/", self.scratch.path()), "");
            return Ok(Err(RenderFailure::Refused(shortened(
                stderr.trim().trim_start_matches("Error: "),
            ))));
        }
        Ok(String::from_utf8(ended.output).map_err(|_| RenderFailure::NotText))
    }

    /// Helm with nothing of this machine's configuration.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.scratch.path()).env_clear();
        command
            .env("HOME", self.scratch.path().join("home"))
            .env("TMPDIR", self.scratch.path());
        command.envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("KUBECONFIG", "/dev/null"),
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
}

struct Group(Child);

impl Group {
    /// What a program prints may not be larger than is kept: then it is ended, and the rest of it
    /// not read.
    async fn run(&mut self) -> Result<Ended, RenderFailure> {
        let (output, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let output = async {
            let output = start_of(output, MAX_OUTPUT_BYTES).await;
            if output.len() as u64 > MAX_OUTPUT_BYTES {
                Err(RenderFailure::TooMuch)
            } else {
                Ok(output)
            }
        };
        let stderr = async { Ok(all_but_the_rest(stderr, MAX_COMPLAINT_BYTES).await) };
        let (output, stderr) = tokio::try_join!(output, stderr)?;
        let status = self
            .0
            .wait()
            .await
            .map_err(|error| RenderFailure::Refused(error.to_string()))?;
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

async fn ended(child: Child, time_limit: Duration) -> Result<Ended, RenderFailure> {
    let mut group = Group(child);
    tokio::time::timeout(time_limit, group.run())
        .await
        .unwrap_or(Err(RenderFailure::TimeLimit(time_limit)))
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

/// The first bytes of a stream that is read to its end.
async fn all_but_the_rest(stream: Option<impl AsyncRead + Unpin>, max_bytes: u64) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let bytes = start_of(Some(&mut stream), max_bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    bytes
}

/// At most a few lines, without characters that a terminal would act upon.
fn shortened(text: &str) -> String {
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
