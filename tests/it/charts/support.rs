//! What the chart tests share: the project's templates, a context as a manifest and a lock would
//! give it, and the real Helm.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};
use rune_bundle::{
    chart::{
        BinaryContext, BundleContext, ChartContext, ChartTree, Context, ImageContext, Package,
        ProfileContext, Renderer, load_templates, package, render_below,
    },
    oci::Reference,
};
use rune_core::{digest::Digest, yaml};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

/// The images of the example manifest.
const IMAGES: [(&str, &str, &str); 3] = [
    (
        "postgres",
        "docker.io/library/postgres:17-alpine",
        "PostgreSQL",
    ),
    ("rune-db", "ghcr.io/lpasquali/rune-db:0.1.0", "Apache-2.0"),
    ("rune", "ghcr.io/lpasquali/rune:v0.0.0a6", "Apache-2.0"),
];

/// The checkout.
pub(crate) fn project() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The project's own templates.
pub(crate) fn renderer() -> Renderer {
    Renderer::new(load_templates(project()).unwrap()).unwrap()
}

/// What a manifest gives: no digests.
pub(crate) fn development() -> Context {
    context(|_| None)
}

/// What a manifest with a lock gives: a digest per image, made of its name.
pub(crate) fn pinned() -> Context {
    context(|name| Some(digest_of(name)))
}

/// The digest that stands for an image here.
pub(crate) fn digest_of(image: &str) -> Digest {
    Digest::of(image.as_bytes())
}

fn context(digest: impl Fn(&str) -> Option<Digest>) -> Context {
    let image = |reference: &str, name: &str| {
        ImageContext::new(&reference.parse::<Reference>().unwrap(), digest(name))
    };
    let platforms = |name: &str| {
        ["linux/amd64", "linux/arm64/v8"].map(|platform| {
            (
                platform.parse().unwrap(),
                digest_of(&format!("{name} {platform}")),
            )
        })
    };
    Context {
        bundle: BundleContext {
            name: "rune".to_owned(),
            version: "0.1.0".to_owned(),
        },
        schema_version: 6,
        images: IMAGES
            .iter()
            .map(|(name, reference, license)| {
                let image = image(reference, name).with_license(*license);
                (
                    (*name).to_owned(),
                    if digest(name).is_some() {
                        image.with_platforms(platforms(name), *name != "postgres")
                    } else {
                        image
                    },
                )
            })
            .collect(),
        charts: Vec::new(),
        releases: Vec::new(),
        profiles: Vec::new(),
        binaries: Vec::new(),
    }
}

/// The context as it is when the charts are packed and the text for the administrator is written.
pub(crate) fn packed() -> Context {
    Context {
        charts: vec![ChartContext {
            name: "rune".to_owned(),
            version: "0.2.0".to_owned(),
            file: "charts/rune-0.2.0.tgz".to_owned(),
        }],
        profiles: ["airgap", "lab", "cnpg", "external"]
            .map(|name| ProfileContext {
                name: name.to_owned(),
                charts: vec!["rune".to_owned()],
                files: vec![format!("values/{name}.yaml")],
            })
            .to_vec(),
        binaries: vec![BinaryContext {
            name: "rune-db".to_owned(),
            platform: "linux/amd64".to_owned(),
            path: "bin/linux-amd64/rune-db".to_owned(),
        }],
        ..pinned()
    }
}

/// Writes rendered files below a directory.
pub(crate) fn write_all(root: &Path, files: &BTreeMap<Utf8PathBuf, String>) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A program of the test equipment; `tools/env` knows where `tools/setup` put it.
pub(crate) fn tool(name: &str) -> PathBuf {
    PathBuf::from(in_tools_env(&format!("command -v {name}")))
}

/// What a script prints that reads a document from standard input, with the libraries that come
/// with checkov: validators of JSON schemas, `CycloneDX` and package URLs.
pub(crate) fn read_by_python(script: &str, document: &impl Serialize) -> String {
    let library = fs::canonicalize(tool("checkov")).unwrap();
    let mut python = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONPATH", library.parent().unwrap().join("../lib"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input
        .write_all(serde_json::to_string(document).unwrap().as_bytes())
        .unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// What a shell prints that knows where the test equipment is.
pub(crate) fn in_tools_env(script: &str) -> String {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(". ./tools/env && {script}"))
        .current_dir(project())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "`{script}` found nothing: run tools/setup"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// One of the Helm versions that the charts must work with.
#[derive(Debug)]
pub(crate) struct Helm {
    program: PathBuf,
    home: TempDir,
}

impl Helm {
    /// Helm 3 and Helm 4.
    pub(crate) fn both() -> [Self; 2] {
        [Self::new("helm3"), Self::new("helm4")]
    }

    /// One of them, by the name of its program.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            program: tool(name),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs it with nothing of this machine's configuration.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", "/dev/null")
            .current_dir(project());
        command.output().unwrap()
    }

    /// Runs it, and returns what it prints, or its complaint.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Renders a chart with values in YAML, as release `rune` in namespace `rune`.
    pub(crate) fn template(
        &self,
        chart: &str,
        kubernetes: &str,
        values: &str,
    ) -> Result<Objects, String> {
        self.template_as("rune", chart, kubernetes, values)
    }

    /// The same as another release.
    pub(crate) fn template_as(
        &self,
        release: &str,
        chart: &str,
        kubernetes: &str,
        values: &str,
    ) -> Result<Objects, String> {
        let file = self.home.path().join("values.yaml");
        fs::write(&file, values).unwrap();
        let file = file.to_str().unwrap();
        let arguments = [
            "template",
            release,
            chart,
            "--namespace",
            "rune",
            "--kube-version",
            kubernetes,
            "--values",
            file,
        ];
        self.try_run(&arguments).map(|text| Objects::parse(&text))
    }
}

/// The objects of a rendered chart.
#[derive(Debug, PartialEq)]
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    fn parse(text: &str) -> Self {
        let documents = text
            .split("\n---\n")
            .map(|document| document.trim_start_matches("---\n"));
        Self(
            documents
                .map(|document| {
                    yaml::from_str::<Value>(Utf8Path::new("rendered"), &format!("{document}\n"))
                        .unwrap()
                })
                .filter(|object| !object.is_null())
                .collect(),
        )
    }

    /// The kinds and names, in byte order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .0
            .iter()
            .map(|object| {
                format!(
                    "{} {}",
                    text(&object["kind"]),
                    text(&object["metadata"]["name"])
                )
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// The object of a kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> &Value {
        let found = self
            .0
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in {:?}", self.names()))
    }

    /// The pods of all workloads, as templates or as they are: whatever has `metadata` and `spec`
    /// with containers.
    pub(crate) fn pod_templates(&self) -> impl Iterator<Item = &Value> {
        self.0
            .iter()
            .filter_map(|object| match text(&object["kind"]) {
                "Pod" => Some(object),
                "CronJob" => Some(&object["spec"]["jobTemplate"]["spec"]["template"]),
                "Deployment" | "StatefulSet" | "Job" => Some(&object["spec"]["template"]),
                _ => None,
            })
    }

    /// The pod specifications of all workloads, jobs and tests.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Value> {
        self.pod_templates().map(|template| &template["spec"])
    }

    /// All containers of all workloads, init containers included.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Value> {
        self.pods()
            .flat_map(|pod| ["initContainers", "containers"].map(|key| &pod[key]))
            .filter_map(Value::as_array)
            .flatten()
    }
}

/// A value that must be a string.
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
}

/// Decodes an entry of a Secret.
pub(crate) fn decoded(secret: &Value, key: &str) -> String {
    use base64ct::{Base64, Encoding as _};
    String::from_utf8(Base64::decode_vec(text(&secret["data"][key])).unwrap()).unwrap()
}

/// The pinned charts, packed as a bundle carries them.
pub(crate) fn pinned_package(context: &Context) -> Package {
    let mut tree = ChartTree::read(&project().join("charts/rune")).unwrap();
    for (path, text) in render_below(&renderer(), Utf8Path::new("charts/rune"), context).unwrap() {
        tree.insert(path.strip_prefix("charts/rune").unwrap(), text);
    }
    package("charts/rune", &tree).unwrap()
}
