//! The options that say whether the charts are checked, and with which Helm.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;

use super::program::program;
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
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u16).range(1..=3600))]
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
            program: program(args.helm, &["helm"]),
            time_limit: Duration::from_secs(args.helm_timeout.into()),
        }
    }
}
