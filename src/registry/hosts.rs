//! Which hosts are asked for a repository, in which order, and how each is spoken to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
};

use url::{Host as UrlHost, Url};

use super::{
    ClientConfig, Credentials, EndpointError, EndpointFailure, RegistryError, RepositoryName,
    credentials::Authorization, limiter::Limiter, quirks::names_of, registries_file::Registries,
};
use crate::net::{AddressClass, NetError, Reach, Timeouts, Tls, TlsFiles, Transport, WebUrl};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Tls,
    /// Never.
    Plain,
    /// It is on loopback and nobody said: TLS if it answers to that.
    HttpsThenHttp,
}

/// A host and everything that its repositories share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) authority: String,
    pub(super) speech: Scheme,
    pub(super) transport: Arc<Transport>,
    /// What the registries file says; goes before everything else.
    pub(super) credentials: Option<Credentials>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) authorizations: tokio::sync::Mutex<HashMap<BTreeSet<String>, Authorization>>,
    /// Found out once when it has to be found out.
    pub(super) is_https: tokio::sync::OnceCell<bool>,
    /// The most bytes that it takes in one request, as far as it showed; 0 for any number.
    pub(super) max_request_bytes: AtomicU64,
    /// Whether it takes no blob in the request that ends an upload.
    pub(super) refuses_whole_blobs: AtomicBool,
    /// Whether the root of its API was asked, and did not ask who we are.
    pub(super) has_no_challenge: AtomicBool,
    /// How far away it was when it first answered.
    pub(super) first_seen: OnceLock<AddressClass>,
}

#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) host: Arc<Host>,
    api: String,
    pub(super) repository: String,
    /// Whether that is another name than in the reference.
    is_rewritten: bool,
    /// For a mirror, the registry that it stands in for, as containerd tells mirrors.
    namespace: Option<String>,
    /// Whether no other host may be contacted than those that were named.
    is_confined: bool,
}

#[derive(Debug)]
pub(super) struct Hosts {
    registries: Registries,
    plain_http: BTreeSet<String>,
    allowed: Option<BTreeSet<String>>,
    max_per_host: usize,
    transports: Transports,
    known: Mutex<HashMap<(String, Scheme), Arc<Host>>>,
}

#[derive(Debug)]
struct Transports {
    named: Arc<Transport>,
    /// For hosts that a registry named: nothing of ours is shown to them.
    foreign: Arc<Transport>,
    /// For hosts with TLS settings of their own; `*` is one of them.
    particular: BTreeMap<String, Arc<Transport>>,
}

impl Hosts {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, RegistryError> {
        let registries = config
            .registries_file
            .as_deref()
            .map(Registries::load)
            .transpose()?
            .unwrap_or_default();
        let transports = Transports::new(config, &registries)?;
        let listed = |hosts: &BTreeSet<String>| hosts.iter().map(|host| canonical(host)).collect();
        let (plain_http, max_per_host) =
            (listed(&config.plain_http), config.max_connections_per_host);
        let allowed = config.allowed_hosts.as_ref().map(listed);
        let hosts = Self {
            registries,
            plain_http,
            allowed,
            max_per_host,
            transports,
            known: Mutex::default(),
        };
        for url in hosts.registries.endpoints() {
            let authority = authority_of(url);
            if url.scheme() == "http" && !is_loopback(&authority) && !hosts.may_be_plain(&authority)
            {
                return Err(RegistryError::PlainMirror {
                    endpoint: url.to_string(),
                    host: authority,
                });
            }
        }
        Ok(hosts)
    }

    /// Where to ask for a repository: mirrors in their order, then the registry itself.
    pub(super) fn endpoints(&self, name: &RepositoryName) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        let own = wire_authority(name.registry());
        if let Some(mirrors) = self.registries.mirrors(name.registry()) {
            for url in &mirrors.endpoints {
                let speech = if url.scheme() == "http" {
                    Scheme::Plain
                } else {
                    Scheme::Tls
                };
                let authority = authority_of(url);
                let namespace = (authority != own).then(|| name.registry().to_owned());
                let repository = mirrors.rewritten(name.repository());
                let is_rewritten = repository != name.repository();
                let (host, api) = (self.host(&authority, speech), url.path().to_owned());
                endpoints.push(Endpoint {
                    host,
                    api,
                    repository,
                    is_rewritten,
                    namespace,
                    is_confined: self.allowed.is_some(),
                });
            }
        }
        endpoints.push(self.own_endpoint(name));
        endpoints
    }

    /// Where to write a repository: at the registry itself, never at a mirror.
    pub(super) fn own_endpoint(&self, name: &RepositoryName) -> Endpoint {
        let own = wire_authority(name.registry());
        let speech = if self.may_be_plain(&own) {
            Scheme::Plain
        } else if is_loopback(&own) {
            Scheme::HttpsThenHttp
        } else {
            Scheme::Tls
        };
        let (host, repository) = (self.host(&own, speech), name.repository().to_owned());
        Endpoint {
            host,
            api: "/v2".to_owned(),
            repository,
            is_rewritten: false,
            namespace: None,
            is_confined: self.allowed.is_some(),
        }
    }

    /// How to reach a host that a registry sent us to, if we may go there.
    pub(super) fn foreign(&self, url: &Url) -> Option<&Transport> {
        let authority = authority_of(url);
        let is_allowed = self
            .allowed
            .as_ref()
            .is_none_or(|allowed| is_listed(allowed, &authority));
        is_allowed.then(|| {
            &**self
                .transports
                .particular(&authority)
                .unwrap_or(&self.transports.foreign)
        })
    }

    /// How far a server may be away that a registry sends us to, when a person named it too, with
    /// this scheme and port: with TLS it proves who it is, and an address is what it is. A name
    /// that is contacted over plain HTTP stays where it was when it first answered.
    pub(super) fn reach_of_named(&self, url: &Url) -> Option<Reach> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = known
            .values()
            .find(|host| host.has_scheme(url.scheme()) && host.is_at(url))?;
        if url.scheme() == "https" || !matches!(url.host(), Some(UrlHost::Domain(_))) {
            return Some(Reach::Anywhere);
        }
        host.first_seen.get().map(|class| Reach::Only(*class))
    }

    /// A web server. Only one that a person named is known afterwards: others are not hosts that
    /// may be gone to from anywhere.
    pub(super) fn web_endpoint(&self, url: &WebUrl, is_named: bool) -> Endpoint {
        let authority = canonical(&url.authority());
        let speech = if url.url().scheme() == "http" {
            Scheme::Plain
        } else {
            Scheme::Tls
        };
        let host = if is_named {
            self.host(&authority, speech)
        } else {
            Arc::new(self.new_host(&authority, speech))
        };
        // Entries of the files with credentials may be for a path.
        let repository = url.url().path().trim_matches('/').to_owned();
        Endpoint {
            host,
            api: String::new(),
            repository,
            is_rewritten: false,
            namespace: None,
            is_confined: self.allowed.is_some(),
        }
    }

    fn host(&self, authority: &str, speech: Scheme) -> Arc<Host> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = known
            .entry((authority.to_owned(), speech))
            .or_insert_with(|| Arc::new(self.new_host(authority, speech)));
        Arc::clone(host)
    }

    fn new_host(&self, authority: &str, speech: Scheme) -> Host {
        Host {
            authority: authority.to_owned(),
            speech,
            transport: Arc::clone(self.transports.named(authority)),
            credentials: self
                .registries
                .host(authority)
                .and_then(|settings| settings.credentials.clone()),
            limiter: Limiter::new(self.max_per_host),
            authorizations: tokio::sync::Mutex::default(),
            is_https: tokio::sync::OnceCell::new(),
            max_request_bytes: AtomicU64::new(0),
            refuses_whole_blobs: AtomicBool::new(false),
            has_no_challenge: AtomicBool::new(false),
            first_seen: OnceLock::new(),
        }
    }

    pub(super) fn may_be_plain(&self, authority: &str) -> bool {
        is_listed(&self.plain_http, authority)
    }
}

impl Transports {
    fn new(config: &ClientConfig, registries: &Registries) -> Result<Self, NetError> {
        let timeouts = Timeouts {
            connect: config.connect_timeout,
            idle: config.idle_timeout,
            commit: config.commit_timeout,
        };
        let make = |files: &TlsFiles| {
            Ok::<_, NetError>(Arc::new(Transport::new(
                Tls::load(files)?,
                &config.proxy,
                timeouts,
            )?))
        };
        let authorities: Vec<_> = config
            .ca_files
            .iter()
            .map(|path| ("--ca-file".to_owned(), path.clone()))
            .collect();
        let identity = config.client_identity.clone().map(|(certificate, key)| {
            [
                ("--client-cert".to_owned(), certificate),
                ("--client-key".to_owned(), key),
            ]
        });
        let foreign = make(&TlsFiles {
            authorities: authorities.clone(),
            identity: None,
        })?;
        let named = match &identity {
            None => Arc::clone(&foreign),
            Some(_) => make(&TlsFiles {
                authorities: authorities.clone(),
                identity: identity.clone(),
            })?,
        };
        let mut particular = BTreeMap::new();
        for (host, settings) in registries
            .hosts()
            .filter(|(_, settings)| settings.ca_file.is_some() || settings.identity.is_some())
        {
            let option = |key: &str| format!("configs.{host}.tls.{key}");
            let mut files = TlsFiles {
                authorities: authorities.clone(),
                identity: identity.clone(),
            };
            files.authorities.extend(
                settings
                    .ca_file
                    .clone()
                    .map(|path| (option("ca_file"), path)),
            );
            if let Some((certificate, key)) = settings.identity.clone() {
                files.identity = Some([
                    (option("cert_file"), certificate),
                    (option("key_file"), key),
                ]);
            }
            particular.insert(canonical(host), make(&files)?);
        }
        Ok(Self {
            named,
            foreign,
            particular,
        })
    }

    fn named(&self, authority: &str) -> &Arc<Transport> {
        self.particular(authority)
            .or_else(|| self.particular.get("*"))
            .unwrap_or(&self.named)
    }

    fn particular(&self, authority: &str) -> Option<&Arc<Transport>> {
        names_of(authority)
            .iter()
            .find_map(|name| self.particular.get(*name))
    }
}

impl Host {
    /// Whether it is spoken to with this scheme, as far as is known.
    fn has_scheme(&self, scheme: &str) -> bool {
        match self.speech {
            Scheme::Tls => scheme == "https",
            Scheme::Plain => scheme == "http",
            Scheme::HttpsThenHttp => self
                .is_https
                .get()
                .is_some_and(|is_https| scheme == if *is_https { "https" } else { "http" }),
        }
    }

    /// Whether a URL leads to its name and port.
    fn is_at(&self, url: &Url) -> bool {
        Url::parse(&format!("{}://{}", url.scheme(), self.authority))
            .is_ok_and(|own| own.origin() == url.origin())
    }
}

impl Endpoint {
    pub(super) fn is_same_server(&self, url: &Url) -> bool {
        self.host.has_scheme(url.scheme()) && self.host.is_at(url)
    }

    /// The root of the API, `/v2/`.
    pub(super) fn root(&self, scheme: &str) -> Option<Url> {
        let mut url = Url::parse(&format!("{scheme}://{}", self.host.authority)).ok()?;
        url.set_path(&format!("{}/", self.api));
        Some(url)
    }

    /// A URL below the repository: `manifests/<tag>`, `blobs/<digest>`.
    pub(super) fn url(&self, scheme: &str, path: &str) -> Option<Url> {
        let mut url = Url::parse(&format!("{scheme}://{}", self.host.authority)).ok()?;
        url.set_path(&format!("{}/{}/{path}", self.api, self.repository));
        if let Some(namespace) = &self.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Some(url)
    }

    pub(super) fn failure(&self, attempts: u32, cause: EndpointError) -> EndpointFailure {
        EndpointFailure {
            endpoint: self.label(),
            is_mirror: self.namespace.is_some(),
            asked_for: self.is_rewritten.then(|| self.repository.clone()),
            is_confined: self.is_confined,
            attempts,
            cause: Box::new(cause),
        }
    }

    /// The registry that the host stands in for, if it is a mirror.
    pub(super) fn mirror_of(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn label(&self) -> String {
        let is_plain = match self.host.speech {
            Scheme::Plain => true,
            Scheme::Tls => false,
            Scheme::HttpsThenHttp => self.host.is_https.get() == Some(&false),
        };
        format!(
            "{}://{}",
            if is_plain { "http" } else { "https" },
            self.host.authority
        )
    }
}

/// The name on the wire; Docker Hub's differs from the one in references, and an IPv6 address has
/// one form there.
pub(super) fn wire_authority(registry: &str) -> String {
    names_of(registry)
        .first()
        .map_or_else(String::new, |name| canonical(name))
}

/// A host, with port if any, in the form in which hosts are compared: lower case, and IPv6
/// addresses as short as they can be.
pub(super) fn canonical(authority: &str) -> String {
    let Some((address, port)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    else {
        return authority.to_ascii_lowercase();
    };
    address.parse::<std::net::Ipv6Addr>().map_or_else(
        |_| authority.to_owned(),
        |address| format!("[{address}]{port}"),
    )
}

pub(super) fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a list has this host, with or without its port.
fn is_listed(hosts: &BTreeSet<String>, authority: &str) -> bool {
    hosts.contains(authority)
        || host_of(authority).is_some_and(|host| hosts.contains(&host.to_string()))
}

fn host_of(authority: &str) -> Option<UrlHost> {
    Url::parse(&format!("http://{authority}"))
        .ok()?
        .host()
        .map(|host| host.to_owned())
}

fn is_loopback(authority: &str) -> bool {
    let class = |address| AddressClass::of(address) == AddressClass::Loopback;
    match host_of(authority) {
        Some(UrlHost::Ipv4(address)) => class(address.into()),
        Some(UrlHost::Ipv6(address)) => class(address.into()),
        Some(UrlHost::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientConfig, Hosts, Scheme, is_loopback};
    use crate::{oci::Reference, registry::RepositoryName};

    fn endpoint(registry: &str, plain: &[&str]) -> (String, Scheme, String) {
        let config = ClientConfig {
            plain_http: plain.iter().map(|host| (*host).to_owned()).collect(),
            ..ClientConfig::default()
        };
        let reference: Reference = format!("{registry}/library/postgres:17").parse().unwrap();
        let endpoints = Hosts::new(&config)
            .unwrap()
            .endpoints(&RepositoryName::from(&reference));
        let [endpoint] = endpoints.as_slice() else {
            panic!("{endpoints:?}")
        };
        (
            endpoint.label(),
            endpoint.host.speech,
            endpoint
                .url("https", "tags/list")
                .unwrap()
                .path()
                .to_owned(),
        )
    }

    #[test]
    fn plain_http_only_for_loopback_and_named_hosts() {
        let path = "/v2/library/postgres/tags/list".to_owned();
        assert_eq!(
            endpoint("docker.io", &[]),
            ("https://registry-1.docker.io".to_owned(), Scheme::Tls, path)
        );
        assert_eq!(endpoint("localhost:5000", &[]).1, Scheme::HttpsThenHttp);
        assert_eq!(endpoint("registry.lan:5000", &[]).1, Scheme::Tls);
        assert_eq!(
            endpoint("registry.lan:5000", &["registry.lan:5000"]).1,
            Scheme::Plain
        );
        assert_eq!(
            endpoint("registry.lan:5000", &["registry.lan"]).1,
            Scheme::Plain
        );
        assert_eq!(
            endpoint("registry.lan:5000", &["registry.lan:5001"]).1,
            Scheme::Tls
        );
        assert_eq!(
            endpoint("[fd00:0::10]:5000", &["[FD00::10]:5000"]).1,
            Scheme::Plain
        );
        assert_eq!(
            endpoint("[fd00::10]:5000", &["[fd00::10]"]).0,
            "http://[fd00::10]:5000"
        );
        assert_eq!(endpoint("[0:0::1]:5000", &[]).1, Scheme::HttpsThenHttp);
        assert!(
            is_loopback("127.0.0.1:1")
                && is_loopback("[::1]:1")
                && !is_loopback("127.0.0.1.example:1")
        );
    }
}
