//! The options that say whether the charts are checked, and with which Helm.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;
use rustix::fs::{Access, access};

use crate::commands::bundle::{ChartCheck, HelmOptions};

/// Which Helm renders charts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Completeness")]
pub(super) struct HelmArgs {
    /// Helm 3 or 4, which renders the charts to find the images that they need [default: `helm` in
    /// PATH]
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNE_BUNDLE_HELM",
        hide_env_values = true
    )]
    helm: Option<Utf8PathBuf>,
    /// Time limit of one rendering, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    helm_timeout: u16,
}

/// Whether and how it is made sure that the charts need no image that is not inside.
#[derive(Debug, Args)]
#[command(next_help_heading = "Completeness")]
pub(super) struct ChartCheckArgs {
    #[command(flatten)]
    pub(super) helm: HelmArgs,
    /// Do not check which images the charts need; the bundle records that
    #[arg(long)]
    no_chart_check: bool,
}

impl From<ChartCheckArgs> for ChartCheck {
    fn from(args: ChartCheckArgs) -> Self {
        if args.no_chart_check {
            return Self::LeftOut;
        }
        let HelmOptions {
            program,
            time_limit,
        } = args.helm.into();
        Self::Helm {
            program,
            time_limit,
        }
    }
}

impl From<HelmArgs> for HelmOptions {
    fn from(args: HelmArgs) -> Self {
        Self {
            program: helm_program(args.helm),
            time_limit: Duration::from_secs(args.helm_timeout.into()),
        }
    }
}

/// The Helm that was named, or else the one in `PATH`.
pub(super) fn helm_program(named: Option<Utf8PathBuf>) -> Option<Utf8PathBuf> {
    named.map(absolute).or_else(|| in_path("helm"))
}

/// A program works in a directory of its own, so its name must lead to it from there.
pub(super) fn absolute(path: Utf8PathBuf) -> Utf8PathBuf {
    let full = std::path::absolute(&path)
        .ok()
        .and_then(|full| Utf8PathBuf::from_path_buf(full).ok());
    full.unwrap_or(path)
}

/// The program that a shell would run.
pub(super) fn in_path(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    let programs = std::env::split_paths(&path)
        .filter_map(|directory| Utf8PathBuf::from_path_buf(directory.join(name)).ok());
    programs
        .filter(|program| {
            program.is_file() && access(program.as_std_path(), Access::EXEC_OK).is_ok()
        })
        .map(absolute)
        .next()
}
