//! `rune-db compare`: says whether two databases have the same rows. Changes neither.

use std::{fmt::Write as _, sync::Arc};

use serde::Serialize;

use super::{
    DatabaseOptions,
    target::{Place, Target},
    warning_lines,
};
use crate::transfer::{Comparison, FileSnapshot, Side, SourceTrust, compare};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::FailureKind,
    progress::Progress,
};
use rune_storage::migrations::Migrations;

#[derive(Debug)]
pub(crate) struct CompareOptions {
    pub(crate) left: DatabaseOptions,
    pub(crate) right: DatabaseOptions,
    pub(crate) list_rows: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompareReport {
    pub(crate) left: String,
    pub(crate) right: String,
    pub(crate) comparison: Comparison,
}

pub(crate) fn run(
    options: &CompareOptions,
    progress: &Arc<dyn Progress>,
) -> Result<CompareReport, CommandError> {
    let migrations = Migrations::embedded()?;
    let (left, right) = (
        options.left.resolve_as("LEFT")?,
        options.right.resolve_as("RIGHT")?,
    );
    let sides = (side(&left)?, side(&right)?);
    let comparison = block_on(compare(
        sides.0,
        sides.1,
        options.list_rows,
        &migrations,
        progress,
    ))?;
    Ok(CompareReport {
        left: left.location,
        right: right.location,
        comparison,
    })
}

fn side(target: &Target) -> Result<Side, CommandError> {
    Ok(match &target.place {
        Place::File(path) => Side::File(Box::new(FileSnapshot::open(path, SourceTrust::Shared)?)),
        Place::Server(url) => Side::Server(url.clone()),
    })
}

impl Report for CompareReport {
    const VERB: &'static str = "db-compare";

    fn text(&self) -> String {
        let mut text = format!("left  {}\nright {}\n", self.left, self.right);
        for table in &self.comparison.tables {
            let name = table.table;
            if table.is_equal {
                let _ = writeln!(text, "{name:<18} equal, {}", table.left);
                continue;
            }
            let _ = writeln!(
                text,
                "{name:<18} left  {}\n{:<18} right {}",
                table.left, "", table.right
            );
            let Some(rows) = &table.rows else { continue };
            let _ = writeln!(
                text,
                "{:<18} {} only left, {} only right, {} changed",
                "", rows.only_left, rows.only_right, rows.changed
            );
            for difference in &rows.keys {
                let _ = writeln!(text, "  {:<9} {}", difference.kind, difference.key);
            }
            let total = rows
                .only_left
                .saturating_add(rows.only_right)
                .saturating_add(rows.changed);
            let unlisted = total.saturating_sub(rows.keys.len() as u64);
            if unlisted > 0 {
                let _ = writeln!(text, "  and {unlisted} more");
            }
        }
        text.push_str(&warning_lines(&self.comparison.warnings));
        text.push_str(if self.comparison.is_equal {
            "equal\n"
        } else {
            "different\n"
        });
        text
    }

    fn verdict(&self) -> Option<FailureKind> {
        (!self.comparison.is_equal).then_some(FailureKind::Drift)
    }
}
