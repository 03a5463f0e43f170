//! What a builder signs of an image or chart, and the artifact that the signature becomes.
//!
//! The form is that of cosign 3: a statement of the predicate type of a signature, which is a
//! referrer of what was signed. There is no time in it and no name: the same digest gives the same
//! payload in every registry.

use serde_json::json;

use super::{
    signature::SIGN_PREDICATE,
    statement::{SignatureArtifact, UnsignedStatement},
};
use crate::{canonical_json::CanonicalJsonError, oci::Descriptor, sign::SlotSignature};

#[derive(Debug, Clone)]
pub(crate) struct ImagePayload {
    subject: Descriptor,
    statement: UnsignedStatement,
}

impl ImagePayload {
    /// Fails when the statement has no canonical form; does not happen.
    pub(crate) fn new(subject: Descriptor) -> Result<Self, CanonicalJsonError> {
        let about = json!([{ "digest": { "sha256": subject.digest.hex() } }]);
        Ok(Self {
            statement: UnsignedStatement::new(SIGN_PREDICATE, &about, &json!({}))?,
            subject,
        })
    }

    pub(crate) const fn subject(&self) -> &Descriptor {
        &self.subject
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        self.statement.message()
    }

    pub(crate) fn file_stem(&self) -> String {
        format!("sha256-{}", self.subject.digest.hex())
    }

    /// The artifact with a signature over [`ImagePayload::message`].
    pub(crate) fn signed(
        &self,
        signature: &SlotSignature,
    ) -> Result<SignatureArtifact, CanonicalJsonError> {
        let bundle = self.statement.signed(signature)?;
        SignatureArtifact::new(bundle, SIGN_PREDICATE, None, &self.subject)
    }
}
