//! `Chart.yaml` and `requirements.yaml` as Helm's decoder reads them: unknown keys are passed over,
//! keys match without regard to case, nothing where a value should be is not a value, and numbers
//! and booleans become text where text is wanted.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{ChartMetadata, Dependency, Maintainer, scalar::Scalar};
use crate::chart::ChartError;
use rune_core::yaml::{self, Node, Place, Value, YamlError};

const MAX_NODES: usize = 100_000;

/// Metadata of which not everything is known yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    texts: BTreeMap<&'static str, String>,
    places: Places,
    deprecated: bool,
    sources: Vec<String>,
    keywords: Vec<String>,
    maintainers: Vec<Maintainer>,
    dependencies: Vec<Dependency>,
    annotations: BTreeMap<String, String>,
}

pub(super) type Places = BTreeMap<&'static str, (Utf8PathBuf, Place)>;

const TEXTS: [&str; 11] = [
    "apiVersion",
    "appVersion",
    "condition",
    "description",
    "home",
    "icon",
    "kubeVersion",
    "name",
    "tags",
    "type",
    "version",
];

impl Draft {
    pub(super) fn read(&mut self, path: &Utf8Path, text: &[u8]) -> Result<(), ChartError> {
        let text = std::str::from_utf8(text).map_err(|_| ChartError::NotText(path.to_owned()))?;
        let root = yaml::parse_rendered(path, text, MAX_NODES)?;
        let reader = Reader { path };
        for (key, node) in reader.entries(&root, "the file")? {
            let known = |name: &str| key.eq_ignore_ascii_case(name);
            if let Some(name) = TEXTS.into_iter().find(|name| known(name)) {
                if let Some(text) = reader.text(node, key)? {
                    self.texts.insert(name, printable(&text));
                    self.places.insert(name, (path.to_owned(), node.place));
                }
            } else if known("deprecated") {
                self.deprecated = reader.boolean(node, key)?;
            } else if known("sources") {
                self.sources = reader.texts(node, key)?;
            } else if known("keywords") {
                self.keywords = reader.texts(node, key)?;
            } else if known("maintainers") {
                self.maintainers = reader
                    .items(node, key)?
                    .iter()
                    .map(|node| reader.maintainer(node))
                    .collect::<Result<_, _>>()?;
            } else if known("dependencies") {
                self.dependencies = reader
                    .items(node, key)?
                    .iter()
                    .map(|node| reader.dependency(node))
                    .collect::<Result<_, _>>()?;
                self.places
                    .insert("dependencies", (path.to_owned(), node.place));
            } else if known("annotations") {
                let entry = |(key, node): &(&str, &Node)| {
                    Ok((
                        (*key).to_owned(),
                        reader.text(node, key)?.unwrap_or_default(),
                    ))
                };
                self.annotations = reader
                    .distinct(node, key, |one, other| one == other)?
                    .iter()
                    .map(entry)
                    .collect::<Result<_, ChartError>>()?;
            }
        }
        Ok(())
    }

    /// The metadata, where its fields stand, and the version where it is not valid.
    pub(super) fn finish(mut self) -> Result<(ChartMetadata, Places), (String, Places)> {
        let mut text = |name: &str| self.texts.remove(name).unwrap_or_default();
        let version = text("version");
        let Ok(version) = version.parse() else {
            return Err((version, self.places));
        };
        let metadata = ChartMetadata {
            // Charts of Helm 2 need not say it.
            api_version: Some(text("apiVersion"))
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "v1".to_owned()),
            app_version: text("appVersion"),
            condition: text("condition"),
            description: text("description"),
            home: text("home"),
            icon: text("icon"),
            kube_version: text("kubeVersion"),
            name: text("name"),
            tags: text("tags"),
            kind: text("type"),
            version,
            deprecated: self.deprecated,
            sources: self.sources,
            keywords: self.keywords,
            maintainers: self.maintainers,
            dependencies: self.dependencies,
            annotations: self.annotations,
        };
        Ok((metadata, self.places))
    }
}

struct Reader<'a> {
    path: &'a Utf8Path,
}

impl Reader<'_> {
    fn error(&self, place: Place, message: String) -> ChartError {
        YamlError::Read {
            path: self.path.to_owned(),
            line: place.line as u64,
            column: place.column as u64,
            message,
        }
        .into()
    }

    fn unexpected(&self, node: &Node, expected: &str, what: &str) -> ChartError {
        self.error(
            node.place,
            format!(
                "expected {expected} for `{what}`, found {}",
                node.value.kind()
            ),
        )
    }

    /// The entries of a mapping whose keys are the same in capitals.
    fn entries<'n>(
        &self,
        node: &'n Node,
        what: &str,
    ) -> Result<Vec<(&'n str, &'n Node)>, ChartError> {
        self.distinct(node, what, str::eq_ignore_ascii_case)
    }

    fn distinct<'n>(
        &self,
        node: &'n Node,
        what: &str,
        same: fn(&str, &str) -> bool,
    ) -> Result<Vec<(&'n str, &'n Node)>, ChartError> {
        let entries = match &node.value {
            Value::Null => return Ok(Vec::new()),
            Value::Mapping(entries) => entries,
            _ => return Err(self.unexpected(node, "a mapping", what)),
        };
        for (position, (key, _)) in entries.iter().enumerate() {
            let earlier = entries
                .iter()
                .take(position)
                .find(|(earlier, _)| same(&earlier.text, &key.text));
            if let Some((earlier, _)) = earlier {
                let message = format!(
                    "`{}` is already given in line {}; keep one of them",
                    key.text, earlier.place.line
                );
                return Err(self.error(key.place, message));
            }
        }
        Ok(entries
            .iter()
            .map(|(key, node)| (key.text.as_str(), node))
            .collect())
    }

    fn items<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], ChartError> {
        match &node.value {
            Value::Null => Ok(&[]),
            Value::Sequence(items) => Ok(items),
            _ => Err(self.unexpected(node, "a list", what)),
        }
    }

    fn text(&self, node: &Node, what: &str) -> Result<Option<String>, ChartError> {
        match &node.value {
            Value::Null => Ok(None),
            Value::Scalar {
                text,
                is_plain: true,
            } => Ok(Some(Scalar::of(text).into_text(text))),
            Value::Scalar {
                text,
                is_plain: false,
            } => Ok(Some(text.clone())),
            _ => Err(self.unexpected(node, "a string", what)),
        }
    }

    fn texts(&self, node: &Node, what: &str) -> Result<Vec<String>, ChartError> {
        self.items(node, what)?
            .iter()
            .map(|node| Ok(printable(&self.text(node, what)?.unwrap_or_default())))
            .collect()
    }

    fn boolean(&self, node: &Node, what: &str) -> Result<bool, ChartError> {
        let value = match &node.value {
            Value::Null => Some(false),
            Value::Scalar {
                text,
                is_plain: true,
            } => match Scalar::of(text) {
                Scalar::Boolean(value) => Some(value),
                _ => None,
            },
            _ => None,
        };
        value.ok_or_else(|| self.unexpected(node, "true or false", what))
    }

    fn maintainer(&self, node: &Node) -> Result<Maintainer, ChartError> {
        let mut maintainer = Maintainer::default();
        for (key, node) in self.fields(node, "maintainers")? {
            let place = match key.to_ascii_lowercase().as_str() {
                "name" => &mut maintainer.name,
                "email" => &mut maintainer.email,
                "url" => &mut maintainer.url,
                _ => continue,
            };
            *place = printable(&self.text(node, key)?.unwrap_or_default());
        }
        Ok(maintainer)
    }

    fn dependency(&self, node: &Node) -> Result<Dependency, ChartError> {
        let mut dependency = Dependency::default();
        for (key, node) in self.fields(node, "dependencies")? {
            let text =
                || Ok::<_, ChartError>(printable(&self.text(node, key)?.unwrap_or_default()));
            match key.to_ascii_lowercase().as_str() {
                "name" => dependency.name = text()?,
                "version" => dependency.version = text()?,
                "repository" => dependency.repository = text()?,
                "condition" => dependency.condition = text()?,
                "alias" => dependency.alias = text()?,
                "tags" => dependency.tags = self.texts(node, key)?,
                "enabled" => dependency.enabled = self.boolean(node, key)?,
                "import-values" => {
                    dependency.import_values = self.items(node, key)?.iter().map(json).collect();
                }
                _ => {}
            }
        }
        Ok(dependency)
    }

    /// The entries of an item, which Helm refuses to be nothing.
    fn fields<'n>(
        &self,
        node: &'n Node,
        what: &str,
    ) -> Result<Vec<(&'n str, &'n Node)>, ChartError> {
        if node.value == Value::Null {
            return Err(self.error(node.place, format!("an item of `{what}` is empty")));
        }
        self.entries(node, what)
    }
}

/// A value that Helm keeps as it is.
fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|(key, node)| (key.text.clone(), json(node)))
            .collect(),
        Value::Scalar { text, is_plain } => match Scalar::of(text) {
            Scalar::Boolean(value) if *is_plain => value.into(),
            Scalar::Integer(value) if *is_plain => serde_json::Number::from_i128(value)
                .map_or_else(|| text.as_str().into(), Into::into),
            Scalar::Float(value) if *is_plain => value.into(),
            _ => text.as_str().into(),
        },
    }
}

/// Helm drops what cannot be printed and turns white space into blanks.
fn printable(text: &str) -> String {
    let is_format = |character: char| {
        matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}')
    };
    let kept = text.chars().filter(|character| {
        character.is_whitespace() || !(character.is_control() || is_format(*character))
    });
    kept.map(|character| {
        if character.is_whitespace() {
            ' '
        } else {
            character
        }
    })
    .collect()
}
