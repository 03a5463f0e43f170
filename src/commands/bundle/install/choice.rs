//! Which chart and profile of a bundle are installed.

use crate::{
    archive::EntryName,
    bundle::{ChartRecord, ProfileRecord},
};
use rune_core::{
    command::CommandError,
    failure::{Failure, FailureKind},
};

/// Why a bundle does not say what to install.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChoiceError {
    #[error("the bundle has no chart")]
    NoChart,
    #[error("the bundle has several charts: {}", .0.join(", "))]
    SeveralCharts(Vec<String>),
    #[error("the bundle has no {kind} `{name}`, but {}", .there.join(", "))]
    Unknown {
        kind: &'static str,
        name: String,
        there: Vec<String>,
    },
    #[error("the profile `{profile}` is not for the chart `{chart}`, but for {}", .charts.join(", "))]
    ProfileOfOthers {
        profile: String,
        chart: String,
        charts: Vec<String>,
        fitting: Vec<String>,
    },
    #[error("the bundle has no entry `{0}`, although its index names it")]
    NoEntry(EntryName),
    #[error("`{0}` is not text")]
    NotText(EntryName),
}

impl Failure for ChoiceError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoChart | Self::Unknown { .. } => FailureKind::NotFound,
            Self::SeveralCharts(_) | Self::ProfileOfOthers { .. } => FailureKind::Usage,
            Self::NoEntry(_) | Self::NotText(_) => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoChart => Some(
                "there is nothing to install in it; `rune-bundle inspect` shows what there is"
                    .to_owned(),
            ),
            Self::SeveralCharts(_) => Some("choose one with --chart".to_owned()),
            Self::ProfileOfOthers { fitting, .. } if fitting.is_empty() => {
                Some("leave --profile out: the bundle has no profile for this chart".to_owned())
            }
            Self::ProfileOfOthers { fitting, .. } => Some(format!(
                "choose another one with --profile: {}",
                fitting.join(", ")
            )),
            _ => None,
        }
    }
}

/// The chart that is meant.
pub(super) fn chosen_chart<'a>(
    charts: &'a [ChartRecord],
    name: Option<&str>,
) -> Result<&'a ChartRecord, CommandError> {
    let there = || charts.iter().map(|chart| chart.name.clone()).collect();
    Ok(match (charts, name) {
        ([], None) => Err(ChoiceError::NoChart),
        ([chart], None) => Ok(chart),
        (_, None) => Err(ChoiceError::SeveralCharts(there())),
        (charts, Some(name)) => charts
            .iter()
            .find(|chart| chart.name == name)
            .ok_or_else(|| ChoiceError::Unknown {
                kind: "chart",
                name: name.to_owned(),
                there: there(),
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
        there: names_of(&mut profiles.iter()),
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
    use super::chosen_profile;
    use crate::bundle::ProfileRecord;

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
