//! What an artifact about an image is, in words.

use super::{
    CosignTag,
    signature::{SIGN_PREDICATE, SIMPLE_SIGNING},
};
use crate::sign::{SIGSTORE_BUNDLE, SIGSTORE_BUNDLES};
use rune_core::text::shown;

const NOTATION: &str = "application/vnd.cncf.notary.signature";

/// What an artifact is, by its type, the predicate types that it states and its tag. Words for
/// people: nothing was verified.
pub(crate) fn kind_of(
    artifact_type: Option<&str>,
    predicates: &[String],
    tag: Option<&str>,
) -> String {
    let of_tag = tag.and_then(CosignTag::parse).map(|tag| match tag {
        CosignTag::Signatures => "cosign signature",
        CosignTag::Attestations => "attestation",
        CosignTag::Sbom => "SBOM",
    });
    let kind = match of_tag {
        Some(kind) => kind.to_owned(),
        None => of_type(artifact_type, predicates),
    };
    shown(&kind)
}

/// Whether an artifact is a Sigstore bundle of any version, by its type.
pub(crate) fn is_sigstore_bundle(artifact_type: &str) -> bool {
    artifact_type.starts_with(SIGSTORE_BUNDLES)
}

fn of_type(artifact_type: Option<&str>, predicates: &[String]) -> String {
    let stated = artifact_type.unwrap_or("artifact of no stated type");
    match stated {
        SIMPLE_SIGNING => "cosign signature".to_owned(),
        NOTATION => "Notation signature (not verified)".to_owned(),
        SIGSTORE_BUNDLE => match predicates {
            [] => "Sigstore bundle".to_owned(),
            [only] if only == SIGN_PREDICATE => "cosign signature".to_owned(),
            several => format!("attestation {}", several.join(", ")),
        },
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{NOTATION, kind_of};
    use crate::{evidence::signature::SIGN_PREDICATE, sign::SIGSTORE_BUNDLE};

    #[test]
    fn a_bundle_is_a_signature_or_an_attestation_by_its_predicate() {
        let kind = |predicate: &str| kind_of(Some(SIGSTORE_BUNDLE), &[predicate.to_owned()], None);
        assert_eq!(kind(SIGN_PREDICATE), "cosign signature");
        assert_eq!(
            kind("https://spdx.dev/Document"),
            "attestation https://spdx.dev/Document"
        );
        assert_eq!(kind_of(Some(SIGSTORE_BUNDLE), &[], None), "Sigstore bundle");
    }

    #[test]
    fn what_is_not_verified_says_so_and_what_is_unknown_keeps_its_type() {
        assert_eq!(
            kind_of(Some(NOTATION), &[], None),
            "Notation signature (not verified)"
        );
        assert_eq!(kind_of(Some("application/x"), &[], None), "application/x");
        assert_eq!(kind_of(None, &[], Some("sha256-0.sbom")), "SBOM");
    }
}
