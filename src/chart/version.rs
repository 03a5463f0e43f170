//! The version of a chart, as Helm reads it.
//!
//! Helm takes more than a semantic version: a leading `v`, one or two parts, leading zeros. The
//! text stays as it was written, because file names, tags and the metadata of the artifact repeat
//! it; only comparing reads the parts.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

const MAX_BYTES: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChartVersion {
    text: String,
    pub(super) numbers: [u64; 3],
    pub(super) prerelease: Prerelease,
}

/// The identifiers behind the `-`; without one, a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prerelease(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version such as `1.2.3`, `v1.2.3` or `1.2.3-rc.1`")]
pub struct NotAVersion;

impl ChartVersion {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the release that `asked` means, as Helm compares an exact version: however it
    /// is written, and with the build metadata that were asked for, if any.
    pub(crate) fn is_release_of(&self, asked: &Self) -> bool {
        let build = |version: &Self| {
            version
                .text
                .split_once('+')
                .map(|(_, build)| build.to_owned())
        };
        self.precedence(asked) == Ordering::Equal
            && build(asked).is_none_or(|asked| build(self) == Some(asked))
    }

    /// The order of Helm, in which versions that differ in build metadata or in how they are
    /// written are equal.
    pub(crate) fn precedence(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.prerelease.precedence(&other.prerelease))
    }
}

impl std::str::FromStr for ChartVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        if text.len() > MAX_BYTES {
            return Err(NotAVersion);
        }
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, build) = rest
            .split_once('+')
            .map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (core, prerelease) = rest
            .split_once('-')
            .map_or((rest, None), |(core, prerelease)| (core, Some(prerelease)));
        let mut numbers = [0; 3];
        let mut places = numbers.iter_mut();
        for part in core.split('.') {
            let place = places.next().ok_or(NotAVersion)?;
            *place = number(part).ok_or(NotAVersion)?;
        }
        let is_good = build.is_none_or(|build| build.split('.').all(is_identifier))
            && prerelease.is_none_or(|prerelease| {
                prerelease
                    .split('.')
                    .all(|part| is_identifier(part) && !has_leading_zero(part))
            });
        if !is_good {
            return Err(NotAVersion);
        }
        Ok(Self {
            text: text.to_owned(),
            numbers,
            prerelease: Prerelease(prerelease.unwrap_or_default().to_owned()),
        })
    }
}

impl Prerelease {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A release is above its pre-releases; otherwise identifier by identifier, numbers below
    /// words, and nothing below something.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        if self.is_empty() || other.is_empty() {
            return self.is_empty().cmp(&other.is_empty());
        }
        let (mut ours, mut theirs) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return Ordering::Equal,
                (one, two) if one == two => {}
                (None, _) => return Ordering::Less,
                (_, None) => return Ordering::Greater,
                // What is too large for a number is a word to Helm.
                (Some(one), Some(two)) => {
                    return match (number(one), number(two)) {
                        (Some(one), Some(two)) => one.cmp(&two),
                        (Some(_), None) => Ordering::Less,
                        (None, Some(_)) => Ordering::Greater,
                        (None, None) => one.cmp(two),
                    };
                }
            }
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for ChartVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for ChartVersion {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<ChartVersion> for String {
    fn from(version: ChartVersion) -> Self {
        version.text
    }
}

impl Ord for ChartVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        // The text decides last, so that the order agrees with equality.
        self.precedence(other)
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for ChartVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::ChartVersion;

    fn version(text: &str) -> ChartVersion {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn versions_of_other_charts_are_read_and_keep_their_text() {
        for text in [
            "1.2.3",
            "v1.15.1",
            "1",
            "1.2",
            "3.3.000",
            "01.002.3",
            "v1.2-beta.5",
            "1.2.3-rc.1+build.01",
            "1.2.3+b",
            "1-x",
        ] {
            assert_eq!(version(text).as_str(), text);
        }
        let long = format!("1.2.3-{}", "a".repeat(251));
        for text in [
            "",
            "v",
            "V1.2.3",
            "vv1",
            "1.",
            "1.2.3.4",
            "1.2.x",
            "latest",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3-é",
            "1 ",
            "+1",
            "-1",
            "18446744073709551616",
            &long,
        ] {
            assert!(text.parse::<ChartVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_release_is_the_same_however_it_is_written() {
        for (found, asked, is_same) in [
            ("v1.15.1", "1.15.1", true),
            ("1.15.1", "v1.15.1", true),
            ("1.2", "1.2.0", true),
            ("1.2.3+b.1", "1.2.3", true),
            ("1.2.3+b.1", "1.2.3+b.1", true),
            ("1.2.3+b.1", "1.2.3+b.2", false),
            ("1.2.3", "1.2.3+b.1", false),
            ("1.2.3-rc.1", "1.2.3", false),
            ("1.2.4", "1.2.3", false),
        ] {
            assert_eq!(
                version(found).is_release_of(&version(asked)),
                is_same,
                "{found} {asked}"
            );
        }
    }

    #[test]
    fn the_order_is_that_of_semantic_versions() {
        let ascending = [
            "0.9",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-a",
            "1.0.0-a.1",
            "1.0.0-b",
            "v1.0.0",
            "1.0.1",
            "1.1",
            "2",
            "10.0.0",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(
                version(pair[0]).precedence(&version(pair[1])),
                Ordering::Less,
                "{pair:?}"
            );
        }
        for (one, two) in [
            ("1.2", "v1.2.0"),
            ("1.2.3+a", "1.2.3+b"),
            ("3.3.000", "3.3.0"),
        ] {
            assert_eq!(
                version(one).precedence(&version(two)),
                Ordering::Equal,
                "{one} {two}"
            );
            assert_ne!(
                version(one).cmp(&version(two)),
                Ordering::Equal,
                "{one} {two}"
            );
        }
    }
}
