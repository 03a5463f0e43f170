//! CSAF 2.0.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{AdvisoryError, AdvisoryStatement, items, list, name, text};

const VERSION: &str = "2.0";
const MAX_DEPTH: usize = 32;

pub(super) fn read(document: &Value) -> Result<Vec<AdvisoryStatement>, AdvisoryError> {
    if text(document, "/document/csaf_version", "").unwrap_or_default() != VERSION {
        return Err(AdvisoryError::OtherKind("CSAF 2.0"));
    }
    for pointer in [
        "/document/category",
        "/document/title",
        "/document/publisher/category",
        "/document/publisher/name",
        "/document/publisher/namespace",
        "/document/tracking/id",
        "/document/tracking/status",
        "/document/tracking/version",
        "/document/tracking/initial_release_date",
        "/document/tracking/current_release_date",
    ] {
        text(document, pointer, "")?;
    }
    list(document, "/document/tracking/revision_history", "")?;
    let products = products(document)?;
    let mut statements = Vec::new();
    for (number, vulnerability) in items(document, "/vulnerabilities").iter().enumerate() {
        let place = format!("/vulnerabilities/{number}");
        let name = name(vulnerability, &["/cve", "/ids/0/text", "/title"], number);
        let by_status = vulnerability
            .get("product_status")
            .and_then(Value::as_object);
        for (status, ids) in by_status.into_iter().flatten() {
            let ids = ids
                .as_array()
                .ok_or_else(|| AdvisoryError::Field(format!("{place}/product_status/{status}")))?;
            let names = ids.iter().map(|id| {
                let id = id.as_str().unwrap_or_default();
                let name = products.get(id);
                name.cloned()
                    .ok_or_else(|| AdvisoryError::UnknownProduct(id.to_owned()))
            });
            let names = names.collect::<Result<BTreeSet<_>, _>>()?;
            statements.push(AdvisoryStatement::new(name.clone(), status, names));
        }
    }
    Ok(statements)
}

fn products(document: &Value) -> Result<BTreeMap<String, String>, AdvisoryError> {
    let mut found = BTreeMap::new();
    let mut add = |product: &Value, place: &str| -> Result<(), AdvisoryError> {
        let id = text(product, "/product_id", place)?;
        found.insert(id.to_owned(), text(product, "/name", place)?.to_owned());
        Ok(())
    };
    let Some(tree) = document.get("product_tree") else {
        return Ok(found);
    };
    for product in items(tree, "/full_product_names") {
        add(product, "/product_tree/full_product_names")?;
    }
    for relationship in items(tree, "/relationships") {
        let place = "/product_tree/relationships";
        let product = relationship.get("full_product_name");
        add(product.unwrap_or(&Value::Null), place)?;
    }
    let mut branches: Vec<&Value> = items(tree, "/branches").iter().collect();
    for _ in 0..MAX_DEPTH {
        let mut deeper = Vec::new();
        for branch in branches {
            if let Some(product) = branch.get("product") {
                add(product, "/product_tree/branches")?;
            }
            deeper.extend(items(branch, "/branches"));
        }
        branches = deeper;
    }
    if branches.is_empty() {
        Ok(found)
    } else {
        Err(AdvisoryError::Field("/product_tree/branches".to_owned()))
    }
}
