//! `delta`: a bundle without the entries that its receiver has.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    open::BundleOptions,
    trust_source::{TrustSource, identity_lines},
    volumes::PartsList,
    written::{default_output, write},
};
use crate::bundle::{Base, BaseRecord, DeltaPlan, Destination, Held, Plan, Tally, VolumeSize};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
    text::{exact_size, shown, size},
};

#[derive(Debug, Clone)]
pub(crate) struct DeltaOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) held: HeldOptions,
    pub(crate) output: Option<Utf8PathBuf>,
    pub(crate) volume_size: Option<VolumeSize>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HeldOptions {
    /// Bundles, and directories that some were unpacked into; they are not trusted.
    pub(crate) bases: Vec<Utf8PathBuf>,
    pub(crate) lists: Vec<Utf8PathBuf>,
}

impl HeldOptions {
    /// Reads it; the other volumes or parts of a bundle are looked for in `more` too.
    pub(super) fn read(&self, more: &[Utf8PathBuf]) -> Result<Held, CommandError> {
        let mut held = Held::default();
        for path in &self.bases {
            Base::open(path, more)?.add_to(&mut held);
        }
        for path in &self.lists {
            held.add_list(path)?;
        }
        Ok(held)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.lists.is_empty()
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeltaReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    output: Utf8PathBuf,
    bytes: u64,
    bundle_bytes: u64,
    included: Tally,
    left_out: Tally,
    bases: Vec<BaseRecord>,
    #[serde(skip_serializing_if = "PartsList::is_empty")]
    volumes: PartsList,
    dry_run: bool,
}

impl Report for DeltaReport {
    const VERB: &'static str = "delta";

    fn text(&self) -> String {
        let did = if self.dry_run { "would write" } else { "wrote" };
        let mut text = format!(
            "{did} a delta of {} {} to `{}`: {}, the bundle has {}\n",
            self.name,
            self.version,
            self.output,
            exact_size(self.bytes),
            size(self.bundle_bytes)
        );
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        text.push_str(&format!("included       {}\n", self.included));
        text.push_str(&format!("left out       {}\n", self.left_out));
        for base in &self.bases {
            text.push_str(&format!("base           {}\n", shown(&base.to_string())));
        }
        text.push_str(&self.volumes.text());
        text
    }
}

pub(crate) fn run(
    options: &DeltaOptions,
    progress: &Arc<dyn Progress>,
) -> Result<DeltaReport, CommandError> {
    let (source, head) = options.bundle.authenticate()?;
    let file = options.bundle.file(source)?;
    let held = options.held.read(&options.bundle.parts.places)?;
    let index = head.index();
    let bundle = Plan::of_bundle(&head, &options.bundle.bundle, &file);
    let DeltaPlan {
        plan,
        included,
        left_out,
    } = DeltaPlan::new(bundle, index, &held)?;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(&index.name, &index.version, "delta"));
    let destination = Destination::new(&output, plan.layout(), options.volume_size)?;
    write(&plan, None, &destination, options.is_dry_run, progress)
        .map_err(|error| error.context(format!("did not write `{output}`")))?;
    Ok(DeltaReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.bundle.trust_source(),
        bytes: plan.total_bytes(),
        bundle_bytes: head.layout().total_bytes(),
        included,
        left_out,
        bases: held.into_bases(),
        volumes: PartsList::of(&destination),
        output,
        dry_run: options.is_dry_run,
    })
}
