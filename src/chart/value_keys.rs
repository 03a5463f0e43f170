//! The keys of a values file.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::ChartError;
use rune_core::yaml::{self, Node, Value};

/// Far above what values files have, aliases written out.
const MAX_NODES: usize = 100_000;

/// In the form of `helm --set`. The values of a text that is not YAML are not shown.
pub(crate) fn value_keys(path: &Utf8Path, text: &str) -> Result<BTreeSet<String>, ChartError> {
    let root = yaml::parse_rendered(path, text, MAX_NODES)?;
    let mut keys = BTreeSet::new();
    add_keys("", &root, &mut keys);
    Ok(keys)
}

fn add_keys(above: &str, node: &Node, keys: &mut BTreeSet<String>) {
    match &node.value {
        Value::Mapping(entries) if above.is_empty() || !entries.is_empty() => {
            for (key, value) in entries {
                let name = key.text.replace('\\', "\\\\").replace('.', "\\.");
                let path = if above.is_empty() {
                    name
                } else {
                    format!("{above}.{name}")
                };
                add_keys(&path, value, keys);
            }
        }
        _ if above.is_empty() => {}
        _ => _ = keys.insert(above.to_owned()),
    }
}
