//! What operators do with RUNE's database, beside what RUNE itself does.

use super::{
    StoragePort,
    artifacts::{self, CheckedArtifact},
    error::StoreError,
    events::{self, Scope},
    jobs, limits,
    listing::{
        self, ArtifactFilter, EventFilter, JobFilter, JobLine, Page, SettingLine, TimeRange,
    },
    pruning::{self, PruneCounts, PruneRule, TableCount},
    readable::{Listed, Unreadable},
    records::{ArtifactInfo, Event, EventSummary},
    session::Engine,
    store::Store,
};

/// RUNE's database, as operators see it.
#[expect(
    clippy::missing_errors_doc,
    reason = "as for the operations of RUNE: said once for all"
)]
pub trait OperatorPort: StoragePort {
    /// Lists jobs without their payloads, newest first. Fails when the row that a page goes on
    /// after is gone.
    fn list_jobs(
        &self,
        filter: &JobFilter<'_>,
        page: Page<'_>,
    ) -> Result<Vec<Listed<JobLine>>, StoreError>;

    /// Lists jobs that have not ended and of which nobody can say since when: what decides it
    /// cannot be read.
    fn list_unreadable_unfinished(
        &self,
        tenant_id: Option<&str>,
    ) -> Result<Vec<Unreadable>, StoreError>;

    /// Lists events in the order of their ids, those after an id or all.
    fn list_events(
        &self,
        filter: &EventFilter<'_>,
        after_id: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Listed<Event>>, StoreError>;

    /// Sums events of a job, or of all, up by name.
    fn summarise_events(
        &self,
        job_id: Option<&str>,
        recorded: TimeRange,
    ) -> Result<Vec<Listed<EventSummary>>, StoreError>;

    /// Lists evidence without its content, oldest first. Fails when the row that a page goes on
    /// after is gone.
    fn list_artifacts(
        &self,
        filter: &ArtifactFilter<'_>,
        page: Page<'_>,
    ) -> Result<Vec<Listed<ArtifactInfo>>, StoreError>;

    /// Reads a page of evidence to its end and says what of each is not what was stored; `read`
    /// hears of every piece.
    fn check_artifacts(
        &self,
        filter: &ArtifactFilter<'_>,
        page: Page<'_>,
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<Listed<CheckedArtifact>>, StoreError>;

    /// Lists settings without their values, by key.
    fn list_setting_keys(
        &self,
        prefix: &str,
        page: Page<'_>,
    ) -> Result<Vec<Listed<SettingLine>>, StoreError>;

    /// How many bytes of evidence there are, of a job or of all.
    fn artifact_bytes(&self, job_id: Option<&str>) -> Result<u64, StoreError>;

    /// Finds a piece of evidence, whatever its job.
    fn find_artifact(&self, artifact_id: &str) -> Result<Option<ArtifactInfo>, StoreError>;

    /// Counts what [`prune`](Self::prune) would delete.
    fn count_prunable(&self, rule: PruneRule) -> Result<PruneCounts, StoreError>;

    /// Deletes what is old, batch by batch; `progress` hears after each how much is gone so far.
    fn prune(
        &self,
        rule: PruneRule,
        progress: &mut dyn FnMut(&PruneCounts),
    ) -> Result<PruneCounts, StoreError>;

    /// The same in one transaction, and counts the rows before and after of RUNE's tables and of
    /// those that foreign keys reach.
    fn prune_counted(&self, rule: PruneRule) -> Result<(PruneCounts, Vec<TableCount>), StoreError>;
}

/// Adds to an error what was done before it.
fn stopped(done: PruneCounts, error: StoreError) -> StoreError {
    if done == PruneCounts::default() {
        error
    } else {
        StoreError::PrunedInPart {
            done,
            source: Box::new(error),
        }
    }
}

impl<E: Engine> OperatorPort for Store<E> {
    fn list_jobs(
        &self,
        filter: &JobFilter<'_>,
        page: Page<'_>,
    ) -> Result<Vec<Listed<JobLine>>, StoreError> {
        self.read(&mut |session| listing::jobs(session, filter, page))
    }

    fn list_unreadable_unfinished(
        &self,
        tenant_id: Option<&str>,
    ) -> Result<Vec<Unreadable>, StoreError> {
        limits::lookup("tenant_id", tenant_id.unwrap_or_default())?;
        self.read(&mut |session| jobs::unreadable_unfinished(session, tenant_id))
    }

    fn list_events(
        &self,
        filter: &EventFilter<'_>,
        after_id: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Listed<Event>>, StoreError> {
        self.read(&mut |session| listing::events(session, filter, after_id, limit))
    }

    fn summarise_events(
        &self,
        job_id: Option<&str>,
        recorded: TimeRange,
    ) -> Result<Vec<Listed<EventSummary>>, StoreError> {
        limits::lookup("job_id", job_id.unwrap_or_default())?;
        self.read(&mut |session| {
            events::summarise(
                session,
                Scope {
                    job_id,
                    since: recorded.since,
                    until: recorded.until,
                },
            )
        })
    }

    fn list_artifacts(
        &self,
        filter: &ArtifactFilter<'_>,
        page: Page<'_>,
    ) -> Result<Vec<Listed<ArtifactInfo>>, StoreError> {
        self.read(&mut |session| listing::artifacts(session, filter, page))
    }

    fn check_artifacts(
        &self,
        filter: &ArtifactFilter<'_>,
        page: Page<'_>,
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<Listed<CheckedArtifact>>, StoreError> {
        self.read(&mut |session| {
            let mut checked = Vec::new();
            for listed in listing::artifacts(session, filter, page)? {
                checked.push(match listed {
                    Ok(info) => Ok(artifacts::check(session, info, read)?),
                    Err(unreadable) => Err(unreadable),
                });
            }
            Ok(checked)
        })
    }

    fn list_setting_keys(
        &self,
        prefix: &str,
        page: Page<'_>,
    ) -> Result<Vec<Listed<SettingLine>>, StoreError> {
        self.read(&mut |session| listing::settings(session, prefix, page))
    }

    fn artifact_bytes(&self, job_id: Option<&str>) -> Result<u64, StoreError> {
        limits::lookup("job_id", job_id.unwrap_or_default())?;
        self.read(&mut |session| artifacts::bytes(session, job_id))
    }

    fn find_artifact(&self, artifact_id: &str) -> Result<Option<ArtifactInfo>, StoreError> {
        limits::lookup("artifact_id", artifact_id)?;
        self.read(&mut |session| artifacts::find(session, artifact_id, None))
    }

    fn count_prunable(&self, rule: PruneRule) -> Result<PruneCounts, StoreError> {
        limits::number("before", rule.before)?;
        self.read(&mut |session| pruning::count(session, rule))
    }

    fn prune(
        &self,
        rule: PruneRule,
        progress: &mut dyn FnMut(&PruneCounts),
    ) -> Result<PruneCounts, StoreError> {
        limits::number("before", rule.before)?;
        let mut done = PruneCounts::default();
        for batch in pruning::BATCHES {
            loop {
                let counts = self
                    .write(&mut |session| batch(session, rule))
                    .map_err(|error| stopped(done, error))?;
                if counts == PruneCounts::default() {
                    break;
                }
                done += counts;
                progress(&done);
            }
        }
        Ok(done)
    }

    fn prune_counted(&self, rule: PruneRule) -> Result<(PruneCounts, Vec<TableCount>), StoreError> {
        limits::number("before", rule.before)?;
        self.write_counted(&mut |session| {
            let others = session.reached().to_vec();
            let before = pruning::rows_of(session, &others)?;
            let mut done = PruneCounts::default();
            for batch in pruning::BATCHES {
                loop {
                    let counts = batch(session, rule)?;
                    if counts == PruneCounts::default() {
                        break;
                    }
                    done += counts;
                }
            }
            let after = pruning::rows_of(session, &others)?;
            let count = |((table, before), (_, after))| TableCount {
                table,
                before,
                after,
            };
            Ok((done, before.into_iter().zip(after).map(count).collect()))
        })
    }
}
