//! Platforms: operating system, architecture and variant.
//!
//! Compared and put into order as containerd does it: `arm64` means `arm64/v8` and `arm` means
//! `arm/v7`; a node runs the variants before its own, and some run another architecture.
//!
//! Source: the package `platforms` of containerd.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use rune_core::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub(crate) os: String,
    /// CPU architecture in Go's spelling, `amd64`.
    pub(crate) architecture: String,
    /// Variant of the architecture, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    /// Version of the operating system; only Windows images have one.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) os_version: Option<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("`{0}` is not a platform of the form os/architecture[/variant]")]
#[failure(Input)]
pub struct PlatformError(String);

/// A platform as a document of others has it.
#[derive(Deserialize)]
#[serde(default)]
struct Written {
    os: String,
    architecture: String,
    variant: String,
    #[serde(rename = "os.version")]
    os_version: String,
}

impl Default for Written {
    fn default() -> Self {
        let text = String::new;
        Self {
            os: text(),
            architecture: text(),
            variant: text(),
            os_version: text(),
        }
    }
}

impl Platform {
    /// What a document of others says; nothing when it decides nothing, because system or
    /// architecture are not there or not names. Names that other programs use for an architecture
    /// become Go's.
    pub(crate) fn from_document(
        value: serde_json::Value,
    ) -> Result<Option<Self>, serde_json::Error> {
        let Written {
            os,
            architecture,
            variant,
            os_version,
        } = serde_json::from_value(value)?;
        let os = os.to_ascii_lowercase();
        let os = if os == "macos" {
            "darwin".to_owned()
        } else {
            os
        };
        let (architecture, variant) = go_names(
            &architecture.to_ascii_lowercase(),
            &variant.to_ascii_lowercase(),
        );
        let text = if variant.is_empty() {
            format!("{os}/{architecture}")
        } else {
            format!("{os}/{architecture}/{variant}")
        };
        let os_version = Some(os_version).filter(|version| !version.is_empty());
        Ok(text.parse().ok().map(|platform| Self {
            os_version,
            ..platform
        }))
    }

    /// Whether this is what `wanted` asks for: equal after both are normalised.
    pub(crate) fn matches(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && self.normal_variant() == wanted.normal_variant()
    }

    /// How far an image for this platform is from the best that a node of `node` could run; nothing
    /// when it does not run there.
    pub(crate) fn distance_from(&self, node: &Self) -> Option<usize> {
        let own = (
            self.architecture.as_str(),
            self.normal_variant().unwrap_or_default(),
        );
        let runs = runs_on(
            &node.architecture,
            node.normal_variant().unwrap_or_default(),
        );
        let same_os = self.os == node.os;
        runs.iter().position(|(architecture, variant)| {
            same_os && (architecture.as_str(), variant.as_str()) == own
        })
    }

    pub(crate) fn unknown() -> Self {
        Self {
            os: "unknown".to_owned(),
            architecture: "unknown".to_owned(),
            variant: None,
            os_version: None,
        }
    }

    /// Whether this is the placeholder `unknown/unknown` of attestation manifests.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    fn normal_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None | Some("8" | "v8.0")) | ("arm", Some("8")) => Some("v8"),
            ("arm64", Some("9" | "9.0" | "v9.0")) => Some("v9"),
            ("arm", None | Some("7")) => Some("v7"),
            ("arm", Some("5")) => Some("v5"),
            ("arm", Some("6")) => Some("v6"),
            ("amd64", Some("v1")) => None,
            (_, variant) => variant,
        }
    }
}

fn go_names(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64", variant) => ("arm64", variant),
        ("i386", _) => ("386", ""),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

/// What runs on a node, the best first: architectures with their normal variants.
fn runs_on(architecture: &str, variant: &str) -> Vec<(String, String)> {
    let number = |text: &str| {
        text.strip_prefix('v')
            .and_then(|digits| digits.parse::<u8>().ok())
    };
    let with = |architecture: &str, variant: String| (architecture.to_owned(), variant);
    match architecture {
        "amd64" => {
            // The first level has no name of its own.
            let levels = (1..=number(variant).unwrap_or(1)).rev();
            let mut runs: Vec<_> = levels
                .map(|level| {
                    with(
                        "amd64",
                        if level == 1 {
                            String::new()
                        } else {
                            format!("v{level}")
                        },
                    )
                })
                .collect();
            runs.push(with("386", String::new()));
            runs
        }
        "arm" => {
            let own = std::iter::once(with("arm", variant.to_owned()));
            own.chain(
                (5..number(variant).unwrap_or(0))
                    .rev()
                    .map(|version| with("arm", format!("v{version}"))),
            )
            .collect()
        }
        "arm64" => {
            let mut runs = arm64_versions(variant);
            runs.extend(if runs.is_empty() {
                runs_on("arm", variant)
            } else {
                runs_on("arm", "v8")
            });
            runs
        }
        _ => vec![with(architecture, variant.to_owned())],
    }
}

/// The versions of the 64-bit architecture that a version includes: all before it of the same
/// major, and five further ones of version 8 from version 9 on.
fn arm64_versions(variant: &str) -> Vec<(String, String)> {
    let (major, minor) = variant.split_once('.').unwrap_or((variant, "0"));
    let highest = match (major, minor.parse::<u8>()) {
        ("v8", Ok(minor @ 0..=9)) => vec![("v8", minor)],
        ("v9", Ok(minor @ 0..=7)) => vec![("v9", minor), ("v8", minor.saturating_add(5).min(9))],
        _ => Vec::new(),
    };
    let named = |major: &str, minor: u8| {
        if minor == 0 {
            major.to_owned()
        } else {
            format!("{major}.{minor}")
        }
    };
    let versions = highest
        .into_iter()
        .flat_map(|(major, highest)| (0..=highest).rev().map(move |minor| named(major, minor)));
    versions
        .map(|version| ("arm64".to_owned(), version))
        .collect()
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PlatformError(text.to_owned());
        let mut parts = text.split('/');
        let mut part = || parts.next().map(str::to_owned);
        let (os, architecture, variant) =
            (part().ok_or_else(error)?, part().ok_or_else(error)?, part());
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        // The 64-bit architecture of ARM has variants such as v8.2.
        let is_variant = |word: &str| word.split('.').all(is_word);
        let all_words =
            is_word(&os) && is_word(&architecture) && variant.as_deref().is_none_or(is_variant);
        if parts.next().is_some() || !all_words {
            return Err(error());
        }
        Ok(Self {
            os,
            architecture,
            variant,
            os_version: None,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Platform;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn arm64_without_variant_matches_v8() {
        let (bare, v8, v9) = (
            platform("linux/arm64"),
            platform("linux/arm64/v8"),
            platform("linux/arm64/v9"),
        );
        assert!(v8.matches(&bare) && bare.matches(&v8) && !v9.matches(&bare));
    }

    #[test]
    fn refuses_what_is_not_a_platform() {
        for bad in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/amd64/v1/x",
            "Linux/amd64",
            "linux/ amd64",
            "linux/arm64/v8.",
        ] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_other_programs_become_those_of_go() {
        let read = |value: Value| {
            Platform::from_document(value)
                .unwrap()
                .map(|platform| platform.to_string())
        };
        for (value, expected) in [
            (
                json!({"os": "linux", "architecture": "x86_64"}),
                Some("linux/amd64"),
            ),
            (
                json!({"os": "Linux", "architecture": "AArch64", "variant": "V8"}),
                Some("linux/arm64/v8"),
            ),
            (
                json!({"os": "linux", "architecture": "armhf"}),
                Some("linux/arm/v7"),
            ),
            (
                json!({"os": "linux", "architecture": "amd64", "variant": ""}),
                Some("linux/amd64"),
            ),
            (
                json!({"os": "linux", "architecture": "arm64", "variant": "v8.2"}),
                Some("linux/arm64/v8.2"),
            ),
            (json!({}), None),
            (json!({"os": "linux"}), None),
            (json!({"os": "", "architecture": ""}), None),
            (json!({"os": "linux/..", "architecture": "amd64"}), None),
        ] {
            assert_eq!(read(value).as_deref(), expected);
        }
    }

    #[test]
    fn a_node_runs_the_variants_before_its_own_and_some_run_another_architecture() {
        for (node, runs, not) in [
            (
                "linux/amd64",
                &["linux/amd64", "linux/386"][..],
                &["linux/amd64/v2", "linux/arm64", "windows/amd64"][..],
            ),
            (
                "linux/amd64/v3",
                &[
                    "linux/amd64/v3",
                    "linux/amd64/v2",
                    "linux/amd64/v1",
                    "linux/386",
                ],
                &["linux/amd64/v4"],
            ),
            (
                "linux/arm/v7",
                &["linux/arm", "linux/arm/v6", "linux/arm/v5"],
                &["linux/arm/v8", "linux/arm64"],
            ),
            (
                "linux/arm/v6",
                &["linux/arm/v6", "linux/arm/v5"],
                &["linux/arm"],
            ),
            (
                "linux/arm64",
                &[
                    "linux/arm64/v8",
                    "linux/arm/v8",
                    "linux/arm/v7",
                    "linux/arm/v5",
                ],
                &["linux/arm64/v9", "linux/arm64/v8.1"],
            ),
            (
                "linux/arm64/v9",
                &[
                    "linux/arm64/v9",
                    "linux/arm64/v8.5",
                    "linux/arm64/v8.1",
                    "linux/arm64",
                    "linux/arm/v8",
                ],
                &["linux/arm64/v8.6"],
            ),
            ("linux/riscv64", &["linux/riscv64"], &["linux/riscv64/x"]),
        ] {
            let distances: Vec<_> = runs
                .iter()
                .map(|own| platform(own).distance_from(&platform(node)))
                .collect();
            assert!(
                distances.iter().all(Option::is_some)
                    && distances.is_sorted()
                    && distances[0] == Some(0),
                "{node}: {distances:?}"
            );
            for own in not {
                assert_eq!(
                    platform(own).distance_from(&platform(node)),
                    None,
                    "{own} on {node}"
                );
            }
        }
    }
}
