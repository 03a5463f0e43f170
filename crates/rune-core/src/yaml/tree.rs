//! YAML as a tree in which every node knows its place.
//!
//! For files that people write: reading goes on after a mistake, so that all of them can be
//! reported at once. The tree keeps scalars as they were written (`0.10` stays `0.10`) and
//! duplicate keys as they came; what they mean is for the reader to say. Anchors, aliases and tags
//! are refused: nothing here needs them, and they hide what a file says.

use camino::Utf8Path;
use serde_yaml::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::YamlError;

/// Where something stands in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Scalar {
        text: String,
        is_plain: bool,
    },
    Sequence(Vec<Node>),
    /// Keys and values, in the order of the text, duplicates included.
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub place: Place,
    pub text: String,
}

impl Value {
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a string",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

pub(super) enum Open {
    Sequence {
        place: Place,
        items: Vec<Node>,
    },
    Mapping {
        place: Place,
        entries: Vec<(Key, Node)>,
        key: Option<Key>,
    },
}

/// Reads one YAML document as a tree. `path` only says where a mistake is.
pub fn parse(path: &Utf8Path, text: &str) -> Result<Node, YamlError> {
    let error = |place: Place, message: &str| YamlError::at(path, place, message);
    let mut root = None;
    let mut open: Vec<Open> = Vec::new();
    let mut documents = 0_u32;
    for next in Parser::new_from_str(text) {
        let (event, span) =
            next.map_err(|cause: ScanError| error(place_of(*cause.marker()), &cause.info()))?;
        let place = start_of(&span);
        let finished = match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(error(place, "there is a second document in the file"));
                }
                continue;
            }
            Event::Alias(_) => {
                return Err(error(
                    place,
                    "aliases are not supported here; write the value out",
                ));
            }
            Event::Scalar(_, _, 0, None)
            | Event::SequenceStart(_, 0, None)
            | Event::MappingStart(_, 0, None) => match event {
                Event::SequenceStart(..) => {
                    open.push(Open::Sequence {
                        place,
                        items: Vec::new(),
                    });
                    continue;
                }
                Event::MappingStart(..) => {
                    open.push(Open::Mapping {
                        place,
                        entries: Vec::new(),
                        key: None,
                    });
                    continue;
                }
                Event::Scalar(text, style, ..) => Node {
                    place,
                    value: scalar(text.into_owned(), style),
                },
                _ => continue,
            },
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(error(
                    place,
                    "anchors and tags are not supported here; write the value out",
                ));
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::Sequence { place, items }) => Node {
                    place,
                    value: Value::Sequence(items),
                },
                Some(Open::Mapping { place, entries, .. }) => Node {
                    place,
                    value: Value::Mapping(entries),
                },
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            None => root = Some(finished),
            Some(Open::Sequence { items, .. }) => items.push(finished),
            Some(Open::Mapping { entries, key, .. }) => match (key.take(), finished) {
                (Some(key), value) => entries.push((key, value)),
                (
                    None,
                    Node {
                        place,
                        value: Value::Scalar { text, .. },
                    },
                ) => *key = Some(Key { place, text }),
                (None, Node { place, .. }) => return Err(error(place, "a key must be a string")),
            },
        }
    }
    Ok(root.unwrap_or(Node {
        place: Place { line: 1, column: 1 },
        value: Value::Null,
    }))
}

pub(super) fn scalar(text: String, style: ScalarStyle) -> Value {
    let is_plain = style == ScalarStyle::Plain;
    if is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Scalar { text, is_plain }
    }
}

pub(super) fn start_of(span: &Span) -> Place {
    place_of(span.start)
}

/// The parser counts columns from 0.
pub(super) fn place_of(marker: Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Node, Value, parse};
    use crate::yaml::YamlError;

    fn tree(text: &str) -> Node {
        parse(Utf8Path::new("a.yaml"), text).unwrap()
    }

    fn refused(text: &str) -> (u64, u64, String) {
        match parse(Utf8Path::new("a.yaml"), text) {
            Err(YamlError::Read {
                line,
                column,
                message,
                ..
            }) => (line, column, message),
            other => panic!("{other:?}"),
        }
    }

    fn entry(node: &Node, position: usize) -> (&str, (usize, usize), &Node) {
        let Value::Mapping(entries) = &node.value else {
            panic!("{node:?}")
        };
        let (key, value) = &entries[position];
        (&key.text, (key.place.line, key.place.column), value)
    }

    #[test]
    fn every_node_knows_its_line_and_column() {
        let root = tree("# comment\na: 1\nb:\n  - x\n  - {c: 'é', d: y}\n");
        let (key, place, value) = entry(&root, 1);
        assert_eq!((key, place), ("b", (3, 1)));
        let Value::Sequence(items) = &value.value else {
            panic!()
        };
        assert_eq!((items[0].place.line, items[0].place.column), (4, 5));
        let (key, place, value) = entry(&items[1], 1);
        assert_eq!((key, place, value.place.column), ("d", (5, 14), 17));
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        let root = tree("a: 0.10\nb: '0.10'\nc: ~\nd:\ne: \"\"\nf: 'null'\n");
        let scalar = |text: &str, is_plain| Value::Scalar {
            text: text.to_owned(),
            is_plain,
        };
        let values: Vec<Value> = (0..6)
            .map(|position| entry(&root, position).2.value.clone())
            .collect();
        assert_eq!(
            values,
            [
                scalar("0.10", true),
                scalar("0.10", false),
                Value::Null,
                Value::Null,
                scalar("", false),
                scalar("null", false)
            ]
        );
    }

    #[test]
    fn duplicate_keys_are_kept_for_the_reader_to_refuse() {
        let root = tree("a: 1\na: 2\n");
        assert_eq!((entry(&root, 0).0, entry(&root, 1).1), ("a", (2, 1)));
    }

    #[test]
    fn what_hides_the_meaning_of_a_file_is_refused_with_its_place() {
        assert_eq!(refused("a: &x 1\nb: *x\n").0, 1);
        assert_eq!(refused("a: 1\nb: !foo 1\n").0, 2);
        assert_eq!(refused("[a]: 1\n").2, "a key must be a string");
        assert_eq!(
            refused("a: 1\n---\nb: 2\n").2,
            "there is a second document in the file"
        );
        assert_eq!(refused("a: 1\n  b: 2\n").0, 2);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_tree_or_an_error(text in "[-a-z0-9:\\[\\]{},&*!|>'\"#%@` \\t\\n]{0,80}") {
            let _ = parse(Utf8Path::new("a.yaml"), &text);
        }
    }

    #[test]
    fn nesting_without_end_is_an_error_not_a_stack_overflow() {
        refused(&"[".repeat(100_000));
        refused(&"- ".repeat(100_000));
    }
}
