//! The arrows between modules point one way.

use std::{collections::BTreeMap, fs, path::Path};

/// Which modules each top-level module may use. What is not listed may use nothing of the crate.
const ALLOWED: &[(&str, &[&str])] = &[
    ("cli", &["commands", "oci"]),
    (
        "commands",
        &[
            "archive",
            "bundle",
            "canonical_json",
            "chart",
            "containerd",
            "diff",
            "evidence",
            "install",
            "load",
            "manifest",
            "mirror",
            "net",
            "oci",
            "policy",
            "prune",
            "push",
            "receipt",
            "registry",
            "remote",
            "report",
            "scaffold",
            "scan",
            "serve",
            "sign",
            "support",
            "syft",
        ],
    ),
    ("support", &["install"]),
    ("report", &["bundle", "diff", "oci"]),
    ("diff", &["archive", "bundle", "chart", "oci"]),
    ("evidence", &["canonical_json", "oci", "sign"]),
    (
        "bundle",
        &[
            "archive",
            "canonical_json",
            "chart",
            "containerd",
            "evidence",
            "manifest",
            "oci",
            "policy",
            "registry",
            "remote",
            "sign",
        ],
    ),
    (
        "scaffold",
        &["bundle", "chart", "manifest", "oci", "policy", "registry"],
    ),
    ("serve", &["bundle", "oci"]),
    (
        "load",
        &["archive", "bundle", "canonical_json", "containerd", "oci"],
    ),
    ("containerd", &["oci"]),
    ("mirror", &["oci"]),
    ("push", &["bundle", "oci", "registry"]),
    ("prune", &["bundle", "oci", "push", "registry", "sign"]),
    ("install", &["canonical_json", "chart", "oci", "policy"]),
    ("receipt", &["bundle", "canonical_json", "oci", "sign"]),
    (
        "manifest",
        &["chart", "evidence", "oci", "policy", "registry", "remote"],
    ),
    ("remote", &["chart", "oci", "registry"]),
    ("policy", &["evidence", "oci", "sign"]),
    ("chart", &["canonical_json", "oci", "policy", "process"]),
    ("scan", &["evidence", "oci", "process"]),
    ("syft", &["evidence", "oci", "process", "registry"]),
    ("process", &[]),
    ("archive", &["oci"]),
    ("oci", &["canonical_json"]),
    ("registry", &["net", "oci"]),
    ("sign", &["canonical_json", "oci"]),
    ("net", &[]),
    ("canonical_json", &[]),
];

/// `module -> modules it uses`, read from the `crate::` paths of every file.
fn arrows() -> BTreeMap<String, BTreeMap<String, String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap().with_extension("");
            let module = relative.iter().next().unwrap().to_str().unwrap().to_owned();
            if module == "lib" || module == "bin" {
                continue;
            }
            for used in crate_paths(&fs::read_to_string(&path).unwrap()) {
                arrows
                    .entry(module.clone())
                    .or_default()
                    .insert(used, relative.display().to_string());
            }
        }
    }
    arrows
}

/// The first segments of all `crate::` paths, in `use` groups too.
fn crate_paths(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let (mut depth, mut start) = (1, 0);
        for (position, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && character == ',') {
                found.push(word(&group[start..]));
                start = position + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, uses) in arrows() {
        for (used, file) in uses {
            let is_fine = used == module
                || allowed
                    .get(module.as_str())
                    .is_some_and(|list| list.contains(&used.as_str()));
            if !is_fine {
                wrong.push(format!("src/{file}: `{module}` must not use `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_arrows_sees_groups_and_plain_paths() {
    let source = "use crate::{\n    a::{B, C},\n    d,\n};\nuse crate::e::F;\n// use crate::no;\nfn x() { crate::g::h() }";
    assert_eq!(crate_paths(source), ["a", "d", "e", "g"]);
}
