//! `fetch`: a published bundle out of a registry, byte for byte.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    open::BundleOptions,
    push::Destination,
    trust_source::{TrustSource, identity_lines},
    written::{Used, continued_line, default_output, write},
};
use crate::{
    bundle::{Base, Plan, RegistryBase, SlotState, StoredBundle, StoredError},
    oci::Reference,
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    digest::Digest,
    progress::Progress,
    text::exact_size,
};

#[derive(Debug, Clone)]
pub(crate) struct FetchOptions {
    pub(crate) reference: Reference,
    pub(crate) trust: BundleOptions,
    /// Bundles, and directories that some were unpacked into: what they have is not fetched.
    pub(crate) bases: Vec<Utf8PathBuf>,
    /// Whether slots that were blank are filled with signatures that came since.
    pub(crate) with_later_signatures: bool,
    pub(crate) registry: ClientConfig,
    /// The file to write; without one, `<name>-<version>.bundle.tar` in the working directory.
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

/// Fetches a bundle. Fails when the registry does not have all of it, it is not as signed, or the
/// file cannot be written; nothing has its name then.
pub(crate) fn run(
    options: &FetchOptions,
    progress: &Arc<dyn Progress>,
) -> Result<FetchReport, CommandError> {
    let trust = options.trust.trust()?;
    let client = Client::new(options.registry.clone())?;
    let reference = &options.reference;
    let stored = block_on(StoredBundle::read(
        &client,
        reference,
        options.with_later_signatures,
    ))?;
    let head = stored
        .head()
        .clone()
        .authenticate(&trust)
        .map_err(|error| options.trust.refused(error.into()))?;
    let index = head.index();
    let destination = destination(reference, &index.name)?;
    let repository = |name: &str| destination.name(name);
    let registry = RegistryBase {
        client: &client,
        name: destination.to_string(),
        repository: &repository,
    };
    let mut bases: Vec<Base> = Vec::new();
    for path in &options.bases {
        bases.push(Base::open(path, &[])?);
    }
    bases.push(block_on(stored.entries(&registry, index))?);
    let (plan, used) = Plan::of_bases(&head, &bases).map_err(StoredError::Missing)?;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(&index.name, &index.version, "bundle"));
    let kept = write(&plan, Some(&client), &output, options.is_dry_run, progress)
        .map_err(|error| error.context(format!("did not write `{output}`")))?;
    Ok(FetchReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.trust.trust_source(),
        reference: reference.clone(),
        bytes: plan.total_bytes(),
        signatures: head.slots().to_vec(),
        later_signatures: stored.later().to_vec(),
        from: Used::all(used),
        kept,
        output,
        dry_run: options.is_dry_run,
    })
}

/// Where the images and charts are of a bundle whose index is at a reference: `push` writes all of
/// them below one prefix.
fn destination(reference: &Reference, name: &str) -> Result<Destination, CommandError> {
    let repository = reference.repository();
    let prefix = |suffix: String| repository.strip_suffix(&suffix);
    let nested = prefix(format!("bundles/{name}")).map(|prefix| (prefix, false));
    let found = nested.or_else(|| Some((prefix(format!("bundles-{name}"))?, true)));
    let (prefix, is_flat) = found
        .filter(|(prefix, _)| prefix.is_empty() || prefix.ends_with('/'))
        .ok_or_else(|| StoredError::OtherName {
            reference: reference.to_string(),
            name: name.to_owned(),
            repository: format!("bundles/{name}"),
        })?;
    let destination: Destination = format!("{}/{prefix}", reference.registry()).parse()?;
    Ok(destination.flattened(is_flat))
}
