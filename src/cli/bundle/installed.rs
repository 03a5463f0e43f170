//! The verbs about what is installed: `status`, `rollback`.

use std::time::Duration;

use clap::Args;

use super::{
    installing::{ClusterArgs, PermissionArgs},
    receipts::ReceiptArgs,
};
use crate::{
    cli::site::Site,
    commands::bundle::{RollbackOptions, StatusOptions},
};
use rune_core::duration::parse_duration;

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
    pub(super) fn options(self, site: &Site) -> RollbackOptions {
        RollbackOptions {
            access: self.cluster.options(site),
            release: self.release,
            permissions: self.permissions.permissions(false),
            patience: self.timeout,
            is_dry_run: self.dry_run,
            receipts: self.receipts.place(site),
        }
    }
}
