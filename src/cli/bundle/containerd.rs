//! The options that say which containerd is meant.

use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::bundle::ContainerdOptions;

/// The containerd of this node.
#[derive(Debug, Args)]
pub(super) struct ContainerdArgs {
    /// containerd's client, or k3s or k0s, which include it [default: the first of ctr, k3s, k0s in
    /// PATH]
    #[arg(long, value_name = "PROGRAM", help_heading = "containerd")]
    ctr: Option<Utf8PathBuf>,
    /// Socket of containerd [default: where it usually is, also for k3s, RKE2 and k0s]
    #[arg(long, value_name = "SOCKET", help_heading = "containerd")]
    address: Option<Utf8PathBuf>,
    /// containerd's namespace; the kubelet's is this one
    #[arg(
        long,
        value_name = "NAME",
        default_value = "k8s.io",
        help_heading = "containerd"
    )]
    namespace: String,
}

impl From<ContainerdArgs> for ContainerdOptions {
    fn from(args: ContainerdArgs) -> Self {
        Self {
            client: args.ctr,
            address: args.address,
            namespace: args.namespace,
        }
    }
}
