//! The options that say which bundle is meant and what it is checked with.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::{
    cli::site::{Site, verified_files},
    commands::bundle::{BundleOptions, Digest, Origin, Parts, SignerOptions},
};
use rune_core::digest::DigestError;

/// A bundle that is needed at any position, and what it is checked with.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Bundle file, one of its volumes, or the first of the parts that `split -b` wrote
    bundle: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A bundle that is read once, from beginning to end, and what it is checked with.
#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// Bundle file, one of its volumes, or the first of the parts that `split -b` wrote; `-` reads
    /// standard input
    bundle: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A delta, and what it is checked with.
#[derive(Debug, Args)]
pub(super) struct DeltaArgs {
    /// Delta file, one of its volumes, or the first of the parts that `split -b` wrote
    #[arg(value_parser = input_file)]
    delta: Utf8PathBuf,
    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A bundle that is given to somebody who hashes what he gets, and what it is checked with.
#[derive(Debug, Args)]
pub(super) struct VerifiedBundleArgs {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Hash all blobs even if `verify` did it before and the file has not changed since
    #[arg(long)]
    rehash: bool,
}

/// Where the other parts of a bundle are.
#[derive(Debug, Args)]
pub(super) struct PartArgs {
    /// Another volume or part of the bundle, or a directory with some, when they are not all beside
    /// the one that is named; may be repeated
    #[arg(long = "part", value_name = "PATH")]
    places: Vec<Utf8PathBuf>,
}

/// Keys or a digest from outside a bundle.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    #[command(flatten)]
    signers: SignerArgs,
    /// Bundle digest (sha256:…), known out of band
    #[arg(long, value_name = "DIGEST", value_parser = bundle_digest, help_heading = "Trust")]
    bundle_digest: Option<Digest>,
}

/// Keys from outside a bundle.
#[derive(Debug, Args)]
pub(super) struct SignerArgs {
    /// Public key of a signer, received out of band; may be repeated
    #[arg(long = "key", value_name = "FILE", help_heading = "Trust")]
    keys: Vec<Utf8PathBuf>,
    /// Number of the given keys that must have signed
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Trust",
        requires = "keys"
    )]
    threshold: usize,
    /// Trust file: trusted keys by name, how many of them must have signed, and revoked keys [env:
    /// RUNE_BUNDLE_TRUST]. An option of this group replaces the trust of environment and site file
    #[arg(long, value_name = "FILE", help_heading = "Trust",
        conflicts_with_all = ["keys", "threshold"])]
    trust: Option<Utf8PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "standard input is not read here; store it in a file first, or write `./-` for one of that name"
)]
pub(super) struct StandardInputError;

pub(super) fn input_file(text: &str) -> Result<Utf8PathBuf, StandardInputError> {
    match text {
        "-" => Err(StandardInputError),
        path => Ok(path.into()),
    }
}

/// A digest, with or without the algorithm before it.
pub(super) fn bundle_digest(text: &str) -> Result<Digest, DigestError> {
    let is_bare = text.len() == 64 && !text.contains(':');
    if is_bare {
        format!("sha256:{text}").parse()
    } else {
        text.parse()
    }
}

impl BundleArgs {
    pub(super) fn path(&self) -> &Utf8Path {
        &self.bundle
    }

    pub(super) fn options(self, site: &Site) -> BundleOptions {
        self.trust.of(self.bundle, self.parts.only(), site)
    }
}

impl VerifiedBundleArgs {
    pub(super) fn path(&self) -> &Utf8Path {
        self.bundle.path()
    }

    pub(super) fn options(self, site: &Site) -> BundleOptions {
        BundleOptions {
            verified: verified_files().filter(|_| !self.rehash),
            ..self.bundle.options(site)
        }
    }
}

impl StreamArgs {
    pub(super) fn path(&self) -> &Utf8Path {
        &self.bundle
    }

    pub(super) fn options(self, site: &Site) -> BundleOptions {
        self.trust.of(self.bundle, self.parts.only(), site)
    }
}

impl DeltaArgs {
    pub(super) fn options(self, site: &Site) -> BundleOptions {
        // Some may be of a base.
        self.trust.of(self.delta, self.parts.shared(), site)
    }
}

impl From<PartArgs> for Vec<Utf8PathBuf> {
    fn from(args: PartArgs) -> Self {
        args.places
    }
}

impl PartArgs {
    /// For one bundle, to which all of them belong.
    fn only(self) -> Parts {
        Parts {
            places: self.places,
            are_shared: false,
        }
    }

    /// For several bundles, of which each takes its own.
    pub(super) fn shared(self) -> Parts {
        Parts {
            places: self.places,
            are_shared: true,
        }
    }
}

impl TrustArgs {
    pub(super) fn of(self, bundle: Utf8PathBuf, parts: Parts, site: &Site) -> BundleOptions {
        BundleOptions {
            bundle,
            parts,
            signers: self.signers.options(site, self.bundle_digest.is_some()),
            digest: self.bundle_digest,
            verified: None,
        }
    }
}

impl SignerArgs {
    /// Any option about trust replaces all trust from elsewhere.
    pub(super) fn options(self, site: &Site, has_digest: bool) -> SignerOptions {
        let (trust_file, origin) = match self.trust {
            None if self.keys.is_empty() && !has_digest => site.trust(),
            named => (named, Origin::Options),
        };
        SignerOptions {
            keys: self.keys,
            threshold: self.threshold,
            trust_file,
            origin,
        }
    }
}
