//! The files that the documentation shows are read as such files, and its tables have every key
//! that the programs know.

use std::{collections::BTreeSet, fs, process::Command};

use rune_bundle::{
    manifest::Lock,
    registry::{Client, ClientConfig},
};
use rune_testkit::{
    registry::{Auth, Registry},
    sample::Sample,
};
use serde_json::{Value, json};

use super::{
    markdown::{Document, code, document, documents, rows},
    sandbox::Sandbox,
};
use crate::bundle::{keyless_support::Instance, small_bundle::ends_with};

const PAGE: &str = "docs/reference/manifest.md";
const MANIFEST: &str = "bundle-manifests/rune.yaml";
const LOCK: &str = "bundle-manifests/rune.lock";
const POLICY: &str = "bundle-manifests/policy.yaml";

/// Mappings whose keys are chosen by whoever writes the file, and how the page calls such a key.
const FREE_KEYS: [(&str, &str); 3] = [
    ("components", "<name>"),
    ("images[].build.binaries", "<platform>"),
    ("namespaces[].quota", "<resource>"),
];
/// The keys of what the page calls a blob.
const BLOB_KEYS: [&str; 3] = ["mediaType", "digest", "size"];
/// A key that resembles no other.
const STRANGE: &str = "zzzzzzzzzzzzzzzzzzzz";

/// The only block of a page with this text in it.
fn block(page: &Document, part: &str) -> String {
    let mut found = page
        .blocks()
        .into_iter()
        .filter(|block| block.language == "yaml" && block.text.contains(part));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("{}: no example with `{part}`", page.path));
    assert!(
        found.next().is_none(),
        "{}: two examples with `{part}`",
        page.path
    );
    block.text
}

/// A sandbox with the manifest and the policy that the page shows, and everything that they name.
fn project_of_the_page() -> Sandbox {
    let (sandbox, page) = (Sandbox::clone(), document(PAGE));
    for (file, part) in [
        (MANIFEST, "kind: BundleManifest\n"),
        (POLICY, "kind: Policy\n"),
    ] {
        fs::write(sandbox.path(file), block(&page, part)).unwrap();
    }
    let root = Instance::new().trusted_root().to_string();
    fs::write(
        sandbox.path(POLICY).with_file_name("trusted_root.json"),
        root,
    )
    .unwrap();
    for (file, text) in [
        ("site.yaml", "{}\n"),
        ("contacts.txt", "nobody\n"),
        ("vex/notes.txt", "nothing to do\n"),
        (
            "site-tools/Chart.yaml",
            "apiVersion: v2\nname: site-tools\nversion: 1.0.0\n",
        ),
    ] {
        let path = sandbox.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir(sandbox.path("vendor")).unwrap();
    let packed = Command::new("tar")
        .args(["-czf", "vendor/site-tools-1.0.0.tgz", "site-tools"])
        .current_dir(sandbox.path("."))
        .output();
    ends_with(&packed.unwrap(), 0);
    // Any content of a registry can be an artifact.
    sandbox.put("aquasecurity/trivy-db", "2", &Sample::default());
    sandbox.put(
        "library/python",
        "3.14-alpine",
        &Sample {
            seed: "python".to_owned(),
            ..Sample::default()
        },
    );
    sandbox
}

#[test]
fn every_example_of_a_file_is_of_a_kind_that_is_read_here() {
    for document in documents() {
        for block in document.blocks() {
            let place = format!("{}:{}", document.path, block.line);
            match block.language.as_str() {
                "yaml" if [PAGE, super::ci::PAGE].contains(&document.path.as_str()) => {}
                "yaml" if is_registries_file(&block.text) => {
                    registries_file(&block.text);
                }
                "yaml" if block.text.contains("kind: Trust\n") => {
                    super::trust::read(&place, &block.text);
                }
                "yaml" if block.text.contains("kind: Site\n") => {
                    super::site::read(&place, &block.text);
                }
                "yaml" => super::manifests::read(&place, &block),
                "json" => {
                    _ = serde_json::from_str::<Value>(&block.text)
                        .unwrap_or_else(|error| panic!("{place}: {error}"));
                }
                _ => {}
            }
        }
    }
    assert_eq!(
        document(PAGE)
            .blocks()
            .iter()
            .filter(|block| block.language == "yaml")
            .count(),
        4
    );
}

fn is_registries_file(text: &str) -> bool {
    ["mirrors:\n", "configs:\n"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Lets the registry client read an example, with a certificate in place of those that it names.
fn registries_file(text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path =
        |name: &str| camino::Utf8PathBuf::from_path_buf(directory.path().join(name)).unwrap();
    fs::write(
        path("mirror-ca.pem"),
        Registry::start_tls(Auth::None).ca_pem(),
    )
    .unwrap();
    fs::write(
        path("registries.yaml"),
        ["/etc/ssl/mirror-ca.pem", "/etc/rune-bundle/registry-ca.pem"]
            .iter()
            .fold(text.to_owned(), |text, named| {
                text.replace(named, path("mirror-ca.pem").as_str())
            }),
    )
    .unwrap();
    let read = Client::new(ClientConfig {
        registries_file: Some(path("registries.yaml")),
        ..ClientConfig::default()
    });
    if let Err(error) = read {
        panic!("{error:?}");
    }
}

#[test]
fn the_manifest_and_the_policy_of_the_page_make_a_bundle() {
    let sandbox = project_of_the_page();
    for arguments in [
        &["keygen", "--out", "release"][..],
        &["lock"],
        &["build", "--key", "release.key", "--with", "postgres"],
        &["policy", "--all"],
    ] {
        ends_with(
            &sandbox
                .command("rune-bundle")
                .args(arguments)
                .output()
                .unwrap(),
            0,
        );
    }
    let verify = ["verify", "rune-0.2.0.bundle.tar", "--key", "release.pub"];
    ends_with(
        &sandbox
            .command("rune-bundle")
            .args(verify)
            .output()
            .unwrap(),
        0,
    );
}

#[test]
fn the_lock_of_the_page_is_written_as_it_is_read() {
    let text = block(&document(PAGE), "formatVersion: 2\n");
    assert_eq!(
        Lock::parse("rune.lock".into(), &text)
            .unwrap()
            .to_text()
            .unwrap(),
        text
    );
}

#[test]
fn the_page_has_every_key_of_a_manifest() {
    let known = |sandbox: &Sandbox| listed(&refusal(sandbox)["details"], "known are ");
    compare("## Manifest", MANIFEST, "kind: BundleManifest\n", known);
}

#[test]
fn the_page_has_every_key_of_a_policy() {
    let known = |sandbox: &Sandbox| listed(&refusal(sandbox)["details"], "known are ");
    compare("## Policy", POLICY, "kind: Policy\n", known);
}

#[test]
fn the_page_has_every_key_of_a_lock() {
    let known = |sandbox: &Sandbox| listed(&refusal(sandbox)["causes"], "expected ");
    compare("## Lock", LOCK, "formatVersion: 2\n", known);
}

/// Puts a strange key into each mapping of an example, and compares the keys that the refusal lists
/// with those of the page.
fn compare(heading: &str, file: &str, part: &str, known: impl Fn(&Sandbox) -> BTreeSet<String>) {
    let (sandbox, page) = (project_of_the_page(), document(PAGE));
    let rows = rows(page.section(heading));
    // Commands have tables too.
    let documented: Vec<String> = rows
        .iter()
        .filter_map(|row| code(&row[0]))
        .filter(|key| !key.starts_with("lock"))
        .map(str::to_owned)
        .collect();
    let example: Value = serde_yaml::from_str(&block(&page, part)).unwrap();
    let mut places = Vec::new();
    mappings(&example, "", "", &mut places);
    let mut visited = BTreeSet::new();
    for (path, pointer) in places {
        let mut expected = children(&documented, &path);
        visited.insert(path.clone());
        if FREE_KEYS.iter().any(|(free, _)| *free == path) {
            continue;
        }
        if expected.is_empty() {
            expected.extend(BLOB_KEYS.map(str::to_owned));
        }
        let mut strange = example.clone();
        let mapping = strange
            .pointer_mut(&pointer)
            .unwrap()
            .as_object_mut()
            .unwrap();
        // Of the words that stand for alternatives there is exactly one.
        if ["images[].content", "charts[].source"].contains(&path.as_str()) {
            mapping.clear();
        }
        mapping.insert(STRANGE.to_owned(), json!(1));
        fs::write(
            sandbox.path(file),
            serde_json::to_string_pretty(&strange).unwrap(),
        )
        .unwrap();
        assert_eq!(known(&sandbox), expected, "{PAGE}: the keys of `{path}`");
    }
    for field in &documented {
        let parent = field.rsplit_once('.').map_or("", |(parent, _)| parent);
        assert!(
            visited.contains(parent),
            "{PAGE}: the example has no `{parent}`"
        );
    }
}

/// Every mapping in a value: its path as the page writes it, and the pointer to it.
pub(super) fn mappings(
    value: &Value,
    path: &str,
    pointer: &str,
    places: &mut Vec<(String, String)>,
) {
    match value {
        Value::Object(members) => {
            places.push((path.to_owned(), pointer.to_owned()));
            let free = FREE_KEYS
                .iter()
                .find(|(free, _)| *free == path)
                .map(|(_, name)| *name);
            for (name, value) in members {
                let shown = free.unwrap_or(name);
                let path = if path.is_empty() {
                    shown.to_owned()
                } else {
                    format!("{path}.{shown}")
                };
                mappings(
                    value,
                    &path,
                    &format!("{pointer}/{}", name.replace('/', "~1")),
                    places,
                );
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                mappings(
                    value,
                    &format!("{path}[]"),
                    &format!("{pointer}/{number}"),
                    places,
                );
            }
        }
        _ => {}
    }
}

/// The documented keys of the mapping at a path.
fn children(documented: &[String], path: &str) -> BTreeSet<String> {
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}.")
    };
    let below = documented
        .iter()
        .filter_map(|field| field.strip_prefix(&prefix));
    below
        .map(|rest| {
            rest.split('.')
                .next()
                .unwrap()
                .trim_end_matches("[]")
                .to_owned()
        })
        .collect()
}

/// Why the files of a sandbox are refused.
fn refusal(sandbox: &Sandbox) -> Value {
    let output = sandbox
        .command("rune-bundle")
        .args(["policy", "--json"])
        .output()
        .unwrap();
    ends_with(&output, 3);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["error"].take()
}

/// The keys behind an introduction, in what is said about the strange key.
fn listed(texts: &Value, introduction: &str) -> BTreeSet<String> {
    let about = texts
        .as_array()
        .unwrap()
        .iter()
        .find(|text| text.to_string().contains(STRANGE));
    let about = about.unwrap_or_else(|| panic!("nothing is said about the strange key: {texts}"));
    let text = about["hint"].as_str().or(about.as_str()).unwrap();
    let (_, list) = text
        .split_once(introduction)
        .unwrap_or_else(|| panic!("no list of keys in {text}"));
    let words = list
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !["", "one", "of", "or"].contains(word));
    words.map(str::to_owned).collect()
}
