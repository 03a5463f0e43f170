//! The verbs that read a bundle: `verify`, `inspect`, `unpack`.

use camino::Utf8PathBuf;
use clap::Args;

use super::trust::StreamArgs;
use crate::{
    cli::output_path::output_path,
    commands::bundle::{Expectation, InspectOptions, UnpackOptions, VerifyOptions},
};

/// Checks a bundle to its last byte.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    bundle: StreamArgs,
    /// The name and version that the bundle must have
    #[arg(long, value_name = "NAME@VERSION")]
    expect: Option<Expectation>,
    /// A policy of your own that the images inside must meet
    #[arg(long, value_name = "FILE")]
    policy: Option<Utf8PathBuf>,
}

/// Shows what a bundle says it contains.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    bundle: StreamArgs,
    /// List every entry with its digest
    #[arg(long)]
    entries: bool,
}

/// Unpacks a bundle into a new directory.
#[derive(Debug, Args)]
pub(super) struct Unpack {
    #[command(flatten)]
    bundle: StreamArgs,
    /// The directory to create; NAME-VERSION unless given
    #[arg(value_parser = output_path)]
    directory: Option<Utf8PathBuf>,
    /// Check that it could be done, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl From<Verify> for VerifyOptions {
    fn from(args: Verify) -> Self {
        Self { bundle: args.bundle.into(), expect: args.expect, policy: args.policy }
    }
}

impl From<Inspect> for InspectOptions {
    fn from(args: Inspect) -> Self {
        Self { bundle: args.bundle.into(), with_entries: args.entries }
    }
}

impl From<Unpack> for UnpackOptions {
    fn from(args: Unpack) -> Self {
        Self { bundle: args.bundle.into(), directory: args.directory, is_dry_run: args.dry_run }
    }
}
