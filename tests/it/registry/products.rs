//! Registries that answer as products do which are not here: what `docs/airgap/registries.md` says
//! of each.

use rune_testkit::{
    registry::{Auth, Fault, Registry},
    sample::Sample,
};
use serde_json::Value;

use crate::{
    bundle::{project::Project, small_bundle::ends_with},
    registry::{
        push_refused::picky,
        push_support::{Shipped, writes},
        support::{Files, client, quick, reference, stocked},
    },
};

const BLOBS: &str = "/v2/*/blobs/sha256:*";
const UPLOADS: &str = "/v2/*/blobs/uploads/*";
const MANIFESTS: &str = "/v2/*/manifests/*";

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#)
}

/// Pushes, and gives what a registry that takes images and charts is said to have and to have
/// refused.
fn arrived(shipped: &Shipped, registry: &Registry, code: i32) -> Value {
    let output = shipped.run(&registry.host(), &["--json", "--quiet"]);
    ends_with(&output, code);
    assert_eq!(registry.tags("library/postgres"), ["17-alpine"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(report: &Value) -> Vec<&str> {
    report["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| refused["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn artifactory() {
    let shipped = Shipped::twins();
    // Version 6 knows no artifacts, hides what is absent, and takes no blob with the end of its
    // upload.
    let registry = picky(400, "MANIFEST_INVALID");
    registry.behave(|behaviour| behaviour.takes_whole_blobs = false);
    registry.fault(Fault::on("HEAD", BLOBS).always().status(403));
    let report = arrived(&shipped, &registry, 10);
    assert_eq!(refused(&report), ["index", "signature"]);
    // Only the first blobs were sent in vain: four at a time.
    let whole = |request: &&rune_testkit::registry::Request| {
        request.method == "PUT" && request.body_bytes() > 0
    };
    let in_vain = writes(&registry)
        .iter()
        .filter(|request| request.path.contains("/uploads/"))
        .filter(whole)
        .count();
    assert!((1..=4).contains(&in_vain), "{in_vain}");
    let report = shipped.report(&registry.host(), &["--no-index-artifact"]);
    assert_eq!(refused(&report), Vec::<&str>::new());
}

#[tokio::test]
async fn artifactory_with_virtual_repositories_hides_what_is_private() {
    let registry = stocked(Registry::start_with(Auth::Basic(
        "alice".into(),
        "wonderland".into(),
    )));
    registry.behave(|behaviour| behaviour.hides_with = Some(403));
    let files = Files::new();
    let mut config = quick();
    config.auth_files = vec![files.login(&registry.host(), "alice", "wonderland")];
    client(config)
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await
        .unwrap();
}

#[test]
fn nexus() {
    let shipped = Shipped::of_one_platform();
    // An index with gaps is 400, and so would an artifact be.
    let registry = picky(400, "MANIFEST_INVALID");
    let report = arrived(&shipped, &registry, 10);
    assert_eq!(refused(&report), ["index", "signature"]);
    assert_eq!(report["references"][0]["index"], "reduced", "{report:#}");
    // What it says of a part that it does not see yet.
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.fault(
        Fault::on("PUT", MANIFESTS)
            .times(2)
            .answer(400, &error("BLOB_UNKNOWN", "blob unknown to registry")),
    );
    assert_eq!(
        refused(&arrived(&shipped, &registry, 0)),
        Vec::<&str>::new()
    );
}

#[test]
fn a_challenge_in_capitals_is_one() {
    let registry = stocked(Registry::start_with(Auth::Basic(
        "alice".into(),
        "wonderland".into(),
    )));
    let challenge = r#"BASIC realm="Sonatype Nexus Repository Manager""#;
    registry.fault(
        Fault::on("GET", MANIFESTS)
            .answer(401, "")
            .header("www-authenticate", challenge),
    );
    let files = Files::new();
    let mut config = quick();
    config.auth_files = vec![files.login(&registry.host(), "alice", "wonderland")];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = client(config);
    runtime
        .block_on(client.resolve(&reference(&registry, "library/postgres:17-alpine")))
        .unwrap();
}

#[test]
fn quay() {
    let shipped = Shipped::twins();
    for (status, code) in [(400, "MANIFEST_INVALID"), (415, "MANIFEST_INVALID")] {
        assert_eq!(
            refused(&arrived(&shipped, &picky(status, code), 10)),
            ["index", "signature"]
        );
    }
    // Before 3.6: two components, and a person is told how.
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.max_depth = Some(2));
    let destination = format!("{}/team", registry.host());
    let said = ends_with(&shipped.run(&destination, &[]), 2);
    assert!(said.contains("--flatten"), "{said}");
    ends_with(&shipped.run(&destination, &["--flatten"]), 0);
}

#[test]
fn ecr() {
    let shipped = Shipped::twins();
    assert_eq!(
        refused(&arrived(&shipped, &picky(405, "UNSUPPORTED"), 10)),
        ["index", "signature"]
    );
    // Repositories are made by others.
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.makes_repositories = false);
    let said = ends_with(&shipped.run(&registry.host(), &[]), 4);
    assert!(said.contains("make the repository `"), "{said}");
    // ECR Public says nothing about a blob, and another says that an upload is not what it was.
    let registry = Registry::start();
    registry.fault(Fault::on("HEAD", BLOBS).always().status(401));
    let lost = error("BLOB_UPLOAD_INVALID", "Layer part does not follow");
    registry.fault(Fault::on("PUT", UPLOADS).answer(416, &lost));
    assert_eq!(
        refused(&arrived(&shipped, &registry, 0)),
        Vec::<&str>::new()
    );
    let registry = Registry::start();
    registry.fault(
        Fault::on("PUT", MANIFESTS)
            .always()
            .answer(400, &error("TAG_INVALID", "the tag is immutable")),
    );
    ends_with(&shipped.run(&registry.host(), &[]), 12);
}

#[test]
fn azure_container_registry_loses_an_upload_that_broke() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.fault(Fault::on("PUT", UPLOADS).cut_request_at(1));
    registry.fault(
        Fault::on("GET", UPLOADS).answer(404, &error("BLOB_UPLOAD_INVALID", "blob upload invalid")),
    );
    assert_eq!(
        refused(&arrived(&shipped, &registry, 0)),
        Vec::<&str>::new()
    );
}

#[test]
fn harbor() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.mount_status = Some(401));
    assert_eq!(
        refused(&arrived(&shipped, &registry, 0)),
        Vec::<&str>::new()
    );
    for (answer, status, exit) in [
        (
            error(
                "PRECONDITION",
                "Failed to process request due to tag configured as immutable",
            ),
            412,
            12,
        ),
        (
            error(
                "DENIED",
                "Quota exceeded when processing the request of adding 1 B",
            ),
            403,
            11,
        ),
    ] {
        let registry = Registry::start();
        registry.fault(Fault::on("PUT", MANIFESTS).always().answer(status, &answer));
        ends_with(&shipped.run(&registry.host(), &[]), exit);
    }
}

#[tokio::test]
async fn manifests_that_a_proxy_packed_have_the_digest_of_what_was_packed() {
    let registry = stocked(Registry::start());
    registry.behave(|behaviour| behaviour.packs_manifests = true);
    let index = client(quick())
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await
        .unwrap();
    assert_eq!(index.bytes(), Sample::default().build().index.bytes);
}

#[test]
fn a_verbose_lock_names_answers_that_were_packed_on_the_way() {
    let project = Project::new();
    project
        .registry
        .behave(|behaviour| behaviour.packs_manifests = true);
    let said = ends_with(
        &project.run(&[
            "lock",
            "--no-chart-check",
            "--verbose",
            "--registry-config",
            "registries.yaml",
        ]),
        0,
    );
    assert!(
        said.contains("/v2/library/postgres/manifests/17-alpine, mirror of docker.io: 200, Content-Encoding gzip\n"),
        "{said}"
    );
}

#[test]
fn zot_and_pulp_say_in_words_of_their_own_how_much_arrived() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    // The prefix of one, and the status of the other.
    registry.fault(Fault::on("PUT", UPLOADS).cut_request_at(5));
    registry.fault(Fault::on("GET", UPLOADS).header("range", "bytes=0-4"));
    registry.fault(
        Fault::on("PATCH", UPLOADS)
            .always()
            .after_acting()
            .status(204),
    );
    assert_eq!(
        refused(&arrived(&shipped, &registry, 0)),
        Vec::<&str>::new()
    );
    assert!(
        writes(&registry)
            .iter()
            .any(|request| request.method == "PATCH")
    );
}
