//! The policy of a new project: exactly what its images need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use semver::Version;

use super::{comment, licence::License, plan::Plan};
use crate::{
    oci::Reference,
    policy::{Declaration, Exception, ImagePlaces, LicenseExpression, Policy},
    yaml::quoted,
};

/// What the policy declares and lets through beyond licences and sources of images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exceptions {
    /// Where images are named besides the usual places.
    declarations: BTreeSet<Declaration>,
    /// Texts that are not images, with the reason.
    ignored: BTreeMap<String, String>,
    /// Images that charts name by their tag alone: repository and tag.
    pub(super) tag_pins: BTreeSet<(String, Option<String>)>,
    /// Where charts have their dependencies from.
    pub(super) sources: BTreeSet<String>,
}

impl Exceptions {
    pub(super) fn declare(&mut self, declaration: Declaration) {
        match declaration {
            Declaration::Unusable(text) => self.ignore_text(&text, "no image: a part of the reference is empty"),
            Declaration::Pin(_) => {}
            other => _ = self.declarations.insert(other),
        }
    }

    /// In a policy `*` stands for any characters, and a text must not mean more than itself.
    pub(super) fn ignore_text(&mut self, text: &str, reason: &str) {
        if !text.contains('*') {
            self.ignored.insert(text.to_owned(), reason.to_owned());
        }
    }

    /// Ignores an image however a chart writes it.
    pub(super) fn ignore(&mut self, reference: &Reference, reason: &str) {
        let whole = reference.to_string();
        let mut short = whole.as_str();
        for beginning in ["docker.io/", "library/"] {
            self.ignore_text(short, reason);
            short = short.strip_prefix(beginning).unwrap_or(short);
        }
        self.ignore_text(short, reason);
        if let Some(name) = short.strip_suffix(":latest") {
            self.ignore_text(name, reason);
        }
    }

    /// Whether a place is one that was declared, by its path.
    pub(super) fn is_declared_at(&self, path: &str) -> bool {
        let field = |declaration: &Declaration| matches!(declaration, Declaration::Field(field) if path.starts_with(&field.path));
        self.declarations.iter().any(field)
    }

    /// What charts are searched with.
    pub(super) fn places(&self) -> ImagePlaces {
        let mut places = ImagePlaces::default();
        for declaration in &self.declarations {
            match declaration {
                Declaration::Variable(name) => places.variables.push(name.clone()),
                Declaration::Option(name) => places.options.push(name.clone()),
                Declaration::Field(field) => places.fields.push(field.clone()),
                Declaration::Unusable(_) | Declaration::Pin(_) => {}
            }
        }
        let exception = |(pattern, reason): (&String, &String)| Exception { pattern: pattern.clone(), reason: reason.clone() };
        places.ignored = self.ignored.iter().map(exception).collect();
        places
    }
}

/// The text of the policy.
pub(super) fn policy(plan: &Plan, version: &Version) -> String {
    let mut text =
        "# What may be in this bundle: what its charts name, and nothing else. Review it; `rune-bundle policy` explains each decision.\n\
                    apiVersion: rune-bundle/v1\nkind: Policy\n"
            .to_owned();
    write_licenses(&mut text, plan);
    let images = plan.images.values().map(|image| image.reference.name());
    let sources: BTreeSet<String> = images.chain(plan.exceptions.sources.iter().cloned()).collect();
    if !sources.is_empty() {
        text.push_str("sources:\n  allow:\n");
        sources.iter().for_each(|source| _ = writeln!(text, "    - {}", quoted(source)));
    }
    write_tags(&mut text, plan, version);
    write_places(&mut text, &plan.exceptions);
    if !plan.exceptions.tag_pins.is_empty() {
        text.push_str("# No value of the charts takes the digest of these. The lock and the bundle have it all the same.\npins:\n");
        for (name, tag) in &plan.exceptions.tag_pins {
            let image = tag.as_ref().map_or_else(|| name.clone(), |tag| format!("{name}:{tag}"));
            let _ = writeln!(text, "  - {{ image: {}, pin: tag, reason: \"no value of the chart takes its digest\" }}", quoted(&image));
        }
    }
    text
}

fn write_licenses(text: &mut String, plan: &Plan) {
    let expressions = plan.images.values().filter_map(|image| match &image.license {
        License::Stated(license) => LicenseExpression::parse(license).ok(),
        _ => None,
    });
    let allowed: BTreeSet<String> = expressions.flat_map(|expression| expression.licenses()).collect();
    let unstated: Vec<_> = plan.images.values().filter(|image| !matches!(image.license, License::Stated(_))).collect();
    if allowed.is_empty() && unstated.is_empty() {
        return;
    }
    text.push_str("licenses:\n");
    if !allowed.is_empty() {
        text.push_str("  # As the labels of the images say; nobody has reviewed them.\n  allow:\n");
        allowed.iter().for_each(|license| _ = writeln!(text, "    - {}", quoted(license)));
    }
    if !unstated.is_empty() {
        text.push_str(
            "  # No label says under which licence these images are. Write `license` into the manifest for each that you have reviewed,\n",
        );
        text.push_str("  # then remove this line.\n");
        unstated.iter().for_each(|image| _ = writeln!(text, "  #   {}: {}", image.name, comment(&image.reference.to_string())));
        text.push_str("  unstated: allow\n");
    }
}

/// Tags that are moved by design are denied as in the built-in policy, but for images that are named so.
fn write_tags(text: &mut String, plan: &Plan, version: &Version) {
    let Ok(built_in) = Policy::built_in() else { return };
    let denied: Vec<String> = built_in.denied_tags.iter().map(|tag| quoted(tag)).collect();
    let _ = writeln!(text, "tags:\n  deny: [{}]", denied.join(", "));
    let moving = plan.images.values().filter(|image| image.reference.tag().is_some_and(|tag| built_in.denies_tag(tag).is_some()));
    let moving: BTreeSet<String> = moving.map(|image| image.reference.name()).collect();
    if moving.is_empty() {
        return;
    }
    text.push_str("# These are named by a tag that is moved by design. The lock pins what it means now.\nwaivers:\n");
    let until = Version::new(version.major.saturating_add(1), 0, 0);
    for name in moving {
        let _ = writeln!(text, "  - {{ rule: tags, match: {}, reason: \"the chart names no version\", until: {until} }}", quoted(&name));
    }
}

fn write_places(text: &mut String, exceptions: &Exceptions) {
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for declaration in &exceptions.declarations {
        if let Some((_, list)) = declaration.list().split_once('.') {
            lists.entry(list).or_default().push(declaration.to_string());
        }
    }
    for (reference, reason) in &exceptions.ignored {
        let entry = format!("{{ reference: {}, reason: {} }}", quoted(reference), quoted(reason));
        lists.entry("ignore").or_default().push(entry);
    }
    if lists.is_empty() {
        return;
    }
    text.push_str("# Where the charts name images besides the usual places, and what only looks like one.\nimages:\n");
    for (list, entries) in lists {
        let _ = writeln!(text, "  {list}:");
        entries.iter().for_each(|entry| _ = writeln!(text, "    - {entry}"));
    }
}
