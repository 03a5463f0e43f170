//! Registries that take images and charts, and no other artifacts.

use rune_testkit::registry::{Fault, Registry};
use serde_json::json;

use crate::{
    bundle::small_bundle::ends_with,
    registry::push_support::{Shipped, writes},
};

const IMAGES_AND_CHARTS: [&str; 3] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.cncf.helm.config.v1+json",
];

/// A registry that refuses artifacts with this status and code.
pub(crate) fn picky(status: u16, code: &'static str) -> Registry {
    let registry = Registry::start();
    registry.behave(|behaviour| {
        behaviour.config_types = Some(IMAGES_AND_CHARTS.to_vec());
        behaviour.refusal = (status, code);
    });
    registry
}

#[test]
fn images_and_charts_arrive_under_their_tags_and_what_was_refused_is_listed() {
    let shipped = Shipped::example();
    for (status, code) in [
        (400, "MANIFEST_INVALID"),
        (405, "UNSUPPORTED"),
        (415, "MANIFEST_INVALID"),
    ] {
        let registry = picky(status, code);
        let output = shipped.run(&registry.host(), &["--json", "--quiet"]);
        ends_with(&output, 10);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (
                registry.tags("library/postgres"),
                registry.tags("charts/rune").len()
            ),
            (vec!["17-alpine".to_owned()], 1)
        );
        let kinds: Vec<_> = report["refused"]
            .as_array()
            .unwrap()
            .iter()
            .map(|refused| refused["kind"].clone())
            .collect();
        assert_eq!(kinds, [json!("index"), json!("signature")], "{report:#}");
        assert!(
            report["references"]
                .as_array()
                .unwrap()
                .iter()
                .all(|reference| reference["kind"] == "image" || reference["kind"] == "chart")
        );
        // A second run finds everything else there, and says the same.
        registry.forget_requests();
        let output = shipped.run(&registry.host(), &[]);
        ends_with(&output, 10);
        assert!(
            writes(&registry)
                .iter()
                .all(|request| request.path.contains("/bundles/"))
        );
        let (text, errors) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert!(
            text.contains("refused    index")
                && errors.contains("help: ")
                && errors.contains("--no-index-artifact"),
            "{text}{errors}"
        );
    }
}

#[test]
fn without_the_index_artifact_such_a_registry_has_everything_that_was_wanted() {
    let shipped = Shipped::twins();
    let registry = picky(400, "MANIFEST_INVALID");
    let report = shipped.report(&registry.host(), &["--no-index-artifact"]);
    assert_eq!(
        (
            report["refused"].as_array().unwrap().len(),
            report["references"].as_array().unwrap().len()
        ),
        (0, 2)
    );
    assert!(registry.requests_to("/v2/bundles/*").is_empty());
}

#[test]
fn a_signature_that_does_not_arrive_is_never_success() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    // The index arrives; the manifest after it is that of the signature.
    registry.fault(
        Fault::on("PUT", "/v2/bundles/twins/manifests/sha256:*")
            .answer(201, "")
            .after_acting(),
    );
    registry.fault(
        Fault::on("PUT", "/v2/bundles/twins/manifests/sha256:*")
            .answer(400, r#"{"errors": [{"code": "MANIFEST_INVALID"}]}"#),
    );
    let output = shipped.run(&registry.host(), &["--json", "--quiet"]);
    ends_with(&output, 10);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            report["refused"].as_array().unwrap().len(),
            &report["refused"][0]["kind"]
        ),
        (1, &json!("signature"))
    );
    assert_eq!(registry.tags("bundles/twins"), ["0.1.0"]);
}

#[test]
fn other_answers_to_the_manifest_of_the_artifact_end_the_push() {
    let shipped = Shipped::twins();
    for (status, exit) in [(401, 9), (403, 9), (429, 10), (500, 10)] {
        let registry = picky(status, "DENIED");
        let said = shipped.push(&registry).unwrap_err();
        assert!(
            said.contains("cannot push the manifest") && said.ends_with(&format!("exit: {exit}")),
            "{status}: {said}"
        );
        // No tag is given before everything behind it is there.
        assert!(registry.tags("library/postgres").is_empty());
    }
    // What is refused of an image is an error as before.
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.config_types = Some(Vec::new()));
    assert!(
        shipped
            .push(&registry)
            .unwrap_err()
            .contains("library/postgres")
    );
}
