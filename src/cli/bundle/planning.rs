//! The verbs that decide what a bundle will be: `lock`, `render`, `policy`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::{
    cli::registry_args::RegistryArgs,
    commands::bundle::{LockMode, LockOptions, PolicyOptions, ProjectOptions},
};

/// Which manifest.
#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// The bundle manifest
    #[arg(default_value = "bundle-manifests/rune.yaml")]
    manifest: Utf8PathBuf,
    /// The directory that the paths in the manifest are relative to [default: the parent of `bundle-manifests/`, or
    /// the manifest's own directory]
    #[arg(long, value_name = "DIR")]
    project: Option<Utf8PathBuf>,
}

/// Resolves references to digests.
#[derive(Debug, Args)]
pub(super) struct Lock {
    #[command(flatten)]
    project: ProjectArgs,
    /// Resolve again and fail if anything moved; write nothing
    #[arg(long, conflicts_with_all = ["update", "dry_run"])]
    check: bool,
    /// Resolve this image only and keep the rest of the lock
    #[arg(long, value_name = "NAME")]
    update: Option<String>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Explains what the policy decides.
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(flatten)]
    project: ProjectArgs,
    /// Say too what is allowed, and why
    #[arg(long)]
    all: bool,
}

impl From<ProjectArgs> for ProjectOptions {
    fn from(args: ProjectArgs) -> Self {
        Self { manifest: args.manifest, directory: args.project }
    }
}

impl From<Lock> for LockOptions {
    fn from(args: Lock) -> Self {
        let mode = match args.update {
            Some(name) => LockMode::Update(name),
            None if args.check => LockMode::Check,
            None => LockMode::Write,
        };
        Self { project: args.project.into(), mode, dry_run: args.dry_run, registry: args.registry.into_online_config() }
    }
}

impl From<Policy> for PolicyOptions {
    fn from(args: Policy) -> Self {
        Self { project: args.project.into(), with_allowed: args.all }
    }
}
