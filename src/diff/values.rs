//! What changed in YAML that people write: values files path by path, and the names of those files
//! in the profiles.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde::Serialize;

use super::{Change, DiffError, Difference, pairs::paired, secrecy};
use crate::{
    archive::EntryName,
    bundle::{BundleIndex, BundleView, ProfileRecord},
};
use rune_core::yaml::{self, Node, Value};

/// The most nodes that are compared of one file, and the most bytes.
const MAX_NODES: usize = 200_000;
const MAX_BYTES: usize = 4 << 20;
const MAX_SHOWN: usize = 160;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValuesDiff {
    pub(crate) file: String,
    /// The profiles that use it; none for a file of a chart.
    pub(crate) profiles: Vec<String>,
    pub(crate) change: Change,
    /// What differs, by path; what looks like a secret is not shown. Empty when the file is in one
    /// bundle alone.
    pub(crate) differences: Vec<Difference>,
    /// What else is to be said: that nothing but comments changed, or that the file cannot be read.
    pub(crate) note: Option<String>,
}

pub(super) fn profiles(old: &BundleIndex, new: &BundleIndex) -> Vec<Difference> {
    let files = |profile: Option<&ProfileRecord>| {
        profile.map(|profile| {
            let files = profile
                .values
                .iter()
                .map(EntryName::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            if profile.charts.is_empty() {
                files
            } else {
                format!("of {}: {files}", profile.charts.join(", "))
            }
        })
    };
    let pairs = paired(&old.profiles, &new.profiles, |profile| profile.name.clone());
    pairs
        .into_iter()
        .filter_map(|(old, new)| Difference::between(&new.or(old)?.name, files(old), files(new)))
        .collect()
}

pub(super) fn between(old: &BundleView, new: &BundleView) -> Result<Vec<ValuesDiff>, DiffError> {
    let mut users: BTreeMap<&EntryName, BTreeSet<String>> = BTreeMap::new();
    for profile in old.index().profiles.iter().chain(&new.index().profiles) {
        for path in &profile.values {
            users.entry(path).or_default().insert(profile.name.clone());
        }
    }
    let mut changed = Vec::new();
    for (path, profiles) in users {
        let (before, after) = (old.entry(path)?, new.entry(path)?);
        let profiles = profiles.into_iter().collect();
        changed.extend(file(
            path.as_str(),
            profiles,
            before.as_deref(),
            after.as_deref(),
        ));
    }
    Ok(changed)
}

pub(super) fn file(
    path: &str,
    profiles: Vec<String>,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Option<ValuesDiff> {
    let change = Change::between(old, new)?;
    let (differences, note) = match (old, new) {
        (Some(old), Some(new)) => match (paths(path, old), paths(path, new)) {
            (Some(old), Some(new)) => {
                let differences = differences(&old, &new);
                let note = differences
                    .is_empty()
                    .then(|| "only comments or layout changed".to_owned());
                (differences, note)
            }
            _ => (
                Vec::new(),
                Some("it cannot be compared: it is not a YAML document, or too large".to_owned()),
            ),
        },
        _ => (Vec::new(), None),
    };
    Some(ValuesDiff {
        file: path.to_owned(),
        profiles,
        change,
        differences,
        note,
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    exact: String,
    shown: String,
}

/// What stands at each path of a YAML document; nothing when it is not one, or too large.
pub(super) fn paths(name: &str, bytes: &[u8]) -> Option<BTreeMap<String, Leaf>> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= MAX_BYTES)?;
    let root = yaml::parse_rendered(Utf8Path::new(name), text, MAX_NODES).ok()?;
    let mut paths = BTreeMap::new();
    collect(&root, String::new(), false, &mut paths);
    Some(paths)
}

/// What differs between two documents, in the order of the paths.
pub(super) fn differences(
    old: &BTreeMap<String, Leaf>,
    new: &BTreeMap<String, Leaf>,
) -> Vec<Difference> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shown = |leaf: Option<&Leaf>| leaf.map(|leaf| leaf.shown.clone());
    let differing = paths
        .into_iter()
        .map(|path| (path, old.get(path), new.get(path)));
    let differing = differing
        .filter(|(_, old, new)| old.map(|leaf| &leaf.exact) != new.map(|leaf| &leaf.exact));
    differing
        .map(|(path, old, new)| Difference {
            subject: path.clone(),
            old: shown(old),
            new: shown(new),
        })
        .collect()
}

fn collect(node: &Node, path: String, is_secret: bool, into: &mut BTreeMap<String, Leaf>) {
    match &node.value {
        Value::Mapping(entries) if !entries.is_empty() => {
            let is_secret_object = text_at(entries, "kind").is_some_and(|kind| kind == "Secret");
            let is_secret_pair = ["name", "key"]
                .iter()
                .filter_map(|key| text_at(entries, key))
                .any(secrecy::is_secret_key);
            for (key, value) in entries {
                let key = key.text.as_str();
                let is_payload = is_secret_object && ["data", "stringData"].contains(&key);
                let is_value = is_secret_pair && ["value", "default"].contains(&key);
                // As in the configuration of docker; a mapping of that name says how somebody logs
                // in.
                let is_login = key == "auth" && matches!(value.value, Value::Scalar { .. });
                let is_secret =
                    is_secret || is_payload || is_value || is_login || secrecy::is_secret_key(key);
                collect(value, join(&path, key), is_secret, into);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for (number, item) in items.iter().enumerate() {
                collect(item, format!("{path}[{number}]"), is_secret, into);
            }
        }
        value => {
            _ = into.insert(
                if path.is_empty() {
                    "(the whole file)".to_owned()
                } else {
                    path
                },
                leaf(value, is_secret),
            );
        }
    }
}

fn text_at<'n>(entries: &'n [(yaml::Key, Node)], name: &str) -> Option<&'n str> {
    let (_, node) = entries.iter().find(|(key, _)| key.text == name)?;
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The path of an entry; a key that could be taken for a path of its own stands in quotes.
fn join(path: &str, key: &str) -> String {
    let is_plain = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    match (is_plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[\"{}\"]", key.replace('"', "\\\"")),
    }
}

fn leaf(value: &Value, is_secret: bool) -> Leaf {
    let (exact, text) = match value {
        Value::Null => ("null".to_owned(), ""),
        Value::Mapping(_) => ("{}".to_owned(), ""),
        Value::Sequence(_) => ("[]".to_owned(), ""),
        // A quoted `1` is another value than a plain one; a quoted `x` is not.
        Value::Scalar { text, is_plain } if !is_plain && is_special(text) => {
            (format!("\"{text}\""), text.as_str())
        }
        Value::Scalar { text, .. } => (text.clone(), text.as_str()),
    };
    let is_hidden = !text.is_empty() && (is_secret || secrecy::is_secret_text(text));
    let shown = if is_hidden {
        secrecy::HIDDEN.to_owned()
    } else {
        shortened(&exact)
    };
    Leaf { exact, shown }
}

/// Whether a plain text would be something else than a text, in YAML 1.1 as Helm reads it.
fn is_special(text: &str) -> bool {
    let special = [
        "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n",
    ];
    special.contains(&text.to_ascii_lowercase().as_str())
        || text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

/// One line: a longer text says how long it is, for what else is in it may be anything.
fn shortened(text: &str) -> String {
    let lines = text.lines().count();
    if lines > 1 {
        return format!("(a string of {lines} lines)");
    }
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::file;

    fn changed(old: &str, new: &str) -> Vec<String> {
        let diff = file(
            "x.yaml",
            Vec::new(),
            Some(old.as_bytes()),
            Some(new.as_bytes()),
        )
        .unwrap();
        let text = |side: Option<String>| side.unwrap_or_else(|| "nothing".to_owned());
        let lines = diff
            .differences
            .into_iter()
            .map(|one| format!("{}: {} -> {}", one.subject, text(one.old), text(one.new)));
        lines.chain(diff.note).collect()
    }

    #[test]
    fn values_are_compared_path_by_path() {
        let old = "a: { b: 1, c: x }\nlist: [1, 2]\n\"k.l\": true\ngone: {}\n";
        let new = "a: { b: \"1\", c: 'x' }\nlist: [1, 3, 4]\n\"k.l\": false\n";
        let expected = [
            "[\"k.l\"]: true -> false",
            "a.b: 1 -> \"1\"",
            "gone: {} -> nothing",
            "list[1]: 2 -> 3",
            "list[2]: nothing -> 4",
        ];
        assert_eq!(changed(old, new), expected);
    }

    #[test]
    fn comments_and_layout_are_no_difference_of_values() {
        assert_eq!(
            changed("a: 1 # one\n", "# more\na:   1\n"),
            ["only comments or layout changed"]
        );
    }

    #[test]
    fn what_is_no_yaml_is_said_to_be_none() {
        assert_eq!(
            changed("a: 1\n", "a: [\n"),
            ["it cannot be compared: it is not a YAML document, or too large"]
        );
    }

    #[test]
    fn a_secret_is_said_to_have_changed_and_never_shown() {
        let values = |secret: &str| {
            format!(
                "auth: {{ password: {secret}1 }}
adminToken: {secret}2
url: postgresql://rune:{secret}3@db/rune
env: [{{ name: DB_PASSWORD, value: {secret}4 }}]
extra:
  - kind: Secret
    stringData: {{ plain: {secret}5 }}
text: |
  first
  {secret}6
"
            )
        };
        let lines = changed(&values("hunter"), &values("fisher"));
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert!(
            lines
                .iter()
                .all(|line| !line.contains("hunter") && !line.contains("fisher")),
            "{lines:?}"
        );
        assert!(
            changed("auth: { password: '' }\n", "auth: { password: x }\n")[0]
                .contains("\"\" -> (may be secret")
        );
    }
}
