//! Images that lack platforms, and lists of referrers: what each registry can take.

use rune_bundle::commands::bundle::push::IndexChoice;
use rune_testkit::registry::Registry;
use serde_json::{Value, json};

use crate::registry::push_support::{Shipped, reference, writes, written_manifests};

const POSTGRES: &str = "library/postgres:17-alpine";

/// The digests of the two indexes that the bundle has of PostgreSQL: what was locked, and what is
/// there.
fn digests(shipped: &Shipped) -> (String, String) {
    let index = shipped.index();
    let image = index
        .images
        .iter()
        .find(|image| image.name == "postgres")
        .unwrap();
    (
        image.target.digest.to_string(),
        image.reduced_index.as_ref().unwrap().digest.to_string(),
    )
}

fn digest_of_tag(registry: &Registry) -> String {
    rune_testkit::sha256(
        &registry
            .manifest("library/postgres", "17-alpine")
            .unwrap()
            .1,
    )
}

#[test]
fn a_registry_that_takes_a_sparse_index_keeps_the_digest_that_was_locked() {
    let shipped = Shipped::of_one_platform();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.takes_sparse = true);
    let report = shipped.push(&registry).unwrap();
    let entry = reference(&report, POSTGRES);
    let (locked, _) = digests(&shipped);
    assert_eq!(
        (&entry["index"], &entry["digest"], &entry["sourceDigest"]),
        (&"sparse".into(), &json!(locked), &json!(locked))
    );
    assert_eq!(digest_of_tag(&registry), locked);
}

#[test]
fn where_it_is_refused_the_reduced_index_is_pushed_and_said() {
    let shipped = Shipped::of_one_platform();
    let registry = Registry::start();
    let (locked, reduced) = digests(&shipped);
    let planned = shipped
        .push_with(&registry, |options| options.settings.is_dry_run = true)
        .unwrap();
    assert_eq!(reference(&planned, POSTGRES)["index"], "sparseOrReduced");
    let report = shipped.push(&registry).unwrap();
    let entry = reference(&report, POSTGRES);
    assert_eq!(
        (&entry["index"], &entry["digest"], &entry["sourceDigest"]),
        (&"reduced".into(), &json!(reduced), &json!(locked))
    );
    assert_eq!(digest_of_tag(&registry), reduced);
    // The second time nobody asks again, and nothing is taken for somebody else's.
    registry.forget_requests();
    let again = shipped.push(&registry).unwrap();
    assert_eq!(
        (
            &reference(&again, POSTGRES)["digest"],
            &reference(&again, POSTGRES)["wasThere"]
        ),
        (&json!(reduced), &true.into())
    );
    assert!(
        writes(&registry)
            .iter()
            .all(|request| request.path.contains("/bundles/")),
        "{:?}",
        written_manifests(&registry)
    );
    let text = String::from_utf8(shipped.run(&registry.host(), &[]).stdout).unwrap();
    assert!(
        text.contains(&format!(
            "this is the image index of the others, and not {locked}"
        )),
        "{text}"
    );
}

#[test]
fn a_choice_is_kept_to() {
    let shipped = Shipped::of_one_platform();
    let (locked, reduced) = digests(&shipped);

    let registry = Registry::start();
    let said = shipped
        .push_with(&registry, |options| {
            options.settings.index = IndexChoice::Full;
        })
        .unwrap_err();
    let expected = "nothing was pushed: platforms were left out of `docker.io/library/postgres:17-alpine`, `ghcr.io/lpasquali/rune:v0.0.0a6`";
    assert!(
        said.starts_with(expected) && said.ends_with("exit: 8"),
        "{said}"
    );
    assert!(registry.requests().is_empty());

    let said = shipped
        .push_with(&registry, |options| {
            options.settings.index = IndexChoice::Sparse;
        })
        .unwrap_err();
    assert!(
        said.contains(
            "would hold an index that lacks platforms, and the registry does not take one"
        ),
        "{said}"
    );
    assert!(
        said.contains("manifest blob unknown")
            && said.contains("--index reduced")
            && said.ends_with("exit: 10"),
        "{said}"
    );
    assert!(registry.tags("library/postgres").is_empty());

    registry.behave(|behaviour| behaviour.takes_sparse = true);
    let report = shipped
        .push_with(&registry, |options| {
            options.settings.index = IndexChoice::Sparse;
        })
        .unwrap();
    assert_eq!(reference(&report, POSTGRES)["digest"], json!(locked));

    let other = Registry::start();
    other.behave(|behaviour| behaviour.takes_sparse = true);
    let report = shipped
        .push_with(&other, |options| {
            options.settings.index = IndexChoice::Reduced;
        })
        .unwrap();
    assert_eq!(
        (
            &reference(&report, POSTGRES)["digest"],
            &reference(&report, POSTGRES)["index"]
        ),
        (&json!(reduced), &"reduced".into())
    );
    // Whole images have one index only.
    let whole = Shipped::twins();
    let report = whole
        .push_with(&Registry::start(), |options| {
            options.settings.index = IndexChoice::Reduced;
        })
        .unwrap();
    assert_eq!(reference(&report, POSTGRES)["index"], "full");
}

fn fallback(registry: &Registry, report: &Value) -> Option<Value> {
    let subject = reference(report, "bundles/twins:0.1.0")["digest"]
        .as_str()
        .unwrap()
        .replace(':', "-");
    registry
        .manifest("bundles/twins", &subject)
        .map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap())
}

#[test]
fn where_the_registry_does_not_list_referrers_a_tag_does() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    let report = shipped.push(&registry).unwrap();
    let list = fallback(&registry, &report).unwrap();
    let signature = report["references"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["kind"] == "signature")
        .unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(list["manifests"][0]["digest"], signature["digest"]);
    assert_eq!(
        list["manifests"][0]["artifactType"],
        "application/vnd.dev.sigstore.bundle.v0.3+json"
    );
    // A second push adds nothing.
    shipped.push(&registry).unwrap();
    assert_eq!(fallback(&registry, &report).unwrap(), list);
}

#[test]
fn referrers_of_others_stay_in_the_list() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    let report = shipped.push(&registry).unwrap();
    let subject = reference(&report, "bundles/twins:0.1.0")["digest"]
        .as_str()
        .unwrap()
        .replace(':', "-");
    let other = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{}", "0".repeat(64)), "size": 2});
    let index = "application/vnd.oci.image.index.v1+json";
    let theirs = json!({"schemaVersion": 2, "mediaType": index, "manifests": [other], "annotations": {"theirs": "yes"}});
    registry.put_manifest(
        "bundles/twins",
        Some(&subject),
        index,
        theirs.to_string().as_bytes(),
    );
    registry.behave(|behaviour| behaviour.takes_sparse = true);
    shipped.push(&registry).unwrap();
    let list = fallback(&registry, &report).unwrap();
    assert_eq!(
        (
            &list["manifests"][0],
            list["manifests"].as_array().unwrap().len()
        ),
        (&other, 2)
    );
    assert_eq!(list["annotations"]["theirs"], "yes");

    registry.put_manifest(
        "bundles/twins",
        Some(&subject),
        "application/vnd.oci.image.manifest.v1+json",
        b"{\"schemaVersion\":2}",
    );
    let said = shipped.push(&registry).unwrap_err();
    assert!(
        said.contains("is not a list of referrers") && said.ends_with("exit: 12"),
        "{said}"
    );
}

#[test]
fn a_registry_that_lists_referrers_itself_gets_no_such_tag() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.lists_referrers = true);
    let report = shipped.push(&registry).unwrap();
    assert_eq!(fallback(&registry, &report), None);
    assert_eq!(registry.tags("bundles/twins"), ["0.1.0"]);
}
