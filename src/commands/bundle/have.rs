//! `have`: a list of the contents that a site has, for a delta that leaves them out.

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::bundle::{Base, Held, Tally};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    fsx,
    progress::Progress,
};

#[derive(Debug, Clone)]
pub struct HaveOptions {
    /// Bundles, and directories that some were unpacked into.
    pub sources: Vec<Utf8PathBuf>,
    pub output: Utf8PathBuf,
}

#[derive(Debug, Serialize)]
pub struct HaveReport {
    output: Utf8PathBuf,
    contents: Tally,
    damaged: Vec<DamagedContents>,
}

/// Contents that are not what they should be; they are not in the list.
#[derive(Debug, Serialize)]
struct DamagedContents {
    path: Utf8PathBuf,
    digests: Vec<Digest>,
}

impl Report for HaveReport {
    const VERB: &'static str = "have";

    fn text(&self) -> String {
        let mut text = format!("wrote `{}`: {}\n", self.output, self.contents);
        for DamagedContents { path, digests } in &self.damaged {
            let count = counted(digests.len() as u64, "content");
            text.push_str(&format!(
                "note: {count} of `{path}` differ from their digest and are not in the list\n"
            ));
        }
        text
    }
}

/// Reads everything that is there, and lists what is as it should be.
///
/// # Errors
/// When a source cannot be read, or the list cannot be written.
pub fn run(options: &HaveOptions, progress: &dyn Progress) -> Result<HaveReport, CommandError> {
    fsx::check_free(&options.output)?;
    let mut held = Held::default();
    let mut damaged = Vec::new();
    for path in &options.sources {
        let digests = Base::open(path)?.check_into(&mut held, progress)?;
        if !digests.is_empty() {
            let path = path.clone();
            damaged.push(DamagedContents { path, digests });
        }
    }
    fsx::write_new(&options.output, &held.to_list()?, 0o644)?;
    Ok(HaveReport {
        output: options.output.clone(),
        contents: held.tally(),
        damaged,
    })
}
