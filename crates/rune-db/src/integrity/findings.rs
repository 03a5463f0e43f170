//! What was found, counted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::transfer;
use rune_storage::{
    migrations::Dialect,
    schema::{Assessment, Inspection, SchemaError, TABLES, Verb},
};

const MOST_KEYS: usize = 100;
const MOST_KEY_CHARACTERS: usize = 120;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Never with content.
    pub(crate) problem: String,
    pub(crate) table: Option<&'static str>,
    pub(crate) column: Option<String>,
    pub(crate) count: u64,
    /// The keys of the first of these rows.
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TableRows {
    pub(crate) table: &'static str,
    pub(crate) rows: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Soundness {
    pub(crate) tables: Vec<TableRows>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
    /// Whether a strict caller is to be told: types that lose digits, versions that are not known
    /// here.
    pub(crate) is_doubtful: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    tables: Vec<TableRows>,
    findings: Collection,
    warnings: Collection,
    notes: Vec<String>,
    is_doubtful: bool,
}

#[derive(Default)]
struct Collection {
    list: Vec<Finding>,
    places: BTreeMap<(String, Option<&'static str>, Option<String>), usize>,
}

impl Collection {
    fn add(
        &mut self,
        problem: &str,
        table: Option<&'static str>,
        column: Option<&str>,
        key: Option<&str>,
    ) {
        self.add_many(problem, table, column, 1, key);
    }

    fn add_many(
        &mut self,
        problem: &str,
        table: Option<&'static str>,
        column: Option<&str>,
        count: u64,
        keys: impl IntoIterator<Item = impl AsRef<str>>,
    ) {
        let place = (problem.to_owned(), table, column.map(str::to_owned));
        let index = *self.places.entry(place.clone()).or_insert(self.list.len());
        if index == self.list.len() {
            let (problem, table, column) = place;
            self.list.push(Finding {
                problem,
                table,
                column,
                count: 0,
                keys: Vec::new(),
            });
        }
        let Some(finding) = self.list.get_mut(index) else {
            return;
        };
        finding.count = finding.count.saturating_add(count);
        let shown = |key: &str| {
            key.chars()
                .take(MOST_KEY_CHARACTERS)
                .flat_map(char::escape_debug)
                .collect()
        };
        let room = MOST_KEYS.saturating_sub(finding.keys.len());
        finding
            .keys
            .extend(keys.into_iter().take(room).map(|key| shown(key.as_ref())));
    }
}

impl Ledger {
    pub(super) fn table(&mut self, table: &'static str, rows: u64) {
        self.tables.push(TableRows { table, rows });
    }

    pub(super) fn row(&mut self, problem: &str, table: &'static str, column: &str, key: &str) {
        self.findings
            .add(problem, Some(table), Some(column), Some(key));
    }

    /// Something is wrong with the database, or with a table as a whole.
    pub(super) fn whole(&mut self, problem: &str, table: Option<&'static str>) {
        self.findings.add(problem, table, None, None);
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Cells that cannot be transferred.
    pub(super) fn carried(&mut self, finding: &transfer::Finding) {
        let problem = format!("holds {}", finding.kind.text());
        self.findings.add_many(
            &problem,
            Some(finding.table),
            Some(finding.column),
            finding.count,
            &finding.keys,
        );
    }

    pub(super) fn orphan(&mut self, table: &'static str, key: &str) {
        self.warnings.add(
            "belongs to a job that is not there",
            Some(table),
            Some("job_id"),
            Some(key),
        );
    }

    pub(super) fn schema(&mut self, assessment: &Assessment<'_>, dialect: Dialect) {
        for drift in assessment.drift.iter().filter(|drift| !drift.is_lossy()) {
            self.findings.add(
                &drift.to_string(),
                Some(drift.table),
                drift.column.as_deref(),
                None,
            );
        }
        if let Some(warning) = assessment.lossy_types() {
            self.warnings.add(&warning, None, None, None);
            self.is_doubtful = true;
        }
        for table in &assessment.missing {
            self.whole(
                "is not there although its version is recorded",
                Some(table.name),
            );
        }
        for (table, index, _) in &assessment.missing_indexes {
            self.whole(&format!("lacks its index `{index}`"), Some(table));
        }
        if let Err(
            error @ (SchemaError::Foreign { .. }
            | SchemaError::Edited(_)
            | SchemaError::Unrecorded(_)),
        ) = assessment.check(dialect, false)
        {
            self.whole(&error.to_string(), None);
        }
        if !assessment.pending.is_empty()
            || (dialect == Dialect::Sqlite && !assessment.unrecorded.is_empty())
        {
            self.notes
                .push("the schema is not up to date; run `rune-db migrate`".to_owned());
        }
        if !assessment.unknown.is_empty() {
            self.is_doubtful = true;
            self.notes.push(
                "versions of RUNE's schema that are not known here are not checked".to_owned(),
            );
        }
    }

    /// What a site put on the tables: what is wrong whatever is done, and what is worth knowing.
    pub(super) fn site(&mut self, site: &Inspection) {
        for (table, fault) in site.faults() {
            let table = TABLES
                .iter()
                .map(|known| known.name)
                .find(|known| *known == table);
            self.findings.add(&fault, table, None, None);
        }
        let faults: Vec<String> = site.faults().map(|(_, fault)| fault).collect();
        self.notes.extend(
            site.notes(Verb::Status)
                .into_iter()
                .filter(|note| !faults.contains(note)),
        );
    }

    pub(super) fn finish(self) -> Soundness {
        Soundness {
            tables: self.tables,
            findings: self.findings.list,
            warnings: self.warnings.list,
            notes: self.notes,
            is_doubtful: self.is_doubtful,
        }
    }
}
