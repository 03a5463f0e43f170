//! The verbs about what is installed: `status`, `rollback`, `support`.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;

use super::{
    installing::{ClusterArgs, KubeArgs, PermissionArgs},
    receipts::ReceiptArgs,
};
use crate::{
    cli::site::Site,
    commands::bundle::{RollbackOptions, StatusOptions, SupportOptions},
};
use rune_core::{cli::output_path::output_path, command::CommandError, duration::parse_duration};

/// Shows what is installed.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Release [default: every release that this program installed in the namespace]
    #[arg(value_name = "RELEASE")]
    release: Option<String>,
    /// Show releases of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Leave out the schema version of databases, for which a job runs some seconds
    #[arg(long)]
    no_database: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Rolls back to what was installed before.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// Release; those that were installed together with it go back, too
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Show what would go back, check the databases, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    permissions: PermissionArgs,
    /// Time limit for each release and its tests: 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    receipts: ReceiptArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Collects diagnostics of a namespace for the vendor, without secrets.
///
/// Versions, states of pods and workloads, events and logs go into one tar, which begins with the
/// list of what is in it and how much was redacted. Secrets, ConfigMaps and environment variables
/// are not collected. What may not be read is named.
#[derive(Debug, Args)]
pub(super) struct Support {
    /// File to write; an existing file is never overwritten
    #[arg(long, short, value_name = "FILE", default_value = "rune-support.tar",
        value_parser = output_path)]
    output: Utf8PathBuf,
    /// Collect from all namespaces with a release that this program installed
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: KubeArgs,
}

impl Status {
    pub(super) fn options(self, site: &Site) -> StatusOptions {
        StatusOptions {
            access: self.cluster.options(site),
            release: self.release,
            in_all_namespaces: self.all_namespaces,
            ask_database: !self.no_database,
        }
    }
}

impl Rollback {
    pub(super) fn options(self, site: &Site) -> Result<RollbackOptions, CommandError> {
        Ok(RollbackOptions {
            access: self.cluster.options(site),
            release: self.release,
            permissions: self.permissions.permissions(false),
            patience: self.timeout,
            is_dry_run: self.dry_run,
            receipts: self.receipts.place(site)?,
        })
    }
}

impl Support {
    pub(super) fn options(self, site: &Site) -> SupportOptions {
        SupportOptions {
            cluster: self.cluster.options(site),
            in_all_namespaces: self.all_namespaces,
            output: self.output,
        }
    }
}
