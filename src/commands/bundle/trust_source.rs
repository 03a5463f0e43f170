//! Where trust comes from, for every report.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::open::{Origin, SignerOptions};
use rune_core::digest::Digest;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrustSource {
    /// `option`, `environment` or `site`.
    from: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_file: Option<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bundle_digests: Vec<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<Utf8PathBuf>,
    #[serde(skip)]
    origin: Origin,
}

impl TrustSource {
    /// Nothing when there is nothing to check a bundle with.
    pub(super) fn of(signers: &SignerOptions, digests: &[Digest]) -> Option<Self> {
        let SignerOptions {
            keys,
            trust_file,
            origin,
            ..
        } = signers;
        if keys.is_empty() && trust_file.is_none() && digests.is_empty() {
            return None;
        }
        let (from, site) = match origin {
            Origin::Options => ("option", None),
            Origin::Variable(_) => ("environment", None),
            Origin::Site(site) => ("site", Some(site.clone())),
        };
        let (keys, trust_file) = (keys.clone(), trust_file.clone());
        Some(Self {
            from,
            keys,
            trust_file,
            bundle_digests: digests.to_vec(),
            site,
            origin: origin.clone(),
        })
    }
}

/// The lines of a report about which bundle it is and what it was checked with.
pub(super) fn identity_lines(digest: Digest, trust: Option<&TrustSource>) -> String {
    let mut text = format!("bundle digest  {digest}\n");
    if let Some(trust) = trust {
        text.push_str(&format!("trust          {trust}\n"));
    }
    text
}

impl fmt::Display for TrustSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.origin {
            Origin::Options => "--trust".to_owned(),
            Origin::Variable(name) => (*name).to_owned(),
            Origin::Site(site) => format!("site file `{site}`"),
        };
        let files = self
            .trust_file
            .iter()
            .map(|file| format!("`{file}` ({by})"));
        let keys = self.keys.iter().map(|file| format!("`{file}` (--key)"));
        let digests = self
            .bundle_digests
            .iter()
            .map(|digest| format!("{} (--bundle-digest)", digest.grouped()));
        formatter.write_str(
            &files
                .chain(keys)
                .chain(digests)
                .collect::<Vec<_>>()
                .join(", "),
        )
    }
}
