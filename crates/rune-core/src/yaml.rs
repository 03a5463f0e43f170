//! YAML in and out, with the place of every mistake.
//!
//! The only module that names the YAML library. Reading is strict (duplicate keys are errors of the
//! library, unknown keys errors of the typed model); writing quotes whatever a YAML 1.1 reader such
//! as Helm would take for something else.

mod findings;
mod mapping;
mod quoted;
mod rendered;
mod scalars;
mod tree;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Serialize, de::DeserializeOwned};

pub use findings::{Diagnostics, Finding, Findings, Problem};
pub use mapping::{Mapping, boolean, items, named_items, suggestion, text};
pub use quoted::{escaped, quoted};
pub use rendered::parse_rendered;
pub use scalars::{double_quoted, scalar_ranges};
pub use serde_yaml::Spanned;
pub use tree::{Key, Node, Place, Value, parse};

use crate::failure::Failure;

#[derive(Debug, thiserror::Error, Failure)]
pub enum YamlError {
    #[error("{path}:{line}:{column}: {message}")]
    #[failure(Input)]
    Read {
        path: Utf8PathBuf,
        /// Line, from 1; 0 when unknown.
        line: u64,
        /// Column, from 1; 0 when unknown.
        column: u64,
        message: String,
    },
    #[error("the value cannot be written as YAML")]
    #[failure(Internal)]
    Write(#[source] serde_yaml::SerializeError),
}

impl YamlError {
    fn at(path: &Utf8Path, place: Place, message: &str) -> Self {
        Self::Read {
            path: path.to_owned(),
            line: place.line as u64,
            column: place.column as u64,
            message: message.to_owned(),
        }
    }
}

/// Reads one YAML document that a program wrote and that may be large, such as the index of a chart
/// repository: of a duplicate key the first counts (for the last, the library would keep whole
/// mappings in memory), and the number of nodes is limited by the length of the text alone. Aliases
/// are followed within the limits of the library.
pub fn from_large_str<T: DeserializeOwned>(path: &Utf8Path, text: &str) -> Result<T, YamlError> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_events: text.len().saturating_mul(2).max(1024),
            max_nodes: text.len().max(1024) },
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::FirstWins,
    };
    serde_yaml::from_str_with_options(text, options).map_err(|error| read_error(path, &error))
}

pub fn from_str<T: DeserializeOwned>(path: &Utf8Path, text: &str) -> Result<T, YamlError> {
    serde_yaml::from_str(text).map_err(|error| read_error(path, &error))
}

fn read_error(path: &Utf8Path, error: &serde_yaml::Error) -> YamlError {
    let place = error.location();
    let (line, column) = place.map_or((0, 0), |place| (place.line(), place.column()));
    let message = error.without_snippet().to_string();
    let message = message.lines().next().unwrap_or_default();
    // The place is said once, in front.
    let message = message
        .trim_end_matches(&format!(" at line {line}, column {column}"))
        .to_owned();
    YamlError::Read {
        path: path.to_owned(),
        line,
        column,
        message,
    }
}

pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    let mut text = serde_yaml::to_string(value).map_err(YamlError::Write)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use serde::Deserialize;

    use super::{YamlError, from_str, to_string};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only the error matters")]
        name: String,
    }

    #[test]
    fn says_where_an_unknown_key_is() {
        let error = from_str::<Sample>(Utf8Path::new("a.yaml"), "name: x\nnmae: y\n").unwrap_err();
        let YamlError::Read { line, message, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*line, 2, "{error}");
        assert!(
            message.contains("nmae") && !message.contains("line"),
            "{message}"
        );
    }

    #[test]
    fn refuses_duplicate_keys() {
        assert!(from_str::<Sample>(Utf8Path::new("a.yaml"), "name: x\nname: y\n").is_err());
    }

    #[test]
    fn quotes_what_yaml_1_1_takes_for_something_else() {
        for word in [
            "yes", "on", "y", "no", "off", "12:30", "1e3", "0x10", "null", "~", "",
        ] {
            let text = to_string(&word).unwrap();
            assert!(text.starts_with('"') || text.starts_with('\''), "{text}");
        }
    }
}
