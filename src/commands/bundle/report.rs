//! `report`: one HTML page about a bundle, or delta of one, for a change board.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{trust_source::TrustSource, view::ViewOptions};
use crate::{
    bundle::{BundleIndex, DeltaView, Tally},
    diff::Diff,
    report,
};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    failure::Failure,
    fsx,
    text::shown,
};

#[derive(Debug, Clone)]
pub(crate) struct ReportOptions {
    pub(crate) bundle: Utf8PathBuf,
    pub(crate) against: Option<Utf8PathBuf>,
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
    /// Of a delta: what is elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<Tally>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("`{0}` is a delta, and --against compares whole bundles")]
#[failure(Usage: "create the bundle with `rune-bundle apply DELTA --from BASE --output FILE`, and \
    name that; without --against, the page is about the delta")]
struct AgainstDelta(Utf8PathBuf);

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
        let needed = self
            .needed
            .map(|needed| format!("needed         {needed}, from elsewhere\n"))
            .unwrap_or_default();
        let delta = self.needed.map_or("", |_| "the delta of ");
        format!(
            "{warning}wrote the page about {delta}{} {version} to `{output}`\nbundle digest  \
             {digest}\n{trust}{needed}",
            shown(name)
        )
    }
}

pub(crate) fn run(options: &ReportOptions) -> Result<PageReport, CommandError> {
    if options.against.is_some() {
        for bundle in [&options.bundle].into_iter().chain(&options.against) {
            if options.trust.is_delta(bundle)? {
                return Err(AgainstDelta(bundle.clone()).into());
            }
        }
    }
    if let Some(delta) = options.trust.open_delta(&options.bundle)? {
        return run_delta(options, &delta);
    }
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
    Ok(PageReport {
        output: write(options, view.index(), &page, "html")?,
        bytes: page.len() as u64,
        name: view.index().name.clone(),
        version: view.index().version.clone(),
        digest: view.digest(),
        verified: view.is_verified(),
        trust: options.trust.trust_source(),
        against: against.map(|old| old.digest()),
        needed: None,
    })
}

fn run_delta(options: &ReportOptions, delta: &DeltaView) -> Result<PageReport, CommandError> {
    let contents = delta.contents().map_err(|error| {
        CommandError::from(error).context(format!("refusing `{}`", options.bundle))
    })?;
    let page = report::delta_page(delta, &contents)?;
    let (head, index) = (delta.head(), delta.head().index());
    let (_, needed) = contents.tallies(index);
    Ok(PageReport {
        output: write(options, index, &page, "delta.html")?,
        bytes: page.len() as u64,
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        verified: head.is_verified(),
        trust: options.trust.trust_source(),
        against: None,
        needed: Some(needed),
    })
}

fn write(
    options: &ReportOptions,
    index: &BundleIndex,
    page: &str,
    extension: &str,
) -> Result<Utf8PathBuf, CommandError> {
    // The name of a bundle that nobody verified must not lead into another directory.
    let name = || index.name.replace('/', "-");
    let usual = || format!("{}-{}.{extension}", name(), index.version).into();
    let output = options.output.clone().unwrap_or_else(usual);
    fsx::write_new(&output, page.as_bytes(), 0o644)?;
    Ok(output)
}
