//! `split`: an existing bundle becomes volumes.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    delta_destination::open_delta,
    open::{BundleOptions, threads},
    trust_source::{TrustSource, identity_lines},
    volumes::PartsList,
    written::{default_output, write},
};
use crate::bundle::{self, AuthenticatedHead, Delta, Destination, Plan, VolumeSize};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
};

#[derive(Debug, Clone)]
pub(crate) struct SplitOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) volume_size: VolumeSize,
    pub(crate) output: Option<Utf8PathBuf>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SplitReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    /// Whether it is a delta of the bundle.
    delta: bool,
    volumes: PartsList,
    dry_run: bool,
}

impl Report for SplitReport {
    const VERB: &'static str = "split";

    fn text(&self) -> String {
        let did = if self.dry_run { "would split" } else { "split" };
        let what = if self.delta { "a delta of " } else { "" };
        let mut text = format!("{did} {what}{} {}\n", self.name, self.version);
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        text.push_str(&self.volumes.text());
        text
    }
}

/// After a failure no volume has its name.
pub(crate) fn run(
    options: &SplitOptions,
    progress: &Arc<dyn Progress>,
) -> Result<SplitReport, CommandError> {
    let failed =
        |error: CommandError| error.context(format!("did not split `{}`", options.bundle.bundle));
    if let Some(delta) = open_delta(&options.bundle)? {
        return split_delta(options, &delta, progress).map_err(failed);
    }
    let (source, head) = options.bundle.authenticate()?;
    let index = head.index();
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(&index.name, &index.version, "bundle"));
    let destination = Destination::new(&output, head.layout(), Some(options.volume_size))?;
    if options.is_dry_run {
        bundle::check_split(&head, &destination)?;
    } else {
        bundle::split(source, &head, &destination, threads(), progress.as_ref())
            .map_err(|error| failed(error.into()))?;
    }
    Ok(report(options, &head, &destination, false))
}

/// The volumes of a delta are a plan of the writing engine, as the delta was.
fn split_delta(
    options: &SplitOptions,
    delta: &Delta,
    progress: &Arc<dyn Progress>,
) -> Result<SplitReport, CommandError> {
    let head = options.bundle.authenticate_head(delta.head().clone())?;
    let plan = Plan::of_delta_file(delta, &head)?;
    let (name, version) = (&head.index().name, &head.index().version);
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(name, version, "delta"));
    let destination = Destination::new(&output, plan.layout(), Some(options.volume_size))?;
    write(&plan, None, &destination, options.is_dry_run, progress)?;
    Ok(report(options, &head, &destination, true))
}

fn report(
    options: &SplitOptions,
    head: &AuthenticatedHead,
    destination: &Destination,
    is_delta: bool,
) -> SplitReport {
    SplitReport {
        name: head.index().name.clone(),
        version: head.index().version.clone(),
        digest: head.digest(),
        trust: options.bundle.trust_source(),
        delta: is_delta,
        volumes: PartsList::of(destination),
        dry_run: options.is_dry_run,
    }
}
