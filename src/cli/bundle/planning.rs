//! The verbs that decide what a bundle will be: `lock`, `render`, `policy`.

use camino::Utf8PathBuf;
use clap::Args;

use super::chart_check::{ChartCheckArgs, HelmArgs};
use crate::{
    cli::{
        annotation::{AnnotateArgs, Annotator},
        registry_args::RegistryArgs,
        site::Site,
    },
    commands::bundle::{
        InitOptions, LockMode, LockOptions, PolicyOptions, ProjectOptions, RenderForm, RenderMode,
        RenderOptions, SuggestOptions,
    },
    oci::Reference,
};
use rune_core::cli::output_path::output_path;

const INIT_EXAMPLES: &str = "\
Examples:
  rune-bundle init --chart shop --name shop-bundle
  rune-bundle init --chart shop-1.2.0.tgz --values site.yaml
  rune-bundle init --image docker.io/library/redis:7.2";

/// Which manifest.
#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// The bundle manifest
    #[arg(default_value = "bundle-manifests/rune.yaml")]
    manifest: Utf8PathBuf,
    /// The directory that the paths in the manifest are relative to [default: the parent of
    /// `bundle-manifests/`, or the manifest's own directory]
    #[arg(long, value_name = "DIR")]
    project: Option<Utf8PathBuf>,
}

/// Writes a new project.
#[derive(Debug, Args)]
#[command(after_long_help = INIT_EXAMPLES)]
pub(super) struct Init {
    /// Chart to include: its directory, or its .tgz; may be repeated
    #[arg(long = "chart", value_name = "DIR|TGZ|oci://…|https://…")]
    charts: Vec<String>,
    /// Values that every chart, or the chart of that name, is installed with; they become part of
    /// the bundle; may be repeated
    #[arg(long, value_name = "[CHART=]FILE")]
    values: Vec<String>,
    /// Values for the check of the charts alone, such as a password that an upgrade asks for; never
    /// in the bundle; may be repeated
    #[arg(long, value_name = "[CHART=]FILE")]
    check_values: Vec<String>,
    /// Image to include besides those of the charts; may be repeated
    #[arg(long = "image", value_name = "REFERENCE")]
    images: Vec<Reference>,
    /// Name of the bundle and of the new directory [default: the name of the first chart]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    helm: HelmArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Resolves references to digests.
#[derive(Debug, Args)]
pub(super) struct Lock {
    #[command(flatten)]
    project: ProjectArgs,
    /// Resolve again and fail if anything moved; write nothing
    #[arg(long, conflicts_with_all = ["update", "dry_run"])]
    check: bool,
    /// Resolve this image, chart, program or file only and keep the rest of the lock
    #[arg(long, value_name = "NAME")]
    update: Option<String>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what the project lacks to be locked, as a patch for `git apply` or `patch -p1`: images
    /// of its charts, values that pin them, and lines of the policy. Write nothing
    #[arg(long, conflicts_with_all = ["check", "update", "dry_run", "no_chart_check"])]
    suggest: bool,
    #[command(flatten)]
    chart_check: ChartCheckArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

/// Renders charts and values.
#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    project: ProjectArgs,
    /// Pin every image by this lock; without a name, by the one beside the manifest. Writes whole
    /// charts, values and INSTALL.md to --out, as a bundle would carry them
    // With `=` only, or `--lock MANIFEST` would take the manifest for the lock.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "the three cases: not given, given without a name, given with one"
    )]
    lock: Option<Option<Utf8PathBuf>>,
    /// The directory to write to or compare with [default: the project]
    #[arg(long, value_name = "DIR", value_parser = output_path)]
    out: Option<Utf8PathBuf>,
    /// Fail if a file is not what templates, manifest and lock make of it; write nothing
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Record the versions of the charts as released: from then on, a chart that changes needs a
    /// higher one
    #[arg(long, conflicts_with_all = ["check", "lock", "out"])]
    release: bool,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

/// Explains what the policy decides.
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(flatten)]
    project: ProjectArgs,
    /// Say too what is allowed, and why
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

impl ProjectArgs {
    /// Shows a CI what is said about the manifest and its files.
    pub(super) fn annotator(&self, annotate: &AnnotateArgs) -> Annotator {
        annotate.about(&self.manifest)
    }
}

impl From<ProjectArgs> for ProjectOptions {
    fn from(args: ProjectArgs) -> Self {
        Self {
            manifest: args.manifest,
            directory: args.project,
        }
    }
}

impl Init {
    pub(super) fn options(self, site: &Site) -> InitOptions {
        let Self {
            charts,
            values,
            check_values,
            images,
            name,
            helm,
            registry,
        } = self;
        let registry = registry.into_online_config(site);
        InitOptions {
            charts,
            values,
            check_values,
            images,
            name,
            helm: helm.into(),
            registry,
        }
    }
}

impl Lock {
    pub(super) fn annotator(&self) -> Annotator {
        self.project.annotator(&self.annotate)
    }

    /// What is to be suggested, when that is asked for.
    pub(super) fn suggestion(self, site: &Site) -> Result<SuggestOptions, Box<LockOptions>> {
        if !self.suggest {
            return Err(Box::new(self.options(site)));
        }
        let registry = self.registry.into_online_config(site);
        Ok(SuggestOptions {
            project: self.project.into(),
            helm: self.chart_check.helm.into(),
            registry,
        })
    }

    fn options(self, site: &Site) -> LockOptions {
        let args = self;
        let mode = match args.update {
            Some(name) => LockMode::Update(name),
            None if args.check => LockMode::Check,
            None => LockMode::Write,
        };
        LockOptions {
            project: args.project.into(),
            mode,
            chart_check: args.chart_check.into(),
            dry_run: args.dry_run,
            registry: args.registry.into_online_config(site),
        }
    }
}

impl Render {
    pub(super) fn annotator(&self) -> Annotator {
        self.project.annotator(&self.annotate)
    }
}

impl Policy {
    pub(super) fn annotator(&self) -> Annotator {
        self.project.annotator(&self.annotate)
    }
}

impl From<Render> for RenderOptions {
    fn from(args: Render) -> Self {
        let form = args
            .lock
            .map_or(RenderForm::Development, RenderForm::Pinned);
        let mode = match (args.check, args.dry_run) {
            (true, _) => RenderMode::Check,
            (false, true) => RenderMode::DryRun,
            (false, false) => RenderMode::Write,
        };
        Self {
            project: args.project.into(),
            form,
            out: args.out,
            mode,
            is_release: args.release,
        }
    }
}

impl From<Policy> for PolicyOptions {
    fn from(args: Policy) -> Self {
        Self {
            project: args.project.into(),
            with_allowed: args.all,
        }
    }
}
