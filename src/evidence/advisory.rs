//! Advisories: what somebody says about vulnerabilities in products. Read far enough to see that a
//! document is of its kind and well-formed, and which products it speaks about.
//!
//! Sources: `OpenVEX` specification 0.2.0; OASIS CSAF 2.0, sections 3 and 6.1.1; `CycloneDX` 1.6,
//! `vulnerabilities`.

mod csaf;
mod cyclonedx;
mod openvex;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AdvisoryKind {
    OpenVex,
    Csaf,
    CycloneDx,
    Text,
}

/// What an advisory says about one vulnerability in some products. Nobody has verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AdvisoryStatement {
    /// `CVE-2024-1234`, or another name.
    pub(crate) vulnerability: String,
    /// In the words of the format: `not_affected`, `known_affected`, `exploitable`.
    pub(crate) status: String,
    /// As the advisory calls them, sorted.
    pub(crate) products: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AdvisoryError {
    #[error("it is not UTF-8 text")]
    Text,
    #[error("it is not JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("it is not {0}")]
    OtherKind(&'static str),
    #[error("`{0}` is missing or not what it must be")]
    Field(String),
    #[error("it names the product `{0}`, which it does not define")]
    UnknownProduct(String),
}

impl AdvisoryKind {
    pub(crate) const ALL: [Self; 4] = [Self::OpenVex, Self::Csaf, Self::CycloneDx, Self::Text];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenVex => "openvex",
            Self::Csaf => "csaf",
            Self::CycloneDx => "cyclonedx",
            Self::Text => "text",
        }
    }

    /// Reads what an advisory of this kind says; a text says nothing to a program.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Vec<AdvisoryStatement>, AdvisoryError> {
        let text = std::str::from_utf8(bytes).map_err(|_| AdvisoryError::Text)?;
        let document = || advisory_document(bytes).map_err(AdvisoryError::Json);
        match self {
            Self::OpenVex => openvex::read(&document()?),
            Self::Csaf => csaf::read(&document()?),
            Self::CycloneDx => cyclonedx::read(&document()?),
            Self::Text if text.trim().is_empty() => Err(AdvisoryError::Field("text".to_owned())),
            Self::Text => Ok(Vec::new()),
        }
    }
}

/// The JSON of an advisory, which may begin with a byte order mark.
pub(crate) fn advisory_document(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

impl AdvisoryStatement {
    fn new(vulnerability: String, status: &str, products: BTreeSet<String>) -> Self {
        Self {
            vulnerability,
            status: status.to_owned(),
            products: products.into_iter().collect(),
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str, place: &str) -> Result<&'v str, AdvisoryError> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found
        .filter(|text| !text.is_empty())
        .ok_or_else(|| AdvisoryError::Field(format!("{place}{pointer}")))
}

fn list<'v>(value: &'v Value, pointer: &str, place: &str) -> Result<&'v [Value], AdvisoryError> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found
        .map(Vec::as_slice)
        .filter(|list| !list.is_empty())
        .ok_or_else(|| AdvisoryError::Field(format!("{place}{pointer}")))
}

/// The name of a vulnerability, which formats leave open.
fn name(vulnerability: &Value, pointers: &[&str], number: usize) -> String {
    let mut stated = pointers.iter();
    let stated = stated.find_map(|pointer| text(vulnerability, pointer, "").ok());
    stated.map_or_else(
        || format!("unnamed vulnerability {}", number.saturating_add(1)),
        str::to_owned,
    )
}

fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests;
