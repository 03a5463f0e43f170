//! Values that are laid over those of a chart, as the text of a values file or of a template of
//! one.

use std::collections::BTreeMap;

use super::tree::{Step, Tree};
use rune_core::yaml::{escaped, quoted};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A text, written so that it stays one.
    Text(String),
    /// The digest of the image of that name, with `sha256:`.
    Digest(String),
    Hex(String),
    Tag(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Replace(Vec<Piece>),
    /// Something is inserted into its text, at a byte offset.
    Insert {
        text: String,
        at: usize,
        pieces: Vec<Piece>,
    },
}

/// Values by their path; a list that one of them is in is written as a whole.
#[derive(Debug, Clone)]
enum Overlay {
    Scalar(Vec<Piece>),
    Plain(String),
    Null,
    Map(BTreeMap<String, Overlay>),
    List(Vec<Overlay>),
}

/// The text of a file that sets some values of a chart; an empty text when it sets none.
pub(super) fn text(values: &Tree, changes: Vec<(Vec<Step>, Change)>) -> String {
    let mut root = Overlay::Map(BTreeMap::new());
    let mut by_path: BTreeMap<Vec<Step>, Vec<Change>> = BTreeMap::new();
    for (path, change) in changes {
        by_path.entry(path).or_default().push(change);
    }
    for (path, changes) in by_path {
        root.set(values, &[], &path, &combined(changes));
    }
    let mut text = String::new();
    root.write(&mut text, 0);
    text.trim_start_matches('\n').to_owned()
}

/// The path of a value, as `helm --set` takes it.
pub(super) fn path_text(path: &[Step]) -> String {
    path.iter().fold(String::new(), |text, step| match step {
        Step::Key(key) if text.is_empty() => key.replace('.', "\\."),
        Step::Key(key) => format!("{text}.{}", key.replace('.', "\\.")),
        Step::Item(number) => format!("{text}[{number}]"),
    })
}

/// All changes of one value as its pieces. Of two that replace it the first counts.
fn combined(mut changes: Vec<Change>) -> Vec<Piece> {
    if let Some(Change::Replace(pieces)) = changes
        .iter()
        .find(|change| matches!(change, Change::Replace(_)))
    {
        return pieces.clone();
    }
    let offset = |change: &Change| {
        if let Change::Insert { at, .. } = change {
            *at
        } else {
            0
        }
    };
    changes.sort_by_key(offset);
    let (mut all, mut done, mut rest) = (Vec::new(), 0, String::new());
    for change in changes {
        let Change::Insert { text, at, pieces } = change else {
            continue;
        };
        all.push(Piece::Text(
            text.get(done..at).unwrap_or_default().to_owned(),
        ));
        all.extend(pieces);
        (done, rest) = (at, text.get(at..).unwrap_or_default().to_owned());
    }
    all.push(Piece::Text(rest));
    all.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    all
}

impl Overlay {
    fn set(&mut self, values: &Tree, above: &[Step], path: &[Step], pieces: &[Piece]) {
        let Some((step, rest)) = path.split_first() else {
            *self = Self::Scalar(pieces.to_vec());
            return;
        };
        let place = [above, std::slice::from_ref(step)].concat();
        match step {
            Step::Key(key) => {
                if !matches!(self, Self::Map(_)) {
                    *self = Self::Map(BTreeMap::new());
                }
                if let Self::Map(entries) = self {
                    entries
                        .entry(key.clone())
                        .or_insert(Self::Null)
                        .set(values, &place, rest, pieces);
                }
            }
            Step::Item(number) => {
                if !matches!(self, Self::List(_)) {
                    // Helm replaces lists, so that all of it must be there.
                    *self = values.at(above).map_or(Self::List(Vec::new()), Self::from);
                }
                if let Self::List(items) = self
                    && let Some(item) = items.get_mut(*number)
                {
                    item.set(values, &place, rest, pieces);
                }
            }
        }
    }

    fn write(&self, text: &mut String, indent: usize) {
        let margin = " ".repeat(indent);
        match self {
            Self::Scalar(pieces) => text.push_str(&format!(" {}\n", scalar(pieces))),
            Self::Plain(plain) => text.push_str(&format!(" {plain}\n")),
            Self::Null => text.push_str(" null\n"),
            Self::Map(entries) if entries.is_empty() => {
                text.push_str(if indent == 0 { "" } else { " {}\n" });
            }
            Self::List(items) if items.is_empty() => text.push_str(" []\n"),
            Self::Map(entries) => {
                text.push('\n');
                for (key, value) in entries {
                    text.push_str(&format!("{margin}{}:", quoted(key)));
                    value.write(text, indent + 2);
                }
            }
            Self::List(items) => {
                text.push('\n');
                for item in items {
                    text.push_str(&format!("{margin}-"));
                    item.write(text, indent + 2);
                }
            }
        }
    }
}

impl From<&Tree> for Overlay {
    fn from(tree: &Tree) -> Self {
        let is_word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
        };
        match tree {
            Tree::Null => Self::Null,
            // What a number or a boolean is stays one.
            Tree::Scalar {
                text,
                is_plain: true,
            } if is_word(text) && text != "-" => Self::Plain(text.clone()),
            Tree::Scalar { text, .. } => Self::Scalar(vec![Piece::Text(text.clone())]),
            Tree::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Tree::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.into()))
                    .collect(),
            ),
        }
    }
}

fn scalar(pieces: &[Piece]) -> String {
    match pieces {
        [Piece::Text(text)] if text.is_empty() => "\"\"".to_owned(),
        [Piece::Text(text)] => format!("\"{}\"", escaped(text)),
        // A value that the engine writes comes with quotes.
        [Piece::Digest(image)] => format!("<@ {}.digest @>", image_path(image)),
        [Piece::Hex(image)] => format!(
            "<@ {}.digest | replace('sha256:', '') @>",
            image_path(image)
        ),
        pieces => {
            let write = |piece: &Piece| match piece {
                Piece::Text(text) => escaped(text),
                Piece::Digest(image) => format!("<@ {}.digest | raw @>", image_path(image)),
                Piece::Hex(image) => format!(
                    "<@ {}.digest | replace('sha256:', '') | raw @>",
                    image_path(image)
                ),
                Piece::Tag(image) => format!("<@ {}.tag | raw @>", image_path(image)),
            };
            format!("\"{}\"", pieces.iter().map(write).collect::<String>())
        }
    }
}

/// The image in the context of a template. Its name is one of ours: lower case, digits and `-`.
fn image_path(name: &str) -> String {
    let is_identifier =
        name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.contains('-');
    // Words of the template language are not names behind a dot.
    if is_identifier
        && ![
            "in", "is", "not", "and", "or", "if", "else", "true", "false", "none",
        ]
        .contains(&name)
    {
        format!("images.{name}")
    } else {
        format!("images['{name}']")
    }
}
