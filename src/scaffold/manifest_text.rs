//! The manifest of a new project.

use std::fmt::Write as _;

use semver::Version;

use super::{
    comment,
    files::ChartFiles,
    licence::License,
    plan::{Plan, PlannedImage},
};
use rune_core::yaml::quoted;

pub(super) fn manifest(
    plan: &Plan,
    name: &str,
    version: &Version,
    policy: &str,
    charts: &[ChartFiles],
) -> String {
    let mut text = format!(
        "# Written by `rune-bundle init`. Each image is what the charts name; `rune-bundle lock` \
         pins what the tags mean.\napiVersion: rune-bundle/v1\nkind: BundleManifest\nname: \
         {}\nversion: {version}\nplatforms: all    # or a list such as [linux/amd64]\n",
        quoted(name)
    );
    if !plan.images.is_empty() {
        text.push_str("images:\n");
        plan.images
            .values()
            .for_each(|image| text.push_str(&entry(image)));
    }
    if !charts.is_empty() {
        text.push_str("charts:\n");
        for chart in charts {
            let _ = writeln!(text, "  - path: {}", quoted(chart.chart.as_str()));
            if !chart.check_values.is_empty() {
                text.push_str(
                    "    # For the check of the chart alone; they do not become part of the \
                     bundle.\n",
                );
                let _ = writeln!(text, "    checkValues: {}", listed(&chart.check_values));
            }
        }
    }
    let with_values: Vec<&ChartFiles> = charts
        .iter()
        .filter(|chart| !chart.values.is_empty())
        .collect();
    if !with_values.is_empty() {
        text.push_str("profiles:\n");
        for chart in with_values {
            let _ = writeln!(
                text,
                "  - {{ name: {}, charts: [{}], values: {} }}",
                quoted(&chart.profile),
                quoted(chart.chart.as_str()),
                listed(&chart.values)
            );
        }
    }
    let _ = writeln!(text, "policy: {}", quoted(policy));
    text
}

fn listed(paths: &[String]) -> String {
    format!(
        "[{}]",
        paths
            .iter()
            .map(|path| quoted(path))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

pub(super) fn entry(image: &PlannedImage) -> String {
    let mut text = String::new();
    let place = image.place.as_deref().map(comment);
    if image.is_possible {
        let _ = writeln!(
            text,
            "  # Possible image, at a place that commonly names something else: {}",
            place.unwrap_or_default()
        );
    } else if let Some(place) = place.filter(|place| !place.is_empty()) {
        let _ = writeln!(text, "  # {place}");
    }
    let _ = writeln!(
        text,
        "  - name: {}\n    reference: {}",
        quoted(&image.name),
        quoted(&image.reference.to_string())
    );
    match &image.license {
        License::Stated(license) => {
            _ = writeln!(
                text,
                "    license: {}    # its label says so",
                quoted(license)
            );
        }
        License::Unknown => {
            text.push_str("    # license: unknown, it has no label that states one\n");
        }
        License::NoImage => {
            text.push_str("    # license: unknown, its registry has no such image\n");
        }
        License::Unasked(_) => {
            text.push_str("    # license: unknown, its registry could not be reached\n");
        }
    }
    if image.is_extra {
        text.push_str("    extra: true    # no chart uses it\n");
    }
    text
}
