//! Before a bundle is used: whether the file is whole and trusted, and what is there to push, load,
//! install or unpack it.

use std::{os::unix::net::UnixStream, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use kube::config::Kubeconfig;

use super::{
    Check, DoctorReport,
    build::{in_haste, version_of_helm},
};
use crate::{
    bundle::{BundleSource, SlotState},
    commands::bundle::{BundleOptions, push::Destination},
    oci::Reference,
    registry::{Client, ClientConfig, EndpointError, RegistryError},
};
use rune_core::{
    command::{CommandError, block_on, counted},
    failure::Failure,
    fsx,
    text::{exact_size, size},
};

const MAX_KUBECONFIG_BYTES: u64 = 4 << 20;
/// Where containerd listens, on its own and within k3s or RKE2.
const CONTAINERD_SOCKETS: [&str; 2] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
];
/// How long Helm may take to say its version.
const HELM_TIME_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub(crate) struct DoctorReceiveOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) directory: Utf8PathBuf,
    pub(crate) registry: Option<Destination>,
    pub(crate) helm: Option<Utf8PathBuf>,
    pub(crate) kubeconfig: Option<Utf8PathBuf>,
    /// How the registry is reached. Of other hosts only those of `allowed_hosts` are contacted; the
    /// registry itself need not be one.
    pub(crate) access: ClientConfig,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("`{0}` is not a kubeconfig with a current context")]
#[failure(Input: "name another file with --kubeconfig, or choose a context with `kubectl config \
    use-context`")]
struct NoKubeconfig(Utf8PathBuf);

pub(crate) fn run(options: &DoctorReceiveOptions) -> DoctorReport {
    let mut checks = Vec::new();
    if let Some(bytes) = bundle(&options.bundle, &mut checks) {
        checks.push(room(&options.directory, bytes));
    }
    checks.push(helm(options.helm.as_deref()));
    checks.push(cluster(options.kubeconfig.as_deref()));
    checks.push(containerd());
    checks.extend(
        options
            .registry
            .as_ref()
            .map(|registry| reachable(registry, &options.access)),
    );
    DoctorReport {
        step: "receive",
        subject: options.bundle.bundle.to_string(),
        checks,
    }
}

/// Reads the head, authenticates it, and compares the length of the file. Gives how many bytes the
/// bundle has.
fn bundle(options: &BundleOptions, checks: &mut Vec<Check>) -> Option<u64> {
    let needed = "a bundle of a format that this program reads";
    let opened = || -> Result<_, CommandError> {
        let (source, head) = options.open()?;
        let (index, signatures) = head.peek()?;
        let layout = index.layout(head.index_size())?;
        Ok((source, head, index, signatures, layout))
    };
    let (source, head, index, signatures, layout) = match opened() {
        Ok(opened) => opened,
        Err(error) => {
            checks.push(Check::problem("bundle", needed, &error));
            return None;
        }
    };
    let bytes = layout.total_bytes();
    let (name, version, digest) = (&index.name, &index.version, head.digest());
    checks.push(Check::ok(
        "bundle",
        needed,
        format!("{name} {version}, {digest}"),
    ));
    let needed = "signatures by keys that you trust, or a digest that you know";
    if options.has_trust() {
        let trusted = || -> Result<String, CommandError> {
            let head = head.authenticate(&options.trust()?)?;
            let verified = head
                .slots()
                .iter()
                .filter(|state| matches!(state, SlotState::Verified { .. }));
            let signers: Vec<String> = verified.filter_map(SlotState::signer).collect();
            let by = options
                .trust_source()
                .map(|source| format!("; trust: {source}"))
                .unwrap_or_default();
            Ok(match signers.as_slice() {
                [] => format!("the digest that was given{by}"),
                _ => format!(
                    "good, {}: {}{by}",
                    counted(signers.len(), "signature"),
                    signers.join(", ")
                ),
            })
        };
        checks.push(Check::of("trust", needed, trusted()));
    } else {
        let signers = signatures
            .iter()
            .filter(|state| matches!(state, SlotState::Unknown { .. }))
            .count();
        let help = "pass --key FILE with the public key that you received out of band; without \
                    one nothing can be pushed or installed";
        checks.push(Check::warning(
            "trust",
            needed,
            format!("{}, not checked", counted(signers, "signature")),
            help,
        ));
    }
    let needed = exact_size(bytes);
    if let BundleSource::File(_) = source {
        let length = source
            .check_length(&layout)
            .map(|()| "as long as its header says".to_owned());
        checks.push(Check::of(
            "length",
            needed,
            length.map_err(CommandError::from),
        ));
    } else {
        let help = "save it as a file: only verify and unpack read a stream";
        checks.push(Check::warning(
            "length",
            needed,
            "it comes from a pipe",
            help,
        ));
    }
    Some(bytes)
}

fn free(bytes: u64) -> String {
    format!("{} free", size(bytes))
}

fn room(directory: &Utf8Path, bytes: u64) -> Check {
    let needed = format!(
        "{} in `{directory}` to unpack it; push, serve and load need none",
        exact_size(bytes)
    );
    match fsx::available_space(directory) {
        Err(error) => Check::problem("room", needed, &error.into()),
        Ok(available) if available < bytes => {
            let help = "unpack it on another disk (--into), or do not unpack it: push, serve, \
                        load and install read it where it is";
            Check::warning("room", needed, free(available), help)
        }
        Ok(available) => Check::ok("room", needed, free(available)),
    }
}

fn helm(program: Option<&Utf8Path>) -> Check {
    let needed = "Helm 3 or 4, to install the charts";
    let Some(program) = program else {
        return Check::warning(
            "helm",
            needed,
            "none in PATH",
            "install Helm 3 or 4, or set --helm, before you install",
        );
    };
    Check::of(
        "helm",
        needed,
        version_of_helm(Some(program), HELM_TIME_LIMIT),
    )
}

fn cluster(path: Option<&Utf8Path>) -> Check {
    let needed = "a kubeconfig, to install into a cluster from here";
    let Some(path) = path else {
        return Check::warning(
            "kubeconfig",
            needed,
            "none",
            "set --kubeconfig or KUBECONFIG before you install",
        );
    };
    let read = || -> Result<String, CommandError> {
        let text = fsx::read_to_string(path, MAX_KUBECONFIG_BYTES)?;
        let server = Kubeconfig::from_yaml(&text)
            .ok()
            .and_then(|config| server_of(&config));
        let (context, server) = server.ok_or_else(|| NoKubeconfig(path.to_owned()))?;
        Ok(format!("context {context}, {server}"))
    };
    Check::of("kubeconfig", needed, read())
}

fn server_of(config: &Kubeconfig) -> Option<(String, String)> {
    let current = config.current_context.clone()?;
    let context = config
        .contexts
        .iter()
        .find(|context| context.name == current)?
        .context
        .as_ref()?;
    let cluster = config
        .clusters
        .iter()
        .find(|cluster| cluster.name == context.cluster)?;
    Some((current, cluster.cluster.as_ref()?.server.clone()?))
}

fn containerd() -> Check {
    let needed = "a containerd that this user can reach, to load images into this node";
    let found = CONTAINERD_SOCKETS
        .iter()
        .filter(|path| fsx::exists(Utf8Path::new(path)));
    let tried: Vec<_> = found
        .map(|path| (path, UnixStream::connect(path).err()))
        .collect();
    match (
        tried.iter().find(|(_, error)| error.is_none()),
        tried.first(),
    ) {
        (Some((path, _)), _) => Check::ok("containerd", needed, format!("`{path}` answers")),
        (None, Some((path, Some(error)))) => {
            let help =
                "run load as root, or on a node whose containerd runs; push and serve need none";
            Check::warning("containerd", needed, format!("`{path}`: {error}"), help)
        }
        _ => Check::warning(
            "containerd",
            needed,
            "none here",
            "run load on a node of the cluster; push and serve need none",
        ),
    }
}

/// Asks the registry for something that it will not have: that it says so proves that it is there
/// and lets us read. Whether it lets us write is not tried: that would begin an upload.
fn reachable(destination: &Destination, access: &ClientConfig) -> Check {
    let host = destination.registry();
    let needed = format!("a registry at {host} that lets us in");
    let asked = || -> Result<String, CommandError> {
        let mut allowed = access.allowed_hosts.clone().unwrap_or_default();
        allowed.insert(host.to_owned());
        let client = Client::new(in_haste(ClientConfig {
            allowed_hosts: Some(allowed),
            ..access.clone()
        }))?;
        let probe: Reference = format!(
            "{host}/{}:nothing",
            destination.repository("rune-bundle-doctor")
        )
        .parse()?;
        block_on(async {
            match client.resolve(&probe).await {
                Err(error) if !is_absence(&error) => Err(error),
                _ => Ok("it answers; whether it takes uploads is seen when push begins".to_owned()),
            }
        })
    };
    Check::of("registry", needed, asked())
}

fn is_absence(error: &RegistryError) -> bool {
    let RegistryError::Fetch { failures, .. } = error else {
        return false;
    };
    failures.iter().all(|failure| {
        matches!(&*failure.cause, EndpointError::Status { status, .. }
        if *status == http::StatusCode::NOT_FOUND)
    })
}
