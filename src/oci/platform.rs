//! Platforms: operating system, architecture and variant.
//!
//! Normalised as containerd does it: `arm64` means `arm64/v8` and `arm` means `arm/v7`, so
//! `linux/arm64` in a manifest matches an index entry that says `arm64` with variant `v8`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};

/// A platform of an image index entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, `linux`.
    pub os: String,
    /// CPU architecture in Go's spelling, `amd64`.
    pub architecture: String,
    /// Variant of the architecture, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system; only Windows images have one.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a platform of the form os/architecture[/variant]")]
pub struct PlatformError(String);

impl Failure for PlatformError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }
}

impl Platform {
    /// Whether this is what `wanted` asks for: equal after both are normalised.
    pub fn matches(&self, wanted: &Self) -> bool {
        self.os == wanted.os && self.architecture == wanted.architecture && self.normal_variant() == wanted.normal_variant()
    }

    /// The placeholder `unknown/unknown` that attestation manifests carry.
    pub fn unknown() -> Self {
        Self { os: "unknown".to_owned(), architecture: "unknown".to_owned(), variant: None, os_version: None }
    }

    /// Whether this is the placeholder `unknown/unknown` that attestation manifests carry.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    fn normal_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None) => Some("v8"),
            ("arm", None) => Some("v7"),
            ("amd64", Some("v1")) => None,
            (_, variant) => variant,
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PlatformError(text.to_owned());
        let mut parts = text.split('/');
        let mut part = || parts.next().map(str::to_owned);
        let (os, architecture, variant) = (part().ok_or_else(error)?, part().ok_or_else(error)?, part());
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let all_words = is_word(&os) && is_word(&architecture) && variant.as_deref().is_none_or(is_word);
        if parts.next().is_some() || !all_words {
            return Err(error());
        }
        Ok(Self { os, architecture, variant, os_version: None })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    #[test]
    fn arm64_without_variant_matches_v8() {
        let bare: Platform = "linux/arm64".parse().unwrap();
        let v8: Platform = "linux/arm64/v8".parse().unwrap();
        let v9: Platform = "linux/arm64/v9".parse().unwrap();
        assert!(v8.matches(&bare) && bare.matches(&v8) && !v9.matches(&bare));
    }

    #[test]
    fn refuses_what_is_not_a_platform() {
        for bad in ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "Linux/amd64", "linux/ amd64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
