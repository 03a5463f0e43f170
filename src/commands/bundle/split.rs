//! `split`: an existing bundle becomes volumes.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    open::{BundleOptions, threads},
    trust_source::{TrustSource, identity_lines},
    volumes::PartsList,
    written::default_output,
};
use crate::bundle::{self, Destination, VolumeSize};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
};

#[derive(Debug, Clone)]
pub(crate) struct SplitOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) volume_size: VolumeSize,
    /// The name of the bundle, from which the volumes have theirs; without one,
    /// `<name>-<version>.bundle.tar` in the working directory.
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
    volumes: PartsList,
    dry_run: bool,
}

impl Report for SplitReport {
    const VERB: &'static str = "split";

    fn text(&self) -> String {
        let did = if self.dry_run { "would split" } else { "split" };
        let mut text = format!("{did} {} {}\n", self.name, self.version);
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        text.push_str(&self.volumes.text());
        text
    }
}

/// Verifies a bundle and writes it to volumes. Fails when the bundle is not as signed, or the
/// volumes cannot be written; then none has its name.
pub(crate) fn run(
    options: &SplitOptions,
    progress: &dyn Progress,
) -> Result<SplitReport, CommandError> {
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
        bundle::split(source, &head, &destination, threads(), progress).map_err(|error| {
            CommandError::from(error).context(format!("did not split `{}`", options.bundle.bundle))
        })?;
    }
    Ok(SplitReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.bundle.trust_source(),
        volumes: PartsList::of(&destination),
        dry_run: options.is_dry_run,
    })
}
