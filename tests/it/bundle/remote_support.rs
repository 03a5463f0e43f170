//! A project whose charts and files come from real servers.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use rune_testkit::process::Process;
use serde_json::Value;

use crate::bundle::{foreign_support::Foreign, project::repository};

/// Where the lock of the project is.
pub(crate) const LOCK: &str = "bundle-manifests/rune.lock";

/// A project in the home of the foreign programs.
pub(crate) struct Project(pub(crate) Foreign);

/// Python's HTTP server over a directory, with or without TLS and a password.
pub(crate) struct Site {
    announced: Value,
    files: Foreign,
    _process: Process,
}

impl Project {
    /// A project with this manifest below its first lines. Its policy allows every source.
    pub(crate) fn new(manifest: &str) -> Self {
        let project = Self(Foreign::new());
        project.write("policy.yaml", "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['**'] }\n");
        project.write_manifest(manifest);
        project
    }

    pub(crate) fn write_manifest(&self, manifest: &str) {
        let head = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: app\nversion: 0.1.0\npolicy: policy.yaml\n";
        self.write("bundle-manifests/rune.yaml", &format!("{head}{manifest}"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn lock(&self) -> String {
        fs::read_to_string(self.path(LOCK)).unwrap()
    }

    /// Runs the tool; verbs that render charts do not here.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.path(""));
        let verb = arguments.first().copied().unwrap_or_default();
        if matches!(verb, "lock" | "build") && !arguments.contains(&"--helm") {
            command.arg("--no-chart-check");
        }
        command.output().unwrap()
    }

    /// What it prints on both streams, once it has ended with this code.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    /// The JSON report of a run that ends with this code.
    pub(crate) fn report(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Locks and builds with the same options, and takes the bundle apart.
    pub(crate) fn bundle(&self, options: &[&str]) {
        self.ends(0, &[&["lock"], options].concat());
        self.ends(0, &[&["build", "--output", "app.tar"], options].concat());
        let digest = self.report(0, &["inspect", "app.tar"])["digest"]
            .as_str()
            .unwrap()
            .to_owned();
        self.ends(0, &["verify", "app.tar", "--bundle-digest", &digest]);
        self.ends(
            0,
            &["unpack", "app.tar", "unpacked", "--bundle-digest", &digest],
        );
    }

    /// A file of the bundle that was taken apart.
    pub(crate) fn unpacked(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("unpacked").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// Makes a chart with Helm 3 and packs it; gives the path of the archive.
pub(crate) fn packed_chart(tools: &Foreign, name: &str, version: &str, values: &str) -> PathBuf {
    let directory = tools.path(&format!("source/{name}"));
    fs::create_dir_all(directory.join("templates")).unwrap();
    fs::write(
        directory.join("Chart.yaml"),
        format!("apiVersion: v2\nname: {name}\nversion: {version}\ndescription: A chart\n"),
    )
    .unwrap();
    fs::write(directory.join("values.yaml"), values).unwrap();
    fs::write(
        directory.join("templates/map.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n",
    )
    .unwrap();
    tools.run(
        "helm3",
        [
            "package",
            directory.to_str().unwrap(),
            "--destination",
            tools.path("").to_str().unwrap(),
        ],
    );
    tools.path(&format!("{name}-{version}.tgz"))
}

impl Site {
    /// `mode` is one of `tools/web/start`.
    pub(crate) fn start(mode: &str) -> Self {
        let files = Foreign::new();
        let (process, announced) = Process::start_announced(
            repository().join("tools/web/start"),
            [mode, files.path("site").to_str().unwrap()],
        );
        Self {
            announced,
            files,
            _process: process,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.announced[key].as_str()
    }

    pub(crate) fn host(&self) -> &str {
        self.text("host").unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.text("url").unwrap())
    }

    /// A file that is served.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let path = PathBuf::from(self.text("files").unwrap()).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Lets Helm write the index of a directory that is served; `url` is what Helm puts before the
    /// names of the archives.
    pub(crate) fn index(&self, directory: &str, url: Option<&str>) {
        let directory = self.file(directory);
        let arguments = ["repo", "index", directory.to_str().unwrap()];
        self.files.run(
            "helm3",
            arguments
                .into_iter()
                .chain(url.into_iter().flat_map(|url| ["--url", url])),
        );
    }

    /// What `rune-bundle` has to be told to use this site.
    pub(crate) fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        match self.text("ca") {
            Some(ca) => options.extend(["--ca-file".to_owned(), ca.to_owned()]),
            None => options.push(format!("--plain-http={}", self.host())),
        }
        if let (Some(username), Some(password)) = (self.text("user"), self.text("password")) {
            let path = self.files.path("config.json");
            let entry = serde_json::json!({"auths": {self.host(): {"username": username, "password": password}}});
            fs::write(&path, entry.to_string()).unwrap();
            options.extend(["--authfile".to_owned(), path.to_str().unwrap().to_owned()]);
        }
        options
    }

    /// What Helm has to be told.
    pub(crate) fn helm_options(&self) -> Vec<String> {
        let mut options = Vec::new();
        for (option, key) in [
            ("--ca-file", "ca"),
            ("--username", "user"),
            ("--password", "password"),
        ] {
            options.extend(
                self.text(key)
                    .into_iter()
                    .flat_map(|value| [option.to_owned(), value.to_owned()]),
            );
        }
        options
    }
}

/// The same options as text.
pub(crate) fn texts(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}
