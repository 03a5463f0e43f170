//! The verb that empties a registry: `prune`.

use camino::Utf8PathBuf;
use clap::Args;

use super::{installing::kubeconfigs, registry, trust::SignerArgs};
use crate::{
    cli::{
        registry_args::{LoginArgs, OfflineRegistryArgs},
        site::Site,
    },
    commands::bundle::{ClusterOptions, PruneOptions, push::Destination},
};
use rune_core::command::CommandError;

/// Delete from a registry what only older bundles need.
///
/// Bundle indexes that `push` left there say what each bundle needs. Without --yes nothing is
/// deleted.
#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Registry: HOST[:PORT][/PREFIX] [env: RUNE_BUNDLE_REGISTRY]
    #[arg(value_name = "REGISTRY[/PREFIX]")]
    destination: Option<String>,
    /// Number of bundles of each name to keep, the newest; what clusters use is kept as well
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Delete; without it, show what would be deleted
    #[arg(long)]
    yes: bool,
    /// Join the path of each repository to one component, as `push --flatten` did
    #[arg(long)]
    flatten: bool,
    /// Cluster that uses the registry; may be repeated [default: `KUBECONFIG`, `~/.kube/config`, or
    /// the service account of the pod]
    #[arg(long, value_name = "FILE", help_heading = "Clusters")]
    kubeconfig: Vec<Utf8PathBuf>,
    /// Context of the kubeconfig, for each cluster that it reaches; may be repeated [default: the
    /// current one]
    #[arg(long, value_name = "NAME", help_heading = "Clusters")]
    context: Vec<String>,
    /// Namespace with releases; may be repeated [default: all namespaces]
    #[arg(long, short, value_name = "NAME", help_heading = "Clusters")]
    namespace: Vec<String>,
    /// State that no other cluster uses the registry
    #[arg(long, help_heading = "Clusters")]
    only_this_cluster: bool,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    registry: OfflineRegistryArgs,
}

impl Prune {
    pub(super) fn options(self, site: &Site) -> Result<PruneOptions, CommandError> {
        let destination: Destination = registry::required(site.registry(self.destination))?;
        let access = self
            .registry
            .into_offline_config(site, Some(destination.registry()));
        Ok(PruneOptions {
            registry: self.login.with(access, destination.registry()),
            destination: destination.flattened(self.flatten),
            keep: usize::from(self.keep),
            signers: self.signers.options(site, false),
            clusters: clusters(self.kubeconfig, self.context),
            is_only_cluster: self.only_this_cluster,
            namespaces: self.namespace.into_iter().collect(),
            is_dry_run: !self.yes,
        })
    }
}

fn clusters(named: Vec<Utf8PathBuf>, contexts: Vec<String>) -> Vec<ClusterOptions> {
    let kubeconfigs: Vec<Vec<Utf8PathBuf>> = if named.is_empty() {
        vec![kubeconfigs(None)]
    } else {
        named.into_iter().map(|path| vec![path]).collect()
    };
    let contexts: Vec<Option<String>> = if contexts.is_empty() {
        vec![None]
    } else {
        contexts.into_iter().map(Some).collect()
    };
    let one = |kubeconfigs: &Vec<Utf8PathBuf>, context: &Option<String>| ClusterOptions {
        kubeconfigs: kubeconfigs.clone(),
        context: context.clone(),
        namespace: None,
    };
    kubeconfigs
        .iter()
        .flat_map(|kubeconfigs| {
            contexts
                .iter()
                .map(move |context| one(kubeconfigs, context))
        })
        .collect()
}
