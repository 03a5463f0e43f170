//! `rollback`: what was installed before runs again.
//!
//! One installation goes back as a whole: every release that was installed together, the last one
//! first. Helm has the revisions of before, so no bundle is needed; the record in the cluster says
//! which they are. A database does not go back: its schema is checked before anything is changed.

mod member;
mod report;

use std::time::Duration;

use self::member::{Member, bundle_id};
pub(crate) use self::report::RollbackReport;
use super::{
    cluster_access::{ClusterAccess, ClusterAccessOptions},
    install::Permissions,
    receipt_place::{Deed, ReceiptPlace},
};
use crate::{
    install::{InstallError, State},
    receipt::{Act, Appended, BundleId, Outcome, VerifiedBundle},
};
use rune_core::{
    command::{CommandError, block_on_to_the_end},
    failure::Failure,
    progress::Progress,
};

#[derive(Debug, Clone)]
pub(crate) struct RollbackOptions {
    pub(crate) access: ClusterAccessOptions,
    pub(crate) release: String,
    pub(crate) permissions: Permissions,
    pub(crate) patience: Duration,
    pub(crate) is_dry_run: bool,
    pub(crate) receipts: ReceiptPlace,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Conflict)]
enum RollbackError {
    #[error("nothing was installed before {bundle} as release {release}")]
    #[failure(NotFound: "`helm uninstall` removes a release; `rune-bundle install` of an older \
        bundle with --allow-downgrade goes back to one that is not on record")]
    NothingBefore { release: String, bundle: String },
    #[error("Helm no longer has revision {revision} of release {release}")]
    #[failure(NotFound: "install the earlier bundle again: `rune-bundle install` with \
        --allow-downgrade")]
    NoRevision { release: String, revision: u64 },
    #[error("release {release} was installed together with {other}, and {other} was changed since")]
    #[failure(help: "roll back {other} first")]
    Changed { release: String, other: String },
    #[error("the installation of {bundle} was not finished: release {release} was begun")]
    #[failure(help: "nothing was changed; `rune-bundle install` of {bundle} finishes it, \
        `rune-bundle install` of the earlier bundle with --allow-downgrade goes back")]
    NotFinished { release: String, bundle: String },
    #[error("{before} works with {}, which the cluster does not serve any more",
        .missing.join(", "))]
    #[failure(help: "nothing was changed; custom resource definitions are not rolled back: install \
        a newer bundle instead")]
    Definitions {
        before: String,
        missing: Vec<String>,
    },
    #[error(
        "the database of release {release} has schema version {database}, and {before} has \
         version {known}"
    )]
    #[failure(help: "nothing was changed; an older RUNE may not know this schema: with a backup at \
        hand, --allow-downgrade does it")]
    NewerSchema {
        release: String,
        database: u32,
        before: String,
        known: u32,
    },
}

/// After a failure the message says where each release is.
pub(crate) fn run(
    options: &RollbackOptions,
    progress: &dyn Progress,
) -> Result<RollbackReport, CommandError> {
    options.access.program()?;
    if !options.is_dry_run {
        options.receipts.prepare()?;
    }
    block_on_to_the_end(async {
        let access = ClusterAccess::connect(&options.access).await?;
        let (members, bundle) = tokio::select! {
            found = look(options, &access) => found?,
            () = access.interrupt().asked() => return Err(CommandError::from(InstallError::Interrupted)),
        };
        let mut run = Run {
            options,
            access: &access,
            progress,
            members,
            bundle,
        };
        let mut report = RollbackReport::new(&access.cluster, &run.members, options.is_dry_run);
        if options.is_dry_run {
            return Ok(report);
        }
        let appended = run.change().await?;
        report.rolled_back(&run.members, appended);
        Ok(report)
    })
}

/// Everything that is known before anything is changed: the releases, in the order in which they go
/// back, and the bundle of before.
async fn look(
    options: &RollbackOptions,
    access: &ClusterAccess<'_>,
) -> Result<(Vec<Member>, BundleId), CommandError> {
    let first = Member::read(access, access.cluster.namespace(), &options.release).await?;
    let set = first.set();
    let mut members = Vec::new();
    for existing in &set {
        let mut member = Member::read(access, &existing.namespace, &existing.release).await?;
        if !member.is_of(&set) {
            return Err(RollbackError::Changed {
                release: options.release.clone(),
                other: existing.release.clone(),
            }
            .into());
        }
        member.check(&options.permissions).await?;
        members.push(member);
    }
    let bundle = members.iter().find_map(Member::target).map(bundle_id);
    let Some(bundle) = bundle else {
        return Err(RollbackError::NothingBefore {
            bundle: first.label(),
            release: options.release.clone(),
        }
        .into());
    };
    // What is installed last may need what is installed first.
    members.reverse();
    Ok((members, bundle))
}

struct Run<'a> {
    options: &'a RollbackOptions,
    access: &'a ClusterAccess<'a>,
    progress: &'a dyn Progress,
    members: Vec<Member>,
    bundle: BundleId,
}

impl Run<'_> {
    async fn change(&mut self) -> Result<Option<Appended>, CommandError> {
        let names: Vec<String> = self.members.iter().map(Member::name).collect();
        let destination = format!(
            "release {} of {}",
            names.join(", "),
            self.access.cluster.address()
        );
        let deed = Deed {
            kind: "rollback",
            destination: &destination,
        };
        for note in self.options.receipts.begin(self.bundle.clone(), deed)? {
            self.progress.announce(&note);
        }
        for number in 0..self.members.len() {
            let patience = self.options.patience;
            let (Some(member), progress) = (self.members.get_mut(number), self.progress) else {
                break;
            };
            match member.go_back(patience, progress).await {
                Ok(()) => {}
                Err(InstallError::Rollout(failure)) => {
                    let is_over = !matches!(failure.state(), State::Interrupted { .. });
                    if is_over && let Err(error) = self.put_on_record(Outcome::Failed) {
                        self.progress.announce(&format!(
                            "note: there is no receipt of this: {}",
                            error.messages().join(": ")
                        ));
                    }
                    let others = self.members.iter().enumerate();
                    let others = others.filter(|(other, _)| *other != number);
                    let others = others.map(|(_, member)| (member.name(), member.state()));
                    let failure = failure.with_others(others.collect());
                    return Err(InstallError::from(Box::new(failure)).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let appended = self
            .put_on_record(Outcome::Deployed)
            .map_err(|error| error.context("rolled back, and there is no receipt of it"))?;
        let receipt = appended.as_ref().map(|appended| appended.digest);
        for member in &mut self.members {
            member.note_receipt(receipt).await?;
        }
        Ok(appended)
    }

    fn put_on_record(&self, outcome: Outcome) -> Result<Option<Appended>, CommandError> {
        let cluster = &self.access.cluster;
        let act = Act::Rollback {
            cluster: cluster.address().to_owned(),
            cluster_id: cluster.id().map(str::to_owned),
            releases: self.members.iter().filter_map(Member::receipt).collect(),
            outcome,
        };
        let bundle = VerifiedBundle::on_record(self.bundle.clone());
        self.options.receipts.append(bundle, act)
    }
}
