//! `report`: one HTML page about a bundle, for a change board.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{trust_source::TrustSource, view::ViewOptions};
use crate::{diff::Diff, report};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    fsx,
    text::shown,
};

#[derive(Debug, Clone)]
pub(crate) struct ReportOptions {
    pub(crate) bundle: Utf8PathBuf,
    pub(crate) against: Option<Utf8PathBuf>,
    /// The file to create; without one, `<name>-<version>.html` in the working directory.
    pub(crate) output: Option<Utf8PathBuf>,
    pub(crate) trust: ViewOptions,
}

#[derive(Debug, Serialize)]
pub(crate) struct PageReport {
    output: Utf8PathBuf,
    bytes: u64,
    name: String,
    version: semver::Version,
    digest: Digest,
    verified: bool,
    trust: Option<TrustSource>,
    against: Option<Digest>,
}

impl Report for PageReport {
    const VERB: &'static str = "report";

    fn text(&self) -> String {
        let Self {
            output,
            name,
            version,
            digest,
            ..
        } = self;
        let trust = self
            .trust
            .as_ref()
            .map(|trust| format!("trust          {trust}\n"))
            .unwrap_or_default();
        let warning = if self.verified {
            ""
        } else {
            "UNVERIFIED: no --key and no --trust was given, and the page says so\n"
        };
        format!(
            "{warning}wrote the page about {} {version} to `{output}`\nbundle digest  \
             {digest}\n{trust}",
            shown(name)
        )
    }
}

/// Writes the page. An existing file is left as it is.
pub(crate) fn run(options: &ReportOptions) -> Result<PageReport, CommandError> {
    let view = options.trust.open(&options.bundle)?;
    let against = options
        .against
        .as_ref()
        .map(|old| options.trust.open(old))
        .transpose()?;
    let changes = against
        .as_ref()
        .map(|old| Diff::between(old, &view))
        .transpose()?;
    let page = report::page(&view, changes.as_ref())?;
    let index = view.index();
    let usual = || Utf8PathBuf::from(format!("{}-{}.html", index.name, index.version));
    let output = options.output.clone().unwrap_or_else(usual);
    fsx::write_new(&output, page.as_bytes(), 0o644)?;
    Ok(PageReport {
        output,
        bytes: page.len() as u64,
        name: view.index().name.clone(),
        version: view.index().version.clone(),
        digest: view.digest(),
        verified: view.is_verified(),
        trust: options.trust.trust_source(),
        against: against.map(|old| old.digest()),
    })
}
