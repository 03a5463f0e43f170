//! A registry that fails while it is written to: what is tried again, what is sent twice, what a
//! person is told, and that a rerun finishes.

use rune_testkit::{
    registry::{Fault, Registry},
    sample::Sample,
};
use serde_json::Value;

use crate::registry::push_support::{Shipped, writes};

const UPLOADS: &str = "/v2/*/blobs/uploads/*";
const MANIFESTS: &str = "/v2/*/manifests/*";
/// One layer that is much larger than everything else.
const LARGE_LAYER: usize = 3 << 20;

fn large() -> Shipped {
    Shipped::twins_of(
        "all",
        &Sample {
            platforms: vec![("linux", "amd64", None)],
            layer_bytes: vec![LARGE_LAYER],
            ..Sample::default()
        },
    )
}

/// Pushes to a registry that plays a fault.
fn push_with(shipped: &Shipped, fault: Fault) -> (Registry, Result<Value, String>) {
    let registry = Registry::start();
    registry.fault(fault);
    let outcome = shipped.push_with(&registry, |options| options.settings.jobs = 1);
    (registry, outcome)
}

#[test]
fn what_passes_is_tried_again_until_it_does() {
    let shipped = Shipped::twins();
    for fault in [
        Fault::on("HEAD", "*").times(3).status(500),
        Fault::on("POST", UPLOADS).times(3).status(503),
        Fault::on("POST", UPLOADS)
            .times(2)
            .status(429)
            .header("retry-after", "1"),
        Fault::on("PUT", UPLOADS).times(3).status(502),
        Fault::on("PUT", UPLOADS).times(3).cut_request_at(100),
        Fault::on("PUT", MANIFESTS).times(3).status(500),
        Fault::on("PUT", MANIFESTS).times(3).cut_request_at(10),
        Fault::on("GET", MANIFESTS).times(3).status(504),
    ] {
        let (registry, outcome) = push_with(&shipped, fault.clone());
        assert!(outcome.is_ok(), "{fault:?}: {outcome:?}");
        assert!(registry.manifest("library/postgres", "17-alpine").is_some());
    }
}

#[test]
fn a_blob_that_broke_off_goes_on_where_the_registry_has_it() {
    let shipped = large();
    let (registry, outcome) = push_with(
        &shipped,
        Fault::on("PUT", UPLOADS).cut_request_at(LARGE_LAYER / 3 * 2),
    );
    let report = outcome.unwrap();
    let continued = writes(&registry)
        .into_iter()
        .find(|request| request.method == "PATCH")
        .expect("nothing was continued");
    assert_eq!(
        continued
            .header("content-range")
            .unwrap()
            .split_once('-')
            .unwrap()
            .0,
        (LARGE_LAYER / 3 * 2).to_string()
    );
    // What arrived was not sent again; what was on its way when the connection broke may have been.
    let total = report["blobs"]["uploadedBytes"].as_u64().unwrap();
    assert!(
        registry.received_bytes() < total + (LARGE_LAYER / 3) as u64,
        "{} of {total}",
        registry.received_bytes()
    );
}

#[test]
fn a_registry_that_forgot_the_upload_is_sent_the_blob_anew() {
    let shipped = large();
    let registry = Registry::start();
    registry.fault(Fault::on("PUT", UPLOADS).cut_request_at(LARGE_LAYER / 2));
    registry.fault(
        Fault::on("GET", UPLOADS).answer(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#),
    );
    shipped
        .push_with(&registry, |options| options.settings.jobs = 1)
        .unwrap();
    assert!(
        writes(&registry)
            .iter()
            .all(|request| request.method != "PATCH")
    );
    assert!(registry.received_bytes() > (LARGE_LAYER / 2 + LARGE_LAYER) as u64);
}

#[test]
fn an_answer_that_was_lost_after_the_blob_was_taken_costs_no_second_upload() {
    let shipped = large();
    let (registry, outcome) = push_with(
        &shipped,
        Fault::on("PUT", UPLOADS).after_acting().status(502),
    );
    let report = outcome.unwrap();
    assert_eq!(registry.received_bytes(), report["blobs"]["uploadedBytes"]);
    let lost = writes(&registry)
        .iter()
        .filter(|request| request.method == "PUT" && request.path.contains("/uploads/"))
        .count();
    assert_eq!(lost as u64, report["blobs"]["uploaded"].as_u64().unwrap());
}

#[test]
fn a_proxy_that_takes_no_large_requests_gets_small_ones() {
    let shipped = large();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.max_request_bytes = Some(600_000));
    let report = shipped.push(&registry).unwrap();
    assert!(
        writes(&registry)
            .iter()
            .any(|request| request.method == "PATCH")
    );
    let layer = shipped
        .index()
        .entries
        .iter()
        .map(|entry| (entry.size, entry.sha256))
        .max()
        .unwrap()
        .1
        .to_string();
    assert_eq!(
        rune_testkit::sha256(&registry.blob("library/postgres", &layer).unwrap()),
        layer
    );
    assert!(report["blobs"]["uploaded"].as_u64().unwrap() > 0);

    let strict = Registry::start();
    strict.behave(|behaviour| behaviour.max_request_bytes = Some(1000));
    let said = shipped.push(&strict).unwrap_err();
    assert!(
        said.contains("answered 413 Payload Too Large")
            && said.contains("client_max_body_size")
            && said.ends_with("exit: 11"),
        "{said}"
    );
}

#[test]
fn parts_have_the_size_that_was_asked_for_and_no_less_than_the_registry_wants() {
    let shipped = large();
    let parts = |min: Option<u64>| {
        let registry = Registry::start();
        registry.behave(|behaviour| behaviour.min_chunk_bytes = min);
        shipped
            .push_with(&registry, |options| {
                options.settings.chunk_bytes = Some(1 << 20);
            })
            .unwrap();
        let parts = writes(&registry)
            .into_iter()
            .filter(|request| request.method == "PATCH");
        parts
            .map(|request| request.body_bytes())
            .collect::<Vec<_>>()
    };
    let small = parts(None);
    assert_eq!(&small[..3], [1 << 20; 3]);
    assert_eq!(parts(Some(2 << 20))[0], 2 << 20);
}

#[test]
fn a_part_that_broke_off_is_sent_again_from_where_the_registry_has_it() {
    let shipped = large();
    let registry = Registry::start();
    registry.fault(Fault::on("PATCH", UPLOADS).cut_request_at(400_000));
    let report = shipped
        .push_with(&registry, |options| {
            (options.settings.jobs, options.settings.chunk_bytes) = (1, Some(1 << 20));
        })
        .unwrap();
    let starts: Vec<_> = writes(&registry)
        .iter()
        .filter_map(|request| {
            Some(
                request
                    .header("content-range")?
                    .split_once('-')?
                    .0
                    .to_owned(),
            )
        })
        .collect();
    assert_eq!(&starts[..2], ["0", "400000"]);
    assert!(
        report["sentBytes"].as_u64().unwrap() > report["blobs"]["uploadedBytes"].as_u64().unwrap()
    );
}

/// What a person is told of a registry that plays a fault for ever, and whether a rerun without it
/// ends well.
fn told(shipped: &Shipped, fault: Fault) -> String {
    let (registry, outcome) = push_with(shipped, fault.always());
    let said = outcome.unwrap_err();
    assert!(
        registry.tags("library/postgres").is_empty(),
        "a tag was moved: {said}"
    );
    registry.end_faults();
    shipped.push(&registry).unwrap();
    said
}

#[test]
fn each_kind_of_refusal_has_its_words_and_its_exit_code() {
    let shipped = Shipped::twins();
    let error = |code: &str, message: &str| {
        format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#)
    };
    for (fault, words, exit) in [
        (Fault::on("POST", UPLOADS).status(500), "answered 500 Internal Server Error after 4 attempts", 10),
        (Fault::on("POST", UPLOADS).status(429), "answered 429 Too Many Requests after 4 attempts", 10),
        (Fault::on("*", UPLOADS).cut_request_at(0), "the connection broke", 10),
        (Fault::on("PUT", UPLOADS).status(507), "make room at `REGISTRY`", 11),
        (
            Fault::on("PUT", UPLOADS)
                .answer(500, r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Op":"write","Err":28}}]}"#),
            "make room at `REGISTRY`",
            11,
        ),
        (
            Fault::on("PUT", UPLOADS).answer(403, &error("DENIED", "Quota exceeded when processing the request")),
            "make room at `REGISTRY`",
            11,
        ),
        (Fault::on("POST", UPLOADS).answer(405, &error("UNSUPPORTED", "read-only")), "it is read-only, or a cache of another registry", 9),
        (Fault::on("POST", UPLOADS).answer(403, &error("DENIED", "no")), "check that the user for `REGISTRY` may push to `", 9),
        (Fault::on("POST", UPLOADS).status(401), "answered 401 Unauthorized", 9),
        (
            Fault::on("POST", UPLOADS).status(401).header("www-authenticate", "Negotiate"),
            "authentication of a kind that is not supported",
            9,
        ),
        (Fault::on("POST", UPLOADS).answer(404, &error("NAME_UNKNOWN", "no such repository")), "make the repository `", 4),
        (Fault::on("POST", UPLOADS).answer(400, &error("NAME_INVALID", "bad name")), "--flatten", 2),
        (Fault::on("PUT", MANIFESTS).answer(400, &error("TAG_INVALID", "The image tag already exists and is immutable")), "tags of `", 12),
        (Fault::on("PUT", MANIFESTS).answer(403, &error("DENIED", "no")), "cannot push the manifest `sha256:", 9),
    ] {
        let said = told(&shipped, fault.clone());
        assert!(said.contains(words) && said.ends_with(&format!("\nexit: {exit}")), "{fault:?}: {said}");
        assert!(said.starts_with("cannot push "), "{said}");
    }
}

#[test]
fn a_destination_that_goes_away_midway_is_named_and_a_rerun_sends_the_rest_only() {
    let shipped = large();
    let registry = Registry::start();
    // Everything but the large layer's end arrives; from then on nobody answers.
    registry.fault(Fault::on("PUT", MANIFESTS).always().cut_request_at(0));
    let said = shipped.push(&registry).unwrap_err();
    assert!(
        said.contains("the connection broke")
            && said.contains("after 4 attempts")
            && said.ends_with("exit: 10"),
        "{said}"
    );
    registry.end_faults();
    registry.forget_requests();
    let report = shipped.push(&registry).unwrap();
    assert_eq!(
        (registry.received_bytes(), &report["blobs"]["uploaded"]),
        (0, &0.into())
    );
    let nobody = shipped
        .push_with(&registry, |options| {
            options.settings.destination = "127.0.0.1:1".parse().unwrap();
        })
        .unwrap_err();
    assert!(
        nobody.contains("no connection") && nobody.ends_with("exit: 10"),
        "{nobody}"
    );
}

#[test]
fn a_registry_that_makes_another_manifest_of_it_is_told_on() {
    let shipped = Shipped::twins();
    let other = format!("sha256:{}", "1".repeat(64));
    // It says so itself.
    let said = told(
        &shipped,
        Fault::on("PUT", "/v2/*/manifests/sha256:*").header("docker-content-digest", &other),
    );
    assert!(
        said.contains(&format!("and has {other} instead")) && said.ends_with("exit: 6"),
        "{said}"
    );
    // It does not, but gives something else back.
    let registry = Registry::start();
    registry.fault(
        Fault::on("GET", "/v2/library/postgres/manifests/sha256:*")
            .always()
            .longer_by(1),
    );
    let said = shipped.push(&registry).unwrap_err();
    let digests = said.matches("sha256:").count();
    assert!(
        said.contains("was given sha256:") && digests >= 3 && said.ends_with("exit: 6"),
        "{said}"
    );
}

#[test]
fn a_registry_that_lags_is_asked_again() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    // Whichever two are asked for at once: none is missed more often than it is asked again.
    for repository in ["library/postgres", "lpasquali/rune"] {
        registry.fault(
            Fault::on("GET", &format!("/v2/{repository}/manifests/sha256:*"))
                .times(3)
                .status(404),
        );
    }
    registry.fault(
        Fault::on("PUT", "/v2/library/postgres/manifests/*")
            .times(2)
            .answer(400, r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#),
    );
    shipped
        .push_with(&registry, |options| options.settings.jobs = 2)
        .unwrap();

    let forgetful = Registry::start();
    forgetful.fault(
        Fault::on("GET", "/v2/library/postgres/manifests/sha256:*")
            .always()
            .status(404),
    );
    let said = shipped.push(&forgetful).unwrap_err();
    assert!(
        said.contains("took it and does not have it after 4 attempts")
            && said.ends_with("exit: 10"),
        "{said}"
    );
}

#[test]
fn a_mount_that_is_refused_is_an_upload() {
    let shipped = Shipped::twins();
    for status in [401, 403, 404, 405] {
        let registry = Registry::start();
        registry.behave(|behaviour| behaviour.mount_status = Some(status));
        let report = shipped.push(&registry).unwrap();
        assert_eq!(report["blobs"]["mounted"], 0, "{status}");
        assert_eq!(report["sentBytes"], report["blobs"]["uploadedBytes"]);
    }
}
