//! In what registries differ from the specification, or from each other: one function for each,
//! with the products, what they answer, and where that was reported. `docs/airgap/registries.md`
//! has a row for each.

use std::io::Read as _;

use flate2::read::GzDecoder;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::{EndpointError, client::MAX_MANIFEST_BYTES};

/// Under which name docker keeps the credentials of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The names of Docker Hub, that of its API first.
const HUB_NAMES: [&str; 3] = ["registry-1.docker.io", "docker.io", "index.docker.io"];

/// What servers say, in lower case, when their disk or what they grant of it is full. The last two
/// are how distribution writes the operating system's ENOSPC and EDQUOT.
const FULL: [&str; 7] = [
    "no space left",
    "insufficient storage",
    "disk full",
    "disk quota exceeded",
    "quota exceeded",
    "\"err\":28",
    "\"err\":122",
];

/// Whether a registry takes images and does not take the artifact whose manifest it was given.
/// Final answers alone: the others are about rights, rates or the server.
///
/// - Quay: 400 `MANIFEST_INVALID` for a type of configuration that is not on its list, 415 for
///   artifact manifests (<https://github.com/oras-project/oras/issues/738>).
/// - Amazon ECR before OCI 1.1: 405 `UNSUPPORTED` for a manifest with `artifactType`
///   (<https://github.com/oras-project/oras/issues/1133>).
/// - Artifactory 6: 400 `MANIFEST_INVALID` for types that it does not know
///   (<https://github.com/sigstore/cosign/issues/1994>).
/// - Docker Hub before November 2022: 400 `MANIFEST_INVALID`
///   (<https://github.com/oras-project/oras/issues/557>).
/// - Nexus Repository: no public report of such an answer. Signatures of cosign, which have the
///   type of an image, were stored in 2021 (<https://github.com/sigstore/cosign/pull/341>); a 400
///   is understood in the same way.
pub(super) fn refuses_artifact(cause: &EndpointError) -> bool {
    // A name that is not allowed, a tag that cannot be moved and a full disk are told with 400 too.
    let EndpointError::Status {
        status,
        code,
        is_about_space: false,
        redirected_to: None,
        ..
    } = cause
    else {
        return false;
    };
    let is_about_type = !matches!(
        code.as_deref(),
        Some("NAME_INVALID" | "TAG_INVALID" | "DIGEST_INVALID" | "MANIFEST_BLOB_UNKNOWN")
    );
    is_about_type
        && matches!(
            *status,
            StatusCode::BAD_REQUEST
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
        )
}

/// Whether a registry does not take an index some of whose manifests it does not have. The
/// specification leaves it to the registry.
///
/// - distribution 2, and 3 unless it is configured: 400 `MANIFEST_BLOB_UNKNOWN`
///   (<https://github.com/distribution/distribution/pull/3536>).
/// - Nexus Repository: 400 (<https://github.com/regclient/regclient/issues/836>).
/// - Gitea: 400 "blob unknown" (<https://github.com/podman-container-tools/skopeo/issues/2882>).
/// - Others say 404, 409, 412, 415 or 422.
pub(super) fn refuses_index_with_gaps(cause: &EndpointError) -> bool {
    matches!(
        cause.answered().map(|status| status.as_u16()),
        Some(400 | 404 | 409 | 412 | 415 | 422)
    )
}

/// Whether a registry does not delete manifests at all.
///
/// - distribution without `storage.delete.enabled`: 405 `UNSUPPORTED`.
/// - Others that follow the specification: 405 or `UNSUPPORTED` when deletion is disabled.
pub(super) fn cannot_delete(cause: &EndpointError) -> bool {
    matches!(
        cause,
        EndpointError::Status { status, code, .. }
            if *status == StatusCode::METHOD_NOT_ALLOWED || code.as_deref() == Some("UNSUPPORTED")
    )
}

/// Whether a registry does not know of something that a manifest refers to, although it took it
/// before: so do registries that write to a storage which answers with what was there a moment ago.
///
/// - distribution on object storage, and products made of it: 400 or 404 `MANIFEST_BLOB_UNKNOWN`,
///   `MANIFEST_UNKNOWN`, `BLOB_UNKNOWN`
///   (<https://github.com/distribution/distribution/issues/2168>).
pub(super) fn lacks_a_part(cause: &EndpointError) -> bool {
    matches!(cause, EndpointError::Status { code: Some(code), .. }
        if matches!(code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN"))
}

/// Whether a registry that answers so may do it because nobody said who asks.
///
/// - GitHub's docker.pkg.github.com: 404 for what is private; `/v2/` alone has the challenge
///   (<https://github.com/containerd/containerd/issues/3291>).
/// - Artifactory with virtual repositories: 403
///   (<https://github.com/google/go-containerregistry/pull/1691>).
/// - Keppel before April 2025: 403 (<https://github.com/sapcc/keppel/pull/522>).
/// - 401 without a challenge: gateways with an authentication of their own; no public report names
///   a product.
pub(super) fn may_hide(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::UNAUTHORIZED => !headers.contains_key(header::WWW_AUTHENTICATE),
        status => matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
    }
}

/// The token in the answer of a token server: either field counts, and an empty one is absent.
///
/// - Azure Container Registry: `access_token` alone
///   (<https://github.com/google/go-containerregistry/issues/54>).
/// - Others: `token` alone (<https://github.com/containerd/containerd/issues/2157>).
pub(super) fn token(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct TokenAnswer {
        token: Option<String>,
        access_token: Option<String>,
    }

    let TokenAnswer {
        token,
        access_token,
    } = serde_json::from_slice(answer).ok()?;
    let filled = |token: Option<String>| token.filter(|token| !token.is_empty());
    filled(token).or_else(|| filled(access_token))
}

/// Whether what a server says about its error, whatever the status, is that there is no room.
///
/// - distribution: 500 `UNKNOWN` with the number of the operating system's error
///   (<https://github.com/distribution/distribution/issues/4896>).
/// - Harbor: 403 `DENIED` "Quota exceeded when processing the request"
///   (<https://github.com/goharbor/harbor/issues/8802>).
pub(super) fn is_about_space(body: &[u8]) -> bool {
    let said = String::from_utf8_lossy(body).to_lowercase();
    FULL.iter().any(|phrases| said.contains(phrases))
}

/// Whether what a registry says, whatever the status, is that a tag cannot be moved.
///
/// - Harbor: 412 `PRECONDITION` (<https://github.com/goharbor/harbor/pull/9427>).
/// - Amazon ECR: 400 `TAG_INVALID` (<https://github.com/aws/containers-roadmap/issues/2380>).
pub(super) fn is_about_immutable_tag(detail: &str) -> bool {
    detail.to_lowercase().contains("immutable")
}

/// The bytes that a server packed although nobody asked for that. The digest is that of what was
/// packed.
///
/// - Harbor, and proxies before any registry: 200 with `Content-Encoding: gzip`
///   (<https://github.com/oras-project/oras-go/pull/1177>).
pub(super) fn unpacked(encoding: &str, bytes: Vec<u8>) -> Vec<u8> {
    if !encoding.eq_ignore_ascii_case("gzip") || !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut unpacked = Vec::new();
    let is_whole = GzDecoder::new(bytes.as_slice())
        .take(MAX_MANIFEST_BYTES)
        .read_to_end(&mut unpacked)
        .is_ok();
    if is_whole { unpacked } else { bytes }
}

/// How many bytes of an answer to drop when the whole came although a range was asked for.
///
/// - distribution as a cache: 200 as long as it does not have the blob itself
///   (<https://github.com/distribution/distribution/issues/4667>).
pub(super) fn bytes_to_drop(asked: Option<(u64, u64)>) -> u64 {
    asked.map_or(0, |(first, _)| first)
}

/// Whether an answer to the question for a blob says nothing about whether it can be written: then
/// it is sent.
///
/// - Amazon ECR Public: 401 to every HEAD of a blob
///   (<https://github.com/aws/containers-roadmap/issues/2671>).
/// - Artifactory with virtual repositories: 403 for what is not there
///   (<https://github.com/google/go-containerregistry/pull/1691>).
pub(super) fn leaves_blob_open(cause: &EndpointError) -> bool {
    cause
        .answered()
        .is_some_and(|status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

/// Whether a blob that could not be mounted from another repository is to be sent.
///
/// - Harbor: 401 where the account may not read the other project
///   (<https://github.com/goharbor/harbor/issues/17097>).
pub(super) fn refuses_mount(cause: &EndpointError) -> bool {
    !cause.is_transient()
}

/// How many bytes of an upload a registry says it has, `0-<last>`. Nothing at all is written `0-0`
/// too, and one byte is sent again without harm.
///
/// - distribution: `0-0` for nothing (<https://github.com/distribution/distribution/issues/2363>).
/// - zot of some versions: with `bytes=` in front (<https://github.com/project-zot/zot/pull/1341>).
pub(super) fn received_bytes(range: &str) -> Option<u64> {
    let last: u64 = range
        .trim()
        .trim_start_matches("bytes=")
        .strip_prefix("0-")?
        .parse()
        .ok()?;
    if last == 0 {
        Some(0)
    } else {
        last.checked_add(1)
    }
}

/// Whether an upload that was begun is the problem, so that another may do.
///
/// - Azure Container Registry: 404 `BLOB_UPLOAD_INVALID` after a broken connection
///   (<https://github.com/Azure/azure-sdk-for-net/issues/35322>).
/// - Amazon ECR: 416 `BLOB_UPLOAD_INVALID` for bytes that it has
///   (<https://github.com/apple/containerization/issues/790>).
/// - distribution: 400 or 416 when its state of the upload is another
///   (<https://github.com/distribution/distribution/pull/3755>).
pub(super) fn is_about_upload(cause: &EndpointError) -> bool {
    let EndpointError::Status { status, code, .. } = cause else {
        return matches!(cause, EndpointError::ProtocolViolation(_));
    };
    let is_about_names = code.as_ref().is_some_and(|code| code.starts_with("NAME_"));
    !is_about_names
        && matches!(
            *status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

/// Whether a registry does not take a blob in the request that ends its upload: then it is sent
/// before.
///
/// - Artifactory of 2019: 404 `BLOB_UNKNOWN` (<https://github.com/docker/buildx/issues/196>).
pub(super) fn refuses_whole_blob(cause: &EndpointError) -> bool {
    matches!(cause, EndpointError::Status { status: StatusCode::NOT_FOUND, code: Some(code), .. }
        if code == "BLOB_UNKNOWN")
}

/// Whether smaller requests may arrive.
///
/// - nginx and its like before any registry: 413
///   (<https://github.com/docker/build-push-action/issues/634>).
/// - Cloudflare: 413 (<https://github.com/cloudflare/serverless-registry/issues/67>).
pub(super) fn wants_smaller_requests(cause: &EndpointError) -> bool {
    cause.answered() == Some(StatusCode::PAYLOAD_TOO_LARGE)
}

/// Whether a host is Docker Hub, under any of its names.
pub(crate) fn is_docker_hub(authority: &str) -> bool {
    HUB_NAMES.contains(&authority)
}

/// All names under which something about a registry may be filed, that of its API first. Docker Hub
/// has several, of which references have one that does not answer
/// (<https://github.com/moby/moby/issues/42368>).
pub(super) fn names_of(authority: &str) -> Vec<&str> {
    if is_docker_hub(authority) {
        HUB_NAMES.to_vec()
    } else {
        vec![authority]
    }
}

/// Under which name programs that keep credentials have those of a registry. Docker Hub's is a URL
/// of its first API (<https://github.com/operator-framework/operator-registry/issues/682>).
pub(super) fn credential_key(authority: &str) -> &str {
    if is_docker_hub(authority) {
        HUB_KEY
    } else {
        authority
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{EndpointError, received_bytes, refuses_artifact};

    #[test]
    fn only_a_final_answer_about_the_type_is_a_refusal() {
        let cause = |status: u16, code: &str| {
            let EndpointError::Status {
                status,
                detail,
                is_about_space,
                redirected_to,
                retry_after,
                ..
            } = EndpointError::status(StatusCode::from_u16(status).unwrap())
            else {
                panic!()
            };
            EndpointError::Status {
                status,
                code: Some(code.to_owned()),
                detail,
                is_about_space,
                redirected_to,
                retry_after,
            }
        };
        for (status, code) in [
            (400, "MANIFEST_INVALID"),
            (405, "UNSUPPORTED"),
            (415, "UNKNOWN"),
        ] {
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

    #[test]
    fn a_range_says_how_many_bytes_are_there() {
        assert_eq!(
            [
                "0-0",
                "0-99",
                "bytes=0-99",
                "1-2",
                "x",
                "0-18446744073709551615"
            ]
            .map(received_bytes),
            [Some(0), Some(100), Some(100), None, None, None]
        );
    }
}
