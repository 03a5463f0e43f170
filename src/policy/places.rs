//! Where rendered charts name images besides containers, and what of them is treated as an
//! exception: typed, as a policy says it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::glob::component_matches;
use crate::oci::Reference;
use rune_core::yaml::quoted;

/// Where the objects of a rendered chart name images besides the `image` of a container, beyond
/// what is built in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePlaces {
    /// Names of environment variables, and of keys of `ConfigMap`s and Secrets, whose value names
    /// images; `*` stands for any characters.
    pub(crate) variables: Vec<String>,
    /// Options of programs whose value names images, with their dashes; `*` stands for any
    /// characters.
    pub(crate) options: Vec<String>,
    pub(crate) fields: Vec<ImageField>,
    /// References outside containers that are not images to transfer.
    pub(crate) ignored: Vec<Exception>,
    /// Test hooks that are left out, by the name of their object.
    pub(crate) left_out_tests: Vec<Exception>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageField {
    /// `Kind`, or `Kind.group` as kubectl writes it.
    pub(crate) kind: String,
    /// Keys separated by dots: `spec.images[].image`, `data[app.yaml].agent.image`. It leads
    /// through text that is YAML, too.
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "FieldForm::is_references")]
    pub(crate) form: FieldForm,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FieldForm {
    #[default]
    References,
    /// In parts, each under a key of its own below the path.
    Apart(Apart),
    /// As a part of a reference, in place of `{}` in this text.
    Template(String),
}

/// The keys under which the parts of a reference stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Apart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<String>,
    pub(crate) repository: String,
    /// What stands behind the repository, behind a `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Exception {
    /// What it is for; `*` stands for any characters.
    pub(crate) pattern: String,
    pub(crate) reason: String,
}

/// An image that charts may name by its tag alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagPin {
    /// The image; without a tag in the policy, whatever its tag is.
    pub(crate) image: Reference,
    pub(crate) has_tag: bool,
    pub(crate) reason: String,
}

/// What a policy says to settle a finding: one entry of one list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Declaration {
    Variable(String),
    Option(String),
    Field(ImageField),
    /// `images.ignore`: a value with nothing in the place of a repository, tag or digest, which no
    /// runtime can pull.
    Unusable(String),
    Pin(String),
}

impl ImagePlaces {
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.variables
            .iter()
            .any(|pattern| component_matches(pattern, name))
    }

    pub(crate) fn has_option(&self, name: &str) -> bool {
        self.options
            .iter()
            .any(|pattern| component_matches(pattern, name))
    }

    pub(crate) fn ignores(&self, reference: &str) -> Option<&Exception> {
        Exception::among(&self.ignored, reference)
    }

    /// The exception for a test hook that is left out.
    pub(crate) fn leaves_out_test(&self, name: &str) -> Option<&Exception> {
        Exception::among(&self.left_out_tests, name)
    }
}

impl Exception {
    fn among<'e>(exceptions: &'e [Self], text: &str) -> Option<&'e Self> {
        exceptions.iter().find(|exception| exception.matches(text))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        component_matches(&self.pattern, text)
    }
}

impl TagPin {
    /// Whether it is for this image, as the manifest names it.
    pub(crate) fn is_for(&self, image: &Reference) -> bool {
        self.image.name() == image.name() && (!self.has_tag || self.image.tag() == image.tag())
    }
}

impl Declaration {
    pub(crate) const fn list(&self) -> &'static str {
        match self {
            Self::Variable(_) => "images.variables",
            Self::Option(_) => "images.options",
            Self::Field(_) => "images.fields",
            Self::Unusable(_) => "images.ignore",
            Self::Pin(_) => "pins",
        }
    }

    /// Lines that can be added to a policy, sorted by list.
    pub(crate) fn lines<'d>(declarations: impl Iterator<Item = &'d Self>) -> String {
        let declarations: std::collections::BTreeSet<&Self> = declarations.collect();
        let (mut lines, mut section, mut list) = (String::new(), "", "");
        for declaration in declarations {
            let (own_section, own_list) = declaration
                .list()
                .split_once('.')
                .unwrap_or((declaration.list(), ""));
            if section != own_section {
                lines.push_str(&format!("{own_section}:\n"));
            }
            if list != own_list && !own_list.is_empty() {
                lines.push_str(&format!("  {own_list}:\n"));
            }
            (section, list) = (own_section, own_list);
            let indent = if own_list.is_empty() { "  " } else { "    " };
            lines.push_str(&format!("{indent}- {declaration}\n"));
        }
        lines
    }
}

impl fmt::Display for Declaration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) | Self::Option(name) => formatter.write_str(&quoted(name)),
            Self::Field(ImageField { kind, path, form }) => {
                write!(
                    formatter,
                    "{{ kind: {}, path: {}",
                    quoted(kind),
                    quoted(path)
                )?;
                match form {
                    FieldForm::References => {}
                    FieldForm::Template(text) => write!(formatter, ", template: {}", quoted(text))?,
                    FieldForm::Apart(apart) => {
                        for (key, name) in apart.keys() {
                            write!(formatter, ", {key}: {}", quoted(name))?;
                        }
                    }
                }
                formatter.write_str(" }")
            }
            Self::Unusable(text) => {
                write!(
                    formatter,
                    "{{ reference: {}, reason: \"no image: a part of the reference is empty\" }}",
                    quoted(text)
                )
            }
            Self::Pin(image) => {
                write!(
                    formatter,
                    "{{ image: {}, pin: tag, reason: \"the chart names it by its tag\" }}",
                    quoted(image)
                )
            }
        }
    }
}

impl FieldForm {
    fn is_references(&self) -> bool {
        *self == Self::References
    }
}

impl Apart {
    /// The keys of a policy with the names that it gives them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [
            ("registry", self.registry.as_deref()),
            ("repository", Some(self.repository.as_str())),
            ("image", self.image.as_deref()),
            ("tag", self.tag.as_deref()),
            ("digest", self.digest.as_deref()),
        ];
        parts
            .into_iter()
            .filter_map(|(key, name)| Some((key, name?)))
    }
}
