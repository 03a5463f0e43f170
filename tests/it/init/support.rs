//! A working directory with charts, and a registry that stands in for every other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rune_testkit::{registry::Registry, sample::Sample};
use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::{KEY, Scratch},
    charts::support::tool,
};

/// A working directory.
pub(crate) struct Place {
    files: Scratch,
    registry: Registry,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            files: Scratch::new(),
            registry: Registry::start(),
        };
        let mirror = json!({"endpoint": [place.registry.url()]});
        let mirrors = json!({"mirrors": {"*": mirror, "docker.io": mirror}});
        place.write("registries.yaml", &mirrors.to_string());
        place.write("release.key", KEY);
        place
    }

    /// Host and port of the registry.
    pub(crate) fn host(&self) -> String {
        self.registry.host()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files.names()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a chart `chart/` whose containers have these images, one Deployment for each.
    pub(crate) fn write_chart(&self, images: &[&str], values: &str) {
        self.write(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: shop\nversion: 1.2.0\nappVersion: 3.1.0\n",
        );
        self.write("chart/values.yaml", values);
        for (number, image) in images.iter().enumerate() {
            self.write(
                &format!("chart/templates/{number}.yaml"),
                &deployment(&format!("d{number}"), image),
            );
        }
    }

    /// Puts an image with these labels into the registry, whatever registry it is named with.
    pub(crate) fn put_image(&self, reference: &str, labels: &[(&str, &str)]) {
        let (repository, tag) = reference
            .split_once('/')
            .unwrap()
            .1
            .rsplit_once(':')
            .unwrap();
        let labels = labels
            .iter()
            .map(|(label, text)| ((*label).to_owned(), (*text).to_owned()))
            .collect();
        let seed = reference.to_owned();
        let sample = Sample {
            layer_bytes: vec![10],
            attestations: false,
            labels,
            seed,
            ..Sample::default()
        };
        self.registry.put_image(repository, tag, &sample.build());
    }

    pub(crate) fn tool(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear();
        if matches!(arguments.first(), Some(&("init" | "lock" | "build"))) {
            command
                .arg("--helm")
                .arg(tool("helm3"))
                .args(["--registry-config", "registries.yaml"]);
        }
        command.output().unwrap()
    }

    /// What a call that ends with `code` says.
    pub(crate) fn run(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.tool(arguments);
        let said = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// The JSON report of a call that ends with `code`.
    pub(crate) fn report(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.tool(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Every file below a directory, by its path relative to it.
    pub(crate) fn files_of(&self, directory: &str) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let root = self.path(directory);
        let mut pending = vec![root.clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    files.insert(relative(&path, &root));
                }
            }
        }
        files
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// A Deployment with one container.
pub(crate) fn deployment(name: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  selector: {{ matchLabels: {{ app: {name} }} }}\n  \
         template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec:\n      containers:\n        - name: app\n          image: {image}\n"
    )
}
