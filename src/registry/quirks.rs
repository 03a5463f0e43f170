//! In what registries differ from the specification, or from each other: one function for each, with the products, what they answer, and
//! where that was reported. `docs/airgap/registries.md` has a row for each.

use http::StatusCode;

use super::Cause;

/// Whether a registry takes images and does not take the artifact whose manifest it was given. Final answers alone: the others are
/// about rights, rates or the server.
///
/// - Quay: 400 `MANIFEST_INVALID` for a type of configuration that is not on its list, 415 for artifact manifests
///   (<https://github.com/oras-project/oras/issues/738>).
/// - Amazon ECR before OCI 1.1: 405 `UNSUPPORTED` for a manifest with `artifactType` (<https://github.com/oras-project/oras/issues/1133>).
/// - Nexus Repository and Artifactory of some years: 400, for types that they do not know.
pub(super) fn refuses_artifact(cause: &Cause) -> bool {
    // A name that is not allowed, a tag that cannot be moved and a full disk are told with 400 too.
    let Cause::Status { status, code, is_about_space: false, redirected_to: None, .. } = cause else { return false };
    let is_about_type = !matches!(code.as_deref(), Some("NAME_INVALID" | "TAG_INVALID" | "DIGEST_INVALID" | "MANIFEST_BLOB_UNKNOWN"));
    is_about_type && matches!(*status, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

/// Whether a registry does not know of something that a manifest refers to, although it took it before: so do registries that write
/// to a storage which answers with what was there a moment ago.
///
/// - distribution on object storage, and products made of it: 400 or 404 `MANIFEST_BLOB_UNKNOWN`, `MANIFEST_UNKNOWN`, `BLOB_UNKNOWN`
///   (<https://github.com/distribution/distribution/issues/2168>).
pub(super) fn lacks_a_part(cause: &Cause) -> bool {
    matches!(cause, Cause::Status { code: Some(code), .. } if matches!(code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Cause, refuses_artifact};

    #[test]
    fn only_a_final_answer_about_the_type_is_a_refusal() {
        let cause = |status: u16, code: &str| {
            let Cause::Status { status, detail, is_about_space, redirected_to, retry_after, .. } =
                Cause::status(StatusCode::from_u16(status).unwrap())
            else {
                panic!()
            };
            Cause::Status { status, code: Some(code.to_owned()), detail, is_about_space, redirected_to, retry_after }
        };
        for (status, code) in [(400, "MANIFEST_INVALID"), (405, "UNSUPPORTED"), (415, "UNKNOWN")] {
            assert!(refuses_artifact(&cause(status, code)), "{status}");
        }
        for (status, code) in [
            (400, "NAME_INVALID"),
            (400, "TAG_INVALID"),
            (401, "UNAUTHORIZED"),
            (403, "DENIED"),
            (404, "NAME_UNKNOWN"),
            (429, "X"),
            (500, "X"),
        ] {
            assert!(!refuses_artifact(&cause(status, code)), "{status} {code}");
        }
    }
}
