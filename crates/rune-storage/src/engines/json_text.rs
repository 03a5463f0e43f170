//! Whether a text is JSON as Python's `json` module reads it.
//!
//! RUNE writes JSON with Python's `json.dumps`, which emits the words `NaN`, `Infinity` and
//! `-Infinity` for numbers that JSON does not have. Texts are checked here and never changed: what
//! arrived is what is stored. The work needs no recursion, so no depth of nesting can exhaust the
//! stack. The grammar is RFC 8259, and those three words.

/// What kind of value a JSON text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `{…}`.
    Object,
    /// `[…]`.
    Array,
    /// A string.
    Text,
    /// A number, `NaN` and the infinities included.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
}

/// Where a text stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON from byte {offset} on")]
pub struct JsonTextError {
    /// The byte, from 0; the length of the text when it ends too early.
    pub offset: usize,
}

/// Checks a text and says what kind of value it is.
///
/// # Errors
/// With the place where it stops being JSON.
pub fn check(text: &str) -> Result<JsonKind, JsonTextError> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut open: Vec<Container> = Vec::new();
    let mut outermost = None;
    loop {
        scanner.skip_space();
        let kind = scanner.begin_value()?;
        outermost.get_or_insert(kind);
        match kind {
            JsonKind::Object if !scanner.take_after_space(b'}') => {
                open.push(Container::Object);
                scanner.key()?;
                continue;
            }
            JsonKind::Array if !scanner.take_after_space(b']') => {
                open.push(Container::Array);
                continue;
            }
            _ => {}
        }
        if !scanner.end_value(&mut open)? {
            break;
        }
    }
    scanner.skip_space();
    match outermost {
        Some(kind) if scanner.at == scanner.bytes.len() => Ok(kind),
        _ => Err(scanner.error()),
    }
}

enum Container {
    Object,
    Array,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    const fn error(&self) -> JsonTextError {
        JsonTextError { offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take_after_space(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.take(byte)
    }

    /// Reads a scalar whole, and of a container the bracket.
    fn begin_value(&mut self) -> Result<JsonKind, JsonTextError> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(JsonKind::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(JsonKind::Array)
            }
            Some(b'"') => self.string().map(|()| JsonKind::Text),
            Some(b't') => self.word("true").map(|()| JsonKind::Boolean),
            Some(b'f') => self.word("false").map(|()| JsonKind::Boolean),
            Some(b'n') => self.word("null").map(|()| JsonKind::Null),
            Some(b'N') => self.word("NaN").map(|()| JsonKind::Number),
            Some(b'I') => self.word("Infinity").map(|()| JsonKind::Number),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| JsonKind::Number),
            _ => Err(self.error()),
        }
    }

    /// Closes what ends after a value; says whether another value follows.
    fn end_value(&mut self, open: &mut Vec<Container>) -> Result<bool, JsonTextError> {
        while let Some(container) = open.last() {
            self.skip_space();
            match (container, self.peek()) {
                (Container::Object, Some(b',')) => {
                    self.at += 1;
                    self.key()?;
                    return Ok(true);
                }
                (Container::Array, Some(b',')) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Container::Object, Some(b'}')) | (Container::Array, Some(b']')) => {
                    self.at += 1;
                    open.pop();
                }
                _ => return Err(self.error()),
            }
        }
        Ok(false)
    }

    /// A member's name and the colon.
    fn key(&mut self) -> Result<(), JsonTextError> {
        self.skip_space();
        self.string()?;
        if self.take_after_space(b':') {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    fn word(&mut self, word: &str) -> Result<(), JsonTextError> {
        let is_next = self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()));
        if !is_next {
            return Err(self.error());
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonTextError> {
        if !self.take(b'"') {
            return Err(self.error());
        }
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                None | Some(0..0x20) => return Err(self.error()),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonTextError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.error()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonTextError> {
        if self.take(b'-') && self.peek() == Some(b'I') {
            return self.word("Infinity");
        }
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonTextError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{JsonKind, JsonTextError, check};

    #[test]
    fn what_python_writes_is_json() {
        for (text, kind) in [
            (
                r#"{"a": [1, -0.5e+3, NaN, Infinity, -Infinity], "b": {"c": null}}"#,
                JsonKind::Object,
            ),
            ("{}", JsonKind::Object),
            (" [ ] ", JsonKind::Array),
            (r#""\ud800 \u00e9 \n\/""#, JsonKind::Text),
            ("\"é\u{7f}\"", JsonKind::Text),
            ("NaN", JsonKind::Number),
            ("-Infinity", JsonKind::Number),
            ("0", JsonKind::Number),
            ("1234567890123456789012345678901234567890", JsonKind::Number),
            ("true", JsonKind::Boolean),
            ("\t\r\nnull ", JsonKind::Null),
        ] {
            assert_eq!(check(text), Ok(kind), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("{", 1),
            ("{\"a\"}", 4),
            ("{\"a\": 1,}", 8),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("[1}", 2),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            (".5", 0),
            ("1e", 2),
            ("+1", 0),
            ("-NaN", 1),
            ("nan", 0),
            ("None", 0),
            ("'a'", 0),
            ("\"a", 2),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 5),
            ("\"a\nb\"", 2),
            ("\"a\0\"", 2),
            ("{} {}", 3),
            ("\u{feff}{}", 0),
            ("tru", 0),
            ("{1: 2}", 1),
        ] {
            assert_eq!(check(text), Err(JsonTextError { offset }), "{text:?}");
        }
    }

    #[test]
    fn no_depth_exhausts_the_stack() {
        let deep = format!("{}{}", "[".repeat(2_000_000), "]".repeat(2_000_000));
        assert_eq!(check(&deep), Ok(JsonKind::Array));
        assert_eq!(
            check(&deep[..deep.len() - 1]),
            Err(JsonTextError {
                offset: deep.len() - 1
            })
        );
    }

    proptest! {
        #[test]
        fn agrees_with_another_parser_on_anything(text in r#"[\[\]{},:"0-9eE+\-. \\untrlsfa]{0,24}"#) {
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            // The other parser also checks surrogates and ranges, which Python does not; neither
            // arises from these letters, except half a pair and a float that is out of range.
            if other.is_ok() {
                prop_assert!(check(&text).is_ok(), "{text}");
            } else if check(&text).is_ok() {
                let reason = other.err().map(|error| error.to_string()).unwrap_or_default();
                prop_assert!(reason.contains("out of range") || reason.contains("surrogate") || reason.contains("escape"), "{text}: {reason}");
            }
        }
    }
}
