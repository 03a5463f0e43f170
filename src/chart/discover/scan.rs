//! Everything that looks like an image at a place that is not known to name one.
//!
//! Every string of the object is read, with what is written within it. The shape of a word and what
//! its place is called decide together: a host, or a digest, is enough anywhere; `org/name:tag` is,
//! unless the place is one for queries or prose; `name:tag` needs a key, option or variable that
//! says `image`.

use std::collections::BTreeSet;

use super::{
    Named, apart, entries,
    inside::{Inside, MAX_DEPTH},
    items, known,
    reference::{Candidate, Shape, candidates, is_possible_bare},
    search::Search,
    shown, text_of,
};
use crate::policy::{Declaration, FieldForm, ImageField, MAX_FIELD_PATH, below_item, below_key};
use rune_core::yaml::{Node, Value};

/// Keys whose values are queries, patterns, prose or names of versions of source code.
const DOUBTFUL: [&str; 24] = [
    "expr",
    "query",
    "record",
    "definition",
    "legendformat",
    "regex",
    "pattern",
    "description",
    "summary",
    "message",
    "documentation",
    "help",
    "comment",
    "title",
    "note",
    "notes",
    "ref",
    "gitref",
    "branch",
    "revision",
    "targetrevision",
    "refspec",
    "cron",
    "schedule",
];

/// Parts of keys whose values are secret: only a whole reference with its host is one there.
const SECRET: [&str; 6] = [
    "password",
    "passwd",
    "token",
    "secret",
    "credential",
    "private",
];

const CONTAINER_KEYS: [&str; 6] = [
    "name",
    "command",
    "args",
    "imagePullPolicy",
    "env",
    "resources",
];

const LOGINS: [&str; 3] = [".dockerconfigjson", ".dockercfg", "auths"];

#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// The key, option or variable whose value it is.
    key: String,
    /// Whether that, or something around it, says that it is about images.
    is_image: bool,
    /// Whether it is a query, a pattern or prose.
    is_doubtful: bool,
    is_in_container: bool,
    depth: usize,
    /// What declares the place; without one, the field.
    declaration: Option<Declaration>,
}

impl Context {
    fn below(&self, key: &str) -> Self {
        let lower = key.to_ascii_lowercase();
        let is_doubtful = self.is_doubtful || DOUBTFUL.contains(&lower.as_str());
        let is_image = known::is_about_images(key) || (self.is_image && !is_doubtful);
        Self {
            key: key.to_owned(),
            is_image,
            is_doubtful,
            is_in_container: false,
            depth: self.depth,
            declaration: None,
        }
    }

    fn is_secret(&self) -> bool {
        let key = self.key.to_ascii_lowercase();
        SECRET.iter().any(|part| key.contains(part))
    }
}

impl Search<'_> {
    pub(super) fn scan(&mut self, node: &Node, path: &str, context: &Context) {
        // A path that was cut is that of several places.
        if path.len() < MAX_FIELD_PATH && self.settled.contains(path) {
            return;
        }
        match &node.value {
            Value::Null => {}
            Value::Scalar { text, .. } => self.scan_text(text, path, context),
            Value::Sequence(_) => self.scan_list(node, path, context),
            Value::Mapping(_) => self.scan_mapping(node, path, context),
        }
    }

    fn scan_mapping(&mut self, node: &Node, path: &str, context: &Context) {
        self.scan_parts(node, path, context);
        let is_in_container = entries(node).any(|(key, _)| CONTAINER_KEYS.contains(&key));
        // `{name: X_IMAGE, value: …}`
        let name = text_of(node, "name")
            .or_else(|| text_of(node, "key"))
            .filter(|_| text_of(node, "value").is_some());
        for (key, value) in entries(node) {
            if LOGINS.contains(&key) {
                continue;
            }
            let references =
                candidates(key).filter(|key| key.shape >= Shape::Path && !context.is_doubtful);
            for reference in references.map(|key| key.text) {
                self.possible(path, reference, self.field(path));
            }
            let below = below_key(path, key);
            let mut context = match name.filter(|_| key == "value") {
                Some(name) => Context {
                    declaration: variable_of(path, name),
                    ..context.below(name)
                },
                None => context.below(key),
            };
            if matches!(self.kind.as_str(), "ConfigMap" | "Secret")
                && matches!(path, "data" | "stringData")
                && below == format!("{path}.{key}")
            {
                context.declaration = Some(Declaration::Variable(key.to_owned()));
            }
            context.is_in_container = is_in_container;
            self.scan(value, &below, &context);
        }
    }

    fn scan_list(&mut self, node: &Node, path: &str, context: &Context) {
        self.scan_parts(node, path, context);
        let of_program = path.ends_with("].args") || path.ends_with("].command");
        let mut option: Option<&str> = None;
        for (number, item) in items(node) {
            let mut context = context.clone();
            let text = super::scalar(item).unwrap_or_default();
            // `--option`, and the value behind it.
            if let Some(option) = option.take().filter(|_| !text.starts_with('-')) {
                context = context.below(option);
                context.declaration = of_program.then(|| Declaration::Option(option.to_owned()));
            } else if let Some((name, _)) = text
                .split_once('=')
                .filter(|(name, _)| of_program && is_option(name))
            {
                context.declaration = Some(Declaration::Option(name.to_owned()));
            }
            if is_option(text) {
                option = Some(text);
            }
            self.scan(item, &below_item(path, number), &context);
        }
    }

    fn scan_parts(&mut self, node: &Node, path: &str, context: &Context) {
        for guess in apart::guesses(node, path, context.is_image) {
            if guess.paths.iter().all(|path| self.settled.contains(path)) {
                continue;
            }
            self.settled.extend(guess.paths);
            let field = ImageField {
                kind: self.kind.clone(),
                path: path.to_owned(),
                form: FieldForm::Apart(guess.apart),
            };
            self.possible(path, &guess.reference, Declaration::Field(field));
        }
    }

    fn scan_text(&mut self, text: &str, path: &str, context: &Context) {
        let is_encoded = context.depth == 0 && self.is_encoded(path);
        let inside = if context.depth < MAX_DEPTH {
            self.budget.open(text, is_encoded)
        } else {
            Inside::Plain
        };
        let deeper = || Context {
            depth: context.depth + 1,
            ..context.clone()
        };
        match inside {
            // A document, or another text within it, is declared by its own path.
            Inside::Documents(documents) => {
                for root in &documents {
                    self.scan(
                        root,
                        path,
                        &Context {
                            declaration: None,
                            ..deeper()
                        },
                    );
                }
            }
            Inside::Text(text) => self.scan_text(&text, path, &deeper()),
            Inside::Plain => {
                let mut seen = BTreeSet::new();
                if let Some(reference) = apart::in_flags(text) {
                    let declaration = context
                        .declaration
                        .clone()
                        .unwrap_or_else(|| self.field(path));
                    self.possible(path, &reference, declaration);
                }
                for candidate in candidates(text) {
                    if self.is_possible(&candidate, text, context) && seen.insert(candidate.text) {
                        let declaration = context
                            .declaration
                            .clone()
                            .unwrap_or_else(|| self.field(path));
                        self.possible(path, candidate.text, declaration);
                    }
                }
            }
        }
    }

    fn is_possible(&self, candidate: &Candidate<'_>, whole: &str, context: &Context) -> bool {
        let is_image =
            context.is_image || (!context.is_doubtful && known::is_about_images(candidate.before));
        let is_whole = || candidate.text == whole.trim();
        let key = context.key.as_str();
        match candidate.shape {
            Shape::Full => true,
            _ if self.is_secret && context.is_secret() => false,
            Shape::Path => is_image || !context.is_doubtful,
            Shape::Bare => {
                is_image
                    && is_possible_bare(
                        candidate.text,
                        is_about_registry(key) || is_about_registry(candidate.before),
                    )
            }
            Shape::Untagged => known::is_image(key) && is_whole(),
            // `image: busybox` of a custom resource, or of a container in a document.
            Shape::Token => {
                let is_of_resource = !self.has_own_group && context.depth == 0;
                let is_in_document = context.depth > 0 && context.is_in_container;
                let is_image = key == "image" && (is_of_resource || is_in_document);
                is_image && is_whole() && super::declared::is_reference(candidate.text)
            }
        }
    }

    fn possible(&mut self, path: &str, reference: &str, declaration: Declaration) {
        let named = match self.places.ignores(reference) {
            Some(exception) => Named::Ignored(shown(reference), exception.reason.clone()),
            None => Named::Possible(shown(reference), declaration),
        };
        self.add(path, named);
    }

    fn field(&self, path: &str) -> Declaration {
        Declaration::Field(ImageField {
            kind: self.kind.clone(),
            path: path.to_owned(),
            form: FieldForm::References,
        })
    }

    /// What a definition fills in: its defaults.
    pub(super) fn definition(&mut self, node: &Node, path: &str) {
        for (key, value) in entries(node) {
            let below = below_key(path, key);
            if key == "default" {
                // The property whose default it is.
                let property = path
                    .rsplit(['.', '['])
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches(']');
                self.scan(value, &below, &Context::default().below(property));
            } else {
                self.definition(value, &below);
            }
        }
        items(node).for_each(|(number, item)| self.definition(item, &below_item(path, number)));
    }
}

/// A variable of a container; other lists of names and values are fields.
fn variable_of(path: &str, name: &str) -> Option<Declaration> {
    let (list, _) = path.rsplit_once('[')?;
    let is_of_container = list.ends_with("].env")
        && ["ontainers[", "Containers["]
            .iter()
            .any(|part| list.contains(part));
    is_of_container.then(|| Declaration::Variable(name.to_owned()))
}

fn is_option(text: &str) -> bool {
    text.starts_with('-') && text.len() > 2 && !text.contains([' ', '='])
}

fn is_about_registry(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "registry", "mirror", "host", "endpoint", "url", "addr", "proxy", "port",
    ]
    .iter()
    .any(|part| key.contains(part))
}
