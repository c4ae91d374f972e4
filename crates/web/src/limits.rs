//! What strangers may take of the server: connections, time, bytes and tries. The binary fills this in from `[server]`.

use std::net::IpAddr;
use std::time::Duration;

/// Bounds of the server's connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Open inbox streams are connections, so it is high.
    pub connections: usize,
    /// Connections at once from one address (of IPv6: one /64); 0 sets no bound. [`Limits::trusted`] are not counted.
    pub connections_per_address: usize,
    /// Longest that a client may take to send the head of a request, and longest that an idle connection is kept.
    pub head: Duration,
    /// Longest that a client may take to send a JSON body.
    pub body: Duration,
    /// Requests a second with one token, over any ten seconds; 0 sets no bound.
    pub requests_per_second: u32,
    /// Wrong tokens and wrong enrolment codes a minute from one address; 0 sets no bound.
    pub failures_per_minute: u32,
    /// Reverse proxies: they are counted by nobody, and say in `X-Forwarded-For` for whom they ask.
    pub trusted: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Limits {
        let here = |text: &str| text.parse().expect("a network that is written here");
        Limits {
            connections: 60_000,
            connections_per_address: 1_000,
            head: Duration::from_secs(30),
            body: Duration::from_secs(20),
            requests_per_second: 1_000,
            failures_per_minute: 60,
            trusted: vec![here("127.0.0.0/8"), here("::1")],
        }
    }
}

impl Limits {
    /// Whether an address is one of a reverse proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.holds(address))
    }
}

/// An address, or those that share its first bits: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether it holds an address. IPv4 inside IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (all, own) = whole(self.address);
        let (other, width) = whole(address.to_canonical());
        // A shift by the whole width is not one.
        let rest = own - self.bits;
        own == width && (rest == own || all >> rest == other >> rest)
    }
}

/// An address as a number, and its bits.
fn whole(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(four) => (u128::from(u32::from(four)), 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is not an address such as 192.0.2.1, or a network such as 10.0.0.0/8");
        let (address, bits) = text.trim().split_once('/').map_or((text.trim(), None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (_, most) = whole(address);
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits <= most { Ok(Network { address, bits }) } else { Err(wrong()) }
    }
}

/// What is counted as one address: of IPv6 its first 64 bits, which is what one customer of a provider has at least.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((u128::from(six) >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_holds_those_that_share_its_first_bits() {
        assert!(network("127.0.0.0/8").holds(address("127.1.2.3")));
        assert!(network("127.0.0.0/8").holds(address("::ffff:127.1.2.3")));
        assert!(!network("127.0.0.0/8").holds(address("128.0.0.1")));
        assert!(network("192.0.2.1").holds(address("192.0.2.1")) && !network("192.0.2.1").holds(address("192.0.2.2")));
        assert!(network("2001:db8::/32").holds(address("2001:db8:1::1")) && !network("2001:db8::/32").holds(address("2001:db9::1")));
        assert!(network("0.0.0.0/0").holds(address("203.0.113.9")) && !network("0.0.0.0/0").holds(address("2001:db8::1")));
        assert!(network("::/0").holds(address("2001:db8::1")) && !network("::1").holds(address("0.0.0.1")));
    }

    #[test]
    fn what_is_not_a_network_says_what_is() {
        for wrong in ["", "proxy", "10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            let said = wrong.parse::<Network>().expect_err(wrong);
            assert!(said.ends_with("is not an address such as 192.0.2.1, or a network such as 10.0.0.0/8"), "{said}");
        }
    }

    #[test]
    fn a_site_with_ipv6_counts_once() {
        assert_eq!(counted(address("2001:db8:1:2:3::4")), counted(address("2001:db8:1:2:ffff::")));
        assert_ne!(counted(address("2001:db8:1:2::")), counted(address("2001:db8:1:3::")));
        assert_eq!(counted(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
