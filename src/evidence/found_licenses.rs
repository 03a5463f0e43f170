//! The licences that SBOMs state of packages.
//!
//! Sources: `CycloneDX` 1.6 (`components[].licenses`), SPDX 2.3 (`packages[].licenseDeclared`,
//! `hasExtractedLicensingInfos`), Syft JSON (`artifacts[].licenses`), DSSE and in-toto statement v1,
//! in which attestations have them.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A statement in an envelope in a Sigstore bundle, and one more than anybody writes.
const MAX_WRAPPINGS: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundLicense {
    pub(crate) license: String,
    pub(crate) packages: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct FoundLicenses {
    packages: BTreeMap<String, BTreeSet<String>>,
}

impl FoundLicense {
    pub(crate) fn packages_text(&self) -> String {
        const SHOWN: usize = 5;
        let shown: Vec<&str> = self
            .packages
            .iter()
            .take(SHOWN)
            .map(String::as_str)
            .collect();
        let shown = shown.join(", ");
        match self.packages.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

impl FoundLicenses {
    /// Takes the licences of an SBOM. Says whether it was one that can be read.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> bool {
        let mut document = serde_json::from_slice(bytes).ok();
        for _ in 0..MAX_WRAPPINGS {
            let Some(current) = document else { break };
            document = match unwrapped(current) {
                Ok(inner) => inner,
                Err(sbom) => return self.document(&sbom),
            };
        }
        false
    }

    pub(crate) fn into_sorted(self) -> Vec<FoundLicense> {
        let licenses = self.packages.into_iter();
        let one = |(license, packages): (String, BTreeSet<String>)| FoundLicense {
            license,
            packages: packages.into_iter().collect(),
        };
        licenses.map(one).collect()
    }

    fn document(&mut self, document: &Value) -> bool {
        let version = document["spdxVersion"].as_str();
        if document["bomFormat"] == "CycloneDX" {
            self.components(&document["components"]);
        } else if version.is_some_and(|version| version.starts_with("SPDX-2.")) {
            self.spdx(document);
        } else if document
            .pointer("/descriptor/name")
            .is_some_and(|name| name == "syft")
        {
            for package in list(&document["artifacts"]) {
                for license in list(&package["licenses"]) {
                    let expression = text(&license["spdxExpression"]);
                    self.add(package, expression.or_else(|| text(&license["value"])));
                }
            }
        } else {
            return false;
        }
        true
    }

    fn components(&mut self, components: &Value) {
        let mut pending: Vec<&Value> = list(components).collect();
        while let Some(component) = pending.pop() {
            for choice in list(&component["licenses"]) {
                let license = &choice["license"];
                let stated = [&choice["expression"], &license["id"], &license["name"]];
                self.add(component, stated.into_iter().find_map(text));
            }
            pending.extend(list(&component["components"]));
        }
    }

    fn spdx(&mut self, document: &Value) {
        let extracted: BTreeMap<&str, &str> = list(&document["hasExtractedLicensingInfos"])
            .filter_map(|info| {
                let stated = text(&info["name"]).filter(|name| *name != "NOASSERTION");
                Some((
                    text(&info["licenseId"])?,
                    stated.or_else(|| text(&info["extractedText"]))?,
                ))
            })
            .collect();
        for package in list(&document["packages"]) {
            for stated in ["licenseDeclared", "licenseConcluded"] {
                let stated = text(&package[stated]);
                let stated = stated.filter(|stated| !["NOASSERTION", "NONE"].contains(stated));
                // What stands for a text is named by the text.
                self.add(
                    package,
                    stated.map(|id| extracted.get(id).copied().unwrap_or(id)),
                );
            }
        }
    }

    fn add(&mut self, package: &Value, license: Option<&str>) {
        // A text of a licence in the place of its name is of no use as a name.
        const MAX_CHARACTERS: usize = 200;
        if let (Some(name), Some(license)) = (text(&package["name"]), license) {
            let license = license.trim().chars().take(MAX_CHARACTERS).collect();
            let packages = self.packages.entry(license).or_default();
            packages.insert(name.to_owned());
        }
    }
}

/// What is in a Sigstore bundle, an envelope or a statement; an error with the document itself when
/// it is another one.
fn unwrapped(mut document: Value) -> Result<Option<Value>, Value> {
    for key in ["dsseEnvelope", "predicate"] {
        let inner = document.get_mut(key).filter(|inner| inner.is_object());
        if let Some(inner) = inner {
            return Ok(Some(inner.take()));
        }
    }
    let stated = |key: &str| document.get(key).and_then(Value::as_str);
    match (stated("payloadType"), stated("payload")) {
        (Some(_), Some(payload)) => {
            let bytes = Base64::decode_vec(payload).ok();
            Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
        }
        _ => Err(document),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};
    use serde_json::{Value, json};

    use super::{FoundLicense, FoundLicenses};

    fn found(documents: &[Value]) -> Option<Vec<(String, String)>> {
        let mut licenses = FoundLicenses::default();
        let mut has_read = false;
        for document in documents {
            has_read |= licenses.read(document.to_string().as_bytes());
        }
        let list = licenses.into_sorted().into_iter();
        let pair = |found: FoundLicense| (found.license.clone(), found.packages_text());
        has_read.then(|| list.map(pair).collect())
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let pair =
            |(license, packages): &(&str, &str)| ((*license).to_owned(), (*packages).to_owned());
        expected.iter().map(pair).collect()
    }

    #[test]
    fn each_format_states_licences_in_its_own_places() {
        let cyclonedx = json!({"bomFormat": "CycloneDX", "components": [
            {"name": "b", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "our own"}}]},
            {"name": "a", "licenses": [{"expression": "MIT"}], "components": [
                {"name": "inner", "licenses": [{"expression": "MIT OR Zlib"}]}]},
            {"name": "silent"},
        ]});
        assert_eq!(
            found(&[cyclonedx]),
            Some(pairs(&[
                ("MIT", "a, b"),
                ("MIT OR Zlib", "inner"),
                ("our own", "b")
            ]))
        );
        let spdx = json!({"spdxVersion": "SPDX-2.3",
        "hasExtractedLicensingInfos": [{"licenseId": "LicenseRef-own", "name": "NOASSERTION", "extractedText": "our own"}],
        "packages": [
            {"name": "a", "licenseDeclared": "MIT", "licenseConcluded": "NOASSERTION"},
            {"name": "b", "licenseDeclared": "LicenseRef-own", "licenseConcluded": "NONE"},
        ]});
        assert_eq!(
            found(&[spdx]),
            Some(pairs(&[("MIT", "a"), ("our own", "b")]))
        );
        let syft = json!({"descriptor": {"name": "syft"}, "artifacts": [
            {"name": "a", "licenses": [{"value": "GPL2", "spdxExpression": "GPL-2.0-only"}, {"value": "odd", "spdxExpression": ""}]}]});
        assert_eq!(
            found(&[syft]),
            Some(pairs(&[("GPL-2.0-only", "a"), ("odd", "a")]))
        );
    }

    #[test]
    fn an_attestation_is_opened_and_what_is_no_sbom_is_none() {
        let sbom = json!({"bomFormat": "CycloneDX", "components": [{"name": "a", "licenses": [{"expression": "MIT"}]}]});
        let statement = json!({"predicateType": "https://cyclonedx.org/bom", "predicate": sbom});
        let payload = Base64::encode_string(statement.to_string().as_bytes());
        let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": payload});
        let bundle = json!({"dsseEnvelope": envelope});
        for document in [statement, envelope, bundle] {
            assert_eq!(found(&[document]), Some(pairs(&[("MIT", "a")])));
        }
        let provenance = json!({"predicate": {"buildDefinition": {}}});
        assert_eq!(
            found(&[
                provenance,
                json!([1]),
                json!({"payload": "?", "payloadType": ""})
            ]),
            None
        );
        let empty = json!({"bomFormat": "CycloneDX"});
        assert_eq!(found(&[empty]), Some(Vec::new()));
    }

    #[test]
    fn many_packages_are_counted() {
        let found = FoundLicense {
            license: "MIT".to_owned(),
            packages: ["a", "b", "c", "d", "e", "f", "g"]
                .map(str::to_owned)
                .into(),
        };
        assert_eq!(found.packages_text(), "a, b, c, d, e and 2 more");
    }
}
