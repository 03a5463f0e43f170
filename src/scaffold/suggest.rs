//! What an existing project lacks, as a patch: images, values that pin them, and what the policy
//! has to let through.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    ScaffoldError, digest_for,
    edit::{self, Entry, NotEditable},
    exceptions::Exceptions,
    files::template,
    licence::License,
    manifest_text,
    names::label,
    patch::patch,
    plan::{GivenChart, Plan, PlannedImage},
    policy_text,
};
use crate::{
    bundle::{self, GatherError, PinnedCharts},
    chart::{self, ChartTree},
    manifest::{Chart, ChartSource, FetchedCharts, Project},
    policy::{
        self, ImageContent, ImageSubject, LicenseExpression, Policy, Rule, Subject, SubjectKind,
        Verdict,
    },
};
use rune_core::{
    fsx,
    yaml::{Node, Value, quoted},
};

const MAX_BYTES: u64 = 1 << 20;
/// The policy of a project that has none of its own.
const POLICY: &str = "bundle-manifests/policy.yaml";

#[derive(Debug, Clone)]
pub(crate) struct Suggestion {
    /// The patch, for `patch -p1` or `git apply` in the project directory; empty when nothing is to
    /// be changed.
    pub(crate) patch: String,
    /// What cannot be written as a patch, with the file.
    pub(crate) by_hand: Vec<String>,
}

/// The texts of a project while they are changed.
struct Texts<'p> {
    project: &'p Project,
    old: BTreeMap<Utf8PathBuf, Option<String>>,
    new: BTreeMap<Utf8PathBuf, String>,
    by_hand: Vec<String>,
}

/// A plan with what a project has, and its charts.
pub(crate) fn given(
    project: &Project,
    fetched: &FetchedCharts,
) -> Result<(Plan, Vec<GivenChart>), GatherError> {
    let PinnedCharts {
        charts,
        profiles,
        check_values,
        ..
    } = bundle::preview_charts(project, fetched, digest_for)?;
    let mut plan = Plan {
        exceptions: Exceptions::of_policy(project.policy()),
        ..Plan::default()
    };
    for image in &project.manifest().images {
        let reference = image.reference();
        let license = image
            .effective_license()
            .map_or(License::Unknown, |license| {
                License::Stated(license.to_owned())
            });
        let given = PlannedImage {
            name: image.name.clone(),
            license,
            is_extra: image.extra,
            is_given: true,
            ..PlannedImage::new(reference.clone(), None, false)
        };
        plan.images.insert(
            (reference.name(), reference.tag().map(str::to_owned)),
            given,
        );
    }
    let charts = charts
        .into_iter()
        .filter(|package| package.metadata.kind != "library")
        .map(|package| {
            let name = &package.metadata.name;
            let mut of_chart: Vec<_> = profiles
                .iter()
                .filter(|profile| profile.is_for(name))
                .map(|profile| profile.values.clone())
                .collect();
            if of_chart.is_empty() {
                of_chart.push(Vec::new());
            }
            GivenChart {
                profiles: of_chart,
                check_values: check_values.files(name).to_vec(),
                package,
            }
        });
    let charts = charts.collect();
    Ok((plan, charts))
}

impl Suggestion {
    pub(crate) fn of(plan: &Plan, project: &Project) -> Result<Self, ScaffoldError> {
        let mut texts = Texts {
            project,
            old: BTreeMap::new(),
            new: BTreeMap::new(),
            by_hand: Vec::new(),
        };
        let manifest = texts.manifest();
        for image in plan.images.values().filter(|image| !image.is_given) {
            texts.edit(&manifest, "images", |text| {
                edit::add_to_list(text, &["images"], &image_entry(image))
            })?;
        }
        for chart in plan
            .charts
            .iter()
            .filter(|chart| !chart.template.is_empty())
        {
            let path = texts.free_template(&chart.label);
            texts.old.insert(path.clone(), None);
            texts.new.insert(path.clone(), template(&chart.template));
            let name = &chart.given.package.metadata.name;
            texts.edit(&manifest, "profiles", |text| {
                with_values(text, project, name, path.as_str())
            })?;
        }
        texts.policy(plan)?;
        let changed = texts.new.iter().map(|(path, new)| {
            patch(
                path.as_str(),
                texts.old.get(path).cloned().flatten().as_deref(),
                new,
            )
        });
        Ok(Self {
            patch: changed.collect(),
            by_hand: texts.by_hand,
        })
    }
}

impl Texts<'_> {
    fn manifest(&self) -> Utf8PathBuf {
        let path = self.project.manifest_path();
        let directory = self.project.directory();
        let below = path
            .strip_prefix(directory)
            .ok()
            .filter(|below| !below.as_str().is_empty());
        below.unwrap_or(path).to_owned()
    }

    fn file(&self, path: &Utf8Path) -> Utf8PathBuf {
        if path == self.manifest() {
            self.project.manifest_path().to_owned()
        } else {
            self.project.path(path)
        }
    }

    fn edit(
        &mut self,
        path: &Utf8Path,
        what: &str,
        change: impl FnOnce(&str) -> Result<String, NotEditable>,
    ) -> Result<(), ScaffoldError> {
        if !self.new.contains_key(path) {
            let text = fsx::read_to_string(&self.file(path), MAX_BYTES)?;
            self.old.insert(path.to_owned(), Some(text.clone()));
            self.new.insert(path.to_owned(), text);
        }
        if let Some(text) = self.new.get_mut(path) {
            match change(text) {
                Ok(changed) => *text = changed,
                Err(NotEditable) => self.by_hand.push(format!(
                    "{path}: `{what}` is written in a way that a patch cannot add to"
                )),
            }
        }
        Ok(())
    }

    /// A path for a template that nothing has yet.
    fn free_template(&self, chart: &str) -> Utf8PathBuf {
        let path = |number: usize| {
            let number = if number == 1 {
                String::new()
            } else {
                format!("-{number}")
            };
            Utf8PathBuf::from(format!("templates/values/{chart}-pins{number}.yaml.j2"))
        };
        let is_free = |path: &Utf8PathBuf| {
            !self.new.contains_key(path) && !fsx::exists(&self.project.path(path))
        };
        (1..1000).map(path).find(is_free).unwrap_or_else(|| path(1))
    }

    /// Lets the policy have what the plan needs beyond it.
    fn policy(&mut self, plan: &Plan) -> Result<(), ScaffoldError> {
        let version = &self.project.manifest().version;
        let Some(path) = self.project.manifest().policy.clone() else {
            if !plan.is_allowed(self.project.policy(), version) || plan.exceptions.has_entries() {
                let manifest = self.manifest();
                self.old.insert(POLICY.into(), None);
                self.new
                    .insert(POLICY.into(), policy_text::policy(plan, version));
                self.edit(&manifest, "policy", |text| {
                    edit::add_key(text, &["policy"], POLICY)
                })?;
            }
            return Ok(());
        };
        for decision in plan.denied(self.project.policy(), version) {
            match decision {
                Needed::Source(source) => {
                    self.add(&path, &["sources", "allow"], &quoted(&source))?;
                }
                Needed::License(license) => {
                    self.add(&path, &["licenses", "allow"], &quoted(&license))?;
                }
                Needed::Unstated => {
                    self.edit(&path, "licenses", |text| {
                        edit::add_key(text, &["licenses", "unstated"], "allow")
                    })?;
                }
                Needed::Tag(name) => {
                    self.add(&path, &["waivers"], &policy_text::waiver(&name, version))?;
                }
            }
        }
        for (list, entry) in plan.exceptions.place_entries() {
            self.add(&path, &["images", list], &entry)?;
        }
        for entry in plan.exceptions.pin_entries() {
            self.add(&path, &["pins"], &entry)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &Utf8Path, keys: &[&str], entry: &str) -> Result<(), ScaffoldError> {
        self.edit(path, &keys.join("."), |text| {
            edit::add_to_list(text, keys, &Entry::scalar(entry))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needed {
    Source(String),
    License(String),
    Unstated,
    Tag(String),
}

impl Plan {
    fn is_allowed(&self, policy: &Policy, version: &semver::Version) -> bool {
        self.denied(policy, version).is_empty()
    }

    /// What a policy denies of a plan, by what it lacks.
    fn denied(&self, policy: &Policy, version: &semver::Version) -> Vec<Needed> {
        let mut needed = std::collections::BTreeSet::new();
        for image in self.images.values() {
            let license = if let License::Stated(license) = &image.license {
                Some(license.clone())
            } else {
                None
            };
            let subject = Subject::Image(ImageSubject {
                kind: SubjectKind::Image,
                name: image.name.clone(),
                reference: image.reference.clone(),
                license: license.clone(),
                tag_pin: None,
                content: ImageContent::Unresolved,
            });
            let evaluation = policy::evaluate(policy, version, &[subject]);
            for decision in evaluation
                .decisions
                .iter()
                .filter(|decision| decision.verdict == Verdict::Denied)
            {
                match (decision.rule, &license) {
                    (Rule::Sources, _) => _ = needed.insert(Needed::Source(image.reference.name())),
                    (Rule::Tags, _) => _ = needed.insert(Needed::Tag(image.reference.name())),
                    (Rule::Licenses, None) => _ = needed.insert(Needed::Unstated),
                    (Rule::Licenses, Some(license)) => {
                        let licenses = LicenseExpression::parse(license)
                            .map(|expression| expression.licenses());
                        needed.extend(
                            licenses
                                .unwrap_or_default()
                                .into_iter()
                                .map(Needed::License),
                        );
                    }
                    (
                        Rule::Pins
                        | Rule::Attestations
                        | Rule::Signatures
                        | Rule::Sboms
                        | Rule::Packages,
                        _,
                    ) => {}
                }
            }
        }
        needed.into_iter().collect()
    }
}

fn image_entry(image: &PlannedImage) -> Entry {
    let block = manifest_text::entry(image);
    let block = block
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line)))
        .collect();
    let license = match &image.license {
        License::Stated(license) => format!(", license: {}", quoted(license)),
        _ => String::new(),
    };
    let extra = if image.is_extra { ", extra: true" } else { "" };
    let flow = format!(
        "{{ name: {}, reference: {}{license}{extra} }}",
        quoted(&image.name),
        quoted(&image.reference.to_string())
    );
    Entry { block, flow }
}

/// The manifest with a values file behind those of every profile of a chart, or with a profile for
/// it.
fn with_values(
    text: &str,
    project: &Project,
    chart: &str,
    values: &str,
) -> Result<String, NotEditable> {
    let entry = Entry::scalar(&quoted(values));
    let named = project
        .manifest()
        .charts
        .iter()
        .find(|known| chart_name(project, known).as_deref() == Some(chart));
    let id = named.ok_or(NotEditable)?.id();
    let is_of_chart = |profile: &crate::manifest::Profile| {
        profile.charts.is_empty() || profile.charts.contains(&id)
    };
    let numbers: Vec<usize> = project
        .manifest()
        .profiles
        .iter()
        .enumerate()
        .filter(|(_, profile)| is_of_chart(profile))
        .map(|(number, _)| number)
        .collect();
    if numbers.is_empty() {
        let name = quoted(&label(chart, "chart"));
        let profile = format!(
            "{{ name: {name}, charts: [{}], values: [{}] }}",
            quoted(&id),
            quoted(values)
        );
        return edit::add_to_list(text, &["profiles"], &Entry::scalar(&profile));
    }
    let mut text = text.to_owned();
    for number in numbers {
        let root = edit::read(&text)?;
        let profile = profile_at(&root, number).ok_or(NotEditable)?;
        text = match edit::value_of(profile, "values") {
            Some(list) => edit::add_last(&text, list, &entry)?,
            None => edit::add_key_to(&text, profile, "values", &format!("[{}]", quoted(values)))?,
        };
    }
    Ok(text)
}

fn profile_at(root: &Node, number: usize) -> Option<&Node> {
    match &edit::value_of(root, "profiles")?.value {
        Value::Sequence(profiles) => profiles.get(number),
        _ => None,
    }
}

fn chart_name(project: &Project, chart: &Chart) -> Option<String> {
    let metadata = match &chart.source {
        ChartSource::Directory(path) => {
            ChartTree::read(&project.path(path)).and_then(|tree| tree.own_metadata(path))
        }
        ChartSource::Archive(path) => {
            chart::read_package(&project.path(path)).map(|package| package.metadata)
        }
        ChartSource::Remote(remote) => return Some(remote.name().to_owned()),
    };
    metadata.ok().map(|metadata| metadata.name)
}
