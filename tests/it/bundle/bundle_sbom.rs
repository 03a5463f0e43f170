//! The SBOM of the whole bundle, read by `CycloneDX`'s own validator, which has the official schemas,
//! and by the reference library of package URLs.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    bundle::{project::Project, small_bundle::ends_with},
    charts::support::read_by_python,
};

const NAME: &str = "sbom.cdx.json";

/// Says of each document in a list why it is not valid, and gives the package URLs in it as the
/// library reads them.
const READER: &str = r#"
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
validator = JsonStrictValidator(SchemaVersion.V1_6)
def purls(components):
    for component in components:
        if "purl" in component:
            yield PackageURL.from_string(component["purl"]).to_dict()
        yield from purls(component.get("components", []))
said = []
for document in json.load(sys.stdin):
    error = validator.validate_str(json.dumps(document))
    said.append({"error": error and str(error), "purls": error is None and list(purls(document["components"]))})
print(json.dumps(said))
"#;

fn read(documents: &[&Value]) -> Vec<Value> {
    let said = read_by_python(READER, &documents);
    serde_json::from_str(&said).unwrap()
}

/// The example project, built; gives its SBOM and its index, by the words of tar.
fn built() -> (Project, String, Value) {
    let project = Project::new();
    project.lock();
    project.build("rune.tar");
    let tar = |name: &str| {
        let mut command = Command::new("tar");
        command
            .args(["--occurrence=1", "-xOf"])
            .arg(project.path("rune.tar"))
            .arg(name);
        rune_testkit::process::succeeded(&mut command)
    };
    let (sbom, index) = (tar(NAME), tar("bundle.json"));
    (project, sbom, serde_json::from_str(&index).unwrap())
}

#[test]
fn it_is_valid_cyclonedx_and_every_change_of_its_shape_is_not() {
    let (_project, sbom, index) = built();
    let sbom: Value = serde_json::from_str(&sbom).unwrap();
    let without = |pointer: &str| {
        let mut document = sbom.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        assert!(parent.as_object_mut().unwrap().remove(key).is_some());
        document
    };
    let mut algorithm = sbom.clone();
    algorithm["components"][0]["hashes"][0]["alg"] = json!("sha256");
    let wrong = [
        without("/bomFormat"),
        without("/metadata/component/type"),
        without("/components/0/name"),
        without("/components/0/hashes/0/content"),
        without("/dependencies/0/ref"),
        without("/compositions/0/aggregate"),
        algorithm,
    ];
    let said = read(&std::iter::once(&sbom).chain(&wrong).collect::<Vec<_>>());
    assert_eq!(said[0]["error"], Value::Null);
    for (number, said) in said.iter().enumerate().skip(1) {
        assert!(said["error"].is_string(), "{number}");
    }
    // Scanners and VEX documents find an image by these names.
    let purls = said[0]["purls"].as_array().unwrap();
    let images = index["images"].as_array().unwrap();
    for image in images {
        let (repository, tag) = image["reference"]
            .as_str()
            .unwrap()
            .rsplit_once(':')
            .unwrap();
        let named = purls.iter().any(|purl| {
            purl["type"] == "oci"
                && purl["version"] == image["target"]["digest"]
                && purl["qualifiers"]["repository_url"] == repository
                && purl["qualifiers"]["tag"] == tag
        });
        assert!(named, "{image} {purls:?}");
    }
}

#[test]
fn it_has_everything_that_is_delivered_with_its_digest_and_licence() {
    let (_project, sbom, index) = built();
    let sbom: Value = serde_json::from_str(&sbom).unwrap();
    let components = sbom["components"].as_array().unwrap();
    let component = |reference: &str| {
        components
            .iter()
            .find(|component| component["bom-ref"] == reference)
            .unwrap_or_else(|| panic!("no {reference} in {components:#?}"))
    };
    let list = |name: &str| index[name].as_array().unwrap().clone();
    let mut expected = 0;
    for image in list("images") {
        let found = component(&format!("image/{}", image["name"].as_str().unwrap()));
        let digest = image["target"]["digest"].as_str().unwrap();
        assert_eq!(
            found["hashes"],
            json!([{"alg": "SHA-256", "content": digest.trim_start_matches("sha256:")}])
        );
        assert_eq!(found["licenses"], json!([{"expression": image["license"]}]));
        let platforms = image["manifests"].as_array().unwrap();
        let runs = |manifest: &&Value| manifest["role"] == "image" && manifest["carried"] == true;
        let platforms = platforms.iter().filter(runs).count();
        assert_eq!(found["components"].as_array().unwrap().len(), platforms);
        expected += 1;
    }
    // Every other component is an entry, with the digest that the bundle index has for it.
    let entries = list("entries");
    let paths = [
        list("charts"),
        list("binaries"),
        index["migrations"]["files"].as_array().unwrap().clone(),
    ];
    for path in paths.iter().flatten().map(|record| &record["path"]) {
        let digest = &entries.iter().find(|entry| entry["path"] == *path).unwrap()["sha256"];
        let is_one = |component: &&Value| {
            let properties = component["properties"].as_array();
            let named = |property: &Value| {
                property["name"] == "rune-bundle:path" && property["value"] == *path
            };
            component["hashes"][0]["content"] == *digest
                && properties.is_some_and(|properties| properties.iter().any(named))
        };
        assert_eq!(components.iter().filter(is_one).count(), 1, "{path}");
        expected += 1;
    }
    let files = entries.iter().filter(|entry| {
        let path = entry["path"].as_str().unwrap();
        path.starts_with("files/")
    });
    assert_eq!(components.len(), expected + files.count());
    let depends = sbom["dependencies"][0]["dependsOn"].as_array().unwrap();
    assert_eq!(depends.len(), components.len());
}

#[test]
fn it_is_the_same_for_the_same_bundle_and_does_not_name_the_bundle_digest() {
    let (project, sbom, index) = built();
    ends_with(&project.run(&project.build_arguments("again.tar")), 0);
    let read = |name: &str| fs::read(project.path(name)).unwrap();
    assert_eq!(read("rune.tar"), read("again.tar"));
    let inspect = ["inspect", "rune.tar", "--key", "release.pub", "--json"];
    let output = project.run(&inspect);
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let digest = report["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:");
    assert!(digest.len() == 64 && !sbom.contains(digest));
    // No time and no place: nothing that differs between machines.
    assert!(!sbom.contains("timestamp") && !sbom.contains(project.path("").to_str().unwrap()));
    // What is in it stands in the signed index.
    let named = |entry: &&Value| entry["path"] == NAME;
    let entries = index["entries"].as_array().unwrap();
    assert_eq!(entries.iter().filter(named).count(), 1);
    let cat = ["cat", "rune.tar", NAME, "--key", "release.pub"];
    assert_eq!(project.run(&cat).stdout, sbom.into_bytes());
}
