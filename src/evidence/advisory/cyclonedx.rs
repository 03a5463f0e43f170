//! `CycloneDX` VEX: a document with vulnerabilities, with or without components.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{AdvisoryError, AdvisoryStatement, items, list, name, text};

const STATES: [&str; 6] = [
    "resolved",
    "resolved_with_pedigree",
    "exploitable",
    "in_triage",
    "false_positive",
    "not_affected",
];

pub(super) fn read(document: &Value) -> Result<Vec<AdvisoryStatement>, AdvisoryError> {
    if text(document, "/bomFormat", "").unwrap_or_default() != "CycloneDX" {
        return Err(AdvisoryError::OtherKind("CycloneDX"));
    }
    text(document, "/specVersion", "")?;
    let vulnerabilities = list(document, "/vulnerabilities", "")?.iter().enumerate();
    let statement = |(number, vulnerability): (usize, &Value)| {
        let place = format!("/vulnerabilities/{number}");
        let name = name(vulnerability, &["/id", "/bom-ref"], number);
        let state = text(vulnerability, "/analysis/state", &place)?;
        if !STATES.contains(&state) {
            return Err(AdvisoryError::Field(format!("{place}/analysis/state")));
        }
        let affects = items(vulnerability, "/affects").iter();
        let products = affects
            .map(|affected| text(affected, "/ref", &format!("{place}/affects")).map(str::to_owned));
        let products = products.collect::<Result<BTreeSet<_>, _>>()?;
        Ok(AdvisoryStatement::new(name, state, products))
    };
    vulnerabilities.map(statement).collect()
}
