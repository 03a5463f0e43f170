//! The YAML that the documentation shows: manifests are what their kinds allow, values are what the
//! charts take.
//!
//! Custom resources of `CloudNativePG` are compared with its definitions, strictly: no field that
//! the definition does not know, none missing that it requires. The definitions are no part of this
//! repository; `CNPG_CRDS` names a directory with them.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

use camino::Utf8Path;
use rune_core::yaml;
use serde_json::Value;

use super::markdown::{Block, documents};
use crate::charts::support::{Helm, text};

/// Kinds that the documentation shows and nobody here has a definition of.
const WITHOUT_DEFINITION: [&str; 7] = [
    "Application",
    "Certificate",
    "HelmRelease",
    "ImageDigestMirrorSet",
    "OCIRepository",
    "NetworkPolicy",
    "PersistentVolumeClaim",
];
/// Kinds that everybody knows.
const PLAIN: [&str; 5] = ["ConfigMap", "Deployment", "Pod", "Secret", "Service"];
const CUSTOM: [&str; 5] = [
    "Cluster",
    "ImageCatalog",
    "ObjectStore",
    "Pooler",
    "ScheduledBackup",
];

/// The objects of a block, or none when it is values.
fn objects(place: &str, block: &Block) -> Vec<Value> {
    let documents = block.text.split("\n---\n").map(|document| {
        yaml::from_str::<Value>(Utf8Path::new(place), &format!("{document}\n")).unwrap()
    });
    documents
        .filter(|document| document.get("apiVersion").is_some())
        .collect()
}

/// Reads a block as what it is.
pub(super) fn read(place: &str, block: &Block) {
    let objects = objects(place, block);
    if objects.is_empty() {
        return takes(place, &block.text);
    }
    for object in objects {
        let kind = text(&object["kind"]);
        assert!(
            [&WITHOUT_DEFINITION[..], &PLAIN, &CUSTOM]
                .concat()
                .contains(&kind),
            "{place}: nobody reads a {kind}"
        );
        assert!(
            object["metadata"]["name"].is_string()
                && object["metadata"]["namespace"].is_string() != (kind == "ImageDigestMirrorSet"),
            "{place}"
        );
        // The values within are read like any others.
        for values in [
            &object["spec"]["source"]["helm"]["valuesObject"],
            &object["spec"]["values"],
        ] {
            if values.is_object() {
                takes(place, &values.to_string());
            }
        }
    }
}

/// Renders the chart with values, with a RUNE image that can do what they ask for.
fn takes(place: &str, values: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("values.yaml");
    fs::write(&file, values).unwrap();
    for helm in Helm::both() {
        let arguments = [
            "template",
            "rune",
            "charts/rune",
            "--kube-version",
            "1.33.0",
            "--set",
            "image.tag=v0.1.0",
            "--values",
            file.to_str().unwrap(),
        ];
        if let Err(complaint) = helm.try_run(&arguments) {
            panic!("{place}: the chart refuses these values: {complaint}");
        }
    }
}

/// The schemas of the custom resources, by kind.
fn definitions() -> Option<BTreeMap<String, Value>> {
    let entries = fs::read_dir(std::env::var_os("CNPG_CRDS")?).ok()?;
    let files = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("yaml".as_ref()));
    let definition = |path: PathBuf| {
        let definition: Value = yaml::from_str(
            Utf8Path::from_path(&path).unwrap(),
            &fs::read_to_string(&path).unwrap(),
        )
        .unwrap();
        let kind = text(&definition["spec"]["names"]["kind"]).to_owned();
        (
            kind,
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone(),
        )
    };
    Some(files.map(definition).collect())
}

/// Says where `tools/test` counts it that the test of this page did not run.
fn skipped(reason: &str) {
    let line = format!(
        "docs::manifests::the_custom_resources_are_what_their_definitions_allow\t{reason}\n"
    );
    eprint!("skipped: {line}");
    if let Some(file) = std::env::var_os("RUNE_SKIPS") {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }
}

/// What a value has that its schema does not allow.
fn mistakes(path: &str, value: &Value, schema: &Value, found: &mut Vec<String>) {
    if schema["x-kubernetes-int-or-string"] == true {
        return;
    }
    let is_right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => {
            value.is_i64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !is_right
        || schema["enum"]
            .as_array()
            .is_some_and(|allowed| !allowed.contains(value))
    {
        found.push(format!("{path}: {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        mistakes(&format!("{path}[{index}]"), item, &schema["items"], found);
    }
    let Some(fields) = value.as_object() else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(text(name)) {
            found.push(format!("{path}: lacks {name}"));
        }
    }
    for (name, value) in fields {
        let property = schema["properties"]
            .get(name)
            .or_else(|| schema.get("additionalProperties"));
        match property {
            Some(property) => mistakes(&format!("{path}.{name}"), value, property, found),
            // The definitions leave the metadata to Kubernetes.
            None if path == "metadata" || path.ends_with(".metadata") => {}
            None => found.push(format!("{path}: no field `{name}`")),
        }
    }
}

#[test]
fn the_custom_resources_are_what_their_definitions_allow() {
    let Some(definitions) = definitions() else {
        return skipped(
            "the definitions of CloudNativePG are not here; CNPG_CRDS names their directory",
        );
    };
    let mut seen = Vec::new();
    for document in documents() {
        for block in document
            .blocks()
            .iter()
            .filter(|block| block.language == "yaml")
        {
            let place = format!("{}:{}", document.path, block.line);
            for object in objects(&place, block)
                .into_iter()
                .filter(|object| CUSTOM.contains(&text(&object["kind"])))
            {
                let mut found = Vec::new();
                mistakes("", &object, &definitions[text(&object["kind"])], &mut found);
                assert!(found.is_empty(), "{place}: {found:#?}");
                seen.push(text(&object["kind"]).to_owned());
            }
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, CUSTOM);
    let mut wrong: Value =
        serde_json::json!({ "spec": { "instances": "three", "storage": { "sise": "1Gi" } } });
    wrong["kind"] = "Cluster".into();
    let mut found = Vec::new();
    mistakes("", &wrong, &definitions["Cluster"], &mut found);
    assert_eq!(found.len(), 3, "{found:?}");
}
