//! The values of the destination: where the images are, what they are called and which digests they
//! have there.
//!
//! A registry that refuses the index of an image of which some platforms were left out has its
//! reduced index instead, which has another digest. Every value of the chart that pins the one is
//! then set to the other. Where repositories are flattened, every value called `repository` that
//! names one of the bundle is set to its other name.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde_json::{Map, Value, json};

use crate::chart::{self, ChartError, ChartTree};
use rune_core::{
    digest::Digest,
    failure::Failure,
    yaml::{self, YamlError},
};

/// The value below `global` from which many charts take the registry of their images.
const REGISTRY_VALUE: &str = "imageRegistry";

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum PinError {
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    Values(#[from] YamlError),
}

#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// Digests that the bundle pins, and the ones that stand for them there.
    pub(crate) digests: BTreeMap<Digest, Digest>,
    pub(crate) repositories: BTreeMap<String, String>,
}

impl Replaced {
    fn is_empty(&self) -> bool {
        self.digests.is_empty() && self.repositories.is_empty()
    }

    /// What stands for a value at the destination, if something else does.
    fn instead_of(&self, keys: &[String], text: &str) -> Option<String> {
        if keys.last().is_some_and(|key| key == "repository") {
            return self.repositories.get(text).cloned();
        }
        text.parse()
            .ok()
            .and_then(|digest: Digest| self.digests.get(&digest))
            .map(ToString::to_string)
    }
}

/// The values that make the chart take its images from `registry`, with what is `replaced` there.
/// `profile` holds the texts of the profile's values.
pub(crate) fn destination_values(
    registry: Option<&str>,
    replaced: &Replaced,
    chart: &[u8],
    profile: &[String],
) -> Result<Value, PinError> {
    let mut values = Map::new();
    if registry.is_none() && replaced.is_empty() {
        return Ok(Value::Object(values));
    }
    let path = Utf8Path::new("chart");
    let chart = chart::unpack_package(path, chart)?;
    each_values(path, &chart, &[], &mut |value, keys| {
        replace(value, replaced, keys, &mut values);
    })?;
    for text in profile {
        replace(
            &yaml::from_str(Utf8Path::new("the profile's values"), text)?,
            replaced,
            &[],
            &mut values,
        );
    }
    // Some charts refuse values that they do not know.
    let takes_registry = |(_, bytes): (&Utf8Path, &[u8])| {
        bytes
            .windows(REGISTRY_VALUE.len())
            .any(|text| text == REGISTRY_VALUE.as_bytes())
    };
    if let Some(registry) = registry
        && chart.unfolded(path)?.iter().any(takes_registry)
    {
        set(
            &mut values,
            &["global".to_owned(), REGISTRY_VALUE.to_owned()],
            json!(registry),
        );
    }
    Ok(Value::Object(values))
}

/// Gives the values of a chart and of its subcharts, whose values the parent has under their name
/// or aliases.
pub(super) fn each_values(
    path: &Utf8Path,
    chart: &ChartTree,
    keys: &[String],
    each: &mut dyn FnMut(&Value, &[String]),
) -> Result<(), PinError> {
    if let Some(bytes) = chart.get("values.yaml") {
        let path = path.join("values.yaml");
        let text = std::str::from_utf8(bytes).map_err(|_| ChartError::NotText(path.clone()))?;
        each(&yaml::from_str(&path, text)?, keys);
    }
    let dependencies = chart.own_metadata(path)?.dependencies;
    for (place, subchart) in chart.subcharts() {
        let path = path.join(place);
        let name = subchart.own_metadata(&path)?.name;
        let mut names: Vec<String> = dependencies
            .iter()
            .filter(|dependency| dependency.name == name)
            .map(|dependency| dependency.values_key().to_owned())
            .collect();
        if names.is_empty() {
            names.push(name);
        }
        for name in names {
            each_values(&path, &subchart, &[keys, &[name]].concat(), each)?;
        }
    }
    Ok(())
}

fn replace(value: &Value, replaced: &Replaced, keys: &[String], values: &mut Map<String, Value>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                replace(
                    value,
                    replaced,
                    &[keys, std::slice::from_ref(key)].concat(),
                    values,
                );
            }
        }
        Value::String(text) => {
            if let Some(other) = replaced.instead_of(keys, text) {
                set(values, keys, json!(other));
            }
        }
        _ => {}
    }
}

pub(super) fn set(values: &mut Map<String, Value>, keys: &[String], value: Value) {
    match keys {
        [] => {}
        [key] => {
            values.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            if let Value::Object(below) = values
                .entry(key.clone())
                .or_insert_with(|| Value::Object(Map::new()))
            {
                set(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Replaced, destination_values};
    use crate::chart::{ChartTree, package};
    use rune_core::digest::Digest;

    #[test]
    fn digests_and_repositories_are_replaced_where_the_chart_and_its_subcharts_have_them() {
        let (sparse, reduced) = (Digest::of(b"sparse"), Digest::of(b"reduced"));
        let files = [
            (
                "Chart.yaml",
                "apiVersion: v2\nname: a\nversion: 1.0.0\n".to_owned(),
            ),
            (
                "values.yaml",
                format!("image: {{ digest: '{}', tag: x }}\n", Digest::of(b"whole")),
            ),
            (
                "charts/of another name/Chart.yaml",
                "apiVersion: v2\nname: b\nversion: v1.0\n".to_owned(),
            ),
            (
                "charts/of another name/values.yaml",
                format!(
                    "image: {{ digest: '{sparse}', repository: library/b }}\nother: library/b\n"
                ),
            ),
        ];
        let files: BTreeMap<_, _> = files
            .into_iter()
            .map(|(path, text)| (path.into(), text.into_bytes()))
            .collect();
        let mut files = files;
        let head =
            b"apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: b, version: 1.0.0}, {name: c, version: 1.x, alias: d}]\n"
                .to_vec();
        files.insert("Chart.yaml".into(), head);
        let packed = [
            ("Chart.yaml", "name: c\nversion: 1.2.3\n"),
            (
                "values.yaml",
                "image: { repository: library/b }\nglobal: { imageRegistry: '' }\n",
            ),
        ];
        let packed = ChartTree::new(
            packed
                .into_iter()
                .map(|(path, text)| (path.into(), text.as_bytes().to_vec()))
                .collect(),
        );
        files.insert(
            "charts/c-1.2.3.tgz".into(),
            package("c", &packed).unwrap().bytes,
        );
        let chart = package("a", &ChartTree::new(files)).unwrap();
        let profile = [format!("migrate: {{ image: {{ digest: '{sparse}' }} }}\n")];
        let replaced = Replaced {
            digests: BTreeMap::from([(sparse, reduced)]),
            repositories: BTreeMap::from([("library/b".to_owned(), "library-b".to_owned())]),
        };
        let values =
            destination_values(Some("r.example:5000/x"), &replaced, &chart.bytes, &profile)
                .unwrap();
        let digest = reduced.to_string();
        let expected = json!({
            "global": {"imageRegistry": "r.example:5000/x"},
            "b": {"image": {"digest": digest, "repository": "library-b"}},
            "d": {"image": {"repository": "library-b"}},
            "migrate": {"image": {"digest": digest}},
        });
        assert_eq!(values, expected);
        let other = ChartTree::new(BTreeMap::from([(
            "Chart.yaml".into(),
            b"name: c\nversion: 1.2.3\n".to_vec(),
        )]));
        let other = package("c", &other).unwrap().bytes;
        assert_eq!(
            destination_values(Some("r.example"), &Replaced::default(), &other, &[]).unwrap(),
            json!({})
        );
        assert_eq!(
            destination_values(None, &Replaced::default(), b"not read", &[]).unwrap(),
            json!({})
        );
    }
}
