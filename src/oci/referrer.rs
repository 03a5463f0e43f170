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

impl Document {
    fn kind(&self) -> Option<String> {
        let config = || self.config.as_ref().map(|config| config.media_type.clone());
        self.artifact_type.clone().or_else(config)
    }
}

#[derive(Deserialize)]
struct Named {
    digest: Digest,
}

impl Manifest {
    /// What kind of artifact it is: what it says itself, else the type of its configuration.
    pub(crate) fn artifact_type(&self) -> Option<String> {
        let document = go_json::read(self.bytes(), Shape::Manifest).ok()?;
        serde_json::from_value::<Document>(document).ok()?.kind()
    }

    /// What this manifest is about, and the descriptor under which it is listed among the referrers
    /// of that, with its type and its annotations; nothing when it is about nothing.
    pub(crate) fn as_referrer(&self) -> Option<(Digest, Descriptor)> {
        let document = go_json::read(self.bytes(), Shape::Manifest).ok()?;
        let document: Document = serde_json::from_value(document).ok()?;
        Some((
            document.subject.as_ref()?.digest,
            Descriptor {
                artifact_type: document.kind(),
                annotations: document.annotations,
                ..self.descriptor()
            },
        ))
    }
}
