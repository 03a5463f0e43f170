//! What syft printed, as a function of the image and of the version of syft.
//!
//! syft writes the time and a random serial number into each document. The time becomes that of the
//! image, the serial number one of the content, and members are sorted.

use serde_json::{Map, Value, json};

use crate::evidence::serial_number;
use rune_core::digest::Digest;

/// What stands for the time of an image that does not say when it was created.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

pub(super) struct Facts {
    pub(super) name: String,
    pub(super) manifest: Digest,
    /// When it was created, in the words of its configuration.
    pub(super) created: Option<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("it is not JSON")]
    Json,
    #[error("it is not a CycloneDX 1.6 document")]
    Format,
    #[error("it is about something else than the image")]
    Subject,
}

/// The document that goes into the lock: compact JSON and a line break.
pub(super) fn settled(printed: &[u8], facts: &Facts) -> Result<Vec<u8>, DocumentError> {
    let document: Value = serde_json::from_slice(printed).map_err(|_| DocumentError::Json)?;
    let Value::Object(mut document) = document else {
        return Err(DocumentError::Format);
    };
    if document.get("bomFormat") != Some(&json!("CycloneDX"))
        || document.get("specVersion") != Some(&json!("1.6"))
        || document
            .get("components")
            .is_some_and(|list| !list.is_array())
    {
        return Err(DocumentError::Format);
    }
    let metadata = document.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or(DocumentError::Format)?;
    let component = metadata.get("component").and_then(Value::as_object);
    let is_about = |component: &Map<String, Value>| {
        component.get("name") == Some(&json!(facts.name))
            && component.get("version") == Some(&json!(facts.manifest.to_string()))
    };
    if !component.is_some_and(is_about) {
        return Err(DocumentError::Subject);
    }
    let created = facts.created.as_deref().filter(|text| is_time(text));
    metadata.insert("timestamp".to_owned(), json!(created.unwrap_or(NO_TIME)));
    document.remove("serialNumber");
    let serial = serial_number(Value::Object(document.clone()).to_string().as_bytes());
    document.insert("serialNumber".to_owned(), json!(serial));
    Ok(format!("{}\n", Value::Object(document)).into_bytes())
}

/// Whether a text has the form of a time by RFC 3339, such as `2026-05-01T10:00:00.5Z`.
fn is_time(text: &str) -> bool {
    let shape = |pattern: &str, text: &str| {
        pattern.len() == text.len()
            && pattern
                .bytes()
                .zip(text.bytes())
                .all(|(wanted, found)| match wanted {
                    b'0' => found.is_ascii_digit(),
                    _ => wanted == found,
                })
    };
    let pattern = "0000-00-00T00:00:00";
    let Some((begin, rest)) = text.split_at_checked(pattern.len()) else {
        return false;
    };
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.trim_start_matches(|character: char| character.is_ascii_digit());
            if end.len() == fraction.len() {
                return false;
            }
            end
        }
        None => rest,
    };
    shape(pattern, begin) && (rest == "Z" || shape("+00:00", rest) || shape("-00:00", rest))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DocumentError, Facts, is_time, settled};
    use rune_core::digest::Digest;

    fn facts() -> Facts {
        Facts {
            name: "docker.io/acme/shop".to_owned(),
            manifest: Digest::of(b"manifest"),
            created: Some("2026-05-01T10:00:00.123456789Z".to_owned()),
        }
    }

    fn printed(serial: &str, time: &str) -> Value {
        let facts = facts();
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": serial,
            "metadata": {
                "timestamp": time,
                "component": {"name": facts.name, "version": facts.manifest.to_string()}
            },
            "components": [{"name": "zlib", "version": "1.3"}]
        })
    }

    fn result(document: &Value) -> Result<Value, DocumentError> {
        settled(document.to_string().as_bytes(), &facts())
            .map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn two_runs_give_the_same_bytes_and_another_content_another_serial_number() {
        let (one, other) = (
            printed("urn:uuid:1", "2026-11-30"),
            printed("urn:uuid:2", "2027"),
        );
        let found = result(&one).unwrap();
        assert_eq!(Ok(&found), result(&other).as_ref());
        assert_eq!(
            found["metadata"]["timestamp"],
            "2026-05-01T10:00:00.123456789Z"
        );
        let mut more = one;
        more["components"][0]["version"] = json!("1.4");
        let more = result(&more).unwrap();
        assert_ne!(more["serialNumber"], found["serialNumber"]);
    }

    #[test]
    fn what_is_not_an_sbom_of_the_image_is_refused() {
        let refused = |pointer: &str, value: Value| {
            let mut document = printed("urn:uuid:1", "2026");
            *document.pointer_mut(pointer).unwrap() = value;
            result(&document).unwrap_err()
        };
        assert_eq!(settled(b"{", &facts()), Err(DocumentError::Json));
        assert_eq!(result(&json!([])), Err(DocumentError::Format));
        assert_eq!(refused("/specVersion", json!("1.7")), DocumentError::Format);
        assert_eq!(refused("/components", json!({})), DocumentError::Format);
        assert_eq!(refused("/metadata", json!(1)), DocumentError::Format);
        for member in ["name", "version"] {
            let pointer = format!("/metadata/component/{member}");
            assert_eq!(refused(&pointer, json!("x")), DocumentError::Subject);
        }
    }

    #[test]
    fn a_time_that_is_none_is_not_taken_from_the_image() {
        for good in ["2026-05-01T10:00:00Z", "2026-05-01T10:00:00.5+02:00"] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-05-01",
            "2026-05-01T10:00:00",
            "2026-05-01T10:00:00.Z",
            "2026-05-01T10:00:00Zx",
            "2026-05-01T10:00:0é",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }
}
