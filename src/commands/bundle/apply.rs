//! `apply`: a delta and what it was created for become the bundle, byte for byte.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    BaseSource,
    base::BaseAccess,
    open::BundleOptions,
    trust_source::{TrustSource, identity_lines},
    written::{Used, continued_line, default_output, write},
};
use crate::{
    bundle::{Base, Delta, DeltaError, Plan, Tally},
    containerd::ContainerdOptions,
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    digest::Digest,
    progress::Progress,
    text::exact_size,
};

#[derive(Debug, Clone)]
pub(crate) struct ApplyOptions {
    pub(crate) delta: BundleOptions,
    pub(crate) bases: Vec<BaseSource>,
    pub(crate) registry: ClientConfig,
    pub(crate) containerd: ContainerdOptions,
    pub(crate) output: Option<Utf8PathBuf>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplyReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    output: Utf8PathBuf,
    bytes: u64,
    from_delta: Tally,
    from_bases: Vec<Used>,
    kept: u64,
    dry_run: bool,
}

impl Report for ApplyReport {
    const VERB: &'static str = "apply";

    fn text(&self) -> String {
        let did = if self.dry_run { "would write" } else { "wrote" };
        let mut text = format!(
            "{did} {} {} to `{}`: {}\n",
            self.name,
            self.version,
            self.output,
            exact_size(self.bytes)
        );
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        text.push_str(&format!("from delta     {}\n", self.from_delta));
        for Used { base, tally } in &self.from_bases {
            text.push_str(&format!("from base      {tally}, of `{base}`\n"));
        }
        text.push_str(&continued_line(self.kept));
        text
    }
}

/// Nothing has its name after a failure.
pub(crate) fn run(
    options: &ApplyOptions,
    progress: &Arc<dyn Progress>,
) -> Result<ApplyReport, CommandError> {
    let BundleOptions { bundle, parts, .. } = &options.delta;
    let refused =
        |error: DeltaError| CommandError::from(error).context(format!("refusing `{bundle}`"));
    let trust = options.delta.trust()?;
    let delta = Delta::open(bundle, &parts.places, !parts.are_shared)
        .and_then(|delta| delta.ok_or_else(|| DeltaError::NotADelta(bundle.clone())))
        .map_err(refused)?;
    let head = delta
        .head()
        .clone()
        .authenticate(&trust)
        .map_err(|error| options.delta.refused(error.into()))?;
    let index = head.index();
    let contents = delta.contents(index).map_err(refused)?;
    let client = Client::new(options.registry.clone())?;
    let access = BaseAccess {
        client: &client,
        containerd: &options.containerd,
    };
    let bases = block_on(async {
        let mut bases: Vec<Base> = Vec::new();
        for base in &options.bases {
            bases.push(
                base.for_delta(&access, index, &contents, &parts.places)
                    .await?,
            );
        }
        Ok::<_, CommandError>(bases)
    })?;
    let (plan, used) = Plan::of_delta(&head, &contents, &bases)?;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(&index.name, &index.version, "bundle"));
    let destination = output.as_path().into();
    let kept = write(
        &plan,
        Some(&client),
        &destination,
        options.is_dry_run,
        progress,
    )
    .map_err(|error| error.context(format!("did not write `{output}`")))?;
    Ok(ApplyReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.delta.trust_source(),
        bytes: plan.total_bytes(),
        from_delta: Tally::of(index.entries.iter().filter(|entry| contents.has(entry))),
        from_bases: Used::all(used),
        kept,
        output,
        dry_run: options.is_dry_run,
    })
}
