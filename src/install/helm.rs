//! The real Helm, with the cluster: its release, what it renders, what it has installed.
//!
//! Helm finds the cluster by the same files and context as this program. It sees neither plugins,
//! repositories and settings of the person who runs it nor a proxy; credentials of the kubeconfig
//! that come from programs work. It is never killed while it changes something: when somebody asks
//! this program to end, Helm is told, and ends in a state that it knows.

use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};

use super::{Cluster, ClusterOptions, InstallError, PostRenderer};
use crate::chart::{self, Helm};
use rune_core::{fsx::ScratchDirectory, interrupt::Interrupt};

/// The most that is kept of what Helm prints, in bytes.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;

/// What would let somebody's settings decide where a release goes, or send it elsewhere.
const IGNORED: [&str; 29] = [
    "HELM_NAMESPACE",
    "HELM_KUBECONTEXT",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBECAFILE",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBETOKEN",
    "HELM_DRIVER",
    "HELM_DRIVER_SQL_CONNECTION_STRING",
    "HELM_PLUGINS",
    "HELM_NO_PLUGINS",
    "HELM_REGISTRY_CONFIG",
    "HELM_REPOSITORY_CACHE",
    "HELM_REPOSITORY_CONFIG",
    "HELM_CONTENT_CACHE",
    "HELM_DEBUG",
    "HELM_MAX_HISTORY",
    "HELM_BURST_LIMIT",
    "HELM_QPS",
    "HELM_COLOR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "KUBECONFIG",
];

#[derive(Debug)]
pub(crate) struct ReleaseHelm {
    program: Utf8PathBuf,
    version: String,
    scratch: ScratchDirectory,
    /// For `KUBECONFIG`; empty in a pod.
    kubeconfigs: String,
    context: Option<String>,
    namespace: String,
    release: String,
    interrupt: Interrupt,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Revision {
    #[serde(rename = "revision")]
    pub(crate) number: u64,
    /// `deployed`, `superseded`, `failed`, `pending-upgrade`, ….
    pub(crate) status: String,
    /// The chart, `name-version`.
    pub(crate) chart: String,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) is_success: bool,
    pub(super) output: String,
    pub(super) stderr: String,
}

impl ReleaseHelm {
    pub(crate) fn new(
        helm: &Helm,
        program: &Utf8Path,
        cluster: &Cluster,
        options: &ClusterOptions,
        release: &str,
        interrupt: Interrupt,
    ) -> Result<Self, InstallError> {
        let kubeconfigs: Vec<&str> = options
            .kubeconfigs
            .iter()
            .map(|path| path.as_str())
            .collect();
        Ok(Self {
            program: program.to_owned(),
            version: helm.version().to_owned(),
            scratch: ScratchDirectory::create()?,
            kubeconfigs: kubeconfigs.join(":"),
            context: options.context.clone(),
            namespace: cluster.namespace().to_owned(),
            release: release.to_owned(),
            interrupt,
        })
    }

    /// Whether it is Helm 3, which sends no hooks to a post-renderer.
    pub(crate) fn is_3(&self) -> bool {
        self.version.starts_with("v3.")
    }

    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    /// Whether somebody asked this program to end.
    pub(crate) const fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<Utf8PathBuf, InstallError> {
        Ok(self.scratch.write(name, bytes)?)
    }

    /// Renders the chart as it would be installed now, hooks included: the cluster is asked,
    /// nothing is changed.
    pub(crate) async fn render(
        &self,
        chart: &Utf8Path,
        values: &[String],
        kubernetes: &str,
        is_upgrade: bool,
        post_renderer: Option<&PostRenderer>,
    ) -> Result<String, InstallError> {
        let mut arguments = vec![
            "template",
            &self.release,
            chart.as_str(),
            "--kube-version",
            kubernetes,
        ];
        if is_upgrade {
            arguments.push("--is-upgrade");
        }
        arguments.extend(values.iter().map(String::as_str));
        let server = [&arguments[..], &["--dry-run=server"]].concat();
        let rendered = self.run_with(&server, post_renderer).await?;
        let rendered = rendered.success("render the chart")?;
        let all = self.definitions(chart).await?;
        if all.trim().is_empty() {
            return Ok(rendered);
        }
        // With the cluster Helm takes existing definitions for objects of somebody else, and
        // refuses them. Without it a chart may not render; then none is left out.
        let apart = [&arguments[..], &["--include-crds"]].concat();
        let apart = self.run(&apart).await?;
        let definitions = if apart.is_success {
            chart::documents(&apart.output)
                .filter(|document| is_of_crds(document))
                .collect::<Vec<_>>()
                .join("\n")
        } else {
            all
        };
        Ok(format!("{rendered}\n---\n{definitions}"))
    }

    /// The files of `crds/` of the chart and its subcharts.
    pub(crate) async fn definitions(&self, chart: &Utf8Path) -> Result<String, InstallError> {
        let doing = "show the custom resource definitions of the chart";
        self.ask(doing, &["show", "crds", chart.as_str()]).await
    }

    /// What is installed, hooks included; empty when nothing is.
    pub(crate) async fn installed(&self, revision: u64) -> Result<String, InstallError> {
        let number = revision.to_string();
        let manifest = self
            .ask(
                "say what is installed",
                &["get", "manifest", &self.release, "--revision", &number],
            )
            .await?;
        let hooks = self
            .ask(
                "say what is installed",
                &["get", "hooks", &self.release, "--revision", &number],
            )
            .await?;
        Ok(format!("{manifest}\n---\n{hooks}"))
    }

    pub(crate) async fn values(&self, revision: u64) -> Result<serde_json::Value, InstallError> {
        let doing = "say with which values the release was installed";
        let number = revision.to_string();
        let given = ["get", "values", &self.release, "--revision", &number];
        let text = self
            .ask(doing, &[&given[..], &["--output", "json"]].concat())
            .await?;
        serde_json::from_str(&text).map_err(|error| InstallError::HelmRefused {
            doing: doing.to_owned(),
            said: error.to_string(),
        })
    }

    /// The revisions of the release, oldest first; none when there is no release.
    pub(crate) async fn history(&self) -> Result<Vec<Revision>, InstallError> {
        let doing = "say which revisions there are";
        let ended = self
            .run(&["history", &self.release, "--output", "json", "--max", "256"])
            .await?;
        if !ended.is_success && ended.stderr.contains("not found") {
            return Ok(Vec::new());
        }
        let text = ended.success(doing)?;
        serde_json::from_str(&text).map_err(|error| InstallError::HelmRefused {
            doing: doing.to_owned(),
            said: error.to_string(),
        })
    }

    async fn ask(&self, doing: &str, arguments: &[&str]) -> Result<String, InstallError> {
        self.run(arguments).await?.success(doing)
    }

    /// Runs Helm to its end. When somebody asks this program to end, Helm is told.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Ended, InstallError> {
        self.run_with(arguments, None).await
    }

    /// The same with a post-renderer for what is rendered.
    pub(super) async fn run_with(
        &self,
        arguments: &[&str],
        post_renderer: Option<&PostRenderer>,
    ) -> Result<Ended, InstallError> {
        let failed = |source| InstallError::Run {
            program: self.program.clone(),
            source,
        };
        tracing::debug!("helm {}", arguments.join(" "));
        // What is run after somebody asked this program to end reads what is left, and is short.
        let is_ending = self.interrupt.is_asked();
        let mut child = self
            .command(arguments, post_renderer)
            .spawn()
            .map_err(failed)?;
        let (output, stderr) = (child.stdout.take(), child.stderr.take());
        let status = async {
            tokio::select! {
                status = child.wait() => status,
                () = self.interrupt.asked(), if !is_ending => {
                    tell(&child);
                    child.wait().await
                }
            }
        };
        let (status, output, stderr) = tokio::join!(status, text_of(output), text_of(stderr));
        Ok(Ended {
            is_success: status.map_err(failed)?.success(),
            output,
            stderr: self.readable(&stderr),
        })
    }

    fn command(&self, arguments: &[&str], post_renderer: Option<&PostRenderer>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--namespace", &self.namespace]);
        if let Some(context) = &self.context {
            command.args(["--kube-context", context]);
        }
        for name in IGNORED {
            command.env_remove(name);
        }
        if let Some(post_renderer) = post_renderer {
            command.args(post_renderer.arguments());
        }
        if let Some(plugins) = post_renderer.and_then(PostRenderer::plugins) {
            command.env("HELM_PLUGINS", plugins);
        }
        if !self.kubeconfigs.is_empty() {
            command.env("KUBECONFIG", &self.kubeconfigs);
        }
        for kind in ["CACHE", "CONFIG", "DATA"] {
            command.env(
                format!("HELM_{kind}_HOME"),
                self.scratch.path().join("home"),
            );
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own: what the terminal sends to this program must not reach Helm a second
        // time.
        command.process_group(0);
        command
    }

    /// What Helm complained about, without our paths and what a terminal would act upon.
    fn readable(&self, text: &str) -> String {
        let text = text.replace(&format!("{}/", self.scratch.path()), "");
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("WARNING: Kubernetes configuration file is"));
        let lines: Vec<String> = lines
            .map(|line| {
                line.chars()
                    .filter(|character| !character.is_control())
                    .collect()
            })
            .collect();
        lines
            .join("\n")
            .trim()
            .trim_start_matches("Error: ")
            .to_owned()
    }
}

impl Ended {
    fn success(self, doing: &str) -> Result<String, InstallError> {
        if self.is_success {
            Ok(self.output)
        } else {
            Err(InstallError::HelmRefused {
                doing: doing.to_owned(),
                said: self.stderr,
            })
        }
    }
}

/// Whether a document that Helm rendered is a file of a `crds/` directory.
fn is_of_crds(document: &str) -> bool {
    let source = document
        .lines()
        .find_map(|line| line.strip_prefix("# Source: "));
    source.is_some_and(|source| source.contains("/crds/") && !source.contains("/templates/"))
}

/// Asks a program to end, as Ctrl-C would.
fn tell(child: &Child) {
    if let Some(group) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
    {
        let _ = kill_process_group(group, Signal::INT);
    }
}

async fn text_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = (&mut stream)
            .take(MAX_OUTPUT_BYTES)
            .read_to_end(&mut bytes)
            .await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
