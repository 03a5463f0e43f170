//! Manifests and blobs fetched from a registry that behaves.

use rune_bundle::{
    oci::{ManifestKind, Reference},
    registry::{Client, ClientConfig, RepositoryName},
};
use rune_core::digest::Digest;
use rune_testkit::{registry::Registry, sample::Sample};

fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

#[tokio::test]
async fn resolves_a_tag_to_the_exact_bytes_of_the_index_and_fetches_everything_below_it() {
    let registry = Registry::start();
    let image = Sample::default().build();
    let digest = registry.put_image("library/postgres", "17-alpine", &image);
    let reference: Reference = format!("{}/library/postgres:17-alpine", registry.host())
        .parse()
        .unwrap();
    let name = RepositoryName::from(&reference);

    let index = client().resolve(&reference).await.unwrap();
    assert_eq!(index.bytes(), image.index.bytes);
    assert_eq!(index.digest().to_string(), digest);

    for child in index.children() {
        let manifest = client()
            .manifest(&name, child.digest, Some(&child.media_type))
            .await
            .unwrap();
        assert!(matches!(manifest.kind(), ManifestKind::Image { .. }));
        for blob in manifest.children() {
            let bytes = client().blob_bytes(&name, blob, blob.size).await.unwrap();
            assert_eq!(Digest::of(&bytes), blob.digest);
        }
    }
}

#[tokio::test]
async fn says_who_asks_and_offers_every_type_of_manifest() {
    let registry = Registry::start();
    registry.put_image("a/b", "1", &Sample::default().build());
    client()
        .resolve(&format!("{}/a/b:1", registry.host()).parse().unwrap())
        .await
        .unwrap();
    let request = &registry.requests()[0];
    assert!(
        request
            .header("user-agent")
            .is_some_and(|agent| agent.starts_with("rune-bundle/"))
    );
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    for kind in [
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    ] {
        assert!(
            request
                .header("accept")
                .is_some_and(|accept| accept.contains(kind)),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn believes_the_document_when_the_server_does_not_know_its_type() {
    let registry = Registry::start();
    let image = Sample::default().build();
    for (tag, stated) in [
        ("1", "application/octet-stream"),
        ("2", "application/json; charset=utf-8"),
        ("3", "text/plain"),
    ] {
        registry.put_manifest("a/b", Some(tag), stated, &image.index.bytes);
        let index = client()
            .resolve(&format!("{}/a/b:{tag}", registry.host()).parse().unwrap())
            .await
            .unwrap();
        assert_eq!(index.media_type(), image.index.media_type);
    }
    registry.put_manifest(
        "a/b",
        Some("4"),
        "application/vnd.oci.image.manifest.v1+json",
        &image.index.bytes,
    );
    assert!(
        client()
            .resolve(&format!("{}/a/b:4", registry.host()).parse().unwrap())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn continues_a_blob_in_the_middle() {
    let registry = Registry::start();
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    registry.put_blob("a/b", &content);
    let reference: Reference = format!("{}/a/b:x", registry.host()).parse().unwrap();
    let descriptor = rune_bundle::oci::Descriptor::of("application/octet-stream", &content);

    let mut stream = client()
        .blob(&RepositoryName::from(&reference), &descriptor, 70_001)
        .await
        .unwrap();
    let mut received = Vec::new();
    while let Some(bytes) = stream.next().await.unwrap() {
        received.extend_from_slice(&bytes);
    }
    assert_eq!(received, content[70_001..]);
    assert_eq!(
        registry.requests()[0].header("range"),
        Some("bytes=70001-99999")
    );
}
