//! The verb that gets a bundle out of a registry: `fetch`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::TrustArgs;
use crate::{
    cli::{
        registry_args::{LoginArgs, OfflineRegistryArgs},
        site::Site,
    },
    commands::bundle::{FetchOptions, Parts, Reference},
};
use rune_core::cli::output_path::output_path;

/// Fetch a bundle that was published, byte for byte.
///
/// Every entry is checked against the signed bundle index while it is written. A run that was
/// interrupted continues where it stopped.
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
    trust: TrustArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    registry: OfflineRegistryArgs,
}

/// A reference, also as Helm writes it.
fn reference(text: &str) -> Result<Reference, <Reference as std::str::FromStr>::Err> {
    text.strip_prefix("oci://").unwrap_or(text).parse()
}

impl Fetch {
    pub(super) fn options(self, site: &Site) -> FetchOptions {
        let host = self.reference.registry().to_owned();
        let access = self.registry.into_offline_config(site, Some(&host));
        let name = self.reference.to_string().into();
        FetchOptions {
            registry: self.login.with(access, &host),
            trust: self.trust.of(name, Parts::default(), site),
            reference: self.reference,
            bases: self.bases,
            with_later_signatures: self.with_later_signatures,
            output: self.output,
            is_dry_run: self.dry_run,
        }
    }
}
