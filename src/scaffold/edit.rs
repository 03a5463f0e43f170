//! Adding entries to the lists of a manifest or policy that a person has written: the rest of the
//! text stays as it is.

use camino::Utf8Path;

use rune_core::yaml::{self, Node, Place, Value};

/// A text that cannot be added to in this way, such as one with a value where a list is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotEditable;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Lines without indentation; the first one that is not a comment begins with `- `.
    pub(super) block: String,
    pub(super) flow: String,
}

impl Entry {
    pub(super) fn scalar(text: &str) -> Self {
        Self {
            block: format!("- {text}\n"),
            flow: text.to_owned(),
        }
    }
}

pub(super) fn add_to_list(text: &str, keys: &[&str], entry: &Entry) -> Result<String, NotEditable> {
    let root = read(text)?;
    match find(&root, keys) {
        Location::Value(node) => match &node.value {
            Value::Sequence(items) => add_item(text, node, items, entry),
            _ => Err(NotEditable),
        },
        Location::Above(parent, missing) => add_keys(
            text,
            parent,
            missing,
            &format!("[{}]", entry.flow),
            &entry.block,
        ),
    }
}

/// Sets a key that is not there yet.
pub(super) fn add_key(text: &str, keys: &[&str], value: &str) -> Result<String, NotEditable> {
    let root = read(text)?;
    match find(&root, keys) {
        Location::Above(parent, missing) => add_keys(text, parent, missing, value, value),
        Location::Value(_) => Err(NotEditable),
    }
}

/// Adds an entry at the end of the list at the place of a node of this text.
pub(super) fn add_last(text: &str, list: &Node, entry: &Entry) -> Result<String, NotEditable> {
    match &list.value {
        Value::Sequence(items) => add_item(text, list, items, entry),
        _ => Err(NotEditable),
    }
}

/// Sets a key of the mapping at the place of a node of this text.
pub(super) fn add_key_to(
    text: &str,
    mapping: &Node,
    key: &str,
    value: &str,
) -> Result<String, NotEditable> {
    add_keys(text, mapping, &[key], value, value)
}

pub(super) fn read(text: &str) -> Result<Node, NotEditable> {
    yaml::parse(Utf8Path::new("the file"), text).map_err(|_| NotEditable)
}

pub(super) fn value_of<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Mapping(entries) => entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, value)| value),
        _ => None,
    }
}

enum Location<'n, 'k> {
    Value(&'n Node),
    /// The last mapping on the way, and the keys that are not there.
    Above(&'n Node, &'k [&'k str]),
}

fn find<'n, 'k>(root: &'n Node, keys: &'k [&'k str]) -> Location<'n, 'k> {
    let mut node = root;
    for (number, key) in keys.iter().enumerate() {
        match value_of(node, key) {
            Some(value) => node = value,
            None => return Location::Above(node, keys.get(number..).unwrap_or_default()),
        }
    }
    Location::Value(node)
}

fn is_flow(text: &str, at: usize) -> bool {
    text.get(at..)
        .is_some_and(|rest| rest.starts_with(['[', '{']))
}

fn offset(text: &str, place: Place) -> Option<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(place.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text.get(start..)?;
    let column = line
        .char_indices()
        .nth(place.column.saturating_sub(1))
        .map_or(line.len(), |(at, _)| at);
    Some(start + column)
}

/// The byte offset at which the line of another one begins.
fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

fn indent_at(text: &str, start: usize) -> String {
    text.get(start..)
        .unwrap_or_default()
        .chars()
        .take_while(|character| *character == ' ')
        .collect()
}

fn inserted(text: &str, at: usize, what: &str) -> Result<String, NotEditable> {
    let (before, after) = text.split_at_checked(at).ok_or(NotEditable)?;
    let newline = if before.is_empty() || before.ends_with('\n') || !what.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Ok(format!("{before}{newline}{what}{after}"))
}

fn indented(lines: &str, indent: &str) -> String {
    lines
        .lines()
        .map(|line| format!("{indent}{line}\n"))
        .collect()
}

fn add_item(text: &str, list: &Node, items: &[Node], entry: &Entry) -> Result<String, NotEditable> {
    let at = offset(text, list.place).ok_or(NotEditable)?;
    if is_flow(text, at) {
        if items.is_empty() {
            return inserted(text, at + 1, &entry.flow);
        }
        let end = end_of_flow(text, at).ok_or(NotEditable)?;
        let inside = text
            .get(at..end)
            .ok_or(NotEditable)?
            .trim_end_matches([' ', '\n'])
            .trim_end_matches(',')
            .len();
        return inserted(text, at + inside, &format!(", {}", entry.flow));
    }
    let first = items
        .first()
        .and_then(|item| offset(text, item.place))
        .ok_or(NotEditable)?;
    let start = line_start(text, first);
    let indent = indent_at(text, start);
    // A list may stand as far to the left as the key that it belongs to.
    let end = end_of_block(text, start, |line| {
        line.strip_prefix(&indent)
            .is_some_and(|line| line.starts_with([' ', '-', '#']))
    });
    inserted(text, end, &indented(&entry.block, &indent))
}

fn add_keys(
    text: &str,
    parent: &Node,
    missing: &[&str],
    flow: &str,
    block: &str,
) -> Result<String, NotEditable> {
    let Value::Mapping(entries) = &parent.value else {
        return Err(NotEditable);
    };
    let Some((last, above)) = missing.split_last() else {
        return Err(NotEditable);
    };
    let at = offset(text, parent.place).ok_or(NotEditable)?;
    if is_flow(text, at) {
        let nested = above
            .iter()
            .rev()
            .fold(format!("{last}: {flow}"), |inner, key| {
                format!("{key}: {{ {inner} }}")
            });
        let separator = if entries.is_empty() { " " } else { "," };
        return inserted(text, at + 1, &format!(" {nested}{separator}"));
    }
    let first = entries
        .first()
        .and_then(|(key, _)| offset(text, key.place))
        .ok_or(NotEditable)?;
    let start = line_start(text, first);
    let indent = indent_at(text, start);
    let mut lines = String::new();
    let mut depth = indent.clone();
    for key in above {
        lines.push_str(&format!("{depth}{key}:\n"));
        depth.push_str("  ");
    }
    if block.ends_with('\n') {
        lines.push_str(&format!(
            "{depth}{last}:\n{}",
            indented(block, &format!("{depth}  "))
        ));
    } else {
        lines.push_str(&format!("{depth}{last}: {block}\n"));
    }
    // The root goes on to the end of the text.
    let at = end_of_block(text, start, |line| line.starts_with(&indent));
    inserted(text, at, &lines)
}

/// Behind the last line of a block, blank lines and comments at its end left out.
fn end_of_block(text: &str, start: usize, is_of_block: impl Fn(&str) -> bool) -> usize {
    let (mut at, mut end) = (start, start);
    for line in text.get(start..).unwrap_or_default().split_inclusive('\n') {
        let is_blank = line.trim().is_empty();
        if !is_blank && !is_of_block(line) {
            break;
        }
        at += line.len();
        if !is_blank && !line.trim_start().starts_with('#') {
            end = at;
        }
    }
    end
}

/// The offset of the bracket that ends a collection.
fn end_of_flow(text: &str, start: usize) -> Option<usize> {
    let (mut depth, mut quote, mut is_escaped) = (0_usize, None, false);
    for (at, character) in text.get(start..)?.char_indices() {
        match (quote, character) {
            _ if is_escaped => is_escaped = false,
            (Some('"'), '\\') => is_escaped = true,
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(start + at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Entry, add_key, add_to_list};

    #[test]
    fn an_entry_is_added_at_the_end_and_in_the_style_of_the_text() {
        for (text, expected) in [
            ("a: { b: [x, y] }\n", "a: { b: [x, y, new] }\n"),
            ("a: { b: [x, 'y]', ] }\n", "a: { b: [x, 'y]', new, ] }\n"),
            ("a: { b: [] }\n", "a: { b: [new] }\n"),
            ("a: { c: 1 }\n", "a: { b: [new], c: 1 }\n"),
            ("a: {}\nz: 1\n", "a: { b: [new] }\nz: 1\n"),
            (
                "a:\n  b:\n    # of x\n    - x\n\n# of z\nz: 1\n",
                "a:\n  b:\n    # of x\n    - x\n    - new\n\n# of z\nz: 1\n",
            ),
            (
                "a:\n  b:\n  - x\n  c: 1\nz: 1",
                "a:\n  b:\n  - x\n  - new\n  c: 1\nz: 1",
            ),
            (
                "a:\n  c: 1\n\n# about z\nz: 1\n",
                "a:\n  c: 1\n  b:\n    - new\n\n# about z\nz: 1\n",
            ),
            ("z: 1\n", "z: 1\na:\n  b:\n    - new\n"),
            ("z: 1", "z: 1\na:\n  b:\n    - new\n"),
        ] {
            assert_eq!(
                add_to_list(text, &["a", "b"], &Entry::scalar("new")).unwrap(),
                expected,
                "{text}"
            );
        }
        let text = "b:\n- x: 1\n  y: 2\nz: 1\n";
        assert_eq!(
            add_to_list(text, &["b"], &Entry::scalar("new")).unwrap(),
            "b:\n- x: 1\n  y: 2\n- new\nz: 1\n"
        );
    }

    #[test]
    fn a_key_is_set_where_there_is_none_and_never_over_another() {
        assert_eq!(
            add_key("a: { c: 1 }\n", &["a", "b"], "yes").unwrap(),
            "a: { b: yes, c: 1 }\n"
        );
        assert_eq!(
            add_key("a:\n  c: 1\n", &["a", "b"], "yes").unwrap(),
            "a:\n  c: 1\n  b: yes\n"
        );
        assert!(add_key("a: { b: 1 }\n", &["a", "b"], "yes").is_err());
        assert!(add_to_list("a: 1\n", &["a"], &Entry::scalar("x")).is_err());
    }
}
