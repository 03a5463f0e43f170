//! The way from the published chart: its page names every value of that chart, and what it says of
//! each is true.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use crate::charts::support::{Helm, project};

const PAGE: &str = "docs/operations/from-published-chart.md";
const RUNE: &str = "charts/rune";

/// The values of the published chart with their defaults.
fn published() -> BTreeMap<String, Value> {
    let text = fs::read_to_string(project().join("tests/it/charts/published-values.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, value)| (name.to_owned(), serde_json::from_str(value).unwrap()))
        .collect()
}

/// The rows of the page's table: names or groups of names, and what became of them.
fn rows() -> Vec<(Vec<String>, String)> {
    let page = fs::read_to_string(project().join(PAGE)).unwrap();
    let (_, table) = page.split_once("\n## Values\n").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (names, fate) = row.split_once(" | ").unwrap();
        (
            codes(&format!("`{names}")),
            fate.trim_end_matches(" |").to_owned(),
        )
    })
    .collect()
}

/// What stands in backquotes.
fn codes(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |group| name.starts_with(group))
}

/// The row of a value: the one that names it, else the one of the smallest group.
fn fate<'a>(rows: &'a [(Vec<String>, String)], name: &str) -> &'a str {
    let mut found: Vec<_> = rows
        .iter()
        .flat_map(|(patterns, fate)| {
            patterns
                .iter()
                .filter(|pattern| covers(pattern, name))
                .map(move |pattern| (pattern.len(), pattern.ends_with('*'), fate))
        })
        .collect();
    found.sort_by_key(|(length, is_group, _)| (!is_group, *length));
    let best = found
        .pop()
        .unwrap_or_else(|| panic!("{PAGE} does not name {name}"));
    assert!(
        best.1 || found.iter().all(|other| other.1),
        "{PAGE} names {name} twice"
    );
    best.2
}

/// Values with one of them set, and what it needs around it.
fn with(name: &str, value: &Value) -> String {
    let mut values = json!({"image": {"tag": "v0.1.0"}, "postgres": {"enabled": true, "auth": {"password": "0123456789abcdef"}}});
    // RUNE's own images of the time are for SQLite, and one database is enough.
    if !name.starts_with("postgres.") {
        values["postgres"] = json!({});
    }
    let mut place = &mut values;
    for key in name.split('.') {
        place = &mut place[key];
    }
    *place = value.clone();
    values.to_string()
}

fn takes(name: &str, value: &Value) -> Result<(), String> {
    Helm::new("helm4")
        .template(RUNE, "1.33.0", &with(name, value))
        .map(|_| ())
}

/// Whether the chart has a value of this name.
fn has(values: &Value, name: &str) -> bool {
    let pointer = format!("/{}", name.replace('.', "/"));
    let subchart = name
        .strip_prefix("postgres.")
        .map(|name| format!("/{}", name.replace('.', "/")));
    values.pointer(&pointer).is_some()
        || subchart.is_some_and(|name| read("charts/rune/charts/postgres").pointer(&name).is_some())
}

fn read(chart: &str) -> Value {
    let path = project().join(chart).join("values.yaml");
    rune_core::yaml::from_str(&path, &fs::read_to_string(&path).unwrap()).unwrap()
}

#[test]
fn every_value_of_the_published_chart_is_taken_named_elsewhere_or_dropped_as_the_page_says() {
    let (published, rows, ours) = (published(), rows(), read(RUNE));
    assert_eq!(published.len(), 145);
    for (name, value) in &published {
        let fate = fate(&rows, name);
        if fate.starts_with("the same") {
            assert!(
                has(&ours, name),
                "{name} is not the same: our chart has no such value"
            );
            if let Err(complaint) = takes(name, value) {
                panic!("{name} is not the same: {value}: {complaint}");
            }
        } else if fate.starts_with("dropped: ") {
            let complaint = takes(name, value).expect_err(name);
            let last = name.rsplit('.').find(|key| complaint.contains(key));
            assert!(
                complaint.contains("additional properties") && last.is_some(),
                "{name}: {complaint}"
            );
        } else {
            let targets: Vec<_> = codes(fate)
                .into_iter()
                .filter(|code| has(&ours, code))
                .collect();
            assert!(
                !targets.is_empty(),
                "{name}: no value of our chart in `{fate}`"
            );
            assert!(
                takes(name, value).is_err(),
                "{name} is the same: the chart takes {value}"
            );
        }
    }
    for pattern in rows.iter().flat_map(|(patterns, _)| patterns) {
        assert!(
            published.keys().any(|name| covers(pattern, name)),
            "the published chart has no {pattern}"
        );
    }
}

/// The values that the page's table of variables speaks of do reach the API.
#[test]
fn variables_of_the_published_chart_can_be_given_by_extra_env() {
    let rows = rows();
    let names: Vec<_> = rows
        .iter()
        .filter(|(_, fate)| fate.contains("`rune.extraEnv`: "))
        .flat_map(|(_, fate)| fate.split("`rune.extraEnv`: ").skip(1))
        .collect();
    let words = names
        .iter()
        .flat_map(|text| text.split([',', ';', ' ', '|']));
    let variables: Vec<_> = words
        .filter(|word| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(variables.len() > 15, "{variables:?}");
    let env: Vec<_> = variables
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .iter()
        .map(|name| json!({"name": name, "value": "x"}))
        .collect();
    let values = json!({"rune": {"extraEnv": env}}).to_string();
    for helm in Helm::both() {
        helm.template(RUNE, "1.33.0", &values).unwrap();
    }
}
