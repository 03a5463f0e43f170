//! The index of a Helm repository: which versions of a chart there are, and where.
//!
//! Read as leniently as Helm does: unknown keys, empty entries and entries of other charts that
//! make no sense are passed over, because a chart is not to be kept from a user by a mistake in
//! another one.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use camino::Utf8Path;
use serde::{Deserialize, Deserializer, de};

use crate::chart::ChartVersion;
use rune_core::{
    digest::Digest,
    yaml::{self, YamlError},
};

const MAX_LISTED: usize = 5;

#[derive(Debug, Deserialize)]
pub(super) struct RepositoryIndex {
    #[serde(default, deserialize_with = "or_default")]
    entries: BTreeMap<String, Option<Vec<Option<Entry>>>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entry {
    #[serde(default)]
    version: Text,
    #[serde(default)]
    urls: Urls,
    #[serde(default)]
    digest: Text,
    #[serde(default)]
    deprecated: Text,
    #[serde(default)]
    removed: Text,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Urls {
    List(Vec<Text>),
    Other(de::IgnoredAny),
}

impl Default for Urls {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// A scalar of any type, as text; nothing for whatever else stands there.
#[derive(Debug, Clone, Default)]
struct Text(Option<String>);

impl RepositoryIndex {
    /// Reads the text of an index. `path` is what mistakes call it.
    pub(super) fn parse(path: &Utf8Path, text: &str) -> Result<Self, YamlError> {
        yaml::from_large_str(path, text)
    }

    /// All versions of a chart that were not removed, in the order of the repository index; nothing
    /// when there is no such chart.
    pub(super) fn versions(
        &self,
        name: &str,
    ) -> Option<impl Iterator<Item = (ChartVersion, &Entry)>> {
        let entries = self.entries.get(name)?;
        let entries = entries
            .iter()
            .flatten()
            .flatten()
            .filter(|entry| !entry.removed.is_true());
        Some(entries.filter_map(|entry| Some((entry.version.0.as_ref()?.parse().ok()?, entry))))
    }

    /// The entry of a version: the one that is written the same, else one that is the same release,
    /// as Helm chooses.
    pub(super) fn entry(
        &self,
        name: &str,
        version: &ChartVersion,
    ) -> Option<(ChartVersion, &Entry)> {
        let find = |is_it: &dyn Fn(&ChartVersion) -> bool| {
            self.versions(name)?.find(|(found, _)| is_it(found))
        };
        find(&|found| found.as_str() == version.as_str())
            .or_else(|| find(&|found| found.is_release_of(version)))
    }

    pub(super) fn newest(&self, name: &str) -> Vec<String> {
        let mut versions: Vec<ChartVersion> = self
            .versions(name)
            .into_iter()
            .flatten()
            .map(|(version, _)| version)
            .collect();
        versions.sort_by_key(|version| Reverse(version.clone()));
        versions.dedup();
        versions
            .into_iter()
            .take(MAX_LISTED)
            .map(|version| version.to_string())
            .collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }
}

impl Entry {
    /// Where the archive is; several addresses are tried in their order.
    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        let urls = match &self.urls {
            Urls::List(urls) => urls.as_slice(),
            Urls::Other(_) => &[],
        };
        urls.iter()
            .filter_map(|url| url.0.as_deref())
            .filter(|url| !url.is_empty())
    }

    /// The digest of the archive, if the repository index says it in a form that can be checked.
    pub(super) fn digest(&self) -> Option<Digest> {
        let text = self.digest.0.as_deref()?;
        Digest::from_hex(
            &text
                .strip_prefix("sha256:")
                .unwrap_or(text)
                .to_ascii_lowercase(),
        )
        .ok()
    }

    pub(super) fn is_deprecated(&self) -> bool {
        self.deprecated.is_true()
    }
}

impl Text {
    fn is_true(&self) -> bool {
        self.0.as_deref() == Some("true")
    }
}

/// `null` is as good as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a scalar")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
                while items.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Text, A::Error> {
                while entries
                    .next_entry::<de::IgnoredAny, de::IgnoredAny>()?
                    .is_some()
                {}
                Ok(Text(None))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::RepositoryIndex;
    use rune_core::digest::Digest;

    fn index(text: &str) -> RepositoryIndex {
        RepositoryIndex::parse("https://host/index.yaml".into(), text).unwrap()
    }

    #[test]
    fn the_version_that_is_written_the_same_goes_before_one_that_is_the_same_release() {
        let index = index(
            "apiVersion: v1\nentries:\n  a:\n  - { version: v1.2.3, urls: [v.tgz] }\n  - \
             { version: 1.2.3, urls: [plain.tgz] }\n  - { version: 1.2.3, urls: [again.tgz] }\n  \
             - { version: v2.0.0, urls: [two.tgz] }\n",
        );
        for (asked, found) in [
            ("1.2.3", "plain.tgz"),
            ("v1.2.3", "v.tgz"),
            ("2.0.0", "two.tgz"),
        ] {
            let (_, entry) = index.entry("a", &asked.parse().unwrap()).unwrap();
            assert_eq!(entry.urls().collect::<Vec<_>>(), [found], "{asked}");
        }
        assert!(
            index.entry("a", &"2.0.1".parse().unwrap()).is_none() && index.versions("b").is_none()
        );
    }

    #[test]
    fn what_helm_passes_over_is_passed_over() {
        let index = index(
            "generated: 2024-01-01T00:00:00Z\nentries:\n  empty:\n  other: [null, \
             { version: [x], urls: { a: b } }]\n  a:\n  - null\n  - \
             { version: not a version, urls: [x] }\n  - \
             { version: 1.0, urls: null, digest: null, unknown: { deep: [1] } }\n  - \
             { version: 1.1.0, removed: true, urls: [gone.tgz] }\n  - \
             { version: 1.2.0, deprecated: true, urls: [one.tgz, ''] }\n",
        );
        assert_eq!(index.newest("a"), ["1.2.0", "1"]);
        let (version, entry) = index.entry("a", &"1.0.0".parse().unwrap()).unwrap();
        assert_eq!(
            (version.as_str(), entry.urls().count(), entry.digest()),
            ("1", 0, None)
        );
        assert!(index.entry("a", &"1.1.0".parse().unwrap()).is_none());
        assert!(
            index
                .entry("a", &"1.2.0".parse().unwrap())
                .unwrap()
                .1
                .is_deprecated()
        );
        assert_eq!(
            index.versions("empty").unwrap().count() + index.versions("other").unwrap().count(),
            0
        );
    }

    #[test]
    fn digests_are_read_with_and_without_their_algorithm() {
        let digest = Digest::of(b"x");
        for (written, expected) in [
            (digest.hex(), Some(digest)),
            (digest.to_string(), Some(digest)),
            (digest.hex().to_uppercase(), Some(digest)),
            ("md5:1".to_owned(), None),
            (String::new(), None),
        ] {
            let index = index(&format!(
                "entries: {{ a: [{{ version: 1.0.0, digest: '{written}' }}] }}"
            ));
            assert_eq!(
                index
                    .entry("a", &"1.0.0".parse().unwrap())
                    .unwrap()
                    .1
                    .digest(),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn no_index_has_no_charts_and_a_list_is_a_mistake() {
        assert!(
            index("entries:\n").names().is_empty() && index("apiVersion: v1\n").names().is_empty()
        );
        assert!(RepositoryIndex::parse("x".into(), "- a\n").is_err());
        assert!(RepositoryIndex::parse("x".into(), "<html><body>no index</body></html>").is_err());
    }
}
