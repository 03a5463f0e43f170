//! A registry that fails: what is tried again, what is not, and what a person is told.

use rune_testkit::registry::{Fault, Registry};

use crate::registry::support::{Files, blob, client, name, quick, reference, stocked, words};

const MANIFESTS: &str = "/v2/*/manifests/*";

/// Resolves `library/postgres:17-alpine` at a registry that plays a fault and tells what came of
/// it.
async fn resolve_with(fault: Fault) -> (Registry, Result<(), String>) {
    let registry = stocked(Registry::start());
    registry.fault(fault);
    let outcome = client(quick())
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await;
    let outcome = outcome
        .map(|_| ())
        .map_err(|error| words(error, &[(&registry.host(), "REGISTRY")]));
    (registry, outcome)
}

#[tokio::test]
async fn a_server_that_recovers_is_asked_until_it_does() {
    for fault in [
        Fault::on("GET", MANIFESTS).times(3).status(500),
        Fault::on("GET", MANIFESTS)
            .times(2)
            .status(429)
            .header("retry-after", "1"),
        Fault::on("GET", MANIFESTS)
            .times(2)
            .status(503)
            .header("retry-after", "Wed, 21 Oct 2065 07:28:00 GMT"),
        Fault::on("GET", MANIFESTS).times(1).status(408),
        Fault::on("GET", MANIFESTS).times(3).cut_at(10),
    ] {
        let (registry, outcome) = resolve_with(fault.clone()).await;
        assert_eq!(outcome, Ok(()), "{fault:?}");
        assert!(registry.requests().len() > 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_recover_is_given_up_after_the_last_attempt() {
    let (registry, outcome) = resolve_with(Fault::on("GET", MANIFESTS).always().status(500)).await;
    assert_eq!(registry.requests().len(), 4);
    assert_eq!(
        outcome.unwrap_err(),
        "cannot fetch the manifest of `REGISTRY/library/postgres:17-alpine`: `http://REGISTRY` answered 500 Internal Server Error after 4 attempts\n\
         help: run the same command again later; what was finished is kept\n\
         exit: 10"
    );
    let (_, outcome) = resolve_with(
        Fault::on("GET", MANIFESTS)
            .always()
            .status(429)
            .header("retry-after", "86400"),
    )
    .await;
    assert!(
        outcome
            .unwrap_err()
            .contains("answered 429 Too Many Requests after 4 attempts")
    );
}

#[tokio::test]
async fn a_connection_that_always_breaks_is_given_up() {
    let (_, outcome) = resolve_with(Fault::on("GET", MANIFESTS).always().cut_at(10)).await;
    let words = outcome.unwrap_err();
    assert!(
        words.contains("`http://REGISTRY` failed: the connection broke")
            && words.contains("after 4 attempts"),
        "{words}"
    );
    assert!(words.ends_with("exit: 10"), "{words}");
}

#[tokio::test]
async fn what_is_not_there_is_said_at_once() {
    let registry = stocked(Registry::start());
    let error = client(quick())
        .resolve(&reference(&registry, "library/postgres:16"))
        .await
        .unwrap_err();
    assert_eq!(
        words(error, &[(&registry.host(), "REGISTRY")]),
        "cannot fetch the manifest of `REGISTRY/library/postgres:16`: `http://REGISTRY` answered 404 Not Found (manifest unknown)\n\
         help: check the spelling of repository and tag; some registries also say this to those who may not read it (`rune-bundle login REGISTRY -u USER`)\n\
         exit: 4"
    );
    assert_eq!(registry.requests().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_what_the_server_says_is_made_harmless() {
    let body = r#"{"errors": [{"code": "DENIED", "message": "requested access is \u001b[31mdenied\u202e"}]}"#;
    let (registry, outcome) =
        resolve_with(Fault::on("GET", MANIFESTS).always().answer(403, body)).await;
    assert_eq!(registry.requests().len(), 1);
    assert_eq!(
        outcome.unwrap_err(),
        "cannot fetch the manifest of `REGISTRY/library/postgres:17-alpine`: `http://REGISTRY` answered 403 Forbidden (requested access is \u{fffd}[31mdenied\u{fffd})\n\
         help: check what the credentials for `REGISTRY` may read\n\
         exit: 9"
    );
}

#[tokio::test]
async fn a_manifest_that_does_not_have_its_digest_is_refused() {
    let registry = stocked(Registry::start());
    let (_, bytes) = registry.manifest("library/postgres", "17-alpine").unwrap();
    let digest = rune_testkit::sha256(&bytes);
    registry.fault(Fault::on("GET", MANIFESTS).always().wrong_at(5));
    let pinned = reference(&registry, &format!("library/postgres:17-alpine@{digest}"));
    let error = client(quick()).resolve(&pinned).await.unwrap_err();
    let words = words(
        error,
        &[(&registry.host(), "REGISTRY"), (&digest, "DIGEST")],
    );
    assert!(
        words.contains("`http://REGISTRY` sent content with the digest sha256:")
            && words.contains("instead of DIGEST"),
        "{words}"
    );
    assert!(words.ends_with("exit: 6"), "{words}");
    assert_eq!(registry.requests().len(), 1);
}

#[tokio::test]
async fn a_body_without_an_end_is_not_read_to_its_end() {
    let registry = Registry::start();
    registry.put_manifest(
        "a/b",
        Some("big"),
        "application/vnd.oci.image.index.v1+json",
        &vec![b' '; (4 << 20) + 1],
    );
    let error = client(quick())
        .resolve(&reference(&registry, "a/b:big"))
        .await
        .unwrap_err();
    let words = words(error, &[]);
    assert!(
        words.contains("offers more than the 4194304 bytes that are accepted")
            && words.ends_with("exit: 6"),
        "{words}"
    );

    let (_, descriptor) = blob(&registry, "a/b", 1000);
    registry.fault(Fault::on("GET", "/v2/*/blobs/*").longer_by(1));
    let outcome = client(quick())
        .blob_bytes(&name(&registry, "a/b"), &descriptor, 1000)
        .await;
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("offers more than the 1000 bytes")
    );
    let outcome = client(quick())
        .blob_bytes(&name(&registry, "a/b"), &descriptor, 999)
        .await;
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("has 1000 bytes, and at most 999 are accepted")
    );
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    // Port 1 belongs to a service that nobody has run for decades.
    let host = "127.0.0.1:1";
    let error = client(quick())
        .resolve(&format!("{host}/a/b:x").parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        words(error, &[(host, "REGISTRY")]),
        "cannot fetch the manifest of `REGISTRY/a/b:x`: `https://REGISTRY` failed: no connection: Connection refused after 4 attempts\n\
         help: check that `REGISTRY` can be reached from here; proxies are set with HTTPS_PROXY, mirrors with --registry-config\n\
         exit: 10"
    );
}

#[tokio::test]
async fn a_server_under_an_unknown_authority_is_not_believed_until_its_authority_is_named() {
    let registry = stocked(Registry::start_tls(rune_testkit::registry::Auth::None));
    let image = reference(&registry, "library/postgres:17-alpine");
    let error = client(quick()).resolve(&image).await.unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(
        words.contains("`https://REGISTRY` failed: its TLS certificate is not trusted: "),
        "{words}"
    );
    assert!(
        words.contains("--ca-file") && words.ends_with("exit: 10"),
        "{words}"
    );
    assert_eq!(registry.requests().len(), 0);

    let files = Files::new();
    let mut config = quick();
    config.ca_files = vec![files.write("ca.pem", registry.ca_pem())];
    client(config).resolve(&image).await.unwrap();
}

#[test]
fn a_ca_file_without_certificates_is_refused_before_anything_is_asked() {
    let files = Files::new();
    let mut config = quick();
    config.ca_files = vec![files.write(
        "ca.pem",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    )];
    let error = rune_bundle::registry::Client::new(config).unwrap_err();
    assert_eq!(
        words(error, &[(files.directory().as_str(), "DIR")]),
        "`DIR/ca.pem`, given with `--ca-file`, holds no certificate in PEM form\n\
         help: it holds a public key; use the file with the certificate\n\
         exit: 3"
    );
}
