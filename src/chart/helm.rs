//! Running the real Helm, as little as possible of it: its version, and `helm template` of a packed
//! chart.
//!
//! Helm sees a directory of its own as home (no plugins, no repositories, no registry logins), no
//! cluster, and a proxy that refuses everything, so that nothing is fetched. It gets a time limit,
//! and what it prints is limited too. The directory is gone, and Helm with all that it started is
//! ended, when the value or the future that waits for it is dropped.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::process::Command;

use super::{Package, kubernetes::kubernetes_version};
use crate::process::{self, ProcessFailure, isolated, kind_of_start, shortened};
use rune_core::{
    failure::Failure,
    fsx::{PathError, ScratchDirectory},
};

const MAX_OUTPUT_BYTES: u64 = 64 << 20;

/// Release and namespace that charts are rendered for. Their images must not depend on either.
const RELEASE: &str = "rune-bundle-check";

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
    #[failure(kind: kind_of_start(.source))]
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
    Install,
    Upgrade,
}

impl RenderMode {
    pub(crate) const ALL: [Self; 2] = [Self::Install, Self::Upgrade];
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
        let ended = match process::ended(child, time_limit, MAX_OUTPUT_BYTES).await {
            Ok(ended) => ended,
            Err(failure) => {
                let failure = RenderFailure::of(failure);
                return Err(unknown(format!("it failed: {failure}")));
            }
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
        let ended = match process::ended(child, self.time_limit, MAX_OUTPUT_BYTES).await {
            Ok(ended) => ended,
            Err(failure) => return Ok(Err(RenderFailure::of(failure))),
        };
        if !ended.is_success {
            let stderr = ended.stderr_text(self.scratch.path());
            return Ok(Err(RenderFailure::Refused(shortened(
                stderr.trim_start_matches("Error: "),
            ))));
        }
        Ok(String::from_utf8(ended.output).map_err(|_| RenderFailure::NotText))
    }

    /// Helm with nothing of this machine's configuration.
    fn command(&self) -> Command {
        let mut command = isolated(&self.program, self.scratch.path());
        command.env("KUBECONFIG", "/dev/null");
        command
    }
}

impl RenderFailure {
    fn of(failure: ProcessFailure) -> Self {
        match failure {
            ProcessFailure::TimeLimit(limit) => Self::TimeLimit(limit),
            ProcessFailure::TooMuch => Self::TooMuch,
            ProcessFailure::Wait(error) => Self::Refused(error.to_string()),
        }
    }
}
