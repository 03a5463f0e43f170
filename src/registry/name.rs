//! Which repository is meant: the registry of a reference and the path below it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::oci::{Reference, ReferenceError};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName {
    registry: String,
    repository: String,
}

impl RepositoryName {
    pub(crate) fn new(registry: &str, repository: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
        }
    }

    /// The registry as people write it: `docker.io`, `registry.local:5000`.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    pub(crate) fn repository(&self) -> &str {
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

impl FromStr for RepositoryName {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A repository is a reference without its tag.
        let reference: Reference = format!("{text}:tag").parse()?;
        Ok(Self::from(&reference))
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)
    }
}
