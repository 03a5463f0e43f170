//! Where the scalars of a document stand in its bytes, so that one can be replaced and the rest
//! stays as it is.

use std::{collections::BTreeMap, ops::Range};

use camino::Utf8Path;
use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, ScanError};

use super::{
    Place, YamlError,
    tree::{place_of, start_of},
};

/// The bytes of every scalar of one document that is not empty, quotes and block headers included,
/// by the place of the [`Node`](super::Node) or [`Key`](super::Key).
pub fn scalar_ranges(
    path: &Utf8Path,
    text: &str,
) -> Result<BTreeMap<Place, Range<usize>>, YamlError> {
    let mut ranges = BTreeMap::new();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|cause: ScanError| {
            YamlError::at(path, place_of(*cause.marker()), &cause.info())
        })?;
        let range = span.start.byte_offset().zip(span.end.byte_offset());
        let (Event::Scalar(_, style, ..), Some((start, end))) = (event, range) else {
            continue;
        };
        let start = match style {
            // The parser begins a block behind its header.
            ScalarStyle::Literal | ScalarStyle::Folded => {
                header(text.get(..start).unwrap_or_default()).unwrap_or(start)
            }
            _ => start,
        };
        if start < end {
            ranges.insert(start_of(&span), start..end);
        }
    }
    Ok(ranges)
}

/// Where the header of a block scalar begins, `|` or `>`, that a text before its content ends with.
fn header(before: &str) -> Option<usize> {
    let line = before.trim_end().rsplit('\n').next()?;
    let start = line.as_ptr() as usize - before.as_ptr() as usize;
    let is_header = |rest: &str| {
        let rest =
            rest.trim_start_matches(|sign: char| sign.is_ascii_digit() || "+-".contains(sign));
        rest.trim().is_empty()
            || rest.trim_start().starts_with('#') && rest.starts_with([' ', '\t'])
    };
    let mut signs = line.match_indices(['|', '>']);
    signs
        .find(|(at, _)| is_header(line.get(at + 1..).unwrap_or_default()))
        .map(|(at, _)| start + at)
}

/// A text as a double-quoted scalar of one line, which readers of YAML and of JSON take for that
/// text.
pub fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(character),
            other if other.is_alphanumeric() || u32::from(other) > 0xffff => quoted.push(other),
            other => quoted.push_str(&format!("\\u{:04x}", u32::from(other))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{double_quoted, scalar_ranges};
    use crate::yaml;

    fn scalars(text: &str) -> Vec<&str> {
        let mut ranges: Vec<_> = scalar_ranges(Utf8Path::new("x"), text)
            .unwrap()
            .into_values()
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn every_style_of_scalar_has_its_bytes() {
        assert_eq!(
            scalars("# é\na: b c # d\ne: 'f''g'\nh: \"i\\\"j\"\nk: [l, {m: n}]\n"),
            [
                "a",
                "b c",
                "e",
                "'f''g'",
                "h",
                "\"i\\\"j\"",
                "k",
                "l",
                "m",
                "n"
            ]
        );
        assert_eq!(
            scalars("a: &x b\nc: *x\nd: !!str e\n"),
            ["a", "b", "c", "d", "e"]
        );
        assert_eq!(scalars("a: b\r\nc: d\r\n"), ["a", "b", "c", "d"]);
        assert_eq!(scalars("a: b\n  c\nd:\n"), ["a", "b\n  c", "d"]);
        assert_eq!(scalars("--- a\n"), ["a"]);
        assert_eq!(
            scalars("a: |\n  b\n  c\n\nd: e\n"),
            ["a", "|\n  b\n  c\n\n", "d", "e"]
        );
        assert_eq!(
            scalars("a: >-\r\n  b\r\n  c\r\nd: e"),
            ["a", ">-\r\n  b\r\n  c\r\n", "d", "e"]
        );
        assert_eq!(
            scalars("\"a|\": !x | # b |\n\n  c"),
            ["\"a|\"", "| # b |\n\n  c"]
        );
        assert_eq!(scalars("- |2\n   b\n- x"), ["|2\n   b\n", "x"]);
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_text_is_read_as_that_text(text in "\\PC{0,20}|[ -~\\n\\r\\t]{0,20}") {
            let read: String = yaml::from_str(Utf8Path::new("x"), &double_quoted(&text)).unwrap();
            proptest::prop_assert_eq!(read, text);
        }
    }
}
