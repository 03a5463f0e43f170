//! Blobs: exactly the bytes that were declared, whatever happens on the way.

use std::time::Duration;

use rune_testkit::registry::{Fault, Registry};

use crate::registry::support::{blob, client, fetch, name, quick, words};

const BLOBS: &str = "/v2/*/blobs/*";

#[tokio::test]
async fn a_connection_that_breaks_midway_is_continued_where_it_broke() {
    let registry = Registry::start();
    let (content, descriptor) = blob(&registry, "a/b", 300_000);
    registry.fault(Fault::on("GET", BLOBS).cut_at(100_000));
    registry.fault(Fault::on("GET", BLOBS).cut_at(50_000));
    assert_eq!(
        fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 0)
            .await
            .unwrap(),
        content
    );
    let ranges: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges[0], None);
    for range in &ranges[1..] {
        assert!(
            range
                .as_deref()
                .is_some_and(|range| range.starts_with("bytes=") && range.ends_with("-299999")),
            "{ranges:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_from_the_start_and_nothing_is_given_twice() {
    let registry = Registry::start();
    let (content, descriptor) = blob(&registry, "a/b", 300_000);
    registry.fault(Fault::on("GET", BLOBS).cut_at(100_000));
    registry.fault(Fault::on("GET", BLOBS).always().ignore_range());
    let client = client(quick());
    assert_eq!(
        fetch(&client, &name(&registry, "a/b"), &descriptor, 0)
            .await
            .unwrap(),
        content
    );
    assert_eq!(
        fetch(&client, &name(&registry, "a/b"), &descriptor, 299_999)
            .await
            .unwrap(),
        content[299_999..]
    );
}

#[tokio::test]
async fn a_server_that_falls_silent_is_asked_again() {
    let registry = Registry::start();
    let (content, descriptor) = blob(&registry, "a/b", 100_000);
    registry.fault(Fault::on("GET", BLOBS).stall_at(40_000));
    let mut config = quick();
    config.idle_timeout = Duration::from_secs(1);
    assert_eq!(
        fetch(&client(config), &name(&registry, "a/b"), &descriptor, 0)
            .await
            .unwrap(),
        content
    );
    assert!(registry.requests().len() >= 2);
}

#[tokio::test]
async fn a_connection_that_breaks_again_and_again_without_progress_is_given_up() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 300_000);
    registry.fault(Fault::on("GET", BLOBS).always().cut_at(0));
    let error = fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(
        words.contains("the connection broke")
            && words.contains("after 4 attempts")
            && words.ends_with("exit: 10"),
        "{words}"
    );
    assert_eq!(registry.requests().len(), 4);
}

#[tokio::test]
async fn a_body_of_another_size_than_declared_is_refused() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 10_000);
    for (fault, actual) in [
        (Fault::on("GET", BLOBS).longer_by(1), 10_001),
        (Fault::on("GET", BLOBS).shorter_by(1), 9_999),
        (
            Fault::on("GET", BLOBS).longer_by(1).without_length(),
            10_001,
        ),
        (
            Fault::on("GET", BLOBS).shorter_by(1).without_length(),
            9_999,
        ),
    ] {
        registry.fault(fault.clone());
        let error = fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 0)
            .await
            .unwrap_err();
        let words = words(
            error,
            &[
                (&registry.host(), "REGISTRY"),
                (&descriptor.digest.to_string(), "DIGEST"),
            ],
        );
        assert_eq!(
            words,
            format!(
                "cannot fetch blob `DIGEST` of `REGISTRY/a/b`: `http://REGISTRY` sent, or announced, {actual} bytes instead of 10000\n\
                 help: something between here and `REGISTRY` changes content, or `REGISTRY` is damaged; try without proxy or mirror\n\
                 exit: 6"
            ),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_declared_size() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 10_000);
    registry.fault(
        Fault::on("GET", BLOBS)
            .longer_by(5_000_000)
            .without_length(),
    );
    let mut stream = client(quick())
        .blob(&name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap();
    let mut received = 0;
    let outcome = loop {
        match stream.next().await {
            Ok(Some(bytes)) => received += bytes.len(),
            other => break other,
        }
    };
    assert!(outcome.is_err() && received <= 10_000, "{received}");
}

#[tokio::test]
async fn a_range_that_is_not_the_one_asked_for_is_refused() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 10_000);
    for lie in [
        "bytes 0-9999/10000",
        "bytes 5001-9999/10000",
        "bytes 5000-9999/20000",
        "bytes 5000-9998/10000",
        "pages 1-2/3",
        "",
    ] {
        registry.fault(Fault::on("GET", BLOBS).header("content-range", lie));
        let error = fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 5000)
            .await
            .unwrap_err();
        let words = words(error, &[(&registry.host(), "REGISTRY")]);
        let expected =
            format!("`http://REGISTRY` was asked for `bytes 5000-9999/10000` and sent `{lie}`");
        assert!(
            words.contains(&expected) && words.ends_with("exit: 6"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn a_damaged_small_blob_is_refused_by_its_digest() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 500);
    registry.fault(Fault::on("GET", BLOBS).wrong_at(17));
    let error = client(quick())
        .blob_bytes(&name(&registry, "a/b"), &descriptor, 500)
        .await
        .unwrap_err();
    let words = words(error, &[]);
    assert!(
        words.contains("sent content with the digest") && words.ends_with("exit: 6"),
        "{words}"
    );
}

#[tokio::test]
async fn a_finished_or_empty_blob_is_not_asked_for() {
    let registry = Registry::start();
    let (_, whole) = blob(&registry, "a/b", 500);
    let (_, empty) = blob(&registry, "a/b", 0);
    let client = client(quick());
    assert_eq!(
        fetch(&client, &name(&registry, "a/b"), &whole, 500)
            .await
            .unwrap(),
        b""
    );
    assert_eq!(
        fetch(&client, &name(&registry, "a/b"), &empty, 0)
            .await
            .unwrap(),
        b""
    );
    assert_eq!(registry.requests().len(), 0);
}

#[tokio::test]
async fn a_host_is_busy_with_no_more_than_its_share() {
    let registry = Registry::start();
    let (content, descriptor) = blob(&registry, "a/b", 5_000_000);
    let mut config = quick();
    config.max_connections_per_host = 2;
    let (client, name) = (client(config), name(&registry, "a/b"));
    let first = client.blob(&name, &descriptor, 0).await.unwrap();
    let _second = client.blob(&name, &descriptor, 0).await.unwrap();
    let third = tokio::spawn({
        let (client, name, descriptor) = (client.clone(), name.clone(), descriptor.clone());
        async move { fetch(&client, &name, &descriptor, 0).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(registry.requests().len(), 2);
    drop(first);
    assert_eq!(third.await.unwrap().unwrap(), content);
}
