//! The guard of outgoing connections to hosts that users name: which addresses of the internet may be reached at all.
//!
//! Who is here: a [`Guard`], which resolves a name once, looks at every address, and connects to one of those that it has
//! looked at and to no other. A name that answers differently a moment later (DNS rebinding) gains nothing.

use crate::dial::connect;
use model::channel::Boxed;
use model::outcome::Cause;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;

/// The cause of a connection that was refused here.
pub(crate) const FORBIDDEN: &str = "forbidden_address";

/// Turns names into addresses.
pub(crate) trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, io::Result<Vec<SocketAddr>>>;
}

/// The machine's own resolver.
pub(crate) struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// How a host that a user named is reached.
#[derive(Clone)]
pub(crate) struct Guard {
    resolver: Arc<dyn Resolve>,
    allowed: fn(IpAddr) -> bool,
}

impl Guard {
    /// Only addresses of the public internet, or any address when the operator allows it.
    pub(crate) fn new(allow_private: bool) -> Guard {
        Guard { resolver: Arc::new(System), allowed: if allow_private { |_| true } else { is_public } }
    }

    #[cfg(test)]
    pub(crate) fn with(resolver: Arc<dyn Resolve>, allowed: fn(IpAddr) -> bool) -> Guard {
        Guard { resolver, allowed }
    }

    /// Whether a host that is written as an address may be reached. Names are judged when they are resolved.
    pub(crate) fn admits(&self, host: &str) -> bool {
        host.parse::<IpAddr>().map_or(true, |address| (self.allowed)(address))
    }

    /// Connects to an address of `host` that was looked at.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Cause> {
        let found = self.resolver.resolve(host, port).await.map_err(|_| Cause::of_channel("dns_failed", 0))?;
        if found.is_empty() {
            return Err(Cause::of_channel("dns_failed", 0));
        }
        let looked_at: Vec<SocketAddr> = found.into_iter().filter(|address| (self.allowed)(address.ip())).collect();
        if looked_at.is_empty() {
            return Err(Cause::of_channel(FORBIDDEN, 0));
        }
        connect(looked_at).await
    }
}

/// Whether an address belongs to the public internet: not one of the special-purpose blocks of RFC 6890 and its registries,
/// nor one that carries such an address inside.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Blocks of IPv4 that are not public: first address and length of the prefix.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),       // this network, and the unspecified address
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // carrier-grade NAT
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, where clouds keep their metadata
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 88, 99, 0], 24),  // 6to4 relays, no longer in use
    ([192, 168, 0, 0], 16),  // private
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, and broadcast
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(first, length)| (bits ^ u32::from_be_bytes(*first)) >> (32 - length) == 0)
}

/// Public addresses lie in 2000::/3; of these some blocks are special, and some carry an IPv4 address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    match address.segments() {
        // NAT64 (RFC 6052): an IPv6-only network reaches the IPv4 internet through it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments, Teredo and ORCHID among them (RFC 2928).
        [0x2001, second, ..] if second < 0x200 => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0xdb8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::collections::VecDeque;
    use tokio::net::TcpListener;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.3.1", "223.255.255.255"] {
            assert!(is_public(address.parse().expect(address)), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450::1", "2001:200::1", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"] {
            assert!(is_public(address.parse().expect(address)), "{address}");
        }
        let inside = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ];
        for address in inside {
            assert!(!is_public(address.parse().expect(address)), "{address}");
            let v4: Ipv4Addr = address.parse().expect(address);
            let [a, b, c, d] = v4.octets();
            assert!(!is_public(v4.to_ipv6_mapped().into()), "::ffff:{address}");
            assert!(!is_public(format!("64:ff9b::{a:02x}{b:02x}:{c:02x}{d:02x}").parse().expect(address)), "NAT64 of {address}");
            assert!(!is_public(format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1").parse().expect(address)), "6to4 of {address}");
            assert!(!is_public(v4.to_ipv6_compatible().into()), "::{address}");
        }
        for address in [
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse().expect(address)), "{address}");
        }
    }

    #[test]
    fn hosts_that_are_written_as_addresses_are_judged_at_once() {
        let (guard, open) = (Guard::new(false), Guard::new(true));
        for host in ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"] {
            assert!(!guard.admits(host) && open.admits(host), "{host}");
        }
        assert!(guard.admits("localhost") && guard.admits("8.8.8.8"), "names are judged by what they resolve to");
    }

    /// Gives one answer after another, the last for ever, and counts how often it was asked.
    struct Fickle {
        answers: Mutex<VecDeque<Vec<SocketAddr>>>,
        asked: Mutex<u32>,
    }

    impl Resolve for Fickle {
        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
            *self.asked.lock() += 1;
            let mut answers = self.answers.lock();
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            Box::pin(async move { Ok(answer.unwrap_or_default()) })
        }
    }

    fn fickle(answers: &[&[SocketAddr]]) -> Arc<Fickle> {
        Arc::new(Fickle { answers: Mutex::new(answers.iter().map(|a| a.to_vec()).collect()), asked: Mutex::new(0) })
    }

    /// In these tests 127.0.0.1 stands for the public internet and 127.0.0.2 for the inside.
    fn only_one(address: IpAddr) -> bool {
        address == IpAddr::from([127, 0, 0, 1])
    }

    #[tokio::test]
    async fn a_name_that_answers_differently_the_second_time_gains_nothing() {
        let outside = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inside = TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let (out_at, in_at) = (outside.local_addr().expect("bound"), inside.local_addr().expect("bound"));
        let resolver = fickle(&[&[out_at], &[in_at]]);
        let guard = Guard::with(resolver.clone(), only_one);
        let stream = guard.dial("rebinding.example", 443).await.expect("the first answer is fine");
        assert_eq!(stream.peer_addr().expect("connected"), out_at, "the address that was looked at");
        assert_eq!(*resolver.asked.lock(), 1, "asked once for one connection: there is no second answer to believe");
        let refused = guard.dial("rebinding.example", 443).await.expect_err("the second answer is not");
        assert_eq!(refused.code, FORBIDDEN);
        let knocked = tokio::time::timeout(std::time::Duration::from_millis(100), inside.accept()).await;
        assert!(knocked.is_err(), "nobody knocked at the inside");
    }

    #[tokio::test]
    async fn of_mixed_answers_only_the_public_ones_are_tried() {
        let outside = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inside = TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let (out_at, in_at) = (outside.local_addr().expect("bound"), inside.local_addr().expect("bound"));
        let guard = Guard::with(fickle(&[&[in_at, out_at]]), only_one);
        assert_eq!(guard.dial("mixed.example", 443).await.expect("one is fine").peer_addr().expect("connected"), out_at);
        let nothing = Guard::with(fickle(&[&[]]), only_one).dial("none.example", 443).await.expect_err("no address");
        assert_eq!(nothing.code, "dns_failed");
    }

    #[tokio::test]
    async fn every_way_to_write_this_machine_is_refused() {
        let guard = Guard::new(false);
        for host in ["127.0.0.1", "localhost", "::1", "0.0.0.0", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"] {
            let cause = guard.dial(host, 9).await.expect_err(host);
            assert!(cause.code == FORBIDDEN || cause.code == "dns_failed", "{host}: {}", cause.code);
        }
    }
}
