//! Which requests go through a proxy.
//!
//! The values are those of the usual variables, handed in by whoever may read the environment.
//! Loopback is always reached directly: a proxy elsewhere cannot mean this machine. One decision,
//! made here, holds for the HTTP library too.

use std::sync::Arc;

use url::Url;

use super::no_proxy::NoProxy;
use rune_core::{failure::Failure, secret::Secret};

const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

#[derive(Debug, Clone, Default)]
pub struct ProxySettings {
    /// For `https` URLs, `HTTPS_PROXY`. May contain a password.
    pub https: Option<Secret>,
    /// For `http` URLs, `HTTP_PROXY`. May contain a password.
    pub http: Option<Secret>,
    /// Hosts that are reached directly, `NO_PROXY`.
    pub none_for: Option<String>,
}

/// A proxy setting that cannot be used. Says which, not what: it may hold a password.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input: other_proxy(.scheme))]
pub enum ProxyError {
    #[error("the proxy setting for {scheme} is not a URL such as http://proxy.example:3128")]
    Url { scheme: &'static str },
    #[error("the proxy for {scheme} is of the kind `{kind}`, which is not supported")]
    Kind { scheme: &'static str, kind: String },
}

fn other_proxy(scheme: &str) -> String {
    let (name, schemes) = (scheme.to_uppercase(), SCHEMES.join("://, "));
    format!("set {name}_PROXY to a URL that begins with {schemes}://")
}

/// Not printable: they have passwords.
pub(super) struct Proxies(Arc<Rules>);

struct Rules {
    https: Option<Url>,
    http: Option<Url>,
    none_for: NoProxy,
}

impl Proxies {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let url = |scheme, url: &Option<Secret>| {
            url.as_ref()
                .map(|url| proxy_url(scheme, url.expose()))
                .transpose()
        };
        let (https, http) = (url("https", &settings.https)?, url("http", &settings.http)?);
        let none_for = NoProxy::parse(settings.none_for.as_deref().unwrap_or_default());
        Ok(Self(Arc::new(Rules {
            https,
            http,
            none_for,
        })))
    }

    pub(super) fn intercept(&self, url: &Url) -> bool {
        self.0.of(url).is_some()
    }

    /// Whether this is the name of a proxy. It is exempt from the check of addresses, because a
    /// person named it.
    pub(super) fn is_proxy(&self, host: &str) -> bool {
        [&self.0.https, &self.0.http]
            .into_iter()
            .flatten()
            .any(|proxy| proxy.host_str() == Some(host))
    }

    pub(super) fn add_to(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let rules = Arc::clone(&self.0);
        // Without the first the library would read the environment by itself.
        builder
            .no_proxy()
            .proxy(reqwest::Proxy::custom(move |url| rules.of(url).cloned()))
    }
}

impl Rules {
    fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        proxy.as_ref().filter(|_| !self.none_for.matches(url))
    }
}

/// Without a scheme it is an HTTP proxy.
fn proxy_url(scheme: &'static str, text: &str) -> Result<Url, ProxyError> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&with_scheme)
        .ok()
        .filter(Url::has_host)
        .ok_or(ProxyError::Url { scheme })?;
    if SCHEMES.contains(&url.scheme()) {
        Ok(url)
    } else {
        Err(ProxyError::Kind {
            scheme,
            kind: url.scheme().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Proxies, ProxySettings};
    use rune_core::secret::Secret;

    fn settings(https: &str) -> ProxySettings {
        ProxySettings {
            https: Some(Secret::new(https)),
            http: None,
            none_for: Some(".internal,10.0.0.0/8".to_owned()),
        }
    }

    #[test]
    fn loopback_and_named_exceptions_are_reached_directly() {
        let settings = settings("http://user:hunter2@proxy.example:3128");
        let proxies = Proxies::new(&settings).unwrap();
        let through = |url: &str| proxies.intercept(&url.parse().unwrap());
        assert!(through("https://docker.io/v2/") && proxies.is_proxy("proxy.example"));
        for direct in [
            "https://localhost:1/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://a.internal/",
            "https://10.1.2.3/",
            "http://docker.io/",
        ] {
            assert!(!through(direct), "{direct}");
        }
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_at_once() {
        for good in [
            "proxy.example:3128",
            "https://proxy.example",
            "socks5://u:p@[fd00::1]:1080",
            "socks5h://proxy",
        ] {
            assert!(Proxies::new(&settings(good)).is_ok(), "{good}");
        }
        for bad in [
            "ftp://hunter2@proxy",
            "socks4://hunter2@proxy",
            "http://",
            "http://a b",
        ] {
            let Err(error) = Proxies::new(&settings(bad)) else {
                panic!("{bad}")
            };
            assert!(
                error.to_string().contains("the proxy") && !error.to_string().contains("hunter2"),
                "{error}"
            );
        }
    }
}
