//! `join`: volumes become one bundle, in any order and one at a time.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    open::{BundleOptions, threads},
    trust_source::{TrustSource, identity_lines},
};
use crate::bundle::{self, Joined, VolumesToJoin, volume_numbers};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
    text::exact_size,
};

#[derive(Debug, Clone)]
pub(crate) struct JoinOptions {
    pub(crate) volumes: BundleOptions,
    /// The file to write; without one, the name of the volumes with `.tar` for what is theirs, in
    /// the working directory.
    pub(crate) output: Option<Utf8PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JoinReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    output: Utf8PathBuf,
    bytes: u64,
    delta: bool,
    #[serde(flatten)]
    joined: Joined,
}

impl Report for JoinReport {
    const VERB: &'static str = "join";

    fn text(&self) -> String {
        let Self {
            name,
            version,
            output,
            bytes,
            joined,
            ..
        } = self;
        let count = joined.count;
        let what = if self.delta { "a delta of " } else { "" };
        let mut text = if joined.missing.is_empty() {
            format!(
                "joined {what}{name} {version} to `{output}`: {count} volumes, {}\n",
                exact_size(*bytes)
            )
        } else {
            format!(
                "{} of {count} of {what}{name} {version} {} intact and joined\n",
                volume_numbers(&joined.added),
                if joined.added.len() == 1 { "is" } else { "are" },
            )
        };
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        if !joined.missing.is_empty() {
            text.push_str(&format!(
                "NOT COMPLETE   `{output}` gets its name with {}: run the same command with them, \
                 in any order\n",
                volume_numbers(&joined.missing)
            ));
        }
        text
    }
}

/// Adds volumes to a bundle, which is complete with the last one.
pub(crate) fn run(
    options: &JoinOptions,
    progress: &dyn Progress,
) -> Result<JoinReport, CommandError> {
    let BundleOptions { bundle, parts, .. } = &options.volumes;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| bundle_name(bundle.file_name().unwrap_or_default()));
    let trust = options.volumes.trust()?;
    let volumes = VolumesToJoin::open(bundle, &parts.places, &output)?;
    let head = volumes
        .head()
        .clone()
        .authenticate(&trust)
        .map_err(|error| options.volumes.refused(error.into()))?;
    let (bytes, delta) = (volumes.total_bytes(), volumes.is_of_delta());
    let joined = bundle::join(volumes, &head, &output, threads(), progress)
        .map_err(|error| CommandError::from(error).context(format!("cannot join `{output}`")))?;
    Ok(JoinReport {
        name: head.index().name.clone(),
        version: head.index().version.clone(),
        digest: head.digest(),
        trust: options.volumes.trust_source(),
        bytes,
        delta,
        output,
        joined,
    })
}

/// What a bundle is called whose volumes have such a name: the same whichever volume is joined
/// first.
fn bundle_name(volume: &str) -> Utf8PathBuf {
    let stem = volume
        .rsplit_once(".volume-")
        .map_or(volume, |(stem, _)| stem);
    format!("{stem}.tar").into()
}
