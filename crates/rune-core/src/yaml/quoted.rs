//! Writing a text of somebody else as a YAML scalar of one line.

use std::fmt::Write as _;

/// Words that some reader of YAML 1.1 or 1.2 takes for something else than a text.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// The text as a scalar that every reader takes for exactly this text. Printable ASCII comes as it
/// is, anything else escaped, and `<` too, so that no text opens a tag of the templates of a
/// project.
pub fn quoted(text: &str) -> String {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", escaped(text))
    }
}

pub fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        let _ = match character {
            '"' | '\\' => write!(escaped, "\\{character}"),
            '\n' => write!(escaped, "\\n"),
            '<' => write!(escaped, "\\x3c"),
            ' '..='~' => write!(escaped, "{character}"),
            other => match u32::from(other) {
                code @ ..=0xff => write!(escaped, "\\x{code:02x}"),
                code @ ..=0xffff => write!(escaped, "\\u{code:04x}"),
                code => write!(escaped, "\\U{code:08x}"),
            },
        };
        escaped
    })
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::quoted;
    use crate::yaml::{self, Value};

    #[test]
    fn whatever_the_text_every_reader_gets_it_back() {
        let odd = [
            "",
            "a",
            "docker.io/a",
            "yes",
            "1.10",
            "a: b",
            "a #b",
            "<@ x @>",
            "<% raw %>",
            "'\"\\",
            "l1\nl2\r\t",
            "\u{85}\u{2028}\u{feff}😀\u{7f}\u{0}",
        ];
        for text in odd {
            let written = quoted(text);
            assert!(
                written.is_ascii() && !written.contains(['\n', '<']),
                "{written}"
            );
            let back = yaml::parse(Utf8Path::new("t"), &format!("key: {written}\n")).unwrap();
            let Value::Mapping(entries) = back.value else {
                panic!("{written}")
            };
            assert_eq!(
                entries[0].1.value,
                Value::Scalar {
                    text: text.to_owned(),
                    is_plain: !written.starts_with('"')
                },
                "{written}"
            );
        }
    }
}
