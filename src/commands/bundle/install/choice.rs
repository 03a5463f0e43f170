//! Which releases are installed, and which chart and profile of a bundle each is of.

use super::{InstallOptions, destination::Destination};
use crate::{
    archive::EntryName,
    bundle::{ChartRecord, OpenBundle, ProfileRecord, ReleaseRecord},
};
use rune_core::{command::CommandError, failure::Failure};

#[derive(Debug, thiserror::Error, Failure)]
pub(super) enum ChoiceError {
    #[error("the bundle has no chart")]
    #[failure(NotFound: "there is nothing to install in it; `rune-bundle inspect` shows what there \
        is")]
    NoChart,
    #[error("the bundle has several charts: {}", .0.join(", "))]
    #[failure(Usage: "choose one with --chart")]
    SeveralCharts(Vec<String>),
    #[error("the bundle has no {kind} `{name}`, but {}", .existing.join(", "))]
    #[failure(NotFound)]
    Unknown {
        kind: &'static str,
        name: String,
        existing: Vec<String>,
    },
    #[error("the profile `{profile}` is not for the chart `{chart}`, but for {}",
        .charts.join(", "))]
    #[failure(Usage: if .fitting.is_empty() {
        "leave --profile out: the bundle has no profile for this chart".to_owned()
    } else {
        format!("choose another one with --profile: {}", .fitting.join(", "))
    })]
    ProfileOfOthers {
        profile: String,
        chart: String,
        charts: Vec<String>,
        fitting: Vec<String>,
    },
    #[error("the bundle installs one release at a time")]
    #[failure(Usage: "leave --only out; --chart chooses a chart")]
    NoSet,
    #[error("{option} is for one release, and {count} are installed")]
    #[failure(Usage: "choose one with --only")]
    OneRelease { option: &'static str, count: usize },
    #[error("the bundle has no entry `{0}`, although its index names it")]
    #[failure(Content)]
    NoEntry(EntryName),
    #[error("`{0}` is not text")]
    #[failure(Content)]
    NotText(EntryName),
}

pub(super) struct Chosen {
    pub(super) name: String,
    /// Its namespace; without one, the one that was named for all.
    pub(super) namespace: Option<String>,
    pub(super) destination: Destination,
    /// The values of whoever installs it, as options of Helm.
    pub(super) values: Vec<String>,
    /// The releases that must run before it and are not installed with it.
    pub(super) needs: Vec<Needed>,
}

pub(super) struct Needed {
    pub(super) release: String,
    pub(super) namespace: Option<String>,
}

impl Chosen {
    /// What is installed, in this order: the releases of the bundle, or one of a chart.
    pub(super) fn all(
        bundle: &OpenBundle,
        options: &InstallOptions,
    ) -> Result<Vec<Self>, CommandError> {
        let set = &bundle.index().releases;
        let InstallOptions {
            chart,
            profile,
            release,
            ..
        } = options;
        let is_one = chart.is_some() || profile.is_some() || release.is_some();
        if set.is_empty() || is_one {
            if !options.only.is_empty() {
                return Err(ChoiceError::NoSet.into());
            }
            let (chart, profile) = (chart.as_deref(), profile.as_deref());
            let destination = Destination::read(bundle, options, chart, profile)?;
            return Ok(vec![Self {
                name: release.clone().unwrap_or_else(|| destination.release()),
                namespace: None,
                destination,
                values: options.values.clone(),
                needs: Vec::new(),
            }]);
        }
        let names = || set.iter().map(|release| release.name.clone()).collect();
        let unknown = |name: &&String| !set.iter().any(|release| release.name == **name);
        if let Some(name) = options.only.iter().find(unknown) {
            return Err(ChoiceError::Unknown {
                kind: "release",
                name: name.clone(),
                existing: names(),
            }
            .into());
        }
        let is_chosen = |name: &String| options.only.is_empty() || options.only.contains(name);
        let chosen = set.iter().filter(|release| is_chosen(&release.name));
        if options.values_file.is_some() && chosen.clone().count() > 1 {
            let (option, count) = ("--write-values", chosen.count());
            return Err(ChoiceError::OneRelease { option, count }.into());
        }
        let one = |release: &ReleaseRecord| {
            let (chart, profile) = (Some(release.chart.as_str()), release.profile.as_deref());
            let needed = set
                .iter()
                .filter(|other| release.after.contains(&other.name) && !is_chosen(&other.name));
            let needed = needed.map(|other| Needed {
                release: other.name.clone(),
                namespace: other.namespace.clone(),
            });
            Ok(Self {
                name: release.name.clone(),
                namespace: release.namespace.clone(),
                destination: Destination::read(bundle, options, chart, profile)?,
                values: values_of(&release.name, set, &options.values),
                needs: needed.collect(),
            })
        };
        chosen.map(one).collect()
    }
}

/// The values for one of several releases: those for all, and those with its name and a colon
/// before.
fn values_of(name: &str, set: &[ReleaseRecord], values: &[String]) -> Vec<String> {
    let mut own = Vec::new();
    for pair in values.chunks(2) {
        let [option, value] = pair else {
            break;
        };
        let named = value.split_once(':');
        let named = named.filter(|(other, _)| set.iter().any(|release| release.name == *other));
        match named {
            None => own.extend([option.clone(), value.clone()]),
            Some((other, value)) if other == name => {
                own.extend([option.clone(), value.to_owned()]);
            }
            Some(_) => {}
        }
    }
    own
}

pub(super) fn chosen_chart<'a>(
    charts: &'a [ChartRecord],
    name: Option<&str>,
) -> Result<&'a ChartRecord, CommandError> {
    let existing = || charts.iter().map(|chart| chart.name.clone()).collect();
    Ok(match (charts, name) {
        ([], None) => Err(ChoiceError::NoChart),
        ([chart], None) => Ok(chart),
        (_, None) => Err(ChoiceError::SeveralCharts(existing())),
        (charts, Some(name)) => charts
            .iter()
            .find(|chart| chart.name == name)
            .ok_or_else(|| ChoiceError::Unknown {
                kind: "chart",
                name: name.to_owned(),
                existing: existing(),
            }),
    }?)
}

/// The profile that is meant: without a name, the first that installs the chart.
pub(super) fn chosen_profile<'a>(
    profiles: &'a [ProfileRecord],
    name: Option<&str>,
    chart: &str,
) -> Result<Option<&'a ProfileRecord>, CommandError> {
    let fitting = || profiles.iter().filter(|profile| profile.is_for(chart));
    let Some(name) = name else {
        return Ok(fitting().next());
    };
    let names_of = |profiles: &mut dyn Iterator<Item = &ProfileRecord>| {
        profiles.map(|profile| profile.name.clone()).collect()
    };
    let found = profiles.iter().find(|profile| profile.name == name);
    let profile = found.ok_or_else(|| ChoiceError::Unknown {
        kind: "profile",
        name: name.to_owned(),
        existing: names_of(&mut profiles.iter()),
    })?;
    if !profile.is_for(chart) {
        let (profile, chart, charts) = (name.to_owned(), chart.to_owned(), profile.charts.clone());
        return Err(ChoiceError::ProfileOfOthers {
            profile,
            chart,
            charts,
            fitting: names_of(&mut fitting()),
        }
        .into());
    }
    Ok(Some(profile))
}

#[cfg(test)]
mod tests {
    use super::{chosen_profile, values_of};
    use crate::bundle::{ProfileRecord, ReleaseRecord};

    #[test]
    fn values_with_the_name_of_a_release_are_for_that_one() {
        let release = |name: &str| ReleaseRecord {
            name: name.to_owned(),
            chart: "c".to_owned(),
            profile: None,
            namespace: None,
            after: Vec::new(),
        };
        let set = [release("api"), release("ui")];
        let given = [
            "--values",
            "ui:a.yaml",
            "--set",
            "x:y=1",
            "--set",
            "api:k=2",
        ];
        let given = given.map(str::to_owned);
        assert_eq!(
            values_of("ui", &set, &given),
            ["--values", "a.yaml", "--set", "x:y=1"]
        );
        assert_eq!(
            values_of("api", &set, &given),
            ["--set", "x:y=1", "--set", "k=2"]
        );
    }

    fn profile(name: &str, charts: &[&str]) -> ProfileRecord {
        ProfileRecord {
            name: name.to_owned(),
            charts: charts.iter().map(|chart| (*chart).to_owned()).collect(),
            values: Vec::new(),
        }
    }

    #[test]
    fn without_a_name_the_first_profile_of_the_chart_is_taken() {
        let profiles = [
            profile("for-a", &["a"]),
            profile("for-b", &["b"]),
            profile("all", &[]),
        ];
        let name_for = |chart| {
            chosen_profile(&profiles, None, chart)
                .unwrap()
                .map(|profile| profile.name.as_str())
        };
        assert_eq!(
            [name_for("a"), name_for("b"), name_for("c")],
            [Some("for-a"), Some("for-b"), Some("all")]
        );
        assert!(chosen_profile(&profiles[..1], None, "b").unwrap().is_none());
    }

    #[test]
    fn a_profile_of_another_chart_is_refused_with_those_that_fit() {
        let profiles = [profile("for-a", &["a"]), profile("for-b", &["b"])];
        let error = chosen_profile(&profiles, Some("for-a"), "b").unwrap_err();
        let said = format!("{error:?}");
        assert!(said.contains("for-b"), "{said}");
        assert_eq!(
            chosen_profile(&profiles, Some("for-b"), "b")
                .unwrap()
                .unwrap()
                .name,
            "for-b"
        );
    }
}
