//! Manifests that are about another one, and how they are listed there.
//!
//! Source: OCI distribution specification 1.1, "Listing Referrers".

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Descriptor, Digest, Manifest,
    go_json::{self, Shape},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    artifact_type: Option<String>,
    config: Option<Typed>,
    subject: Option<Named>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    media_type: String,
}

#[derive(Deserialize)]
struct Named {
    digest: Digest,
}

impl Manifest {
    /// What this manifest is about, and the descriptor under which it is listed among the referrers
    /// of that, with its type and its annotations; nothing when it is about nothing.
    pub fn as_referrer(&self) -> Option<(Digest, Descriptor)> {
        let document = go_json::read(self.bytes(), Shape::Manifest).ok()?;
        let Document {
            artifact_type,
            config,
            subject,
            annotations,
        } = serde_json::from_value(document).ok()?;
        let artifact_type = artifact_type.or_else(|| config.map(|config| config.media_type));
        Some((
            subject?.digest,
            Descriptor {
                artifact_type,
                annotations,
                ..self.descriptor()
            },
        ))
    }
}
