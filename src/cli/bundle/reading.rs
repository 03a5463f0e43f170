//! The verbs that read a bundle: `verify`, `inspect`, `cat`, `unpack`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::{BundleArgs, StreamArgs};
use crate::{
    cli::{
        annotation::{AnnotateArgs, Annotator},
        site::{Site, verified_files},
    },
    commands::bundle::{
        BundleOptions, Expectation, InspectOptions, UnpackOptions, VerifyOptions, cat,
    },
};
use rune_core::cli::output_path::output_path;
use rune_core::{command::CommandError, progress::Progress};

/// Verify a bundle to its last byte, from a file or from standard input.
///
/// A volume is verified alone: whole entries are proven by the signed index, and what it shares
/// with other volumes only together with these.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    bundle: StreamArgs,
    /// Name and version that the bundle must have
    #[arg(long, value_name = "NAME@VERSION")]
    expect: Option<Expectation>,
    /// Policy of your own that the images must meet
    #[arg(long, value_name = "FILE")]
    policy: Option<Utf8PathBuf>,
    #[command(flatten)]
    annotate: AnnotateArgs,
    /// Verify the bundle of all volumes of the set, not one volume alone
    #[arg(long)]
    set: bool,
}

/// Show what a bundle contains; without a key or digest, as unverified.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    bundle: StreamArgs,
    /// List every entry with its digest too
    #[arg(long)]
    entries: bool,
    /// List the references of the images and nothing else, for scripts
    #[arg(long, conflicts_with = "entries")]
    images: bool,
}

/// Unpack a bundle into a new directory, all of it or nothing.
#[derive(Debug, Args)]
pub(super) struct Unpack {
    #[command(flatten)]
    bundle: StreamArgs,
    /// Directory to create [default: NAME-VERSION]
    #[arg(value_parser = output_path)]
    directory: Option<Utf8PathBuf>,
    /// Unpack only entries whose path matches, such as 'values/*'; may be repeated or separated by
    /// commas
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    only: Vec<String>,
    /// Check that it can be unpacked, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Print one entry of a bundle after verifying it.
///
/// Nothing is written before the entry is known to be what was signed. On a terminal control
/// characters are escaped, and what is not text is refused.
#[derive(Debug, Args)]
pub(super) struct Cat {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Path of the entry, such as INSTALL.md
    path: String,
}

impl Cat {
    pub(super) fn run(
        self,
        site: &Site,
        output: cat::Output<'_>,
        progress: &dyn Progress,
    ) -> Result<(), CommandError> {
        cat::run(&self.bundle.options(site), &self.path, output, progress)
    }
}

impl Verify {
    pub(super) fn annotator(&self) -> Annotator {
        self.annotate.about(|| self.bundle.path().to_owned())
    }

    pub(super) fn options(self, site: &Site) -> VerifyOptions {
        VerifyOptions {
            bundle: BundleOptions {
                verified: verified_files(),
                ..self.bundle.options(site)
            },
            expect: self.expect,
            policy: self.policy,
            is_set: self.set,
        }
    }
}

impl Inspect {
    pub(super) fn options(self, site: &Site) -> InspectOptions {
        InspectOptions {
            bundle: self.bundle.options(site),
            with_entries: self.entries,
            only_images: self.images,
        }
    }
}

impl Unpack {
    pub(super) fn options(self, site: &Site) -> UnpackOptions {
        UnpackOptions {
            bundle: self.bundle.options(site),
            directory: self.directory,
            only: self.only,
            is_dry_run: self.dry_run,
        }
    }
}
