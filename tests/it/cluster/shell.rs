//! Somebody at a shell who has the cluster, one version of Helm and the documents, and types what
//! these say.

use std::{fs, os::unix::fs::symlink, path::Path};

use regex::Regex;
use rune_bundle::chart::{ChartTree, package};
use rune_testkit::cluster::{Cluster, Helm};
use tempfile::TempDir;

use crate::{
    charts::support::{in_tools_env, project, tool},
    docs::cluster,
};

/// The documents speak of a release in this namespace.
const NAMESPACE: &str = r"(-n |--namespace |namespace |namespace: |rune-postgres\.)rune(-new)?\b";

/// A shell in a directory of its own, in the network of the cluster.
pub(crate) struct Shell<'a> {
    cluster: &'a Cluster,
    namespace: String,
    directory: TempDir,
    programs: TempDir,
    environment: Vec<(String, String)>,
}

impl<'a> Shell<'a> {
    /// A shell whose `helm` is that one. What the documents do in the namespace `rune` happens in
    /// the one given.
    pub(crate) fn new(cluster: &'a Cluster, helm: Helm, namespace: &str) -> Self {
        let programs = tempfile::tempdir().unwrap();
        let helm = if helm == Helm::Three {
            "helm3"
        } else {
            "helm4"
        };
        symlink(tool(helm), programs.path().join("helm")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        // The registry of the cluster has no TLS, which the documents take for granted. skopeo
        // looks at home.
        let configuration = programs.path().join(".config/containers");
        fs::create_dir_all(&configuration).unwrap();
        fs::write(
            configuration.join("registries.conf"),
            "[[registry]]\nlocation = \"127.0.0.1:5000\"\ninsecure = true\n",
        )
        .unwrap();
        let home = programs.path().to_str().unwrap().to_owned();
        let path = format!("{home}:{}", in_tools_env("echo $PATH"));
        let environment = vec![("PATH".to_owned(), path), ("HOME".to_owned(), home)];
        Self {
            cluster,
            namespace: namespace.to_owned(),
            directory,
            programs,
            environment,
        }
    }

    /// The same with the chart of this checkout, packed, where the documents expect it.
    pub(crate) fn with_the_chart(cluster: &'a Cluster, helm: Helm, namespace: &str) -> Self {
        let shell = Self::new(cluster, helm, namespace);
        let packed = package(
            "charts/rune",
            &ChartTree::read(&project().join("charts/rune")).unwrap(),
        )
        .unwrap();
        fs::create_dir(shell.directory.path().join("charts")).unwrap();
        shell.write_bytes(
            &format!("charts/{}", packed.metadata.file_name()),
            &packed.bytes,
        );
        shell
    }

    /// Sets a variable for all that is typed from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Puts a file or folder of somewhere else into the shell's directory.
    pub(crate) fn link(&self, name: &str, target: &Path) {
        symlink(target, self.directory.path().join(name)).unwrap();
    }

    /// Writes a file into the shell's directory, for the namespace of this shell.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), self.localized(text)).unwrap();
    }

    /// A file of the shell's directory.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.path().join(name)).unwrap()
    }

    /// Writes bytes into a file of the shell's directory.
    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory.path().join(name), bytes).unwrap();
    }

    /// Runs commands, ends at the first that fails, and gives what they print.
    pub(crate) fn try_type(&self, script: &str) -> Result<String, String> {
        let mut command = self.cluster.command("sh");
        command
            .args(["-euc", &format!("exec 2>&1\n{}", self.localized(script))])
            .current_dir(self.directory.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("{script}\n{said}"))
        }
    }

    /// The same with commands that must succeed.
    pub(crate) fn type_in(&self, script: &str) -> String {
        self.try_type(script).unwrap_or_else(|said| {
            panic!(
                "{} in {}\n{said}",
                self.programs.path().display(),
                self.namespace
            )
        })
    }

    /// Types the commands of a page that begin like this. Nothing here takes the hours that a large
    /// database may take.
    pub(crate) fn follow(&self, page: &str, start: &str) -> String {
        let commands =
            cluster::commands(page, start).replace("registry.example:5000", &self.registry());
        self.type_in(
            &Regex::new("--timeout=[0-9]+h")
                .unwrap()
                .replace_all(&commands, "--timeout=150s"),
        )
    }

    /// Makes the objects of a page that have these words.
    pub(crate) fn apply(&self, page: &str, words: &[&str]) {
        self.write("manifest.yaml", &cluster::yaml(page, words));
        self.type_in("kubectl apply --filename manifest.yaml");
    }

    fn registry(&self) -> String {
        let set = self
            .environment
            .iter()
            .rev()
            .find(|(name, _)| name == "REGISTRY");
        set.map_or_else(
            || "registry.example:5000".to_owned(),
            |(_, value)| value.clone(),
        )
    }

    fn localized(&self, text: &str) -> String {
        Regex::new(NAMESPACE)
            .unwrap()
            .replace_all(text, |found: &regex::Captures<'_>| {
                format!("{}{}", &found[1], self.namespace)
            })
            .into_owned()
    }
}
