//! SBOMs by the official schemas: JSON files that `tools/setup` takes from pinned Go modules and compares
//! with pinned digests. The validator gets them with everything that they refer to, and fetches nothing.

use std::{fs, path::PathBuf, process::Command};

use rune_testkit::process::succeeded;
use serde_json::{Value, json};

use crate::{
    bundle::{generated_sboms::Shop, project::repository},
    charts::support::{in_tools_env, read_by_python, tool},
};

/// Says of each pair of a schema and a document what is wrong. The registry has no retriever: a
/// reference that is not among the files is an error.
const VALIDATOR: &str = r#"
import json, os, sys
from jsonschema import Draft7Validator
from referencing import Registry, Resource
asked = json.load(sys.stdin)
schemas = {name: json.load(open(os.path.join(asked["schemas"], name))) for name in os.listdir(asked["schemas"])}
registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas.values())
def wrong(name, document):
    Draft7Validator.check_schema(schemas[name])
    return [error.json_path for error in Draft7Validator(schemas[name], registry=registry).iter_errors(document)]
print(json.dumps([wrong(name, document) for name, document in asked["documents"]]))
"#;

const CYCLONEDX: &str = "bom-1.6.schema.json";
const SPDX: &str = "spdx-schema-2.3.json";

fn schemas() -> PathBuf {
    in_tools_env("echo $RUNE_TOOLS/sbom-schemas").into()
}

/// What the schema finds wrong in each document.
fn wrong(schema: &str, documents: &[&Value]) -> Vec<Vec<String>> {
    let documents: Vec<_> = documents
        .iter()
        .map(|document| json!([schema, document]))
        .collect();
    let asked = json!({"schemas": schemas(), "documents": documents});
    serde_json::from_str(&read_by_python(VALIDATOR, &asked)).unwrap()
}

fn changed(document: &Value, pointer: &str, value: Value) -> Value {
    let mut document = document.clone();
    *document.pointer_mut(pointer).unwrap() = value;
    document
}

#[test]
fn the_schemas_are_the_pinned_files_and_refer_to_nothing_else() {
    let sums = repository().join("tools/lib/schemas.sha256");
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict"]).arg(&sums);
    succeeded(check.current_dir(schemas()));
    let pinned = fs::read_to_string(sums).unwrap();
    let names: Vec<&str> = pinned
        .lines()
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    for entry in fs::read_dir(schemas()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_generated_sbom_and_the_sbom_of_the_bundle_are_valid_cyclonedx() {
    let shop = Shop::new(&[("zlib", "Zlib"), ("odd", "our_own_terms")]);
    shop.locked();
    shop.project.build("shop.tar");
    let entry = |name: &str| -> Value {
        let mut tar = Command::new("tar");
        tar.arg("-xOf").arg(shop.project.path("shop.tar")).arg(name);
        serde_json::from_str(&succeeded(&mut tar)).unwrap()
    };
    let mut list = Command::new("tar");
    let list = succeeded(list.arg("-tf").arg(shop.project.path("shop.tar")));
    let generated: Vec<Value> = list
        .lines()
        .filter(|name| name.starts_with("sboms/"))
        .map(entry)
        .collect();
    assert_eq!(generated.len(), 2);
    let bundle = entry("sbom.cdx.json");
    let documents: Vec<&Value> = generated.iter().chain([&bundle]).collect();
    assert_eq!(wrong(CYCLONEDX, &documents), [[""; 0]; 3]);
    for document in documents {
        let forged = [
            changed(document, "/serialNumber", json!("urn:uuid:1")),
            changed(document, "/components/0/type", json!("thing")),
        ];
        let found = wrong(CYCLONEDX, &forged.iter().collect::<Vec<_>>());
        assert!(found.iter().all(|found| !found.is_empty()), "{found:?}");
    }
    // The identifiers of licences are in a schema of their own.
    let mut licence = generated[0].clone();
    licence["components"][0]["licenses"] = json!([{"license": {"id": "No-Such-Licence"}}]);
    assert_eq!(wrong(CYCLONEDX, &[&licence])[0].len(), 1);
    // And signatures too.
    let mut signature = generated[0].clone();
    signature["signature"] = json!({"algorithm": 1});
    assert!(!wrong(CYCLONEDX, &[&signature])[0].is_empty());
}

#[test]
fn spdx_by_syft_is_valid_spdx_and_a_forged_document_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let installed = directory.path().join("lib/apk/db");
    fs::create_dir_all(&installed).unwrap();
    fs::write(
        installed.join("installed"),
        "P:zlib\nV:1.3-r0\nA:x86_64\nL:Zlib\no:zlib\n\n",
    )
    .unwrap();
    let mut syft = Command::new(tool("syft"));
    syft.args(["scan", "--quiet", "--output", "spdx-json@2.3"])
        .arg(format!("dir:{}", directory.path().display()))
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    let document: Value = serde_json::from_str(&succeeded(&mut syft)).unwrap();
    let packages = document["packages"].as_array().unwrap();
    assert!(packages.iter().any(|package| package["name"] == "zlib"));
    let forged = [
        changed(&document, "/creationInfo/creators", json!([])),
        changed(&document, "/packages/0/SPDXID", json!(1)),
        changed(&document, "/dataLicense", json!(["CC0-1.0"])),
    ];
    let documents: Vec<&Value> = std::iter::once(&document).chain(&forged).collect();
    let found = wrong(SPDX, &documents);
    assert_eq!(found[0], [""; 0]);
    assert!(
        found[1..].iter().all(|found| !found.is_empty()),
        "{found:?}"
    );
}
