//! What the verbs share that write a bundle or a delta of entries which others have.

use std::sync::Arc;

use camino::Utf8PathBuf;
use semver::Version;
use serde::Serialize;

use super::open::threads;
use crate::{
    bundle::{self, Destination, Plan, Tally},
    registry::Client,
};
use rune_core::{
    command::{CommandError, block_on},
    progress::Progress,
};

/// The file that is written when none is named: in the working directory. `kind` is `bundle` or
/// `delta`.
pub(super) fn default_output(name: &str, version: &Version, kind: &str) -> Utf8PathBuf {
    format!("{name}-{version}.{kind}.tar").into()
}

#[derive(Debug, Serialize)]
pub(super) struct Used {
    pub(super) base: String,
    #[serde(flatten)]
    pub(super) tally: Tally,
}

impl Used {
    pub(super) fn all(used: Vec<(&str, Tally)>) -> Vec<Self> {
        let used = used.into_iter().map(|(base, tally)| Self {
            base: base.to_owned(),
            tally,
        });
        used.collect()
    }
}

pub(super) fn continued_line(kept: u64) -> String {
    match kept {
        0 => String::new(),
        _ => format!("continued      {kept} entries from an earlier run\n"),
    }
}

/// Writes a plan; says how many an earlier run had written.
pub(super) fn write(
    plan: &Plan,
    client: Option<&Client>,
    destination: &Destination,
    is_dry_run: bool,
    progress: &Arc<dyn Progress>,
) -> Result<u64, CommandError> {
    if is_dry_run {
        bundle::check_output(plan, destination)?;
        return Ok(0);
    }
    let written = bundle::materialise(plan, client, destination, threads(), progress);
    Ok(block_on(written)?.kept_blobs)
}
