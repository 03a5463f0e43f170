//! What the registry says of an image: under which licence it is, by its label.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use crate::{
    oci::{Descriptor, Manifest, ManifestKind, Reference},
    policy::LicenseExpression,
    registry::{Client, RegistryError, RepositoryName},
};
use rune_core::failure::{Failure as _, FailureKind};

/// The label, and the annotation, that states the licence of an image.
const LABEL: &str = "org.opencontainers.image.licenses";
const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// Longest label that is read as a licence.
const MAX_LABEL_BYTES: usize = 200;
const AT_ONCE: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum License {
    Stated(String),
    /// There is no label, or one that states no licence.
    Unknown,
    /// The registry does not have the image.
    NoImage,
    /// The registry could not be asked, with the reason.
    Unasked(String),
}

pub(crate) async fn licenses(
    client: &Client,
    references: Vec<Reference>,
) -> BTreeMap<Reference, License> {
    let mut registries: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for reference in references {
        registries
            .entry(reference.registry().to_owned())
            .or_default()
            .push(reference);
    }
    let ask = |references: Vec<Reference>| async {
        let mut licenses = Vec::new();
        let mut unreachable = None;
        for reference in references {
            let license = match &unreachable {
                Some(why) => License::Unasked(String::clone(why)),
                None => match label(client, &reference).await {
                    Ok(label) => label
                        .and_then(|label| stated(&label))
                        .map_or(License::Unknown, License::Stated),
                    Err(error) if error.kind() == FailureKind::NotFound => License::NoImage,
                    Err(error) => {
                        if error.kind() == FailureKind::Network {
                            unreachable = Some(error.to_string());
                        }
                        License::Unasked(error.to_string())
                    }
                },
            };
            licenses.push((reference, license));
        }
        licenses
    };
    let licenses: Vec<_> = stream::iter(registries.into_values())
        .map(ask)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    licenses.into_iter().flatten().collect()
}

/// A label as an expression. What says that nobody knows states nothing.
fn stated(label: &str) -> Option<String> {
    let is_none = ["", "none", "noassertion", "unknown"]
        .contains(&label.trim().to_ascii_lowercase().as_str());
    let expression = LicenseExpression::parse(label.trim()).ok()?;
    (!is_none && label.len() <= MAX_LABEL_BYTES).then(|| expression.to_string())
}

async fn label(client: &Client, reference: &Reference) -> Result<Option<String>, RegistryError> {
    let name = RepositoryName::from(reference);
    let root = client.resolve(reference).await?;
    let image = match root.kind() {
        ManifestKind::Image { .. } => root,
        ManifestKind::Index { manifests, .. } => {
            let of_image = |child: &&Descriptor| !child.is_attestation() && !child.is_index();
            let Some(child) = manifests.iter().find(of_image) else {
                return Ok(annotation(&root));
            };
            let image = client
                .manifest(&name, child.digest, Some(&child.media_type))
                .await?;
            if annotation(&image).is_none() && annotation(&root).is_some() {
                return Ok(annotation(&root));
            }
            image
        }
    };
    let ManifestKind::Image { config, .. } = image.kind() else {
        return Ok(None);
    };
    let config = client.blob_bytes(&name, config, MAX_CONFIG_BYTES).await?;
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    let label = config
        .pointer(&format!("/config/Labels/{LABEL}"))
        .and_then(serde_json::Value::as_str);
    Ok(label.map(str::to_owned).or_else(|| annotation(&image)))
}

fn annotation(manifest: &Manifest) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(manifest.bytes()).ok()?;
    document
        .pointer(&format!("/annotations/{LABEL}"))
        .and_then(serde_json::Value::as_str)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::stated;

    #[test]
    fn a_label_states_a_licence_only_as_an_expression() {
        assert_eq!(stated("Apache-2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(
            stated(" MIT AND (BSD-3-Clause OR ISC) ").as_deref(),
            Some("MIT AND (BSD-3-Clause OR ISC)")
        );
        for none in [
            "",
            "NOASSERTION",
            "Apache License 2.0",
            "<@ x @>",
            "MIT\nAND",
            &"A".repeat(300),
        ] {
            assert_eq!(stated(none), None, "{none}");
        }
    }
}
