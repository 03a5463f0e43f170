//! What a registry says about its error, made harmless.

use serde::Deserialize;

use super::{credentials::Authorization, quirks::is_about_space};
use crate::net::Response;

const MAX_ERROR_BYTES: u64 = 64 << 10;
const MAX_DETAIL_CHARACTERS: usize = 200;

#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub(super) code: Option<String>,
    /// For people; left out if it repeats our credentials.
    pub(super) text: Option<String>,
    pub(super) is_about_space: bool,
}

#[derive(Deserialize)]
struct ErrorDocument {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl ErrorBody {
    /// Reads the body of an answer that is an error.
    pub(super) async fn read(
        response: &mut Response,
        authorization: Option<&Authorization>,
    ) -> Self {
        let Ok(Some(body)) = response.whole(MAX_ERROR_BYTES).await else {
            return Self::default();
        };
        let secret = authorization
            .and_then(|own| own.value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .map(|(_, secret)| secret);
        Self::of(&body, secret)
    }

    fn of(body: &[u8], secret: Option<&str>) -> Self {
        let is_about_space = is_about_space(body);
        let first = serde_json::from_slice(body)
            .ok()
            .and_then(|document: ErrorDocument| document.errors.into_iter().next());
        let Some(ErrorEntry { code, message }) = first else {
            return Self {
                is_about_space,
                ..Self::default()
            };
        };
        let text = if message.is_empty() {
            code.clone()
        } else {
            message
        };
        let is_word = !code.is_empty()
            && code
                .chars()
                .all(|character| character.is_ascii_uppercase() || character == '_');
        let is_usable = !text.is_empty() && secret.is_none_or(|secret| !text.contains(secret));
        Self {
            code: is_word.then_some(code),
            text: is_usable.then(|| harmless(&text)),
            is_about_space,
        }
    }
}

fn harmless(text: &str) -> String {
    let harmless = text.chars().map(|character| {
        if is_harmless(character) {
            character
        } else {
            '\u{fffd}'
        }
    });
    harmless.take(MAX_DETAIL_CHARACTERS).collect()
}

/// Neither a control character nor one that changes the direction of text.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::ErrorBody;

    #[test]
    fn a_full_disk_is_known_by_what_servers_say_about_it() {
        for full in [
            r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Err":28}}}]}"#,
            "write /var/lib/registry/x: no space left on device",
            r#"{"errors":[{"code":"DENIED","message":"Quota exceeded when processing the request"}]}"#,
        ] {
            assert!(
                ErrorBody::of(full.as_bytes(), None).is_about_space,
                "{full}"
            );
        }
        assert!(
            !ErrorBody::of(
                br#"{"errors":[{"code":"UNKNOWN","message":"unknown error"}]}"#,
                None
            )
            .is_about_space
        );
    }

    #[test]
    fn neither_secrets_nor_control_characters_get_through() {
        let of = |message: &str| {
            ErrorBody::of(
                serde_json::json!({"errors": [{"code": "X", "message": message}]})
                    .to_string()
                    .as_bytes(),
                Some("hunter2"),
            )
        };
        assert_eq!(of("who is hunter2").text, None);
        assert_eq!(
            of("a\u{202e}b\nc").text.as_deref(),
            Some("a\u{fffd}b\u{fffd}c")
        );
    }
}
