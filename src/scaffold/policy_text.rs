//! The policy of a new project: exactly what its images need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use semver::Version;

use super::{comment, exceptions::Exceptions, licence::License, plan::Plan};
use crate::policy::{LicenseExpression, Policy};
use rune_core::yaml::quoted;

pub(super) fn policy(plan: &Plan, version: &Version) -> String {
    let mut text = "# What may be in this bundle: what its charts name, and nothing else. Review \
                    it; `rune-bundle policy` explains each decision.\napiVersion: \
                    rune-bundle/v1\nkind: Policy\n"
        .to_owned();
    write_licenses(&mut text, plan);
    let images = plan.images.values().map(|image| image.reference.name());
    let sources: BTreeSet<String> = images
        .chain(plan.exceptions.sources.iter().cloned())
        .collect();
    if !sources.is_empty() {
        text.push_str("sources:\n  allow:\n");
        sources
            .iter()
            .for_each(|source| _ = writeln!(text, "    - {}", quoted(source)));
    }
    write_tags(&mut text, plan, version);
    write_places(&mut text, &plan.exceptions);
    let pins = plan.exceptions.pin_entries();
    if !pins.is_empty() {
        text.push_str(
            "# No value of the charts takes the digest of these. The lock and the bundle have it \
             all the same.\npins:\n",
        );
        pins.iter()
            .for_each(|entry| _ = writeln!(text, "  - {entry}"));
    }
    text
}

fn write_licenses(text: &mut String, plan: &Plan) {
    let expressions = plan
        .images
        .values()
        .filter_map(|image| match &image.license {
            License::Stated(license) => LicenseExpression::parse(license).ok(),
            _ => None,
        });
    let allowed: BTreeSet<String> = expressions
        .flat_map(|expression| expression.licenses())
        .collect();
    let unstated: Vec<_> = plan
        .images
        .values()
        .filter(|image| !matches!(image.license, License::Stated(_)))
        .collect();
    if allowed.is_empty() && unstated.is_empty() {
        return;
    }
    text.push_str("licenses:\n");
    if !allowed.is_empty() {
        text.push_str("  # As the labels of the images say; nobody has reviewed them.\n  allow:\n");
        allowed
            .iter()
            .for_each(|license| _ = writeln!(text, "    - {}", quoted(license)));
    }
    if !unstated.is_empty() {
        text.push_str(
            "  # No label says under which licence these images are. Write `license` into the \
             manifest for each that you have reviewed,\n",
        );
        text.push_str("  # then remove this line.\n");
        unstated.iter().for_each(|image| {
            _ = writeln!(
                text,
                "  #   {}: {}",
                image.name,
                comment(&image.reference.to_string())
            );
        });
        text.push_str("  unstated: allow\n");
    }
}

/// Tags that are moved by design are denied as in the built-in policy, but for images that are
/// named so.
fn write_tags(text: &mut String, plan: &Plan, version: &Version) {
    let Ok(built_in) = Policy::built_in() else {
        return;
    };
    let denied: Vec<String> = built_in.denied_tags.iter().map(|tag| quoted(tag)).collect();
    let _ = writeln!(text, "tags:\n  deny: [{}]", denied.join(", "));
    let moving = plan.images.values().filter(|image| {
        image
            .reference
            .tag()
            .is_some_and(|tag| built_in.denies_tag(tag).is_some())
    });
    let moving: BTreeSet<String> = moving.map(|image| image.reference.name()).collect();
    if moving.is_empty() {
        return;
    }
    text.push_str(
        "# These are named by a tag that is moved by design. The lock pins what it means \
         now.\nwaivers:\n",
    );
    moving
        .iter()
        .for_each(|name| _ = writeln!(text, "  - {}", waiver(name, version)));
}

pub(super) fn waiver(name: &str, version: &Version) -> String {
    let until = Version::new(version.major.saturating_add(1), 0, 0);
    format!(
        "{{ rule: tags, match: {}, reason: \"the chart names no version\", until: {until} }}",
        quoted(name)
    )
}

fn write_places(text: &mut String, exceptions: &Exceptions) {
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (list, entry) in exceptions.place_entries() {
        lists.entry(list).or_default().push(entry);
    }
    if lists.is_empty() {
        return;
    }
    text.push_str(
        "# Where the charts name images besides the usual places, and what only looks like \
         one.\nimages:\n",
    );
    for (list, entries) in lists {
        let _ = writeln!(text, "  {list}:");
        entries
            .iter()
            .for_each(|entry| _ = writeln!(text, "    - {entry}"));
    }
}
