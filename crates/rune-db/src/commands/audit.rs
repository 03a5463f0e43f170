//! `rune-db audit`: lists the evidence that jobs leave, takes a piece of it out, checks that all of
//! it is what was stored.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    instant::moment_text,
    records::{
        Cut, Missing, PageOptions, StoreOptions, TimeRangeOptions, cut, next_line, shown, table,
        unreadable_lines, unreadable_verdict,
    },
};
use rune_core::{
    command::{CommandError, Report, counted},
    failure::FailureKind,
    fsx::NewFile,
    progress::Progress,
};
use rune_storage::port::{
    ArtifactFilter, ArtifactInfo, CheckedArtifact, OperatorPort, Page, Unreadable,
};

const BATCH: u32 = 200;

#[derive(Debug)]
pub(crate) struct ListOptions {
    pub(crate) store: StoreOptions,
    pub(crate) job_id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) created: TimeRangeOptions,
    pub(crate) page: PageOptions,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ListReport {
    pub(crate) artifacts: Vec<ArtifactInfo>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// What to go on after, when more follow.
    pub(crate) next: Option<String>,
}

pub(crate) fn list(options: &ListOptions) -> Result<ListReport, CommandError> {
    let limit = options.page.limit;
    let filter = ArtifactFilter {
        job_id: options.job_id.as_deref(),
        kind: options.kind.as_deref(),
        created: options.created.span((options.store.now)()),
    };
    let page = Page {
        after: options.page.after.as_deref(),
        limit: limit.saturating_add(1),
    };
    let listed = options
        .store
        .read_store(|store| Ok(store.list_artifacts(&filter, page)?))?;
    let Cut {
        rows: artifacts,
        unreadable,
        next,
    } = cut(listed, limit, |artifact| artifact.artifact_id.clone());
    Ok(ListReport {
        artifacts,
        unreadable,
        next,
    })
}

impl Report for ListReport {
    const VERB: &'static str = "db-audit-list";

    fn text(&self) -> String {
        if self.artifacts.is_empty() && self.unreadable.is_empty() {
            return "no artifacts\n".to_owned();
        }
        let row = |artifact: &ArtifactInfo| {
            let ArtifactInfo {
                artifact_id,
                job_id,
                kind,
                name,
                size_bytes,
                created_at,
                ..
            } = artifact;
            [
                artifact_id.clone(),
                job_id.clone(),
                kind.clone(),
                name.clone(),
                size_bytes.to_string(),
                moment_text(*created_at),
            ]
        };
        let text = table(
            ["ARTIFACT", "JOB", "KIND", "NAME", "BYTES", "CREATED"],
            self.artifacts.iter().map(row),
        );
        text + &unreadable_lines(&self.unreadable) + &next_line(self.next.as_deref())
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
    }
}

#[derive(Debug)]
pub(crate) struct ExportOptions {
    pub(crate) store: StoreOptions,
    pub(crate) artifact_id: String,
    pub(crate) output: Utf8PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ExportReport {
    pub(crate) artifact: ArtifactInfo,
    pub(crate) output: Utf8PathBuf,
}

pub(crate) fn export(options: &ExportOptions) -> Result<ExportReport, CommandError> {
    let missing = || Missing {
        what: "audit artifact",
        name: shown(&options.artifact_id),
    };
    let artifact = options.store.read_store(|store| {
        let info = store
            .find_artifact(&options.artifact_id)?
            .ok_or_else(missing)?;
        let mut file = NewFile::create(&options.output, 0o644)?;
        let mut write = |piece: &[u8]| Ok(file.write(piece)?);
        let info = store
            .read_audit_artifact(&info.job_id, &info.artifact_id, &mut write)?
            .ok_or_else(missing)?;
        file.finish()?;
        Ok(info)
    })?;
    Ok(ExportReport {
        artifact,
        output: options.output.clone(),
    })
}

impl Report for ExportReport {
    const VERB: &'static str = "db-audit-export";

    fn has_changed(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        let ArtifactInfo {
            kind,
            size_bytes,
            sha256,
            ..
        } = &self.artifact;
        format!(
            "wrote `{}`: {kind}, {size_bytes} bytes, sha256:{sha256}\n",
            self.output
        )
    }
}

#[derive(Debug)]
pub(crate) struct VerifyOptions {
    pub(crate) store: StoreOptions,
    /// Of which job; of all without it.
    pub(crate) job_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VerifyReport {
    pub(crate) checked: u64,
    pub(crate) bytes: u64,
    pub(crate) damaged: Vec<Damage>,
    pub(crate) unreadable: Vec<Unreadable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Damage {
    pub(crate) artifact_id: String,
    pub(crate) job_id: String,
    pub(crate) problem: String,
}

pub(crate) fn verify(
    options: &VerifyOptions,
    progress: &dyn Progress,
) -> Result<VerifyReport, CommandError> {
    options
        .store
        .read_store(|store| verify_all(store, options.job_id.as_deref(), progress))
}

fn verify_all(
    store: &dyn OperatorPort,
    job_id: Option<&str>,
    progress: &dyn Progress,
) -> Result<VerifyReport, CommandError> {
    let mut report = VerifyReport {
        checked: 0,
        bytes: 0,
        damaged: Vec::new(),
        unreadable: Vec::new(),
    };
    let filter = ArtifactFilter {
        job_id,
        ..ArtifactFilter::default()
    };
    let mut after: Option<String> = None;
    progress.begin("artifacts", store.artifact_bytes(job_id)?);
    loop {
        let page = Page {
            after: after.as_deref(),
            limit: BATCH,
        };
        let checked = store.check_artifacts(&filter, page, &mut |piece| {
            progress.advance(piece.len() as u64);
        })?;
        let count = checked.len();
        let last = after.clone();
        for checked in checked {
            match checked {
                Ok(CheckedArtifact { info, problem }) => {
                    report.checked += 1;
                    report.bytes = report
                        .bytes
                        .saturating_add(u64::try_from(info.size_bytes).unwrap_or_default());
                    after = Some(info.artifact_id.clone());
                    let (artifact_id, job_id) = (info.artifact_id, info.job_id);
                    report.damaged.extend(problem.map(|problem| Damage {
                        artifact_id,
                        job_id,
                        problem: problem.to_owned(),
                    }));
                }
                Err(row) => {
                    after = row.key.clone().or(after);
                    report.unreadable.push(row);
                }
            }
        }
        if count < BATCH as usize || after == last {
            break;
        }
    }
    progress.end();
    Ok(report)
}

impl Report for VerifyReport {
    const VERB: &'static str = "db-audit-verify";

    fn text(&self) -> String {
        let mut text = String::new();
        for damage in &self.damaged {
            let _ = writeln!(
                text,
                "damaged: {} of job {}: {}",
                shown(&damage.artifact_id),
                shown(&damage.job_id),
                damage.problem
            );
        }
        let checked = counted(
            usize::try_from(self.checked).unwrap_or(usize::MAX),
            "artifact",
        );
        let verdict = if self.damaged.is_empty() {
            "all as stored".to_owned()
        } else {
            format!("{} damaged", self.damaged.len())
        };
        let _ = writeln!(text, "checked {checked}, {} bytes: {verdict}", self.bytes);
        text + &unreadable_lines(&self.unreadable)
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
            .or_else(|| (!self.damaged.is_empty()).then_some(FailureKind::Drift))
    }
}
