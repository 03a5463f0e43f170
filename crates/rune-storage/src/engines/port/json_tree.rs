//! JSON as a tree whose numbers and strings keep their spelling, and back in the spelling of
//! Python's `json.dumps`.
//!
//! For chain states, the one text that the port changes. What it does not know in them stays as it
//! is, big numbers, NaN and halves of surrogate pairs included.

use std::{fmt::Write as _, iter};

use crate::json_text;

/// Deeper texts are not chain states.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// A number or word, as it is spelt.
    Token(String),
    /// A string, as it is spelt between the quotes.
    Text(String),
    Array(Vec<Tree>),
    /// Members in order; the names as they are spelt between the quotes.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    pub(super) fn null() -> Self {
        Self::Token("null".to_owned())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(escape(text))
    }

    pub(super) fn optional_text(text: Option<&str>) -> Self {
        text.map_or_else(Self::null, Self::text)
    }

    pub(super) fn number(number: f64) -> Self {
        Self::Token(python_float(number))
    }

    pub(super) fn optional_number(number: Option<f64>) -> Self {
        number.map_or_else(Self::null, Self::number)
    }

    pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        json_text::check(text).ok()?;
        let mut reader = Reader { text, at: 0 };
        reader.value(0)
    }

    /// The member of a name; as in Python, the last of several.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .rfind(|(member, _)| unescape(member).as_deref() == Some(name))
            .map(|(_, value)| value)
    }

    /// Sets the member of a name, in its place if it has one.
    pub(super) fn set(&mut self, name: &str, value: Self) {
        let Self::Object(members) = self else { return };
        match members
            .iter_mut()
            .rfind(|(member, _)| unescape(member).as_deref() == Some(name))
        {
            Some((_, old)) => *old = value,
            None => members.push((escape(name), value)),
        }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    pub(super) fn member_array_mut(&mut self, name: &str) -> Option<&mut Vec<Self>> {
        let Self::Object(members) = self else {
            return None;
        };
        match members.iter_mut().rfind(|(member, _)| member == name) {
            Some((_, Self::Array(items))) => Some(items),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<String> {
        if let Self::Text(text) = self {
            unescape(text)
        } else {
            None
        }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Token(token) if !matches!(token.as_str(), "true" | "false" | "null") => {
                token.parse().ok()
            }
            _ => None,
        }
    }

    /// The text, as `json.dumps` writes it.
    pub(super) fn to_python(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Token(token) => out.push_str(token),
            Self::Text(text) => {
                let _ = write!(out, "\"{text}\"");
            }
            Self::Array(items) => {
                out.push('[');
                for (separator, item) in separators().zip(items) {
                    out.push_str(separator);
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (separator, (name, value)) in separators().zip(members) {
                    let _ = write!(out, "{separator}\"{name}\": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn separators() -> impl Iterator<Item = &'static str> {
    iter::once("").chain(iter::repeat(", "))
}

/// Reads a text that was checked; every `None` is therefore a text that is too deep.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(character);
        self.at += if is_next { character.len_utf8() } else { 0 };
        is_next
    }

    fn value(&mut self, depth: usize) -> Option<Tree> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take('{') {
            let mut members = Vec::new();
            while !self.take('}') {
                let _ = self.take(',');
                let name = self.string()?;
                let _ = self.take(':');
                members.push((name, self.value(depth + 1)?));
            }
            return Some(Tree::Object(members));
        }
        if self.take('[') {
            let mut items = Vec::new();
            while !self.take(']') {
                let _ = self.take(',');
                items.push(self.value(depth + 1)?);
            }
            return Some(Tree::Array(items));
        }
        if self.rest().starts_with('"') {
            return self.string().map(Tree::Text);
        }
        let rest = self.rest();
        let end = rest
            .find([',', ']', '}', ' ', '\t', '\n', '\r'])
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).map(|token| Tree::Token(token.to_owned()))
    }

    fn string(&mut self) -> Option<String> {
        if !self.take('"') {
            return None;
        }
        let mut is_escaped = false;
        let rest = self.rest();
        let end = rest.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        })?;
        self.at += end + 1;
        rest.get(..end).map(str::to_owned)
    }
}

/// Escapes as `json.dumps` does: ASCII only.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

/// The text of an escaped string; none for half a surrogate pair, which no Rust text can hold.
fn unescape(text: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

/// A float as Python's `repr` writes it, and JSON's words for what is not a number.
fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let text = format!("{number:e}");
    let exponent: i32 = text
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let digits = text
        .split_once('e')
        .map_or(text.as_str(), |(digits, _)| digits);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::{Tree, python_float};

    #[test]
    fn what_python_wrote_comes_back_as_it_was() {
        for text in [
            r#"{"nodes": [{"id": "a", "n": 12345678901234567890123, "x": NaN, "y": -Infinity}], "e": []}"#,
            r#"{"a": "\ud800 \u00e9 \"\\\" \\", "a": 1e5, "b": {}}"#,
            r#""]},""#,
            "[[], [[]], true, null, 0.1]",
        ] {
            assert_eq!(Tree::parse(text).unwrap().to_python(), text);
        }
        assert_eq!(
            Tree::parse(" { \"a\" :[ 1 ,2]\n} ").unwrap().to_python(),
            r#"{"a": [1, 2]}"#
        );
        assert_eq!(Tree::parse("{"), None);
        assert_eq!(
            Tree::parse(&format!("{}{}", "[".repeat(100), "]".repeat(100))),
            None
        );
    }

    #[test]
    fn text_is_escaped_to_ascii_as_python_does() {
        assert_eq!(
            Tree::text("a\"\\\n\r\t\u{8}\u{c}\u{1}é€😀\u{7f}/").to_python(),
            r#""a\"\\\n\r\t\b\f\u0001\u00e9\u20ac\ud83d\ude00\u007f/""#
        );
    }

    #[test]
    fn floats_are_spelt_as_python_spells_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (1_770_000_000.123_456_7, "1770000000.1234567"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.5e-7, "2.5e-07"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(python_float(number), text);
        }
    }

    #[test]
    fn a_member_is_found_and_set_by_its_name_however_it_is_spelt() {
        let mut tree = Tree::parse(r#"{"\u0061": 1, "b": "x", "a": 2}"#).unwrap();
        assert_eq!(tree.get("a").and_then(Tree::as_number), Some(2.0));
        tree.set("a", Tree::null());
        tree.set("c", Tree::text("é"));
        assert_eq!(
            tree.to_python(),
            r#"{"\u0061": 1, "b": "x", "a": null, "c": "\u00e9"}"#
        );
    }
}
