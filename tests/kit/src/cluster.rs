//! A real Kubernetes of one node (`tools/cluster`), shared by the tests that need one, with a
//! namespace for each of them.
//!
//! The first test brings it up; it ends by itself a while after the last one. It has a network of
//! its own, so programs that talk to it are run in there: [`Cluster::command`].

mod fresh_node;
mod image;
mod namespace;

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lock::lock;

pub use self::{
    fresh_node::FreshNode,
    image::{ImageLayout, Program},
    namespace::{Helm, Namespace},
};

/// How long the cluster stays after the last test that used it. Starting it again takes seconds.
const LINGER_SECONDS: &str = "120";
/// The label of a namespace that says which process made it.
const OWNER: &str = "rune.test/process";

/// The cluster, for as long as the value lives at least.
#[derive(Debug)]
pub struct Cluster {
    /// Nobody stops the cluster while somebody has this lock.
    _attendance: File,
    announced: Value,
    home: TempDir,
}

impl Cluster {
    /// Brings the cluster up, or finds it running. Where it cannot run, the test is noted as
    /// skipped.
    ///
    /// # Panics
    /// When it does not come up although it could.
    pub fn up() -> Option<Self> {
        if let Some(reason) = hindrance() {
            note_skip(&reason);
            return None;
        }
        let state = state();
        fs::create_dir_all(&state).expect("the state directory can be made");
        let attendance = OpenOptions::new()
            .create(true)
            .append(true)
            .open(state.join("attendance"))
            .expect("the file can be made");
        // Before it is asked for: it may be about to end, and then this waits for it.
        attendance.lock_shared().expect("the file can be locked");
        let said = run(Command::new(project().join("tools/cluster/up"))
            .args(["--linger", LINGER_SECONDS])
            .arg(&state));
        let announced = serde_json::from_str(&said)
            .unwrap_or_else(|error| panic!("`tools/cluster/up` said {said:?}: {error}"));
        let home = tempfile::tempdir().expect("a directory can be made");
        let cluster = Self {
            _attendance: attendance,
            announced,
            home,
        };
        cluster.remove_abandoned_namespaces();
        Some(cluster)
    }

    /// A command that runs in the network of the cluster, with nothing of this machine's
    /// configuration.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.announced["pid"]))
            .arg("--")
            .arg(program.as_ref());
        command
            .env("KUBECONFIG", self.text("kubeconfig"))
            .env("HOME", self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// The first process of the cluster, in whose network everything is.
    pub fn process(&self) -> u64 {
        self.announced["pid"]
            .as_u64()
            .expect("a process id is a number")
    }

    /// Runs `kubectl` and gives what it says.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        run(self.command("kubectl").args(arguments))
    }

    /// Puts objects in place.
    ///
    /// # Panics
    /// When the API server refuses one.
    pub fn apply(&self, objects: &[Value]) {
        self.try_apply(objects, &[])
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Puts objects in place with further options of `kubectl apply`, or says why not.
    ///
    /// # Errors
    /// What `kubectl` says when the API server refuses one.
    pub fn try_apply(&self, objects: &[Value], options: &[&str]) -> Result<String, String> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let mut command = self.command("kubectl");
        let child = command.args(["apply", "--filename=-"]).args(options);
        let child = child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("kubectl can be started");
        child
            .stdin
            .take()
            .expect("it is a pipe")
            .write_all(list.to_string().as_bytes())
            .expect("kubectl reads");
        outcome(&child.wait_with_output().expect("kubectl ends"))
    }

    /// Makes a namespace that enforces the Pod Security level `restricted`. It goes when the value
    /// is dropped.
    pub fn namespace(&self, purpose: &str) -> Namespace<'_> {
        Namespace::new(self, purpose)
    }

    /// Takes a namespace over that the test itself has made in another way. It goes when the value
    /// is dropped.
    pub fn adopt_namespace(&self, name: &str) -> Namespace<'_> {
        Namespace::adopt(self, name.to_owned())
    }

    /// Adds a node with an empty image store, on which no pod is scheduled.
    pub fn fresh_node(&self, purpose: &str) -> FreshNode<'_> {
        FreshNode::start(self, purpose)
    }

    /// Puts an image into the registry from which the cluster pulls every name, and gives its
    /// digest. `repository` is the name with its tag but without a registry:
    /// `library/postgres:17-alpine`.
    pub fn push(&self, layout: &ImageLayout, repository: &str) -> String {
        self.push_to(self.text("registry"), &[], layout, repository)
    }

    /// Puts an image into the registry that stands behind [`Self::private_host`] and wants
    /// [`Self::private_user`].
    pub fn push_private(&self, layout: &ImageLayout, repository: &str) -> String {
        let (user, password) = self.private_user();
        self.push_to(
            self.text("private_registry"),
            &["--dest-creds", &format!("{user}:{password}")],
            layout,
            repository,
        )
    }

    /// The registry from which the cluster pulls every name, as the node reaches it.
    pub fn registry(&self) -> &str {
        self.text("registry")
    }

    /// The socket of the node's containerd, as this machine reaches it: the node has mounts of its
    /// own.
    pub fn containerd(&self) -> String {
        format!(
            "/proc/{}/root/run/containerd/containerd.sock",
            self.announced["pid"]
        )
    }

    /// The directory in which the node's containerd looks where it is to pull a name from.
    pub fn hosts_directory(&self) -> PathBuf {
        Path::new(self.text("state")).join("etc/mirrors")
    }

    /// The name under which the cluster pulls from a registry that wants a password.
    pub fn private_host(&self) -> &str {
        self.text("private_host")
    }

    /// User and password of that registry.
    pub fn private_user(&self) -> (&str, &str) {
        (self.text("user"), self.text("password"))
    }

    fn push_to(
        &self,
        registry: &str,
        options: &[&str],
        layout: &ImageLayout,
        repository: &str,
    ) -> String {
        // Of several that push the same image at once, this registry tells some that a blob or
        // manifest is not there.
        let _turn = lock(&Path::new(self.text("state")).join("push.lock"));
        let mut skopeo = self.command("skopeo");
        skopeo
            .args([
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--dest-tls-verify=false",
            ])
            .args(options);
        run(skopeo
            .arg(layout.source())
            .arg(format!("docker://{registry}/{repository}")));
        layout.digest()
    }

    fn text(&self, key: &str) -> &str {
        self.announced[key]
            .as_str()
            .unwrap_or_else(|| panic!("`tools/cluster/up` said no `{key}`"))
    }

    /// A test that was killed could not remove its namespace.
    fn remove_abandoned_namespaces(&self) {
        let columns = format!(
            "jsonpath={{range .items[*]}}{{.metadata.name}} {{.metadata.labels['{}']}}{{\"\\n\"}}{{end}}",
            OWNER.replace('.', "\\.")
        );
        for line in self
            .kubectl(&[
                "get",
                "namespaces",
                "--selector",
                OWNER,
                "--output",
                &columns,
            ])
            .lines()
        {
            let (name, process) = line.split_once(' ').expect("two columns were asked for");
            if !Path::new("/proc").join(process).exists() {
                self.kubectl(&[
                    "delete",
                    "namespace",
                    name,
                    "--wait=false",
                    "--ignore-not-found",
                ]);
            }
        }
    }
}

/// Why a cluster cannot run here.
fn hindrance() -> Option<String> {
    let output = Command::new("unshare")
        .args([
            "--mount", "--pid", "--net", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run",
        ])
        .output();
    let output = output.expect("`unshare` is there");
    (!output.status.success()).then(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!(
            "a cluster needs root and namespaces of its own: {}",
            said.trim()
        )
    })
}

/// Notes in the file that `tools/test` reads that the test of this thread was skipped.
pub fn note_skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("cluster");
    if let Some(file) = std::env::var_os("RUNE_SKIPS") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .expect("RUNE_SKIPS names a file");
        writeln!(file, "{name}\t{reason}").expect("the file can be written");
    }
}

/// The state directory of this checkout's cluster: `tools/cluster/run` without one looks there,
/// too.
fn state() -> PathBuf {
    PathBuf::from(run(
        Command::new(project().join("tools/cluster/up")).arg("--where")
    ))
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the kit is two levels below the project")
}

fn outcome(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run `{}`: {error}", command.get_program().display())
    });
    outcome(&output).unwrap_or_else(|error| panic!("{command:?}: {}\n{error}", output.status))
}
