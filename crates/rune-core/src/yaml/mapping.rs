//! Reading a tree with a fixed set of keys, mistake by mistake.

use std::collections::BTreeMap;

use super::{Findings, Node, Place, Problem, Value};

#[derive(Debug, thiserror::Error)]
enum ShapeProblem<'a> {
    #[error("unknown key `{key}` in {owner}")]
    UnknownKey {
        key: &'a str,
        owner: &'a str,
        known: &'a [&'a str],
    },
    #[error("key `{key}` is given twice, first in line {first}")]
    DuplicateKey { key: &'a str, first: usize },
    #[error("{owner} lacks the key `{key}`")]
    MissingKey {
        key: &'a str,
        owner: &'a str,
        value: Option<&'a str>,
    },
    #[error("`{key}` is `{found}`")]
    Fixed {
        key: &'a str,
        found: &'a str,
        expected: &'a str,
    },
    #[error("`{key}` has no value")]
    NoValue { key: &'a str },
    #[error("expected {expected} for {what}, found {found}")]
    Kind {
        expected: &'a str,
        what: &'a str,
        found: &'a str,
    },
    #[error("expected true or false for {what}, found `{found}`")]
    Boolean { what: &'a str, found: &'a str },
}

impl Problem for ShapeProblem<'_> {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { key, known, .. } => Some(suggestion(key, known)),
            Self::DuplicateKey { .. } => {
                Some("keep one of them; nothing says which one is meant".to_owned())
            }
            Self::MissingKey { key, value, .. } => {
                Some(format!("add `{key}: {}`", value.unwrap_or("…")))
            }
            Self::Fixed { expected, .. } => Some(format!("write `{expected}`")),
            Self::NoValue { .. } => Some("write a value or remove the key".to_owned()),
            Self::Kind { .. } | Self::Boolean { .. } => None,
        }
    }
}

#[derive(Debug)]
pub struct Mapping<'n> {
    place: Place,
    owner: &'static str,
    entries: BTreeMap<&'n str, &'n Node>,
}

impl<'n> Mapping<'n> {
    /// Opens a mapping that may have the keys `known` and no other. `owner` is what to call it: `an
    /// image`. Unknown, repeated and empty keys are reported.
    pub fn open(
        node: &'n Node,
        owner: &'static str,
        known: &'static [&'static str],
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut entries = BTreeMap::new();
        for (key, place, value) in named_items(node, owner, findings)? {
            if known.contains(&key) {
                entries.insert(key, value);
            } else {
                findings.add(place, &ShapeProblem::UnknownKey { key, owner, known });
            }
        }
        Some(Self {
            place: node.place,
            owner,
            entries,
        })
    }

    pub const fn place(&self) -> Place {
        self.place
    }

    pub fn optional(&self, key: &str) -> Option<&'n Node> {
        self.entries.get(key).copied()
    }

    pub fn required(&self, key: &str, findings: &mut Findings) -> Option<&'n Node> {
        self.found(key, None, findings)
    }

    /// Reports a key that is absent or has another value than the only one that it can have.
    pub fn fixed(&self, key: &str, expected: &str, findings: &mut Findings) {
        let Some(node) = self.found(key, Some(expected), findings) else {
            return;
        };
        let what = format!("`{key}`");
        if let Some(found) = text(node, &what, findings)
            && found != expected
        {
            let problem = ShapeProblem::Fixed {
                key,
                found,
                expected,
            };
            findings.add(node.place, &problem);
        }
    }

    fn found(&self, key: &str, value: Option<&str>, findings: &mut Findings) -> Option<&'n Node> {
        let found = self.optional(key);
        if found.is_none() {
            findings.add(
                self.place,
                &ShapeProblem::MissingKey {
                    key,
                    owner: self.owner,
                    value,
                },
            );
        }
        found
    }
}

/// The entries of a mapping with free keys, or of one whose keys are checked by the caller.
/// Repeated keys and keys without a value are reported and left out.
pub fn named_items<'n>(
    node: &'n Node,
    what: &str,
    findings: &mut Findings,
) -> Option<Vec<(&'n str, Place, &'n Node)>> {
    let Value::Mapping(entries) = &node.value else {
        findings.add(
            node.place,
            &ShapeProblem::Kind {
                expected: "a mapping",
                what,
                found: node.value.kind(),
            },
        );
        return None;
    };
    let mut first_lines = BTreeMap::new();
    let mut items = Vec::new();
    for (key, value) in entries {
        if let Some(first) = first_lines.insert(key.text.as_str(), key.place.line) {
            findings.add(
                key.place,
                &ShapeProblem::DuplicateKey {
                    key: &key.text,
                    first,
                },
            );
        } else if value.value == Value::Null {
            findings.add(key.place, &ShapeProblem::NoValue { key: &key.text });
        } else {
            items.push((key.text.as_str(), key.place, value));
        }
    }
    Some(items)
}

pub fn items<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> &'n [Node] {
    if let Value::Sequence(items) = &node.value {
        return items;
    }
    findings.add(
        node.place,
        &ShapeProblem::Kind {
            expected: "a list",
            what,
            found: node.value.kind(),
        },
    );
    &[]
}

pub fn text<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> Option<&'n str> {
    if let Value::Scalar { text, .. } = &node.value {
        return Some(text);
    }
    findings.add(
        node.place,
        &ShapeProblem::Kind {
            expected: "a string",
            what,
            found: node.value.kind(),
        },
    );
    None
}

pub fn boolean(node: &Node, what: &str, findings: &mut Findings) -> Option<bool> {
    let found = text(node, what, findings)?;
    match (found, &node.value) {
        ("true", Value::Scalar { is_plain: true, .. }) => Some(true),
        ("false", Value::Scalar { is_plain: true, .. }) => Some(false),
        _ => {
            findings.add(node.place, &ShapeProblem::Boolean { what, found });
            None
        }
    }
}

/// `did you mean …?` when a candidate is near, the list of all candidates otherwise.
pub fn suggestion<S: AsRef<str>>(word: &str, candidates: &[S]) -> String {
    let nearest = candidates
        .iter()
        .map(|candidate| (distance(word, candidate.as_ref()), candidate.as_ref()))
        .min();
    match nearest {
        Some((steps, candidate)) if steps <= 1 + word.chars().count() / 4 => {
            format!("did you mean `{candidate}`?")
        }
        Some(_) => {
            let list: Vec<String> = candidates
                .iter()
                .map(|candidate| format!("`{}`", candidate.as_ref()))
                .collect();
            format!("known are {}", list.join(", "))
        }
        None => "none are known".to_owned(),
    }
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one word to the
/// other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |line: &[usize], position: usize| {
                line.get(position).copied().unwrap_or(usize::MAX - 1)
            };
            let mut best = (at(&last, j + 1) + 1)
                .min(at(&row, j) + 1)
                .min(at(&last, j) + usize::from(a != b));
            let is_swap = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if is_swap {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, suggestion};

    #[test]
    fn distance_counts_single_slips_of_the_hand() {
        let cases = [
            ("images", "images", 0),
            ("imagse", "images", 1),
            ("image", "images", 1),
            ("imagess", "images", 1),
            ("", "abc", 3),
        ];
        for (from, to, steps) in cases {
            assert_eq!(distance(from, to), steps, "{from} {to}");
            assert_eq!(distance(to, from), steps, "{to} {from}");
        }
    }

    #[test]
    fn suggests_the_nearest_word_or_all_of_them() {
        assert_eq!(
            suggestion("licence", &["license", "name"]),
            "did you mean `license`?"
        );
        assert_eq!(
            suggestion("colour", &["license", "name"]),
            "known are `license`, `name`"
        );
        assert_eq!(suggestion::<&str>("x", &[]), "none are known");
    }
}
