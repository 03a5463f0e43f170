//! `fetch`: a published bundle out of a registry, byte for byte; or what it is, read there.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    diff::DiffReport,
    inspect::{InspectOptions, InspectReport},
    open::Parts,
    stored::StoredOptions,
    trust_source::{TrustSource, identity_lines},
    verify::VerifyReport,
    view::ViewOptions,
    written::{Used, continued_line, default_output, write},
};
use crate::{
    bundle::{Base, Plan, SlotState, StoredError, verify_plan},
    oci::Reference,
};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
    text::exact_size,
};

#[derive(Debug, Clone)]
pub(crate) struct FetchOptions {
    pub(crate) bundle: StoredOptions,
    /// Bundles, and directories that some were unpacked into: what they have is not fetched.
    pub(crate) bases: Vec<Utf8PathBuf>,
    pub(crate) output: Option<Utf8PathBuf>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FetchReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    reference: Reference,
    output: Utf8PathBuf,
    bytes: u64,
    signatures: Vec<SlotState>,
    later_signatures: Vec<usize>,
    from: Vec<Used>,
    kept: u64,
    dry_run: bool,
}

impl Report for FetchReport {
    const VERB: &'static str = "fetch";

    fn text(&self) -> String {
        let did = if self.dry_run {
            "would fetch"
        } else {
            "fetched"
        };
        let mut text = format!(
            "{did} {} {} to `{}`: {}\n",
            self.name,
            self.version,
            self.output,
            exact_size(self.bytes)
        );
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        for state in &self.signatures {
            text.push_str(&state.line());
        }
        for Used { base, tally } in &self.from {
            text.push_str(&format!("from           {tally}, of `{base}`\n"));
        }
        text.push_str(&continued_line(self.kept));
        for slot in &self.later_signatures {
            text.push_str(&format!(
                "note: there is a later signature for slot {slot}; --with-later-signatures \
                 fetches it\n"
            ));
        }
        text
    }
}

/// Nothing has its name after a failure.
pub(crate) fn run(
    options: &FetchOptions,
    progress: &Arc<dyn Progress>,
) -> Result<FetchReport, CommandError> {
    let (stored, head) = options.bundle.open()?;
    let index = head.index();
    let mut bases: Vec<Base> = Vec::new();
    for path in &options.bases {
        bases.push(Base::open(path, &[])?);
    }
    bases.push(stored.entries(index)?);
    let (plan, used) = Plan::of_bases(&head, &bases).map_err(StoredError::Missing)?;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(&index.name, &index.version, "bundle"));
    let destination = output.as_path().into();
    let kept = write(
        &plan,
        Some(&stored.client),
        &destination,
        options.is_dry_run,
        progress,
    )
    .map_err(|error| error.context(format!("did not write `{output}`")))?;
    Ok(FetchReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.bundle.trust.trust_source(),
        reference: options.bundle.reference.clone(),
        bytes: plan.total_bytes(),
        signatures: head.slots().to_vec(),
        later_signatures: stored.bundle.later().to_vec(),
        from: Used::all(used),
        kept,
        output,
        dry_run: options.is_dry_run,
    })
}

/// Verifies a stored bundle to its last byte, and writes nothing.
pub(crate) fn verify(
    options: &StoredOptions,
    progress: &dyn Progress,
) -> Result<VerifyReport, CommandError> {
    let (stored, head) = options.open()?;
    let bases = [stored.entries(head.index())?];
    let (plan, _) = Plan::of_bases(&head, &bases).map_err(StoredError::Missing)?;
    verify_plan(&plan, &stored.client, &head, progress)
        .map_err(|error| error.context(format!("refusing `{}`", options.reference)))?;
    Ok(VerifyReport::of_stored(&head, options.trust.trust_source()))
}

/// Shows what a stored bundle says it contains, and writes nothing.
pub(crate) fn inspect(options: &StoredOptions) -> Result<InspectReport, CommandError> {
    let view = options.view()?;
    let inspect = InspectOptions {
        bundle: options.trust.clone(),
        with_entries: false,
        only_images: false,
    };
    Ok(InspectReport::of_stored(&inspect, &view))
}

/// Compares a bundle in a file with a stored one. A digest is that of the stored one.
pub(crate) fn compare(
    options: &StoredOptions,
    file: &Utf8PathBuf,
) -> Result<DiffReport, CommandError> {
    let trust = ViewOptions {
        parts: Parts::default(),
        signers: options.trust.signers.clone(),
        digests: Vec::new(),
    };
    let old = trust.open(file)?;
    let new = options.view()?;
    DiffReport::between(&old, &new, options.trust.trust_source(), false)
}
