//! Image references that name exactly what they mean.
//!
//! Parsed by the grammar of distribution's `reference` package, with two of its conveniences
//! switched off: no registry is assumed, and no tag. A reference in a file that crosses an air gap
//! has to say both.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Digest;
use rune_core::failure::Failure;

/// An image reference: registry, repository, and a tag or a digest or both.
///
/// ```
/// use rune_bundle::oci::Reference;
/// let reference: Reference = "docker.io/library/postgres:17-alpine".parse().unwrap();
/// assert_eq!((reference.registry(), reference.repository(), reference.tag()), ("docker.io", "library/postgres", Some("17-alpine")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Input)]
pub enum ReferenceError {
    #[error("`{0}` is not an image reference")]
    #[failure(help: "write registry/repository:tag, for example \
        docker.io/library/postgres:17-alpine")]
    Form(String),
    #[error("`{0}` does not start with a registry host")]
    #[failure(help: {
        let library = if .0.contains('/') { "" } else { "library/" };
        format!("write docker.io/{library}{} if Docker Hub is meant", .0)
    })]
    NoRegistry(String),
    #[error("`{0}` has neither a tag nor a digest")]
    #[failure(help: "write {0}:<tag>; the lock pins what the tag means")]
    NoTagOrDigest(String),
    #[error("`{0}` has a digest that is not sha256")]
    #[failure(help: "only sha256 digests are supported")]
    Digest(String),
}

impl Reference {
    /// The registry host, with port if any: `docker.io`, `registry.local:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same image pinned: tag kept, digest set.
    #[must_use]
    pub(crate) fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }
}

impl Reference {
    /// Reads what may stand before a repository: a registry host and, perhaps, a prefix without
    /// slashes around it.
    pub(crate) fn parse_registry(text: &str) -> Result<(String, Option<String>), ReferenceError> {
        let below: Self = format!("{text}/x:x").parse()?;
        let prefix = below.repository.strip_suffix("/x").map(str::to_owned);
        let is_as_written = match &prefix {
            Some(prefix) => *text == format!("{}/{prefix}", below.registry),
            None => *text == below.registry,
        };
        if is_as_written {
            Ok((below.registry, prefix))
        } else {
            Err(ReferenceError::Form(text.to_owned()))
        }
    }

    /// Reads a reference as container runtimes do: without a registry it is one of Docker Hub,
    /// without tag and digest it is `latest`.
    pub fn parse_like_a_runtime(text: &str) -> Result<Self, ReferenceError> {
        if let Some((registry, rest)) = split_address(text) {
            // The library does not know addresses in brackets; a host with a dot or a port in their
            // place is read like any other.
            let port = registry
                .rsplit_once(']')
                .map(|(_, port)| port)
                .unwrap_or_default();
            let like_a_host = Self::parse_like_a_runtime(&format!("ipv6.invalid{port}/{rest}"));
            let reference = like_a_host.map_err(|error| error.about(text))?;
            return Ok(Self {
                registry: registry.to_owned(),
                ..reference
            });
        }
        let read = |text: &str| {
            oci_distribution::Reference::try_from(text)
                .map_err(|_| ReferenceError::Form(text.to_owned()))
        };
        let parsed = read(text)?;
        // The library lets a first component be written like a host and then takes it for the
        // beginning of a repository.
        if read(&parsed.whole()).ok().as_ref() != Some(&parsed) {
            return Err(ReferenceError::Form(text.to_owned()));
        }
        let digest = parsed
            .digest()
            .map(|digest| {
                digest
                    .parse()
                    .map_err(|_| ReferenceError::Digest(text.to_owned()))
            })
            .transpose()?;
        Ok(Self {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(str::to_owned),
            digest,
        })
    }
}

/// The IPv6 address in brackets that a text begins with, with its port if any, and what comes after
/// the slash behind it.
fn split_address(text: &str) -> Option<(&str, &str)> {
    let (registry, rest) = text
        .split_once('/')
        .filter(|(registry, _)| registry.starts_with('['))?;
    let (address, port) = registry.strip_prefix('[')?.split_once(']')?;
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.parse::<u16>().is_ok());
    (is_port && address.parse::<std::net::Ipv6Addr>().is_ok()).then_some((registry, rest))
}

impl ReferenceError {
    fn about(self, text: &str) -> Self {
        let text = text.to_owned();
        match self {
            Self::Form(_) => Self::Form(text),
            Self::NoRegistry(_) => Self::NoRegistry(text),
            Self::NoTagOrDigest(_) => Self::NoTagOrDigest(text),
            Self::Digest(_) => Self::Digest(text),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference = Self::parse_like_a_runtime(text);
        if let Err(ReferenceError::Form(_)) = reference {
            return reference;
        }
        let host = text
            .split_once('/')
            .map(|(first, _)| first)
            .unwrap_or_default();
        if !(host.contains('.') || host.contains(':') || host == "localhost") {
            return Err(ReferenceError::NoRegistry(text.to_owned()));
        }
        let reference = reference?;
        // The library fills in `latest`; a text that ends with it explicitly is left to the policy.
        let has_tag = reference.digest.is_some()
            || text
                .rsplit('/')
                .next()
                .is_some_and(|last| last.contains(':'));
        if has_tag {
            Ok(reference)
        } else {
            Err(ReferenceError::NoTagOrDigest(text.to_owned()))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        self.digest
            .map_or(Ok(()), |digest| write!(formatter, "@{digest}"))
    }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, ReferenceError};

    #[test]
    fn round_trips_what_it_accepts() {
        let hex = "a".repeat(64);
        for text in [
            "docker.io/library/postgres:17-alpine".to_owned(),
            "localhost:5000/a/b:c".to_owned(),
            format!("ghcr.io/x/y:1.0@sha256:{hex}"),
            format!("ghcr.io/x/y@sha256:{hex}"),
            "[::1]:5000/a/b:c".to_owned(),
            "[fd00::10]/a:1".to_owned(),
            format!("[2001:DB8::1]:443/x/y:1.0@sha256:{hex}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn assumes_neither_registry_nor_tag() {
        assert_eq!(
            "postgres:17".parse::<Reference>(),
            Err(ReferenceError::NoRegistry("postgres:17".into()))
        );
        assert_eq!(
            "library/postgres:17".parse::<Reference>(),
            Err(ReferenceError::NoRegistry("library/postgres:17".into()))
        );
        let untagged = "localhost:5000/postgres";
        assert_eq!(
            untagged.parse::<Reference>(),
            Err(ReferenceError::NoTagOrDigest(untagged.into()))
        );
        assert_eq!(
            "[::1]:5000/a".parse::<Reference>(),
            Err(ReferenceError::NoTagOrDigest("[::1]:5000/a".into()))
        );
        assert_eq!(
            Reference::parse_registry("[fd00::10]:5000/rune"),
            Ok(("[fd00::10]:5000".to_owned(), Some("rune".to_owned())))
        );
        assert_eq!(
            Reference::parse_registry("[::1]"),
            Ok(("[::1]".to_owned(), None))
        );
    }

    #[test]
    fn a_runtime_assumes_docker_hub() {
        for (text, expected) in [
            ("postgres", "docker.io/library/postgres:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("localhost:5000/a:1", "localhost:5000/a:1"),
            ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ] {
            assert_eq!(
                Reference::parse_like_a_runtime(text).unwrap().to_string(),
                expected
            );
        }
        for bad in ["{{ image }}", "Team/app:1"] {
            assert!(Reference::parse_like_a_runtime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refuses_what_the_grammar_refuses() {
        for bad in [
            "",
            "docker.io/",
            "docker.io/UPPER:1",
            "docker.io/a:b c",
            "docker.io/a:1@sha256:abc",
            "http://docker.io/a:1",
            "[::1/a:1",
            "[::1]x/a:1",
            "[::1]:99999/a:1",
            "[fe80::1%2]:5000/a:1",
            "[1.2.3.4]/a:1",
            "[::1]:5000/A:1",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        let sha512 = format!("docker.io/a/b@sha512:{}", "a".repeat(128));
        assert_eq!(
            sha512.parse::<Reference>(),
            Err(ReferenceError::Digest(sha512.clone()))
        );
    }
}
