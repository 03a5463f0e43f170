//! What `rollback` says.

use std::fmt::Write as _;

use serde::Serialize;

use super::{super::status::BundleStatus, member::Member};
use crate::{
    install::{Cluster, DatabaseSchema},
    receipt::Appended,
};
use rune_core::command::Report;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RollbackReport {
    cluster: String,
    dry_run: bool,
    releases: Vec<ReleaseReport>,
    receipt: Option<Appended>,
}

#[derive(Debug, Serialize)]
struct ReleaseReport {
    namespace: String,
    release: String,
    from: BundleStatus,
    /// What was installed before; none when the release is removed.
    to: Option<BundleStatus>,
    schema: Option<u32>,
    revision: Option<u64>,
}

impl ReleaseReport {
    fn of(member: &Member) -> Self {
        let schema = match member.schema {
            Some(DatabaseSchema::Version(version)) => version,
            _ => None,
        };
        Self {
            namespace: member.namespace().to_owned(),
            release: member.name(),
            from: BundleStatus::of(member.left()),
            to: member.target().map(BundleStatus::of),
            schema,
            revision: member.revision(),
        }
    }
}

impl RollbackReport {
    pub(super) fn new(cluster: &Cluster, members: &[Member], dry_run: bool) -> Self {
        Self {
            cluster: cluster.address().to_owned(),
            dry_run,
            releases: members.iter().map(ReleaseReport::of).collect(),
            receipt: None,
        }
    }

    pub(super) fn rolled_back(&mut self, members: &[Member], receipt: Option<Appended>) {
        for (report, member) in self.releases.iter_mut().zip(members) {
            report.revision = member.revision();
        }
        self.receipt = receipt;
    }
}

impl Report for RollbackReport {
    const VERB: &'static str = "rollback";

    fn text(&self) -> String {
        let mut text = String::new();
        for ReleaseReport {
            namespace,
            release,
            from,
            to,
            schema,
            revision,
        } in &self.releases
        {
            let from = format!("{} {}", from.name, from.version);
            let Some(to) = to else {
                let what = if self.dry_run {
                    "would remove"
                } else {
                    "removed"
                };
                let _ = writeln!(
                    text,
                    "{what} release {release} in namespace {namespace}: {from}, and nothing was \
                     installed before"
                );
                continue;
            };
            let what = if self.dry_run {
                "would roll back"
            } else {
                "rolled back"
            };
            let _ = writeln!(
                text,
                "{what} release {release} in namespace {namespace} from {from} to {} {}, revision \
                 {}",
                to.name,
                to.version,
                revision.or(to.revision).unwrap_or_default()
            );
            if let Some(schema) = schema {
                let _ = writeln!(text, "  schema of the database: {schema}");
            }
        }
        if self.dry_run {
            text.push_str("nothing was changed\n");
        }
        if let Some(receipt) = &self.receipt {
            let _ = writeln!(text, "receipt        {receipt}");
        }
        text
    }

    fn has_changed(&self) -> bool {
        !self.dry_run
    }
}
