//! Values of a chart that name images, and what they have to be so that the chart takes the images
//! from the destination: whole references, or a repository with registry, tag or digest beside it.
//!
//! Charts use their values as they like, so what is found here is a proposal: rendering shows
//! whether it holds.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde_json::{Map, Value, json};

use super::pins::{PinError, each_values, set};
use crate::{chart, oci::Reference};
use rune_core::{digest::Digest, yaml};

/// Keys whose value is a repository when one of [`BESIDE`] stands beside it.
const REPOSITORIES: [&str; 3] = ["repository", "image", "name"];

const BESIDE: [&str; 4] = ["registry", "tag", "digest", "sha"];

/// An image of the bundle and where it is at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedImage {
    pub(crate) reference: Reference,
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) digest: Digest,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ValuePins {
    pub(crate) values: Map<String, Value>,
    /// For each image by its number, the values that name it: keys separated by dots, and what
    /// they are to be.
    pub(crate) keys: BTreeMap<usize, Vec<(String, String)>>,
}

impl PlacedImage {
    pub(crate) fn target(&self) -> String {
        format!("{}/{}@{}", self.registry, self.repository, self.digest)
    }

    fn has_name(&self, reference: &Reference) -> bool {
        self.reference.name() == reference.name()
    }
}

/// Finds the values of a chart and of a profile that name images.
pub(crate) fn value_pins(
    chart: &[u8],
    profile: &[String],
    images: &[PlacedImage],
) -> Result<ValuePins, PinError> {
    let mut pins = ValuePins::default();
    let path = Utf8Path::new("chart");
    let chart = chart::unpack_package(path, chart)?;
    each_values(path, &chart, &[], &mut |value, keys| {
        pins.find(value, keys, images);
    })?;
    for text in profile {
        let value = yaml::from_str(Utf8Path::new("the profile's values"), text)?;
        pins.find(&value, &[], images);
    }
    Ok(pins)
}

impl ValuePins {
    fn find(&mut self, value: &Value, keys: &[String], images: &[PlacedImage]) {
        match value {
            Value::String(text) => self.whole(text, keys, images),
            Value::Object(entries) => {
                let in_parts = self.in_parts(entries, keys, images);
                for (key, value) in entries
                    .iter()
                    .filter(|(key, _)| Some(key.as_str()) != in_parts)
                {
                    let keys = [keys, std::slice::from_ref(key)].concat();
                    self.find(value, &keys, images);
                }
            }
            // Helm replaces lists as a whole.
            _ => {}
        }
    }

    /// A value that is a reference with tag or digest.
    fn whole(&mut self, text: &str, keys: &[String], images: &[PlacedImage]) {
        if !text.contains([':', '@']) || text.contains("://") {
            return;
        }
        let Ok(reference) = Reference::parse_like_a_runtime(text) else {
            return;
        };
        let is_meant = |image: &PlacedImage| {
            image.has_name(&reference)
                && match reference.digest() {
                    Some(digest) => image.digest == digest,
                    None => reference.tag() == image.reference.tag(),
                }
        };
        if let Some((number, image)) = images.iter().enumerate().find(|(_, image)| is_meant(image))
        {
            self.set(number, keys, image.target());
        }
    }

    /// A repository with other parts of a reference beside it. Gives the key of the repository.
    fn in_parts<'v>(
        &mut self,
        entries: &'v Map<String, Value>,
        keys: &[String],
        images: &[PlacedImage],
    ) -> Option<&'v str> {
        if !BESIDE.iter().any(|key| entries.contains_key(*key)) {
            return None;
        }
        let text = |key: &str| match entries.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let named =
            |key: &&str| matches!(entries.get(*key), Some(Value::String(text)) if !text.is_empty());
        let key = REPOSITORIES.into_iter().find(named)?;
        let (key, _) = entries.get_key_value(key)?;
        let repository = text(key)?;
        let whole = match text("registry") {
            Some(registry) => format!("{}/{repository}", registry.trim_end_matches('/')),
            None => repository,
        };
        let reference = Reference::parse_like_a_runtime(&whole).ok()?;
        let tag = text("tag").map(|tag| tag.split('@').next().unwrap_or_default().to_owned());
        let same: Vec<(usize, &PlacedImage)> = images
            .iter()
            .enumerate()
            .filter(|(_, image)| image.has_name(&reference))
            .collect();
        let has_tag = |image: &PlacedImage| image.reference.tag() == tag.as_deref();
        let (number, image) = match same.as_slice() {
            // Whatever its tag is called: a chart can take it from elsewhere.
            [only] => *only,
            several => *several.iter().find(|(_, image)| has_tag(image))?,
        };
        let mut put = |key: &str, value: String| {
            self.set(number, &[keys, &[key.to_owned()]].concat(), value);
        };
        if entries.contains_key("registry") {
            put("registry", image.registry.clone());
            put(key, image.repository.clone());
        } else {
            put(key, format!("{}/{}", image.registry, image.repository));
        }
        let digest = image.digest.to_string();
        if entries.contains_key("digest") {
            put("digest", digest);
        } else if entries.contains_key("sha") {
            put("sha", digest.trim_start_matches("sha256:").to_owned());
        } else {
            let tag = tag.as_deref().or(image.reference.tag()).unwrap_or("latest");
            put("tag", format!("{tag}@{digest}"));
        }
        Some(key.as_str())
    }

    fn set(&mut self, number: usize, keys: &[String], value: String) {
        set(&mut self.values, keys, json!(value));
        let pins = self.keys.entry(number).or_default();
        let key = keys.join(".");
        pins.retain(|(other, _)| *other != key);
        pins.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{PlacedImage, value_pins};
    use crate::chart::{ChartTree, package};
    use rune_core::digest::Digest;

    fn image(reference: &str) -> PlacedImage {
        let reference: crate::oci::Reference = reference.parse().unwrap();
        let (repository, digest) = (
            format!("team/{}", reference.repository()),
            Digest::of(reference.to_string().as_bytes()),
        );
        PlacedImage {
            reference,
            registry: "r.test:5000".to_owned(),
            repository,
            digest,
        }
    }

    #[test]
    fn values_in_the_styles_of_the_wild_are_found_and_set() {
        let images = [
            image("docker.io/library/postgres:17"),
            image("quay.io/a/b:v1"),
            image("ghcr.io/c/d:2"),
        ];
        let values = "whole: postgres:17\nnothing: postgres\nport: 8080\n\
            a: {image: {repository: quay.io/a/b, tag: v1}}\n\
            b: {image: {registry: quay.io, repository: a/b, tag: ''}}\n\
            c: {registry: ghcr.io, name: c/d, tag: 2, digest: ''}\n\
            d: {image: ghcr.io/c/d, sha: ''}\nlist: ['postgres:17']\nname: quay.io/a/b\n";
        let mut chart = ChartTree::default();
        chart.insert("Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n");
        chart.insert("values.yaml", values);
        let chart = package("a", &chart).unwrap().bytes;
        let profile = ["e: {tag: v1, repository: quay.io/a/b}\n".to_owned()];
        let pins = value_pins(&chart, &profile, &images).unwrap();
        let digest = |number: usize| images[number].digest.to_string();
        let bare = digest(2).trim_start_matches("sha256:").to_owned();
        let by_tag =
            json!({"repository": "r.test:5000/team/a/b", "tag": format!("v1@{}", digest(1))});
        let expected = json!({
            "whole": images[0].target(),
            "a": {"image": by_tag},
            "b": {"image": {"registry": "r.test:5000", "repository": "team/a/b", "tag": format!("v1@{}", digest(1))}},
            "c": {"registry": "r.test:5000", "name": "team/c/d", "digest": digest(2)},
            "d": {"image": "r.test:5000/team/c/d", "sha": bare},
            "e": by_tag,
        });
        assert_eq!(Value::Object(pins.values), expected);
        assert_eq!(pins.keys[&0], [("whole".to_owned(), images[0].target())]);
        assert_eq!(pins.keys[&2].last().unwrap().0, "d.sha");
    }
}
