//! In which state a failed installation left the release.

use std::fmt;

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "state",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(crate) enum State {
    RolledBack {
        to: u64,
    },
    /// There was none before, and what was made is removed again; volumes that the chart keeps are
    /// kept.
    Removed,
    Stuck {
        /// The revision to go back to; none when there was none before.
        to: Option<u64>,
        said: String,
    },
    At {
        /// The revision that runs; none when nothing is installed.
        revision: Option<u64>,
    },
    /// Somebody pressed Ctrl-C: nothing was rolled back.
    Interrupted {
        /// The last revision and Helm's word for its state.
        revision: u64,
        status: String,
        before: Option<u64>,
    },
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { to } => {
                write!(formatter, "rolled back: what revision {to} was runs again")
            }
            Self::Removed => formatter.write_str(
                "there was no revision before, so what was made is removed again (its volumes are \
                 kept)",
            ),
            Self::Stuck { to: Some(to), said } => {
                write!(formatter, "NOT rolled back to revision {to}: {said}")
            }
            Self::Stuck { to: None, said } => write!(formatter, "NOT removed again: {said}"),
            Self::At {
                revision: Some(revision),
            } => write!(formatter, "at revision {revision}"),
            Self::At { revision: None } => formatter.write_str("not installed"),
            Self::Interrupted {
                revision,
                status,
                before,
            } => {
                write!(
                    formatter,
                    "it was left at revision {revision} in state {status}"
                )?;
                before.map_or(Ok(()), |before| {
                    write!(formatter, "; revision {before} ran before")
                })
            }
        }
    }
}
