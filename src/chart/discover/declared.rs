//! What stands at a place that is known to name images: one reference, several, or a document with
//! references in it.

use super::{
    Named, entries,
    inside::{Inside, MAX_DEPTH},
    items,
    reference::{Shape, candidates, is_possible_bare},
    search::Search,
    shown,
};
use crate::oci::Reference;
use rune_core::yaml::{Node, Value};

/// What is said of a value without a reference.
#[derive(Clone, Copy)]
enum Otherwise<'t> {
    /// Nothing: it may be something else.
    Nothing,
    /// That this is not an image.
    Shown(&'t str),
    /// That there is none; the value may be secret, or long.
    Hidden,
}

impl Search<'_> {
    /// Every image of a value that names images. Where the policy says so (`is_declared`), it must
    /// name one; where only a name says so, it may be something else.
    pub(super) fn declared(&mut self, path: &str, node: &Node, is_declared: bool) {
        match &node.value {
            Value::Null => {}
            Value::Scalar { text, .. } if text.is_empty() => {}
            Value::Scalar { text, .. } => self.declared_text(path, text, is_declared),
            Value::Sequence(_) | Value::Mapping(_) => {
                let mut references = Vec::new();
                self.references_below(node, 0, &mut references);
                self.add_declared(
                    path,
                    references,
                    if is_declared {
                        Otherwise::Hidden
                    } else {
                        Otherwise::Nothing
                    },
                );
            }
        }
    }

    pub(super) fn declared_text(&mut self, path: &str, text: &str, is_declared: bool) {
        let mut references = Vec::new();
        self.references_in(text, self.is_encoded(path), 0, &mut references);
        let otherwise = match is_declared {
            true if !self.is_secret && !text.contains('\n') => Otherwise::Shown(text),
            true => Otherwise::Hidden,
            false => Otherwise::Nothing,
        };
        self.add_declared(path, references, otherwise);
    }

    fn add_declared(&mut self, path: &str, references: Vec<String>, otherwise: Otherwise<'_>) {
        if references.is_empty() {
            match otherwise {
                Otherwise::Nothing => return,
                Otherwise::Shown(text) => self.add_image(path, text),
                Otherwise::Hidden => self.add(path, Named::NoReference),
            }
        }
        self.settled.insert(path.to_owned());
        for reference in references {
            self.add_image(path, &reference);
        }
    }

    pub(super) fn add_image(&mut self, path: &str, reference: &str) {
        let named = match self.places.ignores(reference) {
            Some(exception) => Named::Ignored(shown(reference), exception.reason.clone()),
            None => Named::Image(shown(reference)),
        };
        self.add(path, named);
    }

    fn references_below(&mut self, node: &Node, depth: usize, references: &mut Vec<String>) {
        if let Value::Scalar { text, .. } = &node.value {
            self.references_in(text, false, depth + 1, references);
        }
        for (key, value) in entries(node) {
            let keys = candidates(key)
                .filter(|candidate| candidate.shape >= Shape::Path)
                .map(|candidate| candidate.text.to_owned());
            references.extend(keys);
            self.references_below(value, depth, references);
        }
        items(node).for_each(|(_, item)| self.references_below(item, depth, references));
    }

    fn references_in(
        &mut self,
        text: &str,
        is_encoded: bool,
        depth: usize,
        references: &mut Vec<String>,
    ) {
        let inside = if depth < MAX_DEPTH {
            self.budget.open(text, is_encoded)
        } else {
            Inside::Plain
        };
        match inside {
            Inside::Text(text) => self.references_in(&text, false, depth + 1, references),
            Inside::Documents(documents) => documents
                .iter()
                .for_each(|root| self.references_below(root, depth + 1, references)),
            Inside::Plain if depth == 0 && is_reference(text.trim()) => {
                references.push(text.trim().to_owned());
            }
            Inside::Plain => {
                let likely = candidates(text).filter(|candidate| match candidate.shape {
                    Shape::Full | Shape::Path => true,
                    Shape::Bare => is_possible_bare(candidate.text, false),
                    Shape::Untagged | Shape::Token => false,
                });
                references.extend(
                    likely
                        .map(|candidate| candidate.text.to_owned())
                        .chain(super::apart::in_flags(text)),
                );
            }
        }
    }
}

/// Whether a whole text is a reference as a runtime takes it, and nothing that is commonly
/// something else.
pub(super) fn is_reference(text: &str) -> bool {
    let has_letter = text.contains(|letter: char| letter.is_ascii_alphabetic());
    let is_switch = [
        "true", "false", "yes", "no", "on", "off", "none", "null", "auto", "default",
    ]
    .contains(&text.to_ascii_lowercase().as_str());
    text.len() <= 1024
        && has_letter
        && !is_switch
        && !text.contains("://")
        && Reference::parse_like_a_runtime(text).is_ok()
}
