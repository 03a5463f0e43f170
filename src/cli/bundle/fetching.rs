//! The verb that gets a bundle out of a registry, or reads it there: `fetch`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::{TrustArgs, input_file};
use crate::{
    cli::{
        registry_args::{LoginArgs, OfflineRegistryArgs},
        site::Site,
    },
    commands::bundle::{FetchOptions, Parts, Reference, StoredOptions},
};
use rune_core::cli::output_path::output_path;

/// Fetch a bundle that was published, byte for byte.
///
/// Every entry is checked against the signed bundle index while it is written. A run that was
/// interrupted continues where it stopped. With --verify, --inspect or --against nothing is written:
/// the bundle is read in the registry.
#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// Bundle: HOST[:PORT][/PREFIX]/bundles/NAME:VERSION
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// File to write [default: NAME-VERSION.bundle.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Fill blank slots with signatures that came after the bundle was published
    #[arg(long)]
    with_later_signatures: bool,
    /// Take what this bundle has from there, or from a directory that one was unpacked into; may be
    /// repeated
    #[arg(long = "base", value_name = "PATH")]
    bases: Vec<Utf8PathBuf>,
    /// Check that nothing is missing, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    registry: OfflineRegistryArgs,
}

/// What is done with the bundle instead of writing it to a file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Look")]
#[group(multiple = false, conflicts_with_all = ["output", "bases", "dry_run"])]
struct LookArgs {
    /// Verify the bundle as `verify` does: all of its bytes are read from the registry
    #[arg(long)]
    verify: bool,
    /// Show what the bundle contains, as `inspect` does; without a key or digest, as unverified
    #[arg(long)]
    inspect: bool,
    /// Show what changed since this bundle file, as `diff` does; of the registry, only what changed
    /// is read
    #[arg(long, value_name = "FILE", value_parser = input_file)]
    against: Option<Utf8PathBuf>,
}

pub(super) enum FetchTask {
    Fetch(FetchOptions),
    Verify(StoredOptions),
    Inspect(StoredOptions),
    Compare(StoredOptions, Utf8PathBuf),
}

fn reference(text: &str) -> Result<Reference, <Reference as std::str::FromStr>::Err> {
    text.strip_prefix("oci://").unwrap_or(text).parse()
}

impl Fetch {
    pub(super) fn task(self, site: &Site) -> FetchTask {
        let host = self.reference.registry().to_owned();
        let access = self.registry.into_offline_config(site, Some(&host));
        let name = self.reference.to_string().into();
        let bundle = StoredOptions {
            registry: self.login.with(access, &host),
            trust: self.trust.of(name, Parts::default(), site),
            reference: self.reference,
            with_later_signatures: self.with_later_signatures,
        };
        match self.look {
            LookArgs { verify: true, .. } => FetchTask::Verify(bundle),
            LookArgs { inspect: true, .. } => FetchTask::Inspect(bundle),
            LookArgs {
                against: Some(file),
                ..
            } => FetchTask::Compare(bundle, file),
            LookArgs { .. } => FetchTask::Fetch(FetchOptions {
                bundle,
                bases: self.bases,
                output: self.output,
                is_dry_run: self.dry_run,
            }),
        }
    }
}
