//! YAML that a program printed: anchors, aliases, tags and merge keys are followed, within limits.
//!
//! For texts that nobody is to correct, such as the objects that Helm renders. The tree is the same
//! as for files that people write; duplicate keys are kept as they came, because readers differ in
//! which one they take.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde_yaml::granit_parser::{Event, Parser, ScanError};

use super::{
    Key, Node, Place, Value, YamlError,
    tree::{Open, place_of, scalar, start_of},
};

/// The key whose mapping is taken into the one that it stands in.
const MERGE: &str = "<<";

/// Reads one document. `path` only says where a mistake is; the tree has at most `max_nodes` nodes,
/// aliases written out.
pub fn parse_rendered(path: &Utf8Path, text: &str, max_nodes: usize) -> Result<Node, YamlError> {
    let error = |place: Place, message: &str| YamlError::at(path, place, message);
    let mut root = None;
    let mut open: Vec<Unfinished> = Vec::new();
    let mut anchored: BTreeMap<usize, (Node, usize)> = BTreeMap::new();
    let (mut documents, mut nodes) = (0_u32, 0_usize);
    let mut count = |more: usize, at: Place| {
        nodes = nodes.saturating_add(more);
        if nodes > max_nodes {
            Err(error(at, "it has too many nodes"))
        } else {
            Ok(())
        }
    };
    for next in Parser::new_from_str(text) {
        let (event, span) =
            next.map_err(|cause: ScanError| error(place_of(*cause.marker()), &cause.info()))?;
        let place = start_of(&span);
        let (finished, size, anchor) = match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(error(place, "there is a second document"));
                }
                continue;
            }
            Event::SequenceStart(_, anchor, _) => {
                count(1, place)?;
                open.push(Unfinished {
                    collection: Open::Sequence {
                        place,
                        items: Vec::new(),
                    },
                    size: 1,
                    anchor,
                });
                continue;
            }
            Event::MappingStart(_, anchor, _) => {
                count(1, place)?;
                open.push(Unfinished {
                    collection: Open::Mapping {
                        place,
                        entries: Vec::new(),
                        key: None,
                    },
                    size: 1,
                    anchor,
                });
                continue;
            }
            Event::Scalar(text, style, anchor, _) => {
                count(1, place)?;
                (
                    Node {
                        place,
                        value: scalar(text.into_owned(), style),
                    },
                    1,
                    anchor,
                )
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = anchored.get(&anchor) else {
                    return Err(error(place, "an alias has no anchor"));
                };
                // Counted before it is copied.
                count(*size, place)?;
                (node.clone(), *size, 0)
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Unfinished {
                    collection,
                    size,
                    anchor,
                }) => (collection.close(), size, anchor),
                None => continue,
            },
            _ => continue,
        };
        if anchor != 0 {
            // What an anchor keeps is a copy too.
            count(size, place)?;
            anchored.insert(anchor, (finished.clone(), size));
        }
        let Some(parent) = open.last_mut() else {
            root = Some(finished);
            continue;
        };
        parent.size = parent.size.saturating_add(size);
        match &mut parent.collection {
            Open::Sequence { items, .. } => items.push(finished),
            Open::Mapping { entries, key, .. } => match (key.take(), finished) {
                (Some(key), value) => entries.push((key, value)),
                (
                    None,
                    Node {
                        place,
                        value: Value::Scalar { text, .. },
                    },
                ) => *key = Some(Key { place, text }),
                (
                    None,
                    Node {
                        place,
                        value: Value::Null,
                    },
                ) => {
                    *key = Some(Key {
                        place,
                        text: "null".to_owned(),
                    });
                }
                (None, _) => return Err(error(place, "a key must be a string")),
            },
        }
    }
    Ok(root.unwrap_or(Node {
        place: Place { line: 1, column: 1 },
        value: Value::Null,
    }))
}

/// A collection that is still open, how many nodes it has so far, and the anchor that names it.
struct Unfinished {
    collection: Open,
    size: usize,
    anchor: usize,
}

impl Open {
    fn close(self) -> Node {
        match self {
            Self::Sequence { place, items } => Node {
                place,
                value: Value::Sequence(items),
            },
            Self::Mapping { place, entries, .. } => Node {
                place,
                value: Value::Mapping(merged(entries)),
            },
        }
    }
}

/// Takes the entries of merge keys into the mapping, behind its own.
fn merged(entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    if entries.iter().all(|(key, _)| key.text != MERGE) {
        return entries;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key.text == MERGE);
    let mut known: BTreeSet<String> = own.iter().map(|(key, _)| key.text.clone()).collect();
    for (_, node) in merges {
        let sources = match node.value {
            Value::Sequence(items) => items.into_iter().map(|item| item.value).collect(),
            value => vec![value],
        };
        for source in sources {
            let Value::Mapping(entries) = source else {
                continue;
            };
            own.extend(
                entries
                    .into_iter()
                    .filter(|(key, _)| known.insert(key.text.clone())),
            );
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Node, Value, parse_rendered};

    fn parse(text: &str) -> Result<Node, String> {
        parse_rendered(Utf8Path::new("x"), text, 1000).map_err(|error| error.to_string())
    }

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Scalar { text, .. } => text.clone(),
            Value::Sequence(items) => format!(
                "[{}]",
                items.iter().map(shown).collect::<Vec<_>>().join(",")
            ),
            Value::Mapping(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{}:{}", key.text, shown(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn aliases_tags_and_merge_keys_are_followed() {
        let text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, x: 3}\nd: {<<: [*a, {z: 4}]}\ne: !!str \
                    17.10\n8080: f\n";
        let expected = "{a:{x:1,y:2},b:{x:1,y:2},c:{x:3,y:2},d:{x:1,y:2,z:4},e:17.10,8080:f}";
        assert_eq!(shown(&parse(text).unwrap()), expected);
    }

    #[test]
    fn aliases_of_aliases_end_at_the_limit() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..20 {
            let below = level - 1;
            text.push_str(&format!(
                "a{level}: &a{level} \
                 [*a{below},*a{below},*a{below},*a{below},*a{below},*a{below}]\n"
            ));
        }
        assert!(parse(&text).unwrap_err().contains("too many nodes"));
        assert!(
            parse(&"- x\n".repeat(1000))
                .unwrap_err()
                .contains("too many nodes")
        );
    }

    #[test]
    fn what_is_no_single_document_is_refused() {
        for bad in [
            "a: 1\n---\nb: 2\n",
            "a: *x\n",
            "[a]: 1\n",
            "a: 1\n  b: 2\n",
            "a: &a [*a]\n",
        ] {
            parse(bad).unwrap_err();
        }
        parse(&"[".repeat(100_000)).unwrap_err();
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_tree_or_an_error(text in "[-a-z0-9:\\[\\]{},&*!|>'\"#%@`< \\t\\n]{0,80}") {
            let _ = parse(&text);
        }
    }
}
