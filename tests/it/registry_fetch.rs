//! Manifests and blobs fetched from a registry that behaves.

use rune_bundle::{
    oci::{Digest, ManifestKind, Reference},
    registry::{Client, ClientConfig, RepositoryName},
};
use rune_testkit::{registry::Registry, sample::Sample};

fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

#[tokio::test]
async fn resolves_a_tag_to_the_exact_bytes_of_the_index_and_fetches_everything_below_it() {
    let registry = Registry::start();
    let image = Sample::default().build();
    let digest = registry.put_image("library/postgres", "17-alpine", &image);
    let reference: Reference = format!("{}/library/postgres:17-alpine", registry.host()).parse().unwrap();
    let name = RepositoryName::from(&reference);

    let index = client().resolve(&reference).await.unwrap();
    assert_eq!(index.bytes(), image.index.bytes);
    assert_eq!(index.digest().to_string(), digest);

    for child in index.children() {
        let manifest = client().manifest(&name, child.digest, Some(&child.media_type)).await.unwrap();
        assert!(matches!(manifest.kind(), ManifestKind::Image { .. }));
        for blob in manifest.children() {
            let bytes = client().blob_bytes(&name, blob, blob.size).await.unwrap();
            assert_eq!(Digest::of(&bytes), blob.digest);
        }
    }
}

#[tokio::test]
async fn continues_a_blob_in_the_middle() {
    let registry = Registry::start();
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    registry.put_blob("a/b", &content);
    let reference: Reference = format!("{}/a/b:x", registry.host()).parse().unwrap();
    let descriptor = rune_bundle::oci::Descriptor::of("application/octet-stream", &content);

    let mut stream = client().blob(&RepositoryName::from(&reference), &descriptor, 70_001).await.unwrap();
    let mut received = Vec::new();
    while let Some(bytes) = stream.next().await.unwrap() {
        received.extend_from_slice(&bytes);
    }
    assert_eq!(received, content[70_001..]);
    assert_eq!(registry.requests()[0].header("range"), Some("bytes=70001-99999"));
}
