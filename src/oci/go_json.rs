//! JSON documents of others as Go programs read them, which is what nearly all of them were tested
//! with.
//!
//! There a field has its name in any case, and `null` is as good as no field. Both are brought into
//! one form here. What two readers could understand differently is refused instead: the same field
//! twice, or under two names that differ only in case (CVE-2021-41190 is of that family). Maps that
//! people fill, such as annotations, have keys of their own and are left alone.

use std::{collections::BTreeSet, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Manifest,
    Descriptor,
    Platform,
    Other,
}

impl Shape {
    /// The field that a folded name means, in the spelling of the specification, and the shape of
    /// its value.
    fn field(self, folded: &str) -> Option<(&'static str, Self)> {
        Some(match (self, folded) {
            (Self::Manifest, "schemaversion") => ("schemaVersion", Self::Other),
            (Self::Manifest, "config") => ("config", Self::Descriptor),
            (Self::Manifest, "layers") => ("layers", Self::Descriptor),
            (Self::Manifest, "manifests") => ("manifests", Self::Descriptor),
            (Self::Manifest, "subject") => ("subject", Self::Descriptor),
            (Self::Manifest | Self::Descriptor, "mediatype") => ("mediaType", Self::Other),
            (Self::Manifest | Self::Descriptor, "artifacttype") => ("artifactType", Self::Other),
            (Self::Manifest | Self::Descriptor, "annotations") => ("annotations", Self::Other),
            (Self::Descriptor, "digest") => ("digest", Self::Other),
            (Self::Descriptor, "size") => ("size", Self::Other),
            (Self::Descriptor, "platform") => ("platform", Self::Platform),
            (Self::Platform, "os") => ("os", Self::Other),
            (Self::Platform, "architecture") => ("architecture", Self::Other),
            (Self::Platform, "variant") => ("variant", Self::Other),
            (Self::Platform, "os.version") => ("os.version", Self::Other),
            _ => return None,
        })
    }
}

/// Reads a document. Fields have the names of the specification, and none is `null`.
pub(super) fn read(bytes: &[u8], shape: Shape) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = shape.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A name as Go compares it: two letters outside ASCII count as the ones they look like.
fn folded(name: &str) -> String {
    name.to_lowercase().replace('\u{17f}', "s")
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (mut object, mut seen) = (Map::new(), BTreeSet::new());
        while let Some(key) = entries.next_key::<String>()? {
            let folded = folded(&key);
            let (name, shape) = self.field(&folded).unwrap_or((&key, Self::Other));
            if self != Self::Other && !seen.insert(folded) {
                return Err(de::Error::custom(format_args!(
                    "the key `{}` is there twice, in one case or two",
                    key.escape_debug()
                )));
            }
            let value = entries.next_value_seed(shape)?;
            if !value.is_null() {
                object.insert(name.to_owned(), value);
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};
    use serde_json::json;

    use super::{Shape, read};

    #[test]
    fn fields_have_their_names_in_any_case_and_null_is_nothing() {
        let text = r#"{"SchemaVersion": 2, "LAYERſ": [{"MediaType": "a", "Annotations": {"K": "v", "k": null}, "platform": null}],
            "Manifests": null, "Mine": {"a": 1, "A": 2}}"#;
        let expected = json!({"schemaVersion": 2, "layers": [{"mediaType": "a", "annotations": {"K": "v"}}], "Mine": {"a": 1, "A": 2}});
        assert_eq!(read(text.as_bytes(), Shape::Manifest).unwrap(), expected);
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        for text in [
            r#"{"layers": [], "Layers": []}"#,
            r#"{"layers": [], "layers": []}"#,
            r#"{"layers": null, "LAYERſ": []}"#,
            r#"{"mine": 1, "Mine": 2}"#,
            r#"{"config": {"digest": "a", "Digest": "b"}}"#,
            r#"{"manifests": [{"platform": {"os": "a", "OS": "b"}}]}"#,
        ] {
            let error = read(text.as_bytes(), Shape::Manifest)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("is there twice") && error.contains("line 1"),
                "{error}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn reads_anything_without_panicking(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes, Shape::Manifest);
        }
    }
}
