//! `OpenVEX`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{AdvisoryError, AdvisoryStatement, items, list, text};

const CONTEXT: &str = "https://openvex.dev/ns";
const STATUSES: [&str; 4] = ["not_affected", "affected", "fixed", "under_investigation"];

pub(super) fn read(document: &Value) -> Result<Vec<AdvisoryStatement>, AdvisoryError> {
    let context = text(document, "/@context", "").unwrap_or_default();
    if !context.starts_with(CONTEXT) {
        return Err(AdvisoryError::OtherKind("OpenVEX"));
    }
    for pointer in ["/@id", "/author", "/timestamp"] {
        text(document, pointer, "")?;
    }
    if !document.get("version").is_some_and(Value::is_number) {
        return Err(AdvisoryError::Field("/version".to_owned()));
    }
    let statements = list(document, "/statements", "")?.iter().enumerate();
    statements
        .map(|(number, statement)| of_statement(statement, &format!("/statements/{number}")))
        .collect()
}

fn of_statement(statement: &Value, place: &str) -> Result<AdvisoryStatement, AdvisoryError> {
    let vulnerability = text(statement, "/vulnerability/name", place)?;
    let status = text(statement, "/status", place)?;
    if !STATUSES.contains(&status) {
        return Err(AdvisoryError::Field(format!("{place}/status")));
    }
    let says = |pointer| text(statement, pointer, place).is_ok();
    // The specification demands a reason of whoever says that there is nothing to do.
    if status == "not_affected" && !says("/justification") && !says("/impact_statement") {
        return Err(AdvisoryError::Field(format!("{place}/justification")));
    }
    if status == "affected" && !says("/action_statement") {
        return Err(AdvisoryError::Field(format!("{place}/action_statement")));
    }
    let products = items(statement, "/products").iter().enumerate();
    let products =
        products.map(|(number, product)| name(product, &format!("{place}/products/{number}")));
    let products = products.collect::<Result<BTreeSet<_>, _>>()?;
    let vulnerability = vulnerability.to_owned();
    Ok(AdvisoryStatement::new(vulnerability, status, products))
}

fn name(product: &Value, place: &str) -> Result<String, AdvisoryError> {
    let stated = text(product, "/@id", place);
    let identifiers = product.get("identifiers").and_then(Value::as_object);
    let mut identifiers = identifiers.into_iter().flatten();
    stated
        .or_else(|error| {
            let first = identifiers.find_map(|(_, value)| value.as_str());
            first.ok_or(error)
        })
        .map(str::to_owned)
}
