//! This program as the post-renderer that both Helms start, and what other readers of YAML make of
//! its output.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use rune_bundle::{
    chart::replace_images,
    install::{ImageMap, POST_RENDERER},
    policy::ImagePlaces,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{bundle::small_bundle::ends_with, charts::support::tool};

const OLD: &str = "docker.io/library/postgres:17";
const NEW: &str = "r.example:5000/library/postgres@sha256:\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A workload, a hook and a test, in styles that a writer of YAML would not keep.
const TEMPLATE: &str = "apiVersion: apps/v1
kind: Deployment
metadata:   {name: main, annotations: {a: \"yes\", b: '012', c: \"x\\ty\"}}
spec:
  template:
    spec:
      initContainers: [{name: a, image: &i \"docker.io/library/postgres:17\"}, {name: b, image: *i}]
      containers:
        # docker.io/library/postgres:17
        - name: on
          image: >-
            docker.io/library/postgres:17
          args: [\"--image=docker.io/library/postgres:17\", 'yes', 1.0]
---
apiVersion: v1
kind: Pod
metadata: {name: before, annotations: {helm.sh/hook: pre-install}}
spec: {containers: [{name: a, image: 'docker.io/library/postgres:17'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: check, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: a, image: 'docker.io/library/postgres:17'}]}
";

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.x.test}
spec: {image: {default: 'docker.io/library/postgres:17'}}
";

struct Site {
    directory: TempDir,
}

impl Site {
    /// A chart, and a post-renderer with some map.
    fn new(images: &[(&str, &str)]) -> Self {
        let site = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        site.write(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\n",
        );
        site.write("chart/templates/all.yaml", TEMPLATE);
        site.write("chart/crds/x.yaml", DEFINITION);
        let images = images
            .iter()
            .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
        let map = ImageMap {
            images: images.collect(),
            places: ImagePlaces::default(),
        };
        site.write("map.json", &json!(map).to_string());
        let program = env!("CARGO_BIN_EXE_rune-bundle");
        let arguments = [POST_RENDERER, &site.path("map.json")];
        let plugin = json!({
            "apiVersion": "v1", "type": "postrenderer/v1", "name": "map", "version": "1.0.0", "runtime": "subprocess",
            "runtimeConfig": {"platformCommand": [{"command": program, "args": arguments}]},
        });
        site.write("plugins/map/plugin.yaml", &plugin.to_string());
        site
    }

    fn path(&self, name: &str) -> String {
        self.directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn template(&self, helm: &str) -> Output {
        let mut command = Command::new(tool(helm));
        command.args(["template", "c", &self.path("chart"), "--post-renderer"]);
        if helm == "helm3" {
            command.arg(env!("CARGO_BIN_EXE_rune-bundle"));
            command.args(["--post-renderer-args", POST_RENDERER]);
            command.args(["--post-renderer-args", &self.path("map.json")]);
        } else {
            command.arg("map");
        }
        command
            .env("HELM_PLUGINS", self.path("plugins"))
            .output()
            .unwrap()
    }
}

fn hooks(text: &str) -> String {
    text.split("---\n")
        .filter(|document| document.contains("helm.sh/hook"))
        .collect()
}

#[test]
fn helm_3_maps_what_is_not_a_hook_and_keeps_every_other_byte() {
    let site = Site::new(&[(OLD, NEW)]);
    let output = site.template("helm3");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    ends_with(&output, 0);
    let deployment = TEMPLATE.split("---\n").next().unwrap();
    let expected = deployment
        .replace(OLD, NEW)
        .replace(&format!("# {NEW}"), &format!("# {OLD}"));
    assert!(text.contains(&expected), "{text}");
    assert!(
        hooks(&text).contains(OLD) && !hooks(&text).contains(NEW),
        "{text}"
    );
}

#[test]
fn helm_4_maps_hooks_and_tests_too() {
    let site = Site::new(&[(OLD, NEW)]);
    let output = site.template("helm4");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    ends_with(&output, 0);
    assert_eq!(hooks(&text).matches(NEW).count(), 2, "{text}");
    assert_eq!(text.matches(OLD).count(), 1, "the comment stays: {text}");
}

#[test]
fn an_image_that_is_not_in_the_map_leaves_helm_without_anything_to_apply() {
    let site = Site::new(&[]);
    for helm in ["helm3", "helm4"] {
        let output = site.template(helm);
        let said = ends_with(&output, 1);
        assert!(output.stdout.is_empty(), "{helm}");
        assert!(
            said.contains("post") && !said.contains(OLD),
            "{helm}: {said}"
        );
    }
}

#[test]
fn the_post_renderer_opens_no_socket_and_no_file_to_write() {
    let site = Site::new(&[(OLD, NEW)]);
    let log = site.path("calls");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=%network,%file,%process",
        "-o",
        &log,
    ]);
    command.args([
        env!("CARGO_BIN_EXE_rune-bundle"),
        POST_RENDERER,
        &site.path("map.json"),
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(TEMPLATE.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    ends_with(&output, 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains(NEW));
    let calls = fs::read_to_string(&log).unwrap();
    assert!(calls.contains("map.json"), "{calls}");
    for bad in [
        "socket(", "O_WRONLY", "O_RDWR", "O_CREAT", "unlink", "rename", "mkdir", "fork(",
    ] {
        assert!(!calls.contains(bad), "{bad}: {calls}");
    }
}

/// What Helm's own reader of YAML, which is written in Go, makes of documents.
fn read_by_helm(documents: &[String]) -> Vec<Value> {
    let site = Site::new(&[]);
    fs::remove_dir_all(site.path("chart/crds")).unwrap();
    for (number, document) in documents.iter().enumerate() {
        site.write(&format!("chart/files/{number:03}.yaml"), document);
    }
    let template = "{{ range $path, $_ := .Files.Glob \"files/*\" }}\n---\ndata: {{ $.Files.Get $path | fromYaml | toJson | quote }}\n{{ end }}";
    site.write("chart/templates/all.yaml", template);
    let output = Command::new(tool("helm3"))
        .args(["template", "c", &site.path("chart")])
        .output()
        .unwrap();
    ends_with(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let read =
        |line: &str| serde_json::from_str(&serde_json::from_str::<String>(line).unwrap()).unwrap();
    lines.map(read).collect()
}

/// The paths at which two values differ.
fn differing(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if old.len() == new.len() => {
            for ((key, old), (other, new)) in old.iter().zip(new) {
                assert_eq!(key, other);
                differing(old, new, &format!("{path}/{key}"), found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (number, (old, new)) in old.iter().zip(new).enumerate() {
                differing(old, new, &format!("{path}/{number}"), found);
            }
        }
        (old, new) if old == new => {}
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn another_reader_finds_the_new_image_at_the_mapped_paths_and_nothing_else_changed() {
    let styles = [
        OLD.to_owned(),
        format!("'{OLD}'"),
        format!("\"{OLD}\" # {OLD}"),
        format!("|-\n        {OLD}\n"),
        format!(">-\n        {OLD}\n"),
        "\"docker.io/library\\x2fpostgres:17\"".to_owned(),
        format!("&anchor {OLD}"),
        format!("!!str {OLD}"),
    ];
    let around = [
        "yes",
        "no",
        "on",
        "012",
        "1e3",
        "~",
        "12:30",
        "'x\\y'",
        "\"\\u00e9\\t\"",
        "|+\n    a\n\n",
        "2001-01-01",
        "0x1F",
    ];
    let documents: Vec<String> = styles
        .iter()
        .flat_map(|style| {
            around.map(|other| {
                format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nbefore: {other}\nspec:\n  containers:\n    - name: c\n      \
                     image: {style}\n      args: [a, --x-image={OLD}]\n  list: [b, {{c: 'd'}}]\nafter: {other}\n"
                )
            })
        })
        .collect();
    let map = BTreeMap::from([(OLD.to_owned(), NEW.to_owned())]);
    let replaced: Vec<String> = documents
        .iter()
        .map(|document| {
            let replaced = replace_images(document, &ImagePlaces::default(), &map);
            assert_eq!(replaced.obstacles, [], "{document}");
            replaced.text
        })
        .collect();
    let (old, new) = (read_by_helm(&documents), read_by_helm(&replaced));
    assert_eq!((old.len(), new.len()), (documents.len(), documents.len()));
    for ((old, new), text) in old.iter().zip(&new).zip(&replaced) {
        let mut found = Vec::new();
        differing(old, new, "", &mut found);
        assert_eq!(
            found,
            ["/spec/containers/0/args/1", "/spec/containers/0/image"],
            "{text}"
        );
        let container = &new["spec"]["containers"][0];
        assert_eq!(container["args"][1], format!("--x-image={NEW}"));
        assert_eq!(container["image"].as_str().unwrap().trim_end(), NEW);
    }
}
