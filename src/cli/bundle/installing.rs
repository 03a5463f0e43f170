//! The verb that installs: `install`.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{program::program, receipts::ReceiptArgs, registry, trust::VerifiedBundleArgs};
use crate::{
    cli::{
        registry_args::{LoginArgs, OfflineRegistryArgs},
        site::Site,
    },
    commands::bundle::{
        ClusterAccessOptions, ClusterOptions, InstallOptions, MapMode, Permissions, Pushed,
        Reference, StoredOptions, push::Destination,
    },
};
use rune_core::cli::output_path::output_path;
use rune_core::{command::CommandError, duration::parse_duration};

/// Install or upgrade a release from a bundle: verify, check the cluster, back up, upgrade, test,
/// and roll back when it fails.
///
/// The bundle is a file, a delta when --registry has the rest, or, as
/// `oci://HOST[:PORT][/PREFIX]/bundles/NAME:VERSION`, a published bundle: then charts and values are
/// fetched, and the images stay where they are.
#[derive(Debug, Args)]
pub(super) struct Install {
    #[command(flatten)]
    bundle: VerifiedBundleArgs,
    /// Name of the release [default: the name of the chart]
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Install this one of the releases that the bundle installs together; may be repeated
    /// [default: all of them, in their order]
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["release", "chart", "profile"])]
    only: Vec<String>,
    /// Chart, when the bundle has several
    #[arg(long, value_name = "NAME")]
    chart: Option<String>,
    /// Profile whose values are used [default: the first for the chart]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    images: ImageArgs,
    /// Values file of your own, applied after those of the profile; may be repeated. For one of
    /// several releases: `RELEASE:FILE`
    #[arg(long, short = 'f', value_name = "FILE")]
    values: Vec<Utf8PathBuf>,
    /// Value of your own, applied after all files; may be repeated. For one of several releases:
    /// `RELEASE:KEY=VALUE`. Not for secrets: other users can see it in the list of processes
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Back up the database with the release's own job before the upgrade
    #[arg(long)]
    backup_first: bool,
    /// Create the namespace if it does not exist
    #[arg(long)]
    create_namespace: bool,
    #[command(flatten)]
    permissions: PermissionArgs,
    /// Time limit for the upgrade, the tests and the backup, each: 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    receipts: ReceiptArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    registry_access: OfflineRegistryArgs,
}

/// Where the images are.
#[derive(Debug, Args)]
struct ImageArgs {
    /// Registry that the images were pushed to and the charts pull from [env: RUNE_BUNDLE_REGISTRY]
    /// [default: the registries of the images, for nodes with a mirror]
    #[arg(long, value_name = "REGISTRY[/PREFIX]")]
    registry: Option<String>,
    /// Join the path of each repository to one component, as `push --flatten` does
    #[arg(long)]
    flatten: bool,
    /// How images are mapped to the registry: in the values, or in the rendered objects through
    /// Helm's post-renderer [default: values where that reaches every image]
    #[arg(long, value_enum, value_name = "HOW")]
    map: Option<MapArg>,
    /// Write the values that map the images into a new file, for GitOps or by hand
    #[arg(long, value_name = "FILE", value_parser = output_path)]
    write_values: Option<Utf8PathBuf>,
    /// Push the bundle to the registry first
    #[arg(long)]
    push: bool,
    /// With --push, leave out the bundle index and its signatures, for registries that accept
    /// images and charts only
    #[arg(long, requires = "push")]
    no_index_artifact: bool,
}

/// How images are mapped.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MapArg {
    Values,
    Objects,
}

/// What is refused otherwise.
#[derive(Debug, Args)]
pub(super) struct PermissionArgs {
    /// Allow an older bundle to replace a newer one
    #[arg(long)]
    allow_downgrade: bool,
    /// Finish an operation on the release that was interrupted
    #[arg(long)]
    take_over: bool,
}

/// Which cluster, and Helm for it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    #[command(flatten)]
    kube: KubeArgs,
    /// Helm 3 or 4 [default: `helm` in PATH]
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNE_BUNDLE_HELM",
        hide_env_values = true
    )]
    helm: Option<Utf8PathBuf>,
}

/// Which cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct KubeArgs {
    /// Cluster and credentials [default: `KUBECONFIG`, `~/.kube/config`, or the service account of
    /// the pod]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<Utf8PathBuf>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace [env: RUNE_BUNDLE_NAMESPACE] [default: that of the context]
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
}

impl ImageArgs {
    const fn needs_registry(&self) -> bool {
        self.push || self.flatten || self.map.is_some() || self.write_values.is_some()
    }
}

impl ClusterArgs {
    /// What Helm and this program are to find the cluster by.
    pub(super) fn options(self, site: &Site) -> ClusterAccessOptions {
        ClusterAccessOptions {
            cluster: self.kube.options(site),
            helm: program(self.helm, &["helm"]),
        }
    }
}

impl KubeArgs {
    pub(super) fn options(self, site: &Site) -> ClusterOptions {
        ClusterOptions {
            kubeconfigs: kubeconfigs(self.kubeconfig),
            context: self.context,
            namespace: site.namespace(self.namespace),
        }
    }
}

/// The kubeconfig that is named, or those that kubectl would take.
pub(super) fn kubeconfigs(named: Option<Utf8PathBuf>) -> Vec<Utf8PathBuf> {
    let path = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let listed = || {
        path("KUBECONFIG").map(|list| {
            list.split(':')
                .filter(|path| !path.is_empty())
                .map(Utf8PathBuf::from)
                .collect()
        })
    };
    let usual = || {
        path("HOME")
            .map(|home| Utf8PathBuf::from(home).join(".kube/config"))
            .filter(|path| path.is_file())
    };
    named
        .map(|path| vec![path])
        .or_else(listed)
        .unwrap_or_else(|| usual().into_iter().collect())
}

impl PermissionArgs {
    pub(super) const fn permissions(&self, create_namespace: bool) -> Permissions {
        Permissions {
            create_namespace,
            downgrade: self.allow_downgrade,
            take_over: self.take_over,
        }
    }
}

impl Install {
    pub(super) fn options(self, site: &Site) -> Result<InstallOptions, CommandError> {
        let args = self;
        // Options that are about a registry need one.
        let needs_one = args.images.needs_registry() || args.login.is_given();
        let registry = site.registry(args.images.registry);
        let registry: Option<Destination> = if needs_one {
            Some(registry::required(registry)?)
        } else {
            registry::optional(registry)?
        };
        let bundle = args.bundle.options(site);
        let reference = bundle.bundle.as_str().strip_prefix("oci://");
        let reference: Option<Reference> = reference.map(str::parse).transpose()?;
        let host = registry.as_ref().map(Destination::registry);
        let host = host.or(reference.as_ref().map(Reference::registry));
        let host = host.map(str::to_owned);
        let access = args
            .registry_access
            .into_offline_config(site, host.as_deref());
        let access = host
            .iter()
            .fold(access, |access, host| args.login.with(access, host));
        let stored = reference.map(|reference| StoredOptions {
            reference,
            trust: bundle.clone(),
            with_later_signatures: false,
            registry: access.clone(),
        });
        let files = args
            .values
            .into_iter()
            .flat_map(|file| ["--values".to_owned(), file.into_string()]);
        let single = args
            .set
            .into_iter()
            .flat_map(|pair| ["--set".to_owned(), pair]);
        Ok(InstallOptions {
            bundle,
            stored,
            access: args.cluster.options(site),
            release: args.release,
            only: args.only,
            chart: args.chart,
            profile: args.profile,
            registry: registry.map(|registry| registry.flattened(args.images.flatten)),
            registry_access: access,
            map: args.images.map.map(|map| match map {
                MapArg::Values => MapMode::Values,
                MapArg::Objects => MapMode::Objects,
            }),
            values_file: args.images.write_values,
            values: files.chain(single).collect(),
            patience: args.timeout,
            permissions: args.permissions.permissions(args.create_namespace),
            push: args.images.push.then_some(Pushed {
                with_index: !args.images.no_index_artifact,
            }),
            with_backup: args.backup_first,
            is_dry_run: args.dry_run,
            receipts: args.receipts.place(site)?,
        })
    }
}
