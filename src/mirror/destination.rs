//! The registry that holds the images, as a node reaches it.

use std::str::FromStr;

use camino::Utf8PathBuf;

use crate::oci::Reference;
use rune_core::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) prefix: Option<String>,
    pub(crate) is_plain: bool,
    /// Where a node has the CA certificate of the registry.
    pub(crate) ca_file: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[error(
    "write REGISTRY[:PORT][/PREFIX] in lower case, such as registry.lan:5000/rune, without https://"
)]
#[failure(Usage)]
pub(crate) struct DestinationError;

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, prefix) = Reference::parse_registry(text).map_err(|_| DestinationError)?;
        Ok(Self {
            host,
            prefix,
            is_plain: false,
            ca_file: None,
        })
    }
}

impl Destination {
    pub(super) fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.is_plain { "http" } else { "https" },
            self.host
        )
    }

    /// Host and prefix, as they stand in a reference.
    pub(super) fn location(&self) -> String {
        self.prefix.as_ref().map_or_else(
            || self.host.clone(),
            |prefix| format!("{}/{prefix}", self.host),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Destination;

    #[test]
    fn a_registry_has_a_host_and_may_have_a_port_and_a_prefix() {
        for (text, host, prefix) in [
            ("registry.lan", "registry.lan", None),
            ("registry.lan:5000", "registry.lan:5000", None),
            ("127.0.0.1:5000/a", "127.0.0.1:5000", Some("a")),
            ("localhost/a/b-c", "localhost", Some("a/b-c")),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(
                (destination.host.as_str(), destination.prefix.as_deref()),
                (host, prefix),
                "{text}"
            );
            assert_eq!(destination.location(), text);
        }
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for text in [
            "",
            "registry",
            "https://registry.lan",
            "registry.lan/",
            "registry.lan/A",
            "registry.lan/a:1",
            "r.lan/a b",
            "r.lan/../a",
            "docker.io",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
