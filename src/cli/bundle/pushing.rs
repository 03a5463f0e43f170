//! The verbs that fill a registry: `push`, `publish`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{receipts::ReceiptArgs, registry, trust::VerifiedBundleArgs};
use crate::{
    cli::{
        image_signature_args::ImageSignatureArgs,
        registry_args::{LoginArgs, OfflineRegistryArgs},
        site::Site,
    },
    commands::bundle::{
        PushOptions,
        push::{BundleArtifacts, Destination, IndexChoice, PushSettings},
    },
};
use rune_core::command::CommandError;

/// Push images, charts, the bundle index and its signatures into a registry, byte for byte.
///
/// Nothing is unpacked: the bytes go from the file to the registry, and are checked there
/// afterwards.
#[derive(Debug, Args)]
pub(super) struct Push {
    #[command(flatten)]
    transfer: TransferArgs,
    /// Leave out the bundle index and its signatures, for registries that accept images and charts
    /// only
    #[arg(long, conflicts_with = "provenance")]
    no_index_artifact: bool,
}

/// Push a bundle into a registry, so that `fetch` gets it back byte for byte.
///
/// Images, charts, index and signatures are those of `push`, which has nothing to send afterwards.
/// What else the bundle has is one artifact about the bundle index.
#[derive(Debug, Args)]
pub(super) struct Publish {
    #[command(flatten)]
    transfer: TransferArgs,
}

/// A bundle that goes into a registry.
#[derive(Debug, Args)]
struct TransferArgs {
    #[command(flatten)]
    bundle: VerifiedBundleArgs,
    /// Registry: HOST[:PORT][/PREFIX] [env: RUNE_BUNDLE_REGISTRY]
    #[arg(value_name = "REGISTRY[/PREFIX]")]
    destination: Option<String>,
    /// Join the path of each repository to one component: a/b/c becomes a-b-c below the prefix
    #[arg(long)]
    flatten: bool,
    /// Image index to push when platforms were left out: auto, full, sparse or reduced
    #[arg(long, value_enum, default_value_t = IndexArg::Auto, value_name = "WHICH",
        hide_possible_values = true)]
    index: IndexArg,
    /// Overwrite tags that point to different content
    #[arg(long)]
    overwrite_tags: bool,
    /// Number of requests at the same time
    #[arg(long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Send blobs in requests of at most this size, such as 8MiB [default: as the registry asks]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    chunk_size: Option<u64>,
    /// Provenance that `build --provenance` wrote: publish it about the bundle index
    #[arg(long, value_name = "FILE")]
    provenance: Option<Utf8PathBuf>,
    /// Show what would be sent, and write nothing to the registry
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    image_signatures: ImageSignatureArgs,
    #[command(flatten)]
    receipts: ReceiptArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    registry: OfflineRegistryArgs,
}

/// Which index is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IndexArg {
    /// The locked one where the registry takes it, else the reduced one.
    Auto,
    /// The locked one, of whole images only.
    Full,
    /// The locked one.
    Sparse,
    /// The one of what is there.
    Reduced,
}

impl Push {
    pub(super) fn options(self, site: &Site) -> Result<PushOptions, CommandError> {
        let mut options = self.transfer.options(site)?;
        if self.no_index_artifact {
            options.settings.artifacts = BundleArtifacts::Nothing;
        }
        Ok(options)
    }
}

impl Publish {
    pub(super) fn options(self, site: &Site) -> Result<PushOptions, CommandError> {
        let mut options = self.transfer.options(site)?;
        options.settings.artifacts = BundleArtifacts::Everything;
        Ok(options)
    }
}

impl TransferArgs {
    fn options(self, site: &Site) -> Result<PushOptions, CommandError> {
        let Self {
            bundle,
            destination,
            flatten,
            index,
            overwrite_tags,
            jobs,
            chunk_size,
            provenance,
            dry_run,
            image_signatures,
            receipts,
            ..
        } = self;
        registry::check_order(bundle.path(), destination.as_deref())?;
        let destination: Destination = registry::required(site.registry(destination))?;
        let host = destination.registry();
        let access = self.registry.into_offline_config(site, Some(host));
        Ok(PushOptions {
            bundle: bundle.options(site),
            registry: self.login.with(access, host),
            settings: PushSettings {
                destination: destination.flattened(flatten),
                index: match index {
                    IndexArg::Auto => IndexChoice::Auto,
                    IndexArg::Full => IndexChoice::Full,
                    IndexArg::Sparse => IndexChoice::Sparse,
                    IndexArg::Reduced => IndexChoice::Reduced,
                },
                overwrites_tags: overwrite_tags,
                artifacts: BundleArtifacts::Index,
                image_signatures: image_signatures.into(),
                jobs: usize::from(jobs),
                chunk_bytes: chunk_size,
                is_dry_run: dry_run,
            },
            provenance,
            receipts: Some(receipts.place(site)?),
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("write a size from 64KiB to 4GiB, such as 8MiB")]
struct SizeError;

fn size(text: &str) -> Result<u64, SizeError> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("", 0)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .ok_or(SizeError)?;
    let number: u64 = number.trim().parse().map_err(|_| SizeError)?;
    let bytes = number.checked_mul(1 << shift).ok_or(SizeError)?;
    if (64 << 10..=4 << 30).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(SizeError)
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units_and_limits() {
        assert_eq!(size("8MiB").unwrap(), 8 << 20);
        assert_eq!(size("65536").unwrap(), 64 << 10);
        for bad in [
            "",
            "8MB",
            "1KiB",
            "5GiB",
            "MiB",
            "-1MiB",
            "99999999999999999999",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
