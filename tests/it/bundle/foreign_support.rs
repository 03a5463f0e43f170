//! Programs that nobody here wrote, and a real registry for them.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use rune_testkit::{
    process::{Process, succeeded},
    sample::{Image, Sample},
};
use serde_json::{Value, json};

use crate::{
    bundle::project::repository, bundle::small_bundle::Scratch, charts::support::in_tools_env,
};

/// Seconds that a program gets; every one of them is done in a few.
const PATIENCE: &str = "50";

/// Where foreign programs run: a home of their own, nothing of this machine's configuration,
/// bounded in time.
pub(crate) struct Foreign(Scratch);

impl Foreign {
    pub(crate) fn new() -> Self {
        Self(Scratch::new())
    }

    /// A path in its home, which is also where programs run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// A program, ready to run and be ended when it takes too long.
    pub(crate) fn command<'a>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Command {
        let mut command = self.unbounded("timeout");
        command
            .args(["--kill-after", "5", PATIENCE, program])
            .args(arguments);
        command
    }

    /// A program that may run for as long as the test.
    pub(crate) fn unbounded(&self, program: &str) -> Command {
        static SEARCH: OnceLock<String> = OnceLock::new();
        let search = SEARCH.get_or_init(|| in_tools_env("echo $PATH"));
        let mut command = Command::new(program);
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", search);
        command
            .env("HOME", self.path(""))
            .env("TMPDIR", self.path(""))
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"));
        command
    }

    /// Runs a program that must succeed, and returns what it printed.
    pub(crate) fn run<'a>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> String {
        succeeded(&mut self.command(program, arguments))
    }
}

/// A registry as people run it: distribution.
pub(crate) struct Distribution {
    announced: Value,
    files: Foreign,
    _process: Process,
}

impl Distribution {
    /// Starts an empty one; `mode` is one of `tools/registry/start`.
    pub(crate) fn start(mode: &str) -> Self {
        Self::start_program("distribution2", mode)
    }

    /// The same of another program of `tools/registry/start`.
    pub(crate) fn start_program(program: &str, mode: &str) -> Self {
        let files = Foreign::new();
        let directory = files.path("registry");
        let starter = repository().join("tools/registry/start");
        let (process, announced) =
            Process::start_announced(starter, [mode, directory.to_str().unwrap(), program]);
        Self {
            announced,
            files,
            _process: process,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.announced[key].as_str()
    }

    pub(crate) fn host(&self) -> &str {
        self.text("host").unwrap()
    }

    fn login(&self) -> Option<(&str, &str)> {
        self.text("user").zip(self.text("password"))
    }

    /// What skopeo has to be told to push here.
    pub(crate) fn skopeo_options(&self) -> Vec<String> {
        let transport = match self.text("ca") {
            Some(ca) => format!("--dest-cert-dir={}", ca.rsplit_once('/').unwrap().0),
            None => "--dest-tls-verify=false".to_owned(),
        };
        let login = self
            .login()
            .map(|(user, password)| format!("--dest-creds={user}:{password}"));
        std::iter::once(transport).chain(login).collect()
    }

    /// Pushes the PostgreSQL test image and a sample of RUNE, under the names that the example
    /// manifest has for them.
    pub(crate) fn stock(&self) {
        let options = self.skopeo_options();
        let mut push = Command::new(repository().join("tools/registry/push-postgres"));
        succeeded(push.arg(self.host()).args(&options));
        let layout = self.files.path("rune");
        Sample {
            seed: "rune".to_owned(),
            ..Sample::default()
        }
        .build()
        .write_layout(&layout, "sample");
        let (from, to) = (
            format!("oci:{}:sample", layout.display()),
            format!("docker://{}/lpasquali/rune:v0.0.0a6", self.host()),
        );
        let copy = ["copy", "--quiet", "--all", "--preserve-digests"]
            .into_iter()
            .chain(options.iter().map(String::as_str));
        self.files
            .run("skopeo", copy.chain([from.as_str(), to.as_str()]));
    }

    /// Stores an image under a name.
    pub(crate) fn take(&self, tools: &Foreign, image: &Image, name: &str) {
        image.write_layout(&tools.path("layout"), "sample");
        let to = format!("docker://{}/{name}", self.host());
        let options = self.skopeo_options();
        let copy = ["copy", "--quiet", "--all", "--preserve-digests"];
        let copy = copy.into_iter().chain(options.iter().map(String::as_str));
        tools.run("skopeo", copy.chain(["oci:layout:sample", to.as_str()]));
        fs::remove_dir_all(tools.path("layout")).unwrap();
    }

    /// What `rune-bundle` has to be told to use this registry in place of docker.io and ghcr.io.
    pub(crate) fn client_arguments(&self) -> Vec<String> {
        let write = |name: &str, content: String| {
            fs::write(self.files.path(name), content).unwrap();
            self.files.path(name).to_str().unwrap().to_owned()
        };
        let mirror = json!({"endpoint": [self.text("url").unwrap()]});
        let mut arguments = vec![
            "--registry-config".to_owned(),
            write(
                "registries.yaml",
                json!({"mirrors": {"docker.io": mirror, "ghcr.io": mirror}}).to_string(),
            ),
        ];
        if let Some(ca) = self.text("ca") {
            arguments.extend(["--ca-file".to_owned(), ca.to_owned()]);
        }
        if let Some((username, password)) = self.login() {
            let entry =
                json!({"auths": {self.host(): {"username": username, "password": password}}});
            arguments.extend([
                "--authfile".to_owned(),
                write("config.json", entry.to_string()),
            ]);
        }
        arguments
    }

    /// The digest that the registry itself gives for a tag or digest.
    pub(crate) fn digest(&self, name: &str, reference: &str) -> String {
        let url = format!(
            "{}/v2/{name}/manifests/{reference}",
            self.text("url").unwrap()
        );
        let types =
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let accept = format!("Accept: {types}");
        let mut arguments = vec![
            "--silent",
            "--show-error",
            "--fail",
            "--head",
            "--header",
            &accept,
            &url,
        ];
        let user = self
            .login()
            .map(|(user, password)| format!("{user}:{password}"));
        if let Some(user) = &user {
            arguments.extend(["--user", user]);
        }
        if let Some(ca) = self.text("ca") {
            arguments.extend(["--cacert", ca]);
        }
        let answer = self.files.run("curl", arguments);
        let digest = answer.lines().find_map(|line| {
            line.split_once(": ")
                .filter(|(key, _)| key.eq_ignore_ascii_case("docker-content-digest"))
        });
        digest
            .unwrap_or_else(|| panic!("no digest in {answer}"))
            .1
            .trim()
            .to_owned()
    }
}
