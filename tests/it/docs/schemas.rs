//! `schemas/`: JSON Schemas of the files that people write, for editors.
//!
//! Keys, whether they are required, and what editors show come from the tables of the reference,
//! which other tests compare with the programs; types are below. `RUNE_RECORD=1` writes them anew. A
//! validator that shares nothing with this project reads them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{
    files::mappings,
    markdown::{code, document, documents, rows},
};
use crate::{bundle::project::repository, charts::support::read_by_python};

#[expect(clippy::struct_field_names, reason = "the file calls it `kind`")]
/// A file that people write.
struct Kind {
    /// The file in `schemas/`.
    name: &'static str,
    /// What `kind` says.
    kind: &'static str,
    page: &'static str,
    heading: &'static str,
    /// Keys that the table does not call required, or does not have.
    required: &'static [&'static str],
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "manifest",
        kind: "BundleManifest",
        page: "docs/reference/manifest.md",
        heading: "## Manifest",
        required: &[],
    },
    Kind {
        name: "policy",
        kind: "Policy",
        page: "docs/reference/manifest.md",
        heading: "## Policy",
        required: &[
            "apiVersion",
            "kind",
            "licenses.deny[].license",
            "licenses.deny[].reason",
            "sources.deny[].match",
            "sources.deny[].reason",
            "attestations[].match",
            "attestations[].identity.issuer",
            "signatures[].match",
            "signatures[].identity.issuer",
            "sboms[].match",
            "packages[].match",
            "packages[].licenses",
            "referrers.repositories[].match",
            "referrers.repositories[].repository",
            "images.fields[].kind",
            "images.fields[].path",
            "images.ignore[].reference",
            "images.ignore[].reason",
            "images.leaveOutTests[].name",
            "images.leaveOutTests[].reason",
            "pins[].image",
            "pins[].pin",
            "pins[].reason",
            "waivers[].rule",
            "waivers[].match",
            "waivers[].reason",
            "waivers[].until",
        ],
    },
    Kind {
        name: "trust",
        kind: "Trust",
        page: "docs/reference/trust.md",
        heading: "# The trust file",
        required: &[],
    },
    Kind {
        name: "site",
        kind: "Site",
        page: "docs/reference/site.md",
        heading: "# The site file",
        required: &["apiVersion", "kind"],
    },
];

const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// The type of a key that has no keys below it; most are texts.
fn leaf(kind: &Kind, path: &str) -> Value {
    let texts = || json!({"type": "array", "items": {"type": "string"}});
    let words = |words: &[&str]| json!({"enum": words});
    match (kind.name, path) {
        (_, "apiVersion") => json!({"const": "rune-bundle/v1"}),
        (_, "kind") => json!({"const": kind.kind}),
        (
            "manifest",
            "name" | "images[].name" | "artifacts[].name" | "profiles[].name" | "namespaces[].name",
        ) => {
            json!({"type": "string", "pattern": NAME})
        }
        ("manifest", "predecessor") => {
            json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
        }
        ("manifest", "binaries[].sha256" | "files[].sha256") => {
            json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
        }
        ("manifest", "images[].build.binaries.<platform>") => {
            json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
        }
        ("manifest", "namespaces[].podSecurity") => {
            words(&["privileged", "baseline", "restricted"])
        }
        ("manifest", "namespaces[].quota.<resource>") => json!({"type": ["string", "number"]}),
        ("manifest", "namespaces[].defaultDeny") => {
            json!({"type": "array", "items": {"enum": ["ingress", "egress"]}})
        }
        ("manifest", "platforms") => {
            json!({"oneOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
        }
        ("manifest", "components.<name>.default" | "images[].extra") => json!({"type": "boolean"}),
        (
            "manifest",
            "charts[].checkValues" | "profiles[].charts" | "profiles[].values" | "releases[].after",
        )
        | (
            "policy",
            "licenses.allow"
            | "sources.allow"
            | "tags.deny"
            | "images.variables"
            | "images.options"
            | "signatures[].keys"
            | "attestations[].keys",
        ) => texts(),
        ("manifest", "advisories[].kind") => words(&["openvex", "csaf", "cyclonedx", "text"]),
        ("policy", "referrers.added") => words(&["note", "drift"]),
        ("policy", "licenses.unstated") => words(&["allow", "deny"]),
        ("policy", "attestations[].require") => {
            json!({"type": "array", "items": {"enum": ["sbom", "provenance"]}})
        }
        ("policy", "pins[].pin") => json!({"const": "tag"}),
        ("policy", "waivers[].rule") => words(&[
            "licenses",
            "sources",
            "tags",
            "pins",
            "attestations",
            "signatures",
            "sboms",
            "packages",
        ]),
        ("policy", "packages[].licenses") => words(&["declared", "allowed"]),
        ("trust", "threshold")
        | ("policy", "signatures[].threshold" | "attestations[].threshold") => {
            json!({"type": "integer", "minimum": 1, "maximum": 8})
        }
        _ => json!({"type": "string"}),
    }
}

/// Of which keys a mapping has exactly one.
fn alternatives(kind: &str, path: &str) -> &'static [&'static str] {
    match (kind, path) {
        ("manifest", "images[]") => &["reference", "build"],
        ("manifest", "charts[]") => &["path", "reference", "repository"],
        ("manifest", "binaries[]") => &["path", "url"],
        ("manifest", "files[]") => &["source", "url"],
        ("policy", "signatures[]") => &["keys", "identity"],
        ("policy", "attestations[]") => &["require", "predicateType"],
        ("policy", "signatures[].identity" | "attestations[].identity") => {
            &["subject", "subjectPattern"]
        }
        ("trust", "keys[]") => &["file", "pem"],
        ("trust", "revoked[]") => &["name", "id"],
        _ => &[],
    }
}

/// What the reference says about a key.
struct Row {
    is_required: bool,
    meaning: String,
}

impl Kind {
    fn rows(&self) -> BTreeMap<String, Row> {
        let page = document(self.page);
        let mut found: BTreeMap<String, Row> = BTreeMap::new();
        for row in rows(page.section(self.heading)) {
            // Sections have tables about other things, which have no key in front.
            let Some(key) = code(&row[0]).filter(|key| !key.contains([' ', '/', '-'])) else {
                continue;
            };
            let is_required =
                row.len() == 3 && row[1] == "required" || self.required.contains(&key);
            let meaning = plain(row.last().unwrap());
            found.insert(
                key.to_owned(),
                Row {
                    is_required,
                    meaning,
                },
            );
        }
        for key in ["apiVersion", "kind"] {
            found.entry(key.to_owned()).or_insert(Row {
                is_required: true,
                meaning: String::new(),
            });
        }
        found
    }

    fn schema(&self) -> Value {
        let rows = self.rows();
        let mut schema = self.mapping("", &rows);
        let members = schema.as_object_mut().unwrap();
        members.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        members.insert(
            "title".to_owned(),
            json!(format!("rune-bundle {}", self.name)),
        );
        schema
    }

    /// The mapping at a path, with the keys that the reference has below it.
    fn mapping(&self, path: &str, rows: &BTreeMap<String, Row>) -> Value {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        let mut names: Vec<String> = Vec::new();
        for key in rows.keys().filter_map(|key| key.strip_prefix(&prefix)) {
            let name = key.split('.').next().unwrap().trim_end_matches("[]");
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        if let [free] = names.as_slice()
            && free.starts_with('<')
        {
            let below = self.value(&format!("{prefix}{free}"), rows);
            return json!({"type": "object", "additionalProperties": below});
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for name in names {
            let key = format!("{prefix}{name}");
            if rows.get(&key).is_some_and(|row| row.is_required) {
                required.push(name.clone());
            }
            properties.insert(name, self.value(&key, rows));
        }
        let mut schema =
            json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let alternatives = alternatives(self.name, path);
        if !alternatives.is_empty() {
            let one = |name: &&str| json!({"required": [name]});
            schema["oneOf"] = alternatives.iter().map(one).collect();
        }
        schema
    }

    /// The value of a key: a mapping, a list of mappings, or what [`leaf`] says.
    fn value(&self, key: &str, rows: &BTreeMap<String, Row>) -> Value {
        let has = |start: &str| rows.keys().any(|other| other.starts_with(start));
        let mut schema = if has(&format!("{key}[].")) {
            let items = self.mapping(&format!("{key}[]"), rows);
            json!({"type": "array", "items": items})
        } else if has(&format!("{key}.")) {
            self.mapping(key, rows)
        } else {
            leaf(self, key)
        };
        if let Some(Row { meaning, .. }) = rows.get(key).filter(|row| !row.meaning.is_empty()) {
            schema["description"] = json!(meaning);
        }
        schema
    }

    fn path(&self) -> PathBuf {
        repository().join(format!("schemas/{}.schema.json", self.name))
    }
}

/// A cell without the marks of its links.
fn plain(cell: &str) -> String {
    let mut pieces = cell.split("](");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(piece.split_once(')').unwrap().1);
    }
    text.replace('[', if cell.contains("](") { "" } else { "[" })
}

/// What the validator says of documents, each with its schema: nothing, or why not.
fn validated(pairs: &[(PathBuf, &Value)]) -> Vec<Option<String>> {
    const SCRIPT: &str = "
import json, sys
import jsonschema
for schema, document in json.load(sys.stdin):
    validator = jsonschema.Draft202012Validator(json.load(open(schema)))
    validator.check_schema(validator.schema)
    errors = sorted(validator.iter_errors(document), key=str)
    print(json.dumps(errors[0].message if errors else None))
";
    let lines = read_by_python(SCRIPT, &pairs);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every file of a kind that the project has and shows, with its place.
fn examples(kind: &Kind) -> Vec<(String, Value)> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for document in documents() {
        let blocks = document.blocks().into_iter();
        for block in blocks.filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", document.path, block.line);
            texts.push((place, block.text));
        }
    }
    for file in [
        "bundle-manifests/rune.yaml",
        "bundle-manifests/policy.yaml",
        "tests/it/recorded/inputs/project/bundle-manifests/demo.yaml",
        "tests/it/recorded/inputs/project/bundle-manifests/policy.yaml",
    ] {
        let text = fs::read_to_string(repository().join(file)).unwrap();
        texts.push((file.to_owned(), text));
    }
    let mark = format!("kind: {}\n", kind.kind);
    texts
        .into_iter()
        .filter(|(_, text)| text.contains(&mark) && text.contains("apiVersion: rune-bundle/v1\n"))
        .filter_map(|(place, text)| Some((place, serde_yaml::from_str::<Value>(&text).ok()?)))
        .collect()
}

#[test]
fn the_schemas_are_what_the_reference_says() {
    for kind in KINDS {
        let text = format!("{:#}\n", kind.schema());
        if std::env::var_os("RUNE_RECORD").is_some() {
            fs::create_dir_all(kind.path().parent().unwrap()).unwrap();
            fs::write(kind.path(), &text).unwrap();
        }
        let found = fs::read_to_string(kind.path()).unwrap();
        assert!(
            found == text,
            "schemas/{}.schema.json is out of date; RUNE_RECORD=1 writes it anew",
            kind.name
        );
    }
}

#[test]
fn every_file_that_the_project_shows_fits_its_schema() {
    for kind in KINDS {
        let examples = examples(&kind);
        assert!(!examples.is_empty(), "no example of a {}", kind.name);
        let pairs: Vec<_> = examples
            .iter()
            .map(|(_, value)| (kind.path(), value))
            .collect();
        for ((place, _), error) in examples.iter().zip(validated(&pairs)) {
            assert_eq!(error, None, "{place}");
        }
    }
}

#[test]
fn a_schema_refuses_a_strange_key_anywhere_and_a_file_without_a_key_that_it_needs() {
    for kind in KINDS {
        // The example with the most in it.
        let (_, example) = examples(&kind)
            .into_iter()
            .max_by_key(|(_, value)| value.to_string().len())
            .unwrap();
        let mut wrong = Vec::new();
        let mut places = Vec::new();
        mappings(&example, "", "", &mut places);
        for (path, pointer) in places {
            // Keys that whoever writes the file chooses.
            if [
                "components",
                "images[].build.binaries",
                "namespaces[].quota",
            ]
            .contains(&path.as_str())
            {
                continue;
            }
            let mut strange = example.clone();
            strange.pointer_mut(&pointer).unwrap()["zzzzzzzzzzzz"] = json!(1);
            wrong.push((format!("a strange key in `{path}`"), strange));
        }
        for key in ["apiVersion", "kind"] {
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(key);
            wrong.push((format!("no {key}"), without));
        }
        let mut other = example.clone();
        other["kind"] = json!("Other");
        wrong.push(("another kind".to_owned(), other));
        wrong.push(("no mapping".to_owned(), json!([])));
        let pairs: Vec<_> = wrong
            .iter()
            .map(|(_, value)| (kind.path(), value))
            .collect();
        for ((what, _), error) in wrong.iter().zip(validated(&pairs)) {
            assert!(error.is_some(), "{}: {what} is accepted", kind.name);
        }
    }
}
