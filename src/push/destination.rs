//! What things of a bundle are called at a destination.

use std::{fmt, str::FromStr};

use crate::{
    oci::{Reference, ReferenceError},
    registry::RepositoryName,
};
use rune_core::failure::Failure;

/// A registry, a path below it, and how the repositories of a bundle are named there:
/// `library/postgres` is `rune/library/postgres` in `registry.lan:5000/rune`, or flat
/// `rune/library-postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    registry: String,
    prefix: String,
    is_flat: bool,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
pub enum DestinationError {
    #[error("`{0}` is a URL")]
    #[failure(help: {
        let bare = .0.split("://").nth(1).unwrap_or_default();
        format!("write `{bare}`, and allow plain HTTP with --plain-http")
    })]
    Url(String),
    #[error("`{0}` does not begin with a registry host")]
    #[failure(help: {
        let (host, prefix) = .0.split_once('/').unwrap_or((.0, ""));
        let slash = if prefix.is_empty() { "" } else { "/" };
        format!("write a host with a dot or a port, such as `{host}:443{slash}{prefix}`")
    })]
    NoHost(String),
    #[error("`{0}` is not a registry with a path below it")]
    #[failure(help: if .0.rsplit('.').next() == Some("tar") {
        "that is a file: write the bundle first, and the registry after it"
    } else {
        "write HOST[:PORT][/PREFIX], such as registry.lan:5000/rune; lower case, no tag"
    })]
    Form(String),
}

impl Destination {
    /// The same, with every repository of the bundle in one component below the prefix if
    /// `is_flat`: `a/b/c` is `a-b-c`. For registries that limit how deep a path may be.
    #[must_use]
    pub(crate) fn flattened(self, is_flat: bool) -> Self {
        Self { is_flat, ..self }
    }

    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// What a repository of a bundle is called below the registry and its prefix, where that is not
    /// its own name.
    pub(crate) fn renamed(&self, repository: &str) -> Option<String> {
        (self.is_flat && repository.contains('/')).then(|| repository.replace('/', "-"))
    }

    pub(crate) fn repository(&self, repository: &str) -> String {
        let own = self
            .renamed(repository)
            .unwrap_or_else(|| repository.to_owned());
        if self.prefix.is_empty() {
            own
        } else {
            format!("{}/{own}", self.prefix)
        }
    }

    pub(crate) fn name(&self, repository: &str) -> RepositoryName {
        RepositoryName::new(&self.registry, &self.repository(repository))
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = ["https://", "oci://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        if text.contains("://") {
            return Err(DestinationError::Url(text.to_owned()));
        }
        let trimmed = text.trim_end_matches('/');
        let (registry, prefix) =
            Reference::parse_registry(trimmed).map_err(|error| match error {
                ReferenceError::NoRegistry(_) => DestinationError::NoHost(trimmed.to_owned()),
                _ => DestinationError::Form(text.to_owned()),
            })?;
        Ok(Self {
            registry,
            prefix: prefix.unwrap_or_default(),
            is_flat: false,
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.registry)?;
        if self.prefix.is_empty() {
            Ok(())
        } else {
            write!(formatter, "/{}", self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, DestinationError};

    fn parsed(text: &str) -> Destination {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_paths_or_flat() {
        let nested = parsed("registry.lan:5000/rune");
        assert_eq!(
            nested.repository("library/postgres"),
            "rune/library/postgres"
        );
        assert_eq!(
            nested.flattened(true).repository("library/postgres"),
            "rune/library-postgres"
        );
    }

    #[test]
    fn a_prefix_goes_before_every_repository() {
        assert_eq!(
            parsed("registry.lan:5000")
                .name("library/postgres")
                .to_string(),
            "registry.lan:5000/library/postgres"
        );
        assert_eq!(
            parsed("registry.lan/a/b/").name("charts/rune").to_string(),
            "registry.lan/a/b/charts/rune"
        );
        assert_eq!(
            parsed("docker.io/lpasquali")
                .flattened(true)
                .repository("a/b/c"),
            "lpasquali/a-b-c"
        );
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for bad in [
            "",
            "registry.lan:5000/UPPER",
            "registry.lan:5000/a:tag",
            "registry.lan:5000/a@sha256:0",
            "registry.lan:5000/a b",
        ] {
            assert!(
                matches!(
                    bad.parse::<Destination>(),
                    Err(DestinationError::Form(_) | DestinationError::NoHost(_))
                ),
                "{bad}"
            );
        }
        assert!(matches!(
            "registry".parse::<Destination>(),
            Err(DestinationError::NoHost(_))
        ));
        assert!(matches!(
            "http://registry.lan".parse::<Destination>(),
            Err(DestinationError::Url(_))
        ));
        for scheme in ["https://", "oci://"] {
            let written: Destination = format!("{scheme}registry.lan/a").parse().unwrap();
            assert_eq!(written.to_string(), "registry.lan/a");
        }
    }
}
