//! `doctor`: whether the next step can work here.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::{
    chart_check::ChartCheckArgs, program::program, project::ProjectArgs, registry,
    trust::BundleArgs,
};
use crate::{
    cli::{
        registry_args::{OfflineRegistryArgs, RegistryArgs},
        site::Site,
    },
    commands::bundle::{DoctorBuildOptions, DoctorReceiveOptions, doctor, push::Destination},
};
use rune_core::cli::output_path::output_path;
use rune_core::{cli::output::Printer, command::CommandError};

/// Check the prerequisites of the next step, and change nothing.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Check manifest, lock, policy, keys, Helm, registries and free space before `build`
    Build(Build),
    /// Check file, signatures, registry and cluster before a bundle is pushed, loaded, installed or
    /// unpacked
    Receive(Receive),
}

#[derive(Debug, Args)]
struct Build {
    #[command(flatten)]
    project: ProjectArgs,
    /// File that will be written [default: NAME-VERSION.bundle.tar]
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
    /// Private key that will sign; may be repeated
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<Utf8PathBuf>,
    #[command(flatten)]
    chart_check: ChartCheckArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Debug, Args)]
struct Receive {
    #[command(flatten)]
    bundle: BundleArgs,
    /// Directory to unpack into
    #[arg(long, value_name = "DIR", default_value = ".", value_parser = output_path)]
    into: Utf8PathBuf,
    /// Registry to push to, with a prefix if any [env: RUNE_BUNDLE_REGISTRY]
    #[arg(long, value_name = "REGISTRY[/PREFIX]")]
    registry: Option<String>,
    /// Helm 3 or 4 [default: `helm` in PATH]
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNE_BUNDLE_HELM",
        hide_env_values = true
    )]
    helm: Option<Utf8PathBuf>,
    /// Cluster and credentials [default: `KUBECONFIG`, or `~/.kube/config`]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<Utf8PathBuf>,
    #[command(flatten)]
    access: OfflineRegistryArgs,
}

impl Doctor {
    pub(super) fn run(
        self,
        printer: Printer,
        site: impl FnOnce() -> Result<Site, CommandError>,
    ) -> ExitCode {
        match self.step {
            Step::Build(step) => {
                printer.finish(site().map(|site| doctor::examine_build(&step.options(&site))))
            }
            Step::Receive(step) => printer.finish(
                site()
                    .and_then(|site| step.options(&site))
                    .map(|options| doctor::examine_receive(&options)),
            ),
        }
    }
}

impl Build {
    fn options(self, site: &Site) -> DoctorBuildOptions {
        DoctorBuildOptions {
            project: self.project.into(),
            output: self.output,
            keys: self.keys,
            chart_check: self.chart_check.into(),
            registry: self.registry.into_online_config(site),
        }
    }
}

impl Receive {
    fn options(self, site: &Site) -> Result<DoctorReceiveOptions, CommandError> {
        let registry: Option<Destination> = registry::optional(site.registry(self.registry))?;
        let host = registry.as_ref().map(|named| named.registry().to_owned());
        Ok(DoctorReceiveOptions {
            bundle: self.bundle.options(site),
            directory: self.into,
            registry,
            helm: program(self.helm, &["helm"]),
            kubeconfig: self.kubeconfig.or_else(usual_kubeconfig),
            access: self.access.into_offline_config(site, host.as_deref()),
        })
    }
}

/// Where kubectl would look.
fn usual_kubeconfig() -> Option<Utf8PathBuf> {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // Of several files the first decides about the current context.
    let named = text("KUBECONFIG").and_then(|list| {
        list.split(':')
            .find(|path| !path.is_empty())
            .map(Utf8PathBuf::from)
    });
    let usual = || {
        text("HOME")
            .map(|home| Utf8PathBuf::from(home).join(".kube/config"))
            .filter(|path| path.is_file())
    };
    named.or_else(usual)
}
