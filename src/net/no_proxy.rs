//! Hosts that are reached directly, in the forms that programs in Go take: host with or without
//! port, `.domain`, `*.domain`, address, CIDR, `*`.
//!
//! Source: the package `http/httpproxy` of golang.org/x/net, documentation of `Config.NoProxy`.

use std::net::IpAddr;

use url::{Host, Url};

#[derive(Debug, Default)]
pub(super) struct NoProxy {
    is_everything: bool,
    networks: Vec<(IpAddr, u8)>,
    addresses: Vec<(IpAddr, Option<u16>)>,
    domains: Vec<Domain>,
}

#[derive(Debug)]
struct Domain {
    suffix: String,
    port: Option<u16>,
    /// Whether the domain itself counts, and not only what is below it.
    with_itself: bool,
}

impl NoProxy {
    /// Reads a list that is separated by commas. What cannot be read stands for no host.
    pub(super) fn parse(list: &str) -> Self {
        let mut read = Self::default();
        for entry in list
            .split(',')
            .map(|entry| entry.trim().to_lowercase())
            .filter(|entry| !entry.is_empty())
        {
            if entry == "*" {
                read.is_everything = true;
            } else if let Some(network) = network(&entry) {
                read.networks.push(network);
            } else {
                read.add_host(&entry);
            }
        }
        read
    }

    fn add_host(&mut self, entry: &str) {
        let Some((host, port)) = with_port(entry) else {
            return;
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.push((address.to_canonical(), port));
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        let with_itself = !host.starts_with('.');
        let name = host.trim_start_matches('.');
        // Names in other alphabets have the form that they have in URLs.
        let name = Host::parse(name).map_or_else(|_| name.to_owned(), |host| host.to_string());
        if !name.is_empty() {
            self.domains.push(Domain {
                suffix: format!(".{name}"),
                port,
                with_itself,
            });
        }
    }

    /// Whether this URL is reached directly; loopback always is.
    pub(super) fn matches(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let has_port = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical(),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let is_below = |domain: &Domain| {
                    name.ends_with(&domain.suffix)
                        || (domain.with_itself && domain.suffix.strip_prefix('.') == Some(name))
                };
                let is_loopback = name == "localhost" || name.ends_with(".localhost");
                return is_loopback
                    || self.is_everything
                    || self
                        .domains
                        .iter()
                        .any(|domain| is_below(domain) && has_port(&domain.port));
            }
            None => return false,
        };
        address.is_loopback()
            || self.is_everything
            || self
                .networks
                .iter()
                .any(|(network, bits)| is_within(address, *network, *bits))
            || self
                .addresses
                .iter()
                .any(|(own, port)| *own == address && has_port(port))
    }
}

/// An address and how many of its bits count.
fn network(entry: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = entry.split_once('/')?;
    let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        (one ^ other)
            .checked_shr(width.saturating_sub(bits.into()))
            .unwrap_or(0)
            == 0
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            same(one.to_bits().into(), other.to_bits().into(), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
        _ => false,
    }
}

/// Host and port; an IPv6 address with a port has brackets, without one it may have them.
fn with_port(entry: &str) -> Option<(&str, Option<u16>)> {
    if let Some((address, port)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return match port.strip_prefix(':') {
            Some(port) => Some((address, Some(port.parse().ok()?))),
            None => Some((address, None)),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port.parse().ok()?))),
        _ => Some((entry, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::NoProxy;

    #[test]
    fn hosts_are_matched_as_programs_in_go_do_it() {
        for (list, direct, through) in [
            (
                "corp.example",
                &["http://corp.example/", "https://a.corp.example:5055/"][..],
                &["http://notcorp.example/"][..],
            ),
            (
                ".corp.example",
                &["http://a.corp.example:5055/"],
                &["http://corp.example/"],
            ),
            (
                "*.corp.example",
                &["http://a.corp.example/", "http://a.b.corp.example/"],
                &["http://corp.example/"],
            ),
            (
                "corp.example:5055",
                &["http://corp.example:5055/", "http://a.corp.example:5055/"],
                &["http://corp.example/"],
            ),
            (
                "corp.example:443",
                &["https://corp.example/"],
                &["http://corp.example/"],
            ),
            (
                "*.corp.example:80",
                &["http://a.corp.example/"],
                &["https://a.corp.example/"],
            ),
            (
                " CORP.example , 10.1.2.3:5055",
                &["http://corp.EXAMPLE/", "http://10.1.2.3:5055/"],
                &["http://10.1.2.3/"],
            ),
            (
                "10.0.0.0/8",
                &["http://10.9.9.9:1/"],
                &["http://11.0.0.1/", "http://a.example/"],
            ),
            (
                "fd00::/8,[fd11::1]:5000,::2",
                &["http://[fd00::1]/", "http://[::2]:9/"],
                &["http://[fe80::1]/"],
            ),
            (
                "[2001:db8::1]:5000",
                &["http://[2001:db8::1]:5000/"],
                &["http://[2001:db8::1]/"],
            ),
            (
                "[2001:db8::1]",
                &["http://[2001:db8::1]:5000/"],
                &["http://[2001:db8::2]/"],
            ),
            ("0.0.0.0/0", &["http://1.2.3.4/"], &["http://a.example/"]),
            ("*", &["http://a.example/", "http://1.2.3.4/"], &[]),
            (
                ",,:80,a:b,/8,.",
                &["http://127.0.0.1:1/", "http://[::1]/", "http://localhost/"],
                &["http://a/", "http://a.example/"],
            ),
        ] {
            let list = NoProxy::parse(list);
            for url in direct {
                assert!(list.matches(&url.parse().unwrap()), "{list:?} {url}");
            }
            for url in through {
                assert!(!list.matches(&url.parse().unwrap()), "{list:?} {url}");
            }
        }
    }
}
