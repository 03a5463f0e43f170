//! The verbs that decide what a bundle will be: `lock`, `render`, `policy`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{
    chart_check::{ChartCheckArgs, HelmArgs},
    program::program,
    project::ProjectArgs,
};
use crate::{
    cli::{
        annotation::{AnnotateArgs, Annotator},
        registry_args::RegistryArgs,
        site::{self, Site},
    },
    commands::bundle::{
        ExportFormat, ExportOptions, InitOptions, LockMode, LockOptions, PolicyOptions, RenderForm,
        RenderMode, RenderOptions, SuggestOptions, SyftOptions,
    },
    oci::Reference,
};
use rune_core::cli::output_path::output_path;

/// Create a project for your charts and images: a manifest, a policy, and values that pin every
/// image.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// Chart to include: its directory, or its .tgz; may be repeated
    #[arg(long = "chart", value_name = "DIR|TGZ|oci://…|https://…")]
    charts: Vec<String>,
    /// Values file for all charts, or for the chart of that name; becomes part of the bundle; may
    /// be repeated
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

/// Resolve every reference to a digest, and write the lock.
///
/// Charts are rendered by Helm with the values of every profile: each image that they name must be
/// in the lock.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
#[derive(Debug, Args)]
pub(super) struct Lock {
    #[command(flatten)]
    project: ProjectArgs,
    /// Resolve again and fail if anything moved; write nothing
    #[arg(long, conflicts_with_all = ["update", "dry_run"])]
    check: bool,
    /// With --check: fail as well if an image has a signature, attestation or SBOM that the lock
    /// does not have
    #[arg(long, requires = "check")]
    strict: bool,
    /// Resolve this image, artifact, chart, program or file only and keep the rest of the lock
    #[arg(long, value_name = "NAME")]
    update: Option<String>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what is missing, as a patch for `git apply` or `patch -p1`: images of the charts,
    /// values that pin them, and lines of the policy. Write nothing
    #[arg(long, conflicts_with_all = ["check", "update", "dry_run", "no_chart_check"])]
    suggest: bool,
    /// Print the images of the lock in the format of another tool. Resolve and write nothing
    #[arg(long, value_name = "FORMAT",
        conflicts_with_all = ["check", "update", "dry_run", "suggest", "no_chart_check"])]
    export: Option<ExportArg>,
    #[command(flatten)]
    chart_check: ChartCheckArgs,
    /// Generate an SBOM with syft for each platform of an image that has none; without a name, with
    /// `syft` in PATH. The SBOMs are written into a directory beside the lock
    #[arg(long, help_heading = "SBOMs", value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with_all = ["check", "suggest", "export"])]
    #[expect(
        clippy::option_option,
        reason = "the three cases: not given, given without a name, given with one"
    )]
    syft: Option<Option<Utf8PathBuf>>,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportArg {
    /// References of images, one a line
    List,
    /// The manifest of hauler
    Hauler,
    /// `ImageSetConfiguration` of oc-mirror v2
    #[value(name = "imageset")]
    ImageSet,
}

/// What `lock` is asked for.
pub(super) enum LockTask {
    Lock(Box<LockOptions>),
    Suggest(Box<SuggestOptions>),
    Export(ExportOptions),
}

/// Render charts and values from templates, manifest and lock.
#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    project: ProjectArgs,
    /// Pin every image by this lock; without a name, by the one beside the manifest. Writes whole
    /// charts, values and INSTALL.md to --output, as a bundle includes them
    // With `=` only, or `--lock MANIFEST` would take the manifest for the lock.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "the three cases: not given, given without a name, given with one"
    )]
    lock: Option<Option<Utf8PathBuf>>,
    /// Directory to write to or compare with [default: the project]
    #[arg(long, short, alias = "out", value_name = "DIR", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Fail if a file is out of date; write nothing
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Record the versions of the charts as released: from then on, a chart that changes needs a
    /// higher one
    #[arg(long, conflicts_with_all = ["check", "lock", "output"])]
    release: bool,
    #[command(flatten)]
    annotate: AnnotateArgs,
}

/// Explain what the policy decides about a manifest and its lock.
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(flatten)]
    project: ProjectArgs,
    /// Show what is allowed too, and why
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    annotate: AnnotateArgs,
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

    pub(super) fn task(self, site: &Site) -> LockTask {
        if let Some(format) = self.export {
            let format = match format {
                ExportArg::List => ExportFormat::List,
                ExportArg::Hauler => ExportFormat::Hauler,
                ExportArg::ImageSet => ExportFormat::ImageSet,
            };
            let project = self.project.into();
            return LockTask::Export(ExportOptions { project, format });
        }
        if !self.suggest {
            return LockTask::Lock(Box::new(self.options(site)));
        }
        let registry = self.registry.into_online_config(site);
        LockTask::Suggest(Box::new(SuggestOptions {
            project: self.project.into(),
            helm: self.chart_check.helm.into(),
            registry,
        }))
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
            is_strict: args.strict,
            syft: args.syft.map(syft_program),
            dry_run: args.dry_run,
            registry: args.registry.into_online_config(site),
            now: site::now(),
        }
    }
}

fn syft_program(named: Option<Utf8PathBuf>) -> SyftOptions {
    program(named, &["syft"]).map_or(SyftOptions::NotInPath, SyftOptions::Program)
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
            out: args.output,
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
