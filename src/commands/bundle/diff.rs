//! `diff`: what changed between two bundles.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{trust_source::TrustSource, view::ViewOptions};
use crate::{
    bundle::BundleView,
    diff::{
        Change, Diff, Difference, FileDiff, ImageDiff, ListDiff, PackagesDiff, PlatformState,
        Tally, ValuesDiff,
    },
};
use rune_core::{
    command::{CommandError, Report, counted},
    failure::FailureKind,
    text::{shown, size},
};

#[derive(Debug, Clone)]
pub(crate) struct DiffOptions {
    pub(crate) old: Utf8PathBuf,
    pub(crate) new: Utf8PathBuf,
    pub(crate) trust: ViewOptions,
    pub(crate) is_failure: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct DiffReport {
    #[serde(flatten)]
    diff: Diff,
    trust: Option<TrustSource>,
    #[serde(skip)]
    is_failure: bool,
}

pub(crate) fn run(options: &DiffOptions) -> Result<DiffReport, CommandError> {
    let (old, new) = (
        options.trust.open(&options.old)?,
        options.trust.open(&options.new)?,
    );
    DiffReport::between(&old, &new, options.trust.trust_source(), options.is_failure)
}

impl DiffReport {
    pub(super) fn between(
        old: &BundleView,
        new: &BundleView,
        trust: Option<TrustSource>,
        is_failure: bool,
    ) -> Result<Self, CommandError> {
        Ok(Self {
            diff: Diff::between(old, new)?,
            trust,
            is_failure,
        })
    }
}

impl Report for DiffReport {
    const VERB: &'static str = "diff";

    fn text(&self) -> String {
        let mut lines = Lines::default();
        lines.head(&self.diff);
        if let Some(trust) = &self.trust {
            lines.add("trust", &trust.to_string());
        }
        if !self.diff.different {
            lines.text.push_str("nothing differs\n");
            return lines.text;
        }
        lines.changes(&self.diff);
        lines.text
    }

    fn verdict(&self) -> Option<FailureKind> {
        (self.is_failure && self.diff.different).then_some(FailureKind::Drift)
    }
}

/// Lines for people: what it is about in a column of its own, everything from a bundle escaped.
#[derive(Debug, Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, label: &str, line: &str) {
        self.text
            .push_str(&format!("{label:<14} {}\n", shown(line)));
    }

    fn head(&mut self, diff: &Diff) {
        if !(diff.old.verified && diff.new.verified) {
            self.text.push_str(
                "UNVERIFIED: no --key and no --trust was given; everything below is only what the \
                 files claim\n",
            );
        }
        for (label, side) in [("old", &diff.old), ("new", &diff.new)] {
            self.add(
                label,
                &format!("{} {}  {}", side.name, side.version, side.digest),
            );
        }
    }

    fn changes(&mut self, diff: &Diff) {
        for difference in &diff.bundle {
            self.add("bundle", &difference_text(difference));
        }
        self.list("signer", &diff.signers);
        self.list("waiver", &diff.waivers);
        self.list("left out", &diff.left_out);
        self.list("exception", &diff.exceptions);
        for image in &diff.images {
            self.image("image", image);
        }
        for artifact in &diff.artifacts {
            self.image("artifact", artifact);
        }
        for chart in &diff.charts {
            self.add(
                "chart",
                &format!("{}, {}", chart.name, change_text(chart.change)),
            );
            self.differences(&chart.differences);
            for file in &chart.files {
                self.add("", &file_text(file));
            }
            for values in &chart.values {
                self.values("", values);
            }
        }
        for difference in &diff.profiles {
            self.add("profile", &difference_text(difference));
        }
        for difference in &diff.releases {
            self.add("release", &difference_text(difference));
        }
        for difference in &diff.namespaces {
            self.add("namespace", &difference_text(difference));
        }
        for difference in &diff.origins {
            self.add("origin", &difference_text(difference));
        }
        for values in &diff.values {
            self.values("values", values);
        }
        for (label, files) in [
            ("migration", &diff.migrations),
            ("program", &diff.programs),
            ("file", &diff.files),
        ] {
            for file in files {
                self.add(label, &file_text(file));
            }
        }
        let carry = &diff.carry;
        let (blobs, total) = (
            counted(carry.contents, "blob"),
            counted(carry.total_contents, "blob"),
        );
        self.add(
            "to transfer",
            &format!(
                "{blobs}, {}; the whole bundle has {total}, {}",
                size(carry.bytes),
                size(carry.total_bytes)
            ),
        );
    }

    fn list(&mut self, label: &str, list: &ListDiff) {
        let added = list.added.iter().map(|text| format!("added    {text}"));
        for line in added.chain(list.removed.iter().map(|text| format!("removed  {text}"))) {
            self.add(label, &line);
        }
    }

    fn differences(&mut self, differences: &[Difference]) {
        for difference in differences {
            self.add("", &difference_text(difference));
        }
    }

    fn image(&mut self, label: &str, image: &ImageDiff) {
        self.add(
            label,
            &format!("{}, {}", image.reference, change_text(image.change)),
        );
        self.differences(&image.differences);
        for platform in &image.platforms {
            let state = match platform.state {
                PlatformState::Added => "added",
                PlatformState::Removed => "removed",
                PlatformState::Changed => "changed",
                PlatformState::LeftOut => "left out",
                PlatformState::Carried => "included now",
            };
            self.add("", &format!("{}: {state}", platform.platform));
        }
        self.list("  referrer", &image.referrers);
        let layers = &image.layers;
        if layers.new.count + layers.gone.count > 0 {
            let tally = |tally: Tally, what: &str| {
                format!("{} {what} ({})", tally.count, size(tally.bytes))
            };
            let tallies = [
                tally(layers.shared, "shared"),
                tally(layers.new, "new"),
                tally(layers.gone, "gone"),
            ];
            self.add("", &format!("layers: {}", tallies.join(", ")));
        }
        for packages in &image.packages {
            self.packages(packages);
        }
    }

    fn packages(&mut self, packages: &PackagesDiff) {
        let platforms = packages.platforms.join(", ");
        match &packages.why {
            Some(why) => self.add("", &format!("packages on {platforms}: not known, {why}")),
            None if packages.differences.is_empty() => {
                self.add("", &format!("packages on {platforms}: the same"));
            }
            None => {
                self.add("", &format!("packages on {platforms}:"));
                for difference in &packages.differences {
                    self.add("", &format!("  {}", difference_text(difference)));
                }
            }
        }
    }

    fn values(&mut self, label: &str, values: &ValuesDiff) {
        let profiles = if values.profiles.is_empty() {
            String::new()
        } else {
            format!(" of {}", values.profiles.join(", "))
        };
        let note = values
            .note
            .as_ref()
            .map_or_else(|| change_text(values.change).to_owned(), String::clone);
        self.add(label, &format!("{}{profiles}: {note}", values.file));
        for difference in &values.differences {
            self.add("", &format!("  {}", difference_text(difference)));
        }
    }
}

const fn change_text(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}

fn difference_text(difference: &Difference) -> String {
    let Difference { subject, old, new } = difference;
    match (old, new) {
        (Some(old), Some(new)) => format!("{subject}: {old} -> {new}"),
        (None, Some(new)) => format!("{subject}: added, {new}"),
        (Some(old), None) => format!("{subject}: removed, was {old}"),
        (None, None) => subject.clone(),
    }
}

fn file_text(file: &FileDiff) -> String {
    format!("{:<8} {}", change_text(file.change), file.path)
}
