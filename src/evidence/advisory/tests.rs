use serde_json::{Value, json};

use super::{AdvisoryError, AdvisoryKind};

fn openvex() -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://acme.example/vex/1",
        "author": "Acme",
        "timestamp": "2026-11-01T00:00:00Z",
        "version": 1,
        "statements": [{
            "vulnerability": {"name": "CVE-2026-1"},
            "products": [{"@id": "pkg:oci/shop@sha256%3A00"}, {"@id": "pkg:oci/cart"}],
            "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
        }],
    })
}

fn csaf() -> Value {
    json!({
        "document": {
            "category": "csaf_vex", "csaf_version": "2.0", "title": "Shop",
            "publisher": {"category": "vendor", "name": "Acme", "namespace": "https://acme.example"},
            "tracking": {
                "id": "ACME-1", "status": "final", "version": "1",
                "initial_release_date": "2026-11-01T00:00:00Z",
                "current_release_date": "2026-11-01T00:00:00Z",
                "revision_history": [{"number": "1", "date": "2026-11-01T00:00:00Z", "summary": "first"}],
            },
        },
        "product_tree": {"branches": [{"category": "vendor", "name": "Acme", "branches": [
            {"category": "product_name", "name": "shop", "product": {"product_id": "P1", "name": "Acme shop 1.0"}},
        ]}]},
        "vulnerabilities": [{"cve": "CVE-2026-2", "product_status": {"known_affected": ["P1"]}}],
    })
}

fn cyclonedx() -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "vulnerabilities": [{
            "id": "CVE-2026-3",
            "analysis": {"state": "exploitable"},
            "affects": [{"ref": "urn:cdx:shop"}],
        }],
    })
}

fn read(
    kind: AdvisoryKind,
    document: &Value,
) -> Result<Vec<(String, String, Vec<String>)>, String> {
    let read = kind.read(document.to_string().as_bytes());
    let statements = read.map_err(|error| error.to_string())?;
    let statements = statements.into_iter();
    Ok(statements
        .map(|said| (said.vulnerability, said.status, said.products))
        .collect())
}

fn said(vulnerability: &str, status: &str, products: &[&str]) -> (String, String, Vec<String>) {
    let products = products.iter().map(ToString::to_string).collect();
    (vulnerability.to_owned(), status.to_owned(), products)
}

#[test]
fn each_kind_is_read_with_its_products() {
    assert_eq!(
        read(AdvisoryKind::OpenVex, &openvex()).unwrap(),
        [said(
            "CVE-2026-1",
            "not_affected",
            &["pkg:oci/cart", "pkg:oci/shop@sha256%3A00"]
        )]
    );
    assert_eq!(
        read(AdvisoryKind::Csaf, &csaf()).unwrap(),
        [said("CVE-2026-2", "known_affected", &["Acme shop 1.0"])]
    );
    assert_eq!(
        read(AdvisoryKind::CycloneDx, &cyclonedx()).unwrap(),
        [said("CVE-2026-3", "exploitable", &["urn:cdx:shop"])]
    );
    assert!(
        AdvisoryKind::Text
            .read(b"Nothing to do.\n")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_document_of_another_kind_is_refused() {
    let documents = [
        (AdvisoryKind::OpenVex, openvex()),
        (AdvisoryKind::Csaf, csaf()),
        (AdvisoryKind::CycloneDx, cyclonedx()),
    ];
    for (kind, _) in &documents {
        for (other, document) in &documents {
            let bytes = document.to_string();
            let refused = matches!(
                kind.read(bytes.as_bytes()),
                Err(AdvisoryError::OtherKind(_))
            );
            assert_eq!(refused, kind != other, "{kind:?} of {other:?}");
        }
        assert!(matches!(kind.read(b"{"), Err(AdvisoryError::Json(_))));
        assert!(matches!(kind.read(&[0xff]), Err(AdvisoryError::Text)));
    }
    assert!(matches!(
        AdvisoryKind::Text.read(&[0xff]),
        Err(AdvisoryError::Text)
    ));
    assert!(AdvisoryKind::Text.read(b" \n").is_err());
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    let changed = |kind: AdvisoryKind, mut document: Value, pointer: &str, value: Value| {
        *document.pointer_mut(pointer).unwrap() = value;
        read(kind, &document).unwrap_err()
    };
    let cases = [
        (AdvisoryKind::OpenVex, openvex(), "/author", json!("")),
        (AdvisoryKind::OpenVex, openvex(), "/version", json!("1")),
        (AdvisoryKind::OpenVex, openvex(), "/statements", json!([])),
        (
            AdvisoryKind::OpenVex,
            openvex(),
            "/statements/0/status",
            json!("fine"),
        ),
        (
            AdvisoryKind::OpenVex,
            openvex(),
            "/statements/0/justification",
            json!(""),
        ),
        (
            AdvisoryKind::OpenVex,
            openvex(),
            "/statements/0/products/0/@id",
            json!(""),
        ),
        (AdvisoryKind::Csaf, csaf(), "/document/title", json!(1)),
        (
            AdvisoryKind::Csaf,
            csaf(),
            "/document/tracking/revision_history",
            json!([]),
        ),
        (
            AdvisoryKind::CycloneDx,
            cyclonedx(),
            "/vulnerabilities",
            json!([]),
        ),
        (
            AdvisoryKind::CycloneDx,
            cyclonedx(),
            "/vulnerabilities/0/analysis/state",
            json!("x"),
        ),
    ];
    for (kind, document, pointer, value) in cases {
        let problem = changed(kind, document, pointer, value);
        assert!(problem.contains(pointer), "{pointer}: {problem}");
    }
    let unknown = json!(["P2"]);
    let pointer = "/vulnerabilities/0/product_status/known_affected";
    let problem = changed(AdvisoryKind::Csaf, csaf(), pointer, unknown);
    assert!(problem.contains("`P2`"), "{problem}");
}

#[test]
fn what_a_format_leaves_open_may_be_missing() {
    let without = |mut document: Value, pointer: &str, key: &str| {
        let found = document.pointer_mut(pointer).unwrap();
        found.as_object_mut().unwrap().remove(key);
        document
    };
    let statement = "/statements/0";
    assert_eq!(
        read(
            AdvisoryKind::OpenVex,
            &without(openvex(), statement, "products")
        )
        .unwrap(),
        [said("CVE-2026-1", "not_affected", &[])]
    );
    let mut by_identifier = openvex();
    let product = json!([{"identifiers": {"purl": "pkg:oci/shop"}}]);
    by_identifier["statements"][0]["products"] = product;
    assert_eq!(
        read(AdvisoryKind::OpenVex, &by_identifier).unwrap(),
        [said("CVE-2026-1", "not_affected", &["pkg:oci/shop"])]
    );
    let first = "/vulnerabilities/0";
    assert_eq!(
        read(AdvisoryKind::Csaf, &without(csaf(), first, "cve")).unwrap(),
        [said(
            "unnamed vulnerability 1",
            "known_affected",
            &["Acme shop 1.0"]
        )]
    );
    let unnamed = without(without(cyclonedx(), first, "id"), first, "affects");
    assert_eq!(
        read(AdvisoryKind::CycloneDx, &unnamed).unwrap(),
        [said("unnamed vulnerability 1", "exploitable", &[])]
    );
    let marked = format!("\u{feff}{}", csaf());
    assert!(AdvisoryKind::Csaf.read(marked.as_bytes()).is_ok());
}
