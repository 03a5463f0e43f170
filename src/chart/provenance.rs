//! Helm's provenance of a packed chart: what `helm verify` reads from `<archive>.prov`, and `helm
//! pull --verify` from a registry.
//!
//! The chart's metadata and the SHA-256 of its archive, signed in the clear by an OpenPGP key. The
//! signature's time is that of the making of the key: there is no clock here, so that the same
//! chart and key give the same bytes; an honest time would be no proof either, because whoever has
//! the key can write any.
//!
//! OpenPGP is a feature of Cargo, `openpgp`, and off unless asked for: it is much cryptography for
//! one small file. A bundle's own signature does not need it.
//!
//! Source of the form: Helm, `pkg/provenance/sign.go`.

use super::{ChartError, Package};
use rune_core::{digest::Digest, failure::Failure, yaml};

#[cfg(feature = "openpgp")]
mod openpgp;

#[cfg(feature = "openpgp")]
pub use openpgp::ChartKey;

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum ProvenanceError {
    #[error("this program was built without OpenPGP, which signs charts")]
    #[failure(Usage: "build it with `cargo build --release --features openpgp`, or leave \
        --chart-key out")]
    NotBuiltIn,
    #[error("it is not an armored OpenPGP private key{0}")]
    #[failure(help: "write one with `gpg --armor --export-secret-keys KEY`")]
    NotAKey(String),
    #[error("no part of the key can sign: {0}")]
    #[failure(help: "export the key, or a subkey that signs, where its secret part is")]
    CannotSign(&'static str),
    #[error("the passphrase is not the one of the key")]
    #[failure(Access)]
    Passphrase,
    #[error("the chart cannot be signed: {0}")]
    Signing(String),
    #[error(transparent)]
    #[failure(inner: None)]
    Chart(#[from] ChartError),
}

/// What is signed. No line ends with a blank, because signing in the clear would not see it.
#[cfg_attr(
    not(any(feature = "openpgp", test)),
    expect(dead_code, reason = "only a key can sign it")
)]
fn statement(package: &Package) -> Result<String, ProvenanceError> {
    let metadata = yaml::to_string(&package.metadata).map_err(ChartError::from)?;
    let lines: Vec<&str> = metadata.trim_end().lines().map(str::trim_end).collect();
    let file = package.metadata.file_name();
    Ok(format!(
        "{}\n\n...\nfiles:\n  {file}: {}",
        lines.join("\n"),
        Digest::of(&package.bytes)
    ))
}

/// Stands in for the key where OpenPGP is not built in.
#[cfg(not(feature = "openpgp"))]
#[derive(Debug)]
pub enum ChartKey {}

#[cfg(not(feature = "openpgp"))]
impl ChartKey {
    /// Says that this program knows no OpenPGP.
    pub(crate) fn load<E: From<ProvenanceError>>(
        _: &[u8],
        _: impl FnOnce() -> Result<rune_core::secret::Secret, E>,
    ) -> Result<Self, E> {
        Err(ProvenanceError::NotBuiltIn.into())
    }

    /// Never called, for there is no key.
    pub(crate) fn sign(&self, _: &Package) -> Result<Vec<u8>, ProvenanceError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::statement;
    use crate::chart::{ChartTree, package};
    use rune_core::digest::Digest;

    #[test]
    fn names_the_archive_with_its_digest_below_the_metadata() {
        let chart = b"apiVersion: v2\nname: a\nversion: 1.2.3\ndescription: 'ends with a blank '\n"
            .to_vec();
        let package = package(
            "a",
            &ChartTree::new(BTreeMap::from([("Chart.yaml".into(), chart)])),
        )
        .unwrap();
        let text = statement(&package).unwrap();
        let (metadata, files) = text.split_once("\n\n...\n").unwrap();
        assert!(
            metadata.starts_with("apiVersion: v2\nname: a\nversion: \"1.2.3\"\n"),
            "{metadata}"
        );
        assert_eq!(
            files,
            format!("files:\n  a-1.2.3.tgz: {}", Digest::of(&package.bytes))
        );
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }
}
