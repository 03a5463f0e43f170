//! Fields that name images: those of known custom resources, and those that the policy declares.

use super::{
    entries,
    inside::{Inside, MAX_DEPTH},
    items,
    known::{FIELDS, VERSIONS},
    scalar,
    search::Search,
    text_of,
};
use crate::policy::{Apart, FieldForm, FieldStep, ImageField, below_item, below_key, field_steps};
use rune_core::yaml::{Node, Value};

pub(super) fn search(search: &mut Search<'_>, object: &Node, kind: &str, group: &str) {
    let is_this = |known_kind: &str, known_group: &str| known_kind == kind && known_group == group;
    for (_, _, path) in FIELDS
        .iter()
        .filter(|(kind, group, _)| is_this(kind, group))
    {
        for (path, node) in search.resolve(object, path) {
            search.declared(&path, &node, true);
        }
    }
    for (_, _, path, template) in VERSIONS
        .iter()
        .filter(|(kind, group, ..)| is_this(kind, group))
    {
        let has_image =
            entries(object).any(|(key, spec)| key == "spec" && text_of(spec, "image").is_some());
        for (path, node) in search
            .resolve(object, path)
            .into_iter()
            .filter(|_| !has_image)
        {
            search.template(&path, &node, template);
        }
    }
    let full = format!("{kind}.{group}");
    let places = search.places;
    for ImageField { path, form, .. } in places
        .fields
        .iter()
        .filter(|field| field.kind == kind || field.kind == full)
    {
        for (path, node) in search.resolve(object, path) {
            match form {
                FieldForm::References => search.declared(&path, &node, true),
                FieldForm::Template(template) => search.template(&path, &node, template),
                FieldForm::Apart(apart) => search.apart(&path, &node, apart),
            }
        }
    }
}

impl Search<'_> {
    /// Every value that a path leads to, with its full path. It leads through strings that hold
    /// documents.
    fn resolve(&mut self, object: &Node, path: &str) -> Vec<(String, Node)> {
        let mut found = Vec::new();
        if let Some(steps) = field_steps(path) {
            self.follow(object, &steps, "", 0, &mut found);
        }
        found
    }

    fn follow(
        &mut self,
        node: &Node,
        steps: &[FieldStep<'_>],
        path: &str,
        depth: usize,
        found: &mut Vec<(String, Node)>,
    ) {
        let [first, rest @ ..] = steps else {
            found.push((path.to_owned(), node.clone()));
            return;
        };
        if let Value::Scalar { text, .. } = &node.value {
            let is_encoded = depth == 0 && self.is_encoded(path);
            match if depth < MAX_DEPTH {
                self.budget.open(text, is_encoded)
            } else {
                Inside::Plain
            } {
                Inside::Documents(documents) => documents
                    .iter()
                    .for_each(|root| self.follow(root, steps, path, depth + 1, found)),
                Inside::Text(text) => {
                    let decoded = Node {
                        place: node.place,
                        value: Value::Scalar {
                            text,
                            is_plain: false,
                        },
                    };
                    self.follow(&decoded, steps, path, depth + 1, found);
                }
                Inside::Plain => {}
            }
            return;
        }
        for (key, value) in entries(node) {
            let is_meant = match first {
                FieldStep::Key(name) | FieldStep::Item(name) => *name == key,
                FieldStep::Every => true,
            };
            if is_meant {
                self.follow(value, rest, &below_key(path, key), depth, found);
            }
        }
        for (number, item) in items(node) {
            let is_meant = match first {
                FieldStep::Key(_) => false,
                FieldStep::Item(name) => {
                    number.to_string() == *name || text_of(item, "name") == Some(name)
                }
                FieldStep::Every => true,
            };
            if is_meant {
                self.follow(item, rest, &below_item(path, number), depth, found);
            }
        }
    }

    /// A reference with a value in place of `{}`.
    fn template(&mut self, path: &str, node: &Node, template: &str) {
        if let Some(text) = scalar(node) {
            self.settled.insert(path.to_owned());
            self.add_image(path, &template.replace("{}", text.trim()));
        }
    }

    /// A reference whose parts stand below a node: under keys of a mapping, or as variables of a
    /// list.
    fn apart(&mut self, path: &str, node: &Node, apart: &Apart) {
        if let Value::Scalar { text, .. } = &node.value {
            let is_encoded = self.is_encoded(path);
            if let Inside::Documents(documents) = self.budget.open(text, is_encoded) {
                for root in &documents {
                    self.apart(path, root, apart);
                }
            }
            return;
        }
        let parts = super::apart::named_values(node);
        let part = |name: &Option<String>| {
            name.as_ref()
                .and_then(|name| parts.iter().find(|part| part.name == name))
        };
        let Some(repository) = parts.iter().find(|part| part.name == apart.repository) else {
            return;
        };
        for found in [Some(repository), part(&apart.tag), part(&apart.image)]
            .into_iter()
            .flatten()
        {
            self.settled.insert(found.path(path));
        }
        let text = |name: &Option<String>| part(name).map(|part| part.value);
        let reference = super::apart::joined(
            text(&apart.registry),
            repository.value,
            text(&apart.image),
            text(&apart.tag),
            text(&apart.digest),
        );
        self.add_image(path, &reference);
    }
}
