//! The API server: how it is found, and what its refusals mean.

use std::time::Duration;

use camino::Utf8PathBuf;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};

use rune_core::{
    failure::{Failure, FailureKind},
    fsx,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterOptions {
    /// Files with clusters and credentials, as `KUBECONFIG` lists them; none means the account of
    /// the pod that this runs in.
    pub(crate) kubeconfigs: Vec<Utf8PathBuf>,
    pub(crate) context: Option<String>,
    /// The namespace; without one, that of the context.
    pub(crate) namespace: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    namespace: String,
    address: String,
    version: semver::Version,
    id: Option<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum ClusterError {
    #[error("there is no kubeconfig, and this is not a pod of a cluster")]
    #[failure(NotFound: "name one with --kubeconfig or KUBECONFIG")]
    Nowhere,
    #[error("the kubeconfig cannot be used: {0}")]
    #[failure(Input: "`kubectl config view` shows what it says; --context chooses among its \
        contexts")]
    Kubeconfig(String),
    #[error("there is no kubeconfig `{0}`")]
    #[failure(NotFound: "check the path")]
    Missing(Utf8PathBuf),
    #[error(
        "the kubeconfig reaches the cluster through the proxy `{0}`, which this program does not"
    )]
    #[failure(Input: "run this where the API server can be reached directly, or in a pod of the \
        cluster")]
    Proxy(String),
    #[error("cannot {doing}: the API server at {address} does not answer: {reason}")]
    #[failure(Network: "check the address in the kubeconfig, and whether it can be \
        reached from here")]
    Unreachable {
        doing: String,
        address: String,
        reason: String,
    },
    #[error("cannot {doing}: the API server says {code}: {message}")]
    #[failure(kind: refusal(*.code).0, help: refusal(*.code).1)]
    Refused {
        doing: String,
        code: u16,
        message: String,
    },
}

/// What an HTTP status of the API server means.
const fn refusal(code: u16) -> (FailureKind, Option<&'static str>) {
    match code {
        400 | 422 => (FailureKind::Input, None),
        401 => (
            FailureKind::Access,
            Some("the credentials in the kubeconfig are unknown to the cluster, or have run out"),
        ),
        403 => (
            FailureKind::Access,
            Some("ask for the right, or use another context with --context"),
        ),
        404 => (FailureKind::NotFound, None),
        409 => (
            FailureKind::Conflict,
            Some("somebody else changed it at the same time; run the command again"),
        ),
        _ => (FailureKind::Network, None),
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Finds the API server and asks for its version.
    pub(crate) async fn connect(options: &ClusterOptions) -> Result<Self, ClusterError> {
        // The library takes the provider of the process; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = configuration(options).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(ANSWER_TIMEOUT);
        config.reset_reader_on_write = true;
        let address = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let namespace = options
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| ClusterError::Kubeconfig(reason(&error)))?;
        let mut cluster = Self {
            client,
            namespace,
            address,
            version: semver::Version::new(0, 0, 0),
            id: None,
        };
        let info = cluster
            .client
            .apiserver_version()
            .await
            .map_err(cluster.failed("ask for the version of Kubernetes"))?;
        cluster.version = version(&info.git_version);
        // Nice to have on record, and not everybody may see it.
        let system = Api::<Namespace>::all(cluster.client.clone())
            .get_opt("kube-system")
            .await;
        cluster.id = system
            .ok()
            .flatten()
            .and_then(|namespace| namespace.metadata.uid);
        Ok(cluster)
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same cluster, acted on in another namespace.
    #[must_use]
    pub(crate) fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) const fn version(&self) -> &semver::Version {
        &self.version
    }

    /// The unique id of `kube-system`, where it may be seen.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.namespace)
    }

    pub(crate) async fn get(&self, doing: &str, path: &str) -> Result<Vec<u8>, ClusterError> {
        let refused = |code: u16, message: String| ClusterError::Refused {
            doing: doing.to_owned(),
            code,
            message,
        };
        let request = http::Request::get(path)
            .body(Body::empty())
            .map_err(|error| refused(400, error.to_string()))?;
        let answer = self.client.send(request).await;
        let (head, body) = answer.map_err(self.failed(doing))?.into_parts();
        let bytes = body.collect_bytes().await.map_err(self.failed(doing))?;
        if head.status.is_success() {
            return Ok(bytes.to_vec());
        }
        let status: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = status.get("message").and_then(serde_json::Value::as_str);
        let message = message.unwrap_or("no reason given").to_owned();
        Err(refused(head.status.as_u16(), message))
    }

    /// What a failed request means; `doing` completes "cannot …".
    pub(super) fn failed(
        &self,
        doing: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> ClusterError {
        let (doing, address) = (doing.into(), self.address.clone());
        move |error| match error {
            kube::Error::Api(status) => ClusterError::Refused {
                doing,
                code: status.code,
                message: status.message.clone(),
            },
            kube::Error::Auth(error) => ClusterError::Refused {
                doing,
                code: 401,
                message: error.to_string(),
            },
            error => ClusterError::Unreachable {
                doing,
                address,
                reason: reason(&error),
            },
        }
    }
}

/// The innermost cause; what stands around it says the same in the words of a library.
fn reason(error: &kube::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn configuration(options: &ClusterOptions) -> Result<Config, ClusterError> {
    if options.kubeconfigs.is_empty() {
        return Config::incluster_env().map_err(|_| ClusterError::Nowhere);
    }
    let unusable =
        |error: kube::config::KubeconfigError| ClusterError::Kubeconfig(error.to_string());
    let mut merged: Option<Kubeconfig> = None;
    // As kubectl has it, files of the list that do not exist do not count, unless none does.
    for path in options.kubeconfigs.iter().filter(|path| fsx::exists(path)) {
        let read = Kubeconfig::read_from(path).map_err(unusable)?;
        merged = Some(
            merged
                .map_or(Ok(read.clone()), |before| before.merge(read))
                .map_err(unusable)?,
        );
    }
    let Some(kubeconfig) = merged else {
        return Err(options
            .kubeconfigs
            .first()
            .map_or(ClusterError::Nowhere, |path| {
                ClusterError::Missing(path.clone())
            }));
    };
    let proxy = proxy_of(&kubeconfig, options.context.as_deref());
    if let Some(proxy) = proxy {
        return Err(ClusterError::Proxy(proxy));
    }
    let choice = KubeConfigOptions {
        context: options.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &choice)
        .await
        .map_err(unusable)?;
    // What the environment says about proxies is for the internet.
    config.proxy_url = None;
    Ok(config)
}

fn proxy_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let name = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == name)?
        .context
        .as_ref()?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|named| named.name == context.cluster)?
        .cluster
        .as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}

fn version(text: &str) -> semver::Version {
    semver::Version::parse(text.trim_start_matches('v'))
        .unwrap_or_else(|_| semver::Version::new(0, 0, 0))
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::{proxy_of, version};

    #[test]
    fn versions_of_distributions_are_read() {
        for (text, expected) in [
            ("v1.33.1", "1.33.1"),
            ("v1.31.4+k3s1", "1.31.4+k3s1"),
            ("v1.30.0-eks-a1", "1.30.0-eks-a1"),
            ("?", "0.0.0"),
        ] {
            assert_eq!(version(text).to_string(), expected);
        }
    }

    #[test]
    fn the_proxy_of_the_chosen_cluster_counts_and_no_other() {
        let text = "current-context: a
contexts: [{name: a, context: {cluster: one}}, {name: b, context: {cluster: two}}]
clusters: [{name: one, cluster: {server: 'https://x'}}, {name: two, cluster: {server: 'https://y', proxy-url: 'http://proxy'}}]
";
        let kubeconfig = Kubeconfig::from_yaml(text).unwrap();
        assert_eq!(proxy_of(&kubeconfig, None), None);
        assert_eq!(
            proxy_of(&kubeconfig, Some("b")).as_deref(),
            Some("http://proxy")
        );
    }
}
