//! `have`: a list of what a site has, for a delta that leaves them out.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{BaseSource, base::BaseAccess};
use crate::{
    bundle::{Held, Tally},
    containerd::ContainerdOptions,
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    fsx,
    progress::Progress,
};

#[derive(Debug, Clone)]
pub(crate) struct HaveOptions {
    pub(crate) sources: Vec<BaseSource>,
    pub(crate) output: Utf8PathBuf,
    pub(crate) registry: ClientConfig,
    pub(crate) containerd: ContainerdOptions,
}

#[derive(Debug, Serialize)]
pub(crate) struct HaveReport {
    output: Utf8PathBuf,
    listed: Tally,
    damaged: Vec<Damaged>,
}

/// Entries that differ from their digest; they are not in the list.
#[derive(Debug, Serialize)]
struct Damaged {
    path: String,
    digests: Vec<Digest>,
}

impl Report for HaveReport {
    const VERB: &'static str = "have";

    fn text(&self) -> String {
        let mut text = format!("wrote `{}`: {}\n", self.output, self.listed);
        for Damaged { path, digests } in &self.damaged {
            let count = counted(digests.len() as u64, "digest");
            text.push_str(&format!(
                "note: not listed, because the content differs: {count} of `{path}`\n"
            ));
        }
        text
    }
}

pub(crate) fn run(
    options: &HaveOptions,
    progress: &dyn Progress,
) -> Result<HaveReport, CommandError> {
    fsx::check_free(&options.output)?;
    let mut held = Held::default();
    let mut damaged = Vec::new();
    let client = Client::new(options.registry.clone())?;
    let access = BaseAccess {
        client: &client,
        containerd: &options.containerd,
    };
    for source in &options.sources {
        let (path, digests) = source.check_into(&mut held, &access, progress)?;
        if !digests.is_empty() {
            damaged.push(Damaged { path, digests });
        }
    }
    fsx::write_new(&options.output, &held.to_list()?, 0o644)?;
    Ok(HaveReport {
        output: options.output.clone(),
        listed: held.tally(),
        damaged,
    })
}
