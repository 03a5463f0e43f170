//! How far an address is away, and who may send us where.
//!
//! A registry decides where its token server and its storage are. Without a limit, one on the
//! internet could have us talk to services of our own machine or network (CVE-2020-15157 and its
//! many relatives). The check is made on addresses, after DNS, because a name can resolve to
//! anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AddressClass {
    Public,
    /// Of a site: RFC 1918, unique local IPv6, carrier-grade NAT, benchmarking.
    Private,
    /// Of the link: also where clouds keep the credentials of a machine.
    LinkLocal,
    /// Of this machine. The unspecified address counts, because connecting to it reaches this
    /// machine.
    Loopback,
    /// Multicast, broadcast and reserved addresses; nothing to connect to.
    Reserved,
}

impl AddressClass {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => {
                embedded_v4(address).map_or_else(|| Self::of_v6(address), Self::of_v4)
            }
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        match (a, b, c) {
            (0 | 127, ..) => Self::Loopback,
            (10, ..)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (100, 64..=127, _)
            | (192, 0, 0)
            | (198, 18..=19, _) => Self::Private,
            (169, 254, _) => Self::LinkLocal,
            (224..=255, ..) => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Reserved,
        }
    }
}

impl std::fmt::Display for AddressClass {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Reserved => "reserved",
        })
    }
}

/// The IPv4 address in a mapped, compatible, NAT64 or 6to4 address. `::` and `::1` are addresses of
/// their own.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

/// Which classes of addresses a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    Anywhere,
    /// Where somebody at an address of this class may send us: to public addresses and to its own
    /// kind, and from loopback also to private ones.
    From(AddressClass),
    Only(AddressClass),
}

impl Reach {
    pub(crate) fn allows(self, target: AddressClass) -> bool {
        match (self, target) {
            (Self::Anywhere, _) => true,
            (Self::From(_) | Self::Only(_), AddressClass::Reserved) => false,
            (Self::From(class), target)
                if target == AddressClass::Public
                    || (class, target) == (AddressClass::Loopback, AddressClass::Private) =>
            {
                true
            }
            (Self::From(class) | Self::Only(class), target) => class == target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        AddressClass::{self, LinkLocal, Loopback, Private, Public, Reserved},
        Reach,
    };

    #[test]
    fn classifies_addresses_in_all_their_disguises() {
        for (class, addresses) in [
            (
                Public,
                &[
                    "1.1.1.1",
                    "172.32.0.1",
                    "100.128.0.1",
                    "2606:4700::1",
                    "::ffff:8.8.8.8",
                    "64:ff9b::808:808",
                ][..],
            ),
            (
                Private,
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "192.168.1.1",
                    "100.64.0.1",
                    "fd00::1",
                    "::ffff:10.0.0.1",
                    "2002:0a00:1::1",
                ],
            ),
            (
                LinkLocal,
                &[
                    "169.254.169.254",
                    "fe80::1",
                    "::ffff:169.254.169.254",
                    "64:ff9b::a9fe:a9fe",
                ],
            ),
            (
                Loopback,
                &[
                    "127.0.0.1",
                    "127.9.9.9",
                    "0.0.0.0",
                    "::",
                    "::1",
                    "::ffff:127.0.0.1",
                    "::127.0.0.1",
                ],
            ),
            (
                Reserved,
                &["224.0.0.1", "255.255.255.255", "ff02::1", "100::1"],
            ),
        ] {
            for address in addresses {
                assert_eq!(
                    AddressClass::of(address.parse().unwrap()),
                    class,
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn the_internet_may_not_send_us_home() {
        assert!(Reach::From(Public).allows(Public));
        for inside in [Private, LinkLocal, Loopback, Reserved] {
            assert!(!Reach::From(Public).allows(inside), "{inside}");
        }
        assert!(Reach::From(Private).allows(Private) && !Reach::From(Private).allows(Loopback));
        assert!(Reach::From(Loopback).allows(Private) && !Reach::From(Loopback).allows(LinkLocal));
        assert!(!Reach::Only(Loopback).allows(Public));
    }
}
