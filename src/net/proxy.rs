//! Which requests go through a proxy.
//!
//! The values are those of the usual variables, handed in by whoever may read the environment. Loopback is
//! always reached directly: a proxy elsewhere cannot mean this machine.

use hyper_util::client::proxy::matcher::Matcher;

use crate::{
    failure::{Failure, FailureKind},
    secret::Secret,
};

/// Proxies, as the variables of the same names say it.
#[derive(Debug, Clone, Default)]
pub struct ProxySettings {
    /// For `https` URLs, `HTTPS_PROXY`. May contain a password.
    pub https: Option<Secret>,
    /// For `http` URLs, `HTTP_PROXY`. May contain a password.
    pub http: Option<Secret>,
    /// Hosts that are reached directly, `NO_PROXY`.
    pub none_for: Option<String>,
}

/// A proxy setting that is no URL. Says which, not what: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("the proxy setting for {scheme} is not a URL such as http://proxy.example:3128")]
pub struct ProxyError {
    scheme: &'static str,
}

impl Failure for ProxyError {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn help(&self) -> Option<String> {
        Some(format!("check the variable {}_PROXY", self.scheme.to_uppercase()))
    }
}

/// The settings in use. Not printable: the libraries' types show passwords.
pub(super) struct Proxies {
    rules: Vec<reqwest::Proxy>,
    matcher: Matcher,
    hosts: Vec<String>,
}

impl Proxies {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let none_for = format!("localhost,127.0.0.0/8,::1,{}", settings.none_for.as_deref().unwrap_or_default());
        let mut matcher = Matcher::builder().no(none_for.clone());
        let mut rules = Vec::new();
        let mut hosts = Vec::new();
        for (scheme, url) in [("https", &settings.https), ("http", &settings.http)] {
            let Some(url) = url else { continue };
            let is_https = scheme == "https";
            let wrong = |_| ProxyError { scheme };
            let make = if is_https { reqwest::Proxy::https } else { reqwest::Proxy::http };
            let proxy = make(url.expose()).map_err(wrong)?;
            rules.push(proxy.no_proxy(reqwest::NoProxy::from_string(&none_for)));
            let text = url.expose().to_owned();
            matcher = if is_https { matcher.https(text) } else { matcher.http(text) };
            let with_scheme = if url.expose().contains("://") { url.expose().to_owned() } else { format!("http://{}", url.expose()) };
            hosts.extend(url::Url::parse(&with_scheme).ok().and_then(|url| url.host_str().map(str::to_owned)));
        }
        Ok(Self { rules, matcher: matcher.build(), hosts })
    }

    /// Whether a request for this URL goes through a proxy.
    pub(super) fn intercept(&self, url: &url::Url) -> bool {
        url.as_str().parse::<http::Uri>().is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }

    /// Whether this is the name of a proxy. It is exempt from the check of addresses, because a person named it.
    pub(super) fn is_proxy(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own == host)
    }

    pub(super) fn add_to(&self, mut builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        // Without this the library would look at the environment by itself.
        builder = builder.no_proxy();
        self.rules.iter().cloned().fold(builder, reqwest::ClientBuilder::proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::{Proxies, ProxySettings};
    use crate::secret::Secret;

    #[test]
    fn loopback_and_named_exceptions_are_reached_directly() {
        let settings = ProxySettings {
            https: Some(Secret::new("http://user:hunter2@proxy.example:3128")),
            http: None,
            none_for: Some(".internal,10.0.0.0/8".to_owned()),
        };
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
}
