//! Which repository is meant: the registry of a reference and the path below it.

use std::fmt;

use crate::oci::Reference;

/// A repository: registry and path, without tag and digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName {
    registry: String,
    repository: String,
}

impl RepositoryName {
    /// A repository by its path at a registry.
    pub fn new(registry: &str, repository: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
        }
    }

    /// The registry as people write it: `docker.io`, `registry.local:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry: `library/postgres`.
    pub fn repository(&self) -> &str {
        &self.repository
    }
}

impl From<&Reference> for RepositoryName {
    fn from(reference: &Reference) -> Self {
        Self {
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)
    }
}
