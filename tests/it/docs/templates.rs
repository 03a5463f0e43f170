//! `docs/reference/templates.md`: its tables have every variable that a template may name, and no
//! filter that there is not.

use std::collections::{BTreeMap, BTreeSet};

use rune_bundle::chart::{
    BinaryContext, ChartContext, Context, ImageContext, ProfileContext, ReleaseContext, Renderer,
};
use rune_core::{command::CommandError, digest::Digest};
use serde_json::{Value, json};

use super::markdown::{document, rows};

const PAGE: &str = "docs/reference/templates.md";

/// What is between backticks in the first cells of the tables of a section.
fn listed(heading: &str) -> BTreeSet<String> {
    let page = document(PAGE);
    rows(page.section(heading))
        .iter()
        .flat_map(|row| {
            let names = row[0].split('`').skip(1).step_by(2);
            names.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// A context with one of everything.
fn context() -> Context {
    let reference = "docker.io/library/postgres:17-alpine".parse().unwrap();
    let platform = ("linux/arm64/v8".parse().unwrap(), Digest::of(b"platform"));
    let image = ImageContext::new(&reference, None).with_platforms([platform], true);
    let text = || "x".to_owned();
    Context {
        images: BTreeMap::from([("web".to_owned(), image)]),
        charts: vec![ChartContext {
            name: text(),
            version: text(),
            file: text(),
        }],
        profiles: vec![ProfileContext {
            name: text(),
            charts: vec![text()],
            files: vec![text()],
        }],
        releases: vec![ReleaseContext {
            name: text(),
            chart: text(),
            profile: text(),
            namespace: text(),
        }],
        binaries: vec![BinaryContext {
            name: text(),
            platform: text(),
            path: text(),
        }],
        ..Context::default()
    }
}

/// Every path in a value, as the page writes it.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = if path == "images" { "<name>" } else { name };
                let below = match path {
                    "" => name.to_owned(),
                    path => format!("{path}.{name}"),
                };
                // These two are only ways to something.
                if !["bundle", "images"].contains(&below.as_str()) {
                    found.insert(below.clone());
                }
                paths(member, &below, found);
            }
        }
        Value::Array(items) => paths(&items[0], &format!("{path}[]"), found),
        _ => {}
    }
}

#[test]
fn the_page_has_every_variable_and_no_other() {
    let mut known = BTreeSet::new();
    paths(&serde_json::to_value(context()).unwrap(), "", &mut known);
    assert_eq!(listed("## Variables"), known);
}

#[test]
fn every_filter_of_the_page_is_one() {
    let render = |filter: &str| {
        let source = format!("<@ value | {filter} @>");
        let templates = BTreeMap::from([("t".to_owned(), source)]);
        let rendered = Renderer::new(templates).and_then(|t| t.render("t", &json!({"value": "1"})));
        rendered
            .map_err(|error| CommandError::from(error).messages().join(": "))
            .err()
            .unwrap_or_default()
    };
    let filters = listed("## Filters");
    assert!(filters.len() > 40, "{filters:?}");
    for filter in filters {
        // Whether it takes a text is another matter.
        let error = render(&filter);
        assert!(!error.contains("unknown filter"), "{filter}: {error}");
    }
    assert!(render("nonsense").contains("unknown filter"));
}
