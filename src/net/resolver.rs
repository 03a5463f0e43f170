//! Name resolution that keeps a request within its reach.

use std::{net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AddressClass, Reach, error::ForbiddenAddress, proxy::Proxies};

/// Resolves names with the system's resolver and drops the addresses that are out of reach.
pub(super) struct GuardedResolver {
    pub(super) reach: Reach,
    pub(super) proxies: Arc<Proxies>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = if self.proxies.is_proxy(name.as_str()) {
            Reach::Anywhere
        } else {
            self.reach
        };
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed(reach, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses within reach; an error when there were some, but none within reach.
fn allowed(
    reach: Reach,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        found.partition(|found| reach.allows(AddressClass::of(found.ip())));
    match refused.first() {
        Some(refused) if allowed.is_empty() => Err(ForbiddenAddress {
            address: refused.ip(),
        }),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{AddressClass, Reach, allowed};

    #[test]
    fn connects_only_to_addresses_within_reach() {
        let found: Vec<SocketAddr> = ["1.1.1.1:0", "127.0.0.1:0"]
            .map(|text| text.parse().unwrap())
            .into();
        let from_public = Reach::From(AddressClass::Public);
        assert_eq!(
            allowed(from_public, found.clone().into_iter()).unwrap(),
            found[..1]
        );
        assert!(allowed(from_public, found[1..].iter().copied()).is_err());
        assert_eq!(
            allowed(Reach::Anywhere, found.clone().into_iter()).unwrap(),
            found
        );
    }
}
