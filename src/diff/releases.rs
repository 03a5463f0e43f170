//! What is installed together, and into which namespaces.

use std::collections::BTreeSet;

use super::Difference;
use crate::bundle::BundleIndex;

pub(super) fn between(old: &BundleIndex, new: &BundleIndex) -> Vec<Difference> {
    let names = |index: &BundleIndex| -> Vec<String> {
        let releases = index.releases.iter();
        releases.map(|release| release.name.clone()).collect()
    };
    let (before, after) = (names(old), names(new));
    let all: BTreeSet<&String> = before.iter().chain(&after).collect();
    let text = |index: &BundleIndex, name: &String| {
        let mut releases = index.releases.iter();
        let release = releases.find(|release| release.name == *name)?;
        Some(release.to_string())
    };
    let releases = all
        .into_iter()
        .filter_map(|name| Difference::between(name, text(old, name), text(new, name)));
    let common = |names: &[String], others: &[String]| {
        let common = names.iter().filter(|name| others.contains(name));
        common.cloned().collect::<Vec<String>>().join(", ")
    };
    let order = Difference::between(
        "order",
        Some(common(&before, &after)),
        Some(common(&after, &before)),
    );
    releases.chain(order).collect()
}

pub(super) fn namespaces(old: &BundleIndex, new: &BundleIndex) -> Vec<Difference> {
    let records = old.namespaces.iter().chain(&new.namespaces);
    let names: BTreeSet<Option<&String>> = records.map(|record| record.name.as_ref()).collect();
    let text = |index: &BundleIndex, name: Option<&String>| {
        let mut records = index.namespaces.iter();
        let record = records.find(|record| record.name.as_ref() == name)?;
        Some(record.to_string())
    };
    let differences = names.into_iter().filter_map(|name| {
        let subject = name.map_or("any other", String::as_str);
        Difference::between(subject, text(old, name), text(new, name))
    });
    differences.collect()
}
