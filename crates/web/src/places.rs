//! Places for connections: how many at once, how many from one address, and who goes when there is none left. Whoever says
//! nothing goes first: a connection waits from its beginning until its first request is whole, and between requests; the one
//! that waits longest gives its place to the next that comes. So slow clients, however many, keep nobody out.

use crate::limits::{Limits, counted};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Places beyond the bound, for those who come while those who gave theirs up are still going.
const CHANGING: usize = 64;

/// Longest that the next waits for those who are going.
const SETTLING_MS: usize = 500;

/// All places of a server.
pub(crate) struct Places {
    limits: Limits,
    counts: Mutex<Counts>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Counts {
    taken: usize,
    of: HashMap<IpAddr, usize>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    since: BTreeMap<u64, CancellationToken>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The address has as many connections as one may have.
    Address,
    /// Every place is taken, and nobody merely waits.
    Anywhere,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    /// Under which address it was counted.
    address: Option<IpAddr>,
}

impl Places {
    pub fn new(limits: Limits) -> Arc<Places> {
        Arc::new(Places { limits, counts: Mutex::default(), waiting: Mutex::default() })
    }

    /// A place for a connection from this address.
    pub fn enter(self: &Arc<Places>, address: IpAddr) -> Result<Place, NoPlace> {
        let most = self.limits.connections_per_address;
        let address = (most > 0 && !self.limits.trusts(address)).then(|| counted(address));
        let mut counts = self.counts.lock();
        if address.is_some_and(|address| counts.of.get(&address).is_some_and(|n| *n >= most)) {
            return Err(NoPlace::Address);
        }
        if counts.taken >= self.limits.connections && (counts.taken >= self.limits.connections + CHANGING || !self.send_one_away()) {
            return Err(NoPlace::Anywhere);
        }
        counts.taken += 1;
        if let Some(address) = address {
            *counts.of.entry(address).or_default() += 1;
        }
        drop(counts);
        Ok(Place { places: self.clone(), address })
    }

    /// Waits, and not for long, while as many are going as there may be: whoever comes in a burst finds their places, and is not refused
    /// because they have not gone yet.
    pub async fn settle(&self) {
        for _ in 0..SETTLING_MS {
            if self.counts.lock().taken < self.limits.connections + CHANGING {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether somebody waited and goes now.
    fn send_one_away(&self) -> bool {
        let first = self.waiting.lock().since.pop_first();
        if let Some((_, over)) = &first {
            metrics::counter!("carillon_connections_refused_total", "why" => "idle").increment(1);
            over.cancel();
        }
        first.is_some()
    }
}

impl Place {
    /// The turn of this place's connection, which waits at first.
    pub fn turn(&self) -> Turn {
        let kept = Kept { places: self.places.clone(), number: Mutex::new(None), over: CancellationToken::new() };
        let turn = Turn(Arc::new(kept));
        turn.waits();
        turn
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts.lock();
        counts.taken -= 1;
        let Some(address) = self.address else { return };
        if let Some(n) = counts.of.get_mut(&address) {
            *n -= 1;
            if *n == 0 {
                counts.of.remove(&address);
            }
        }
    }
}

/// Whether a connection waits for its client or is busy with a request.
#[derive(Clone)]
pub(crate) struct Turn(Arc<Kept>);

struct Kept {
    places: Arc<Places>,
    number: Mutex<Option<u64>>,
    over: CancellationToken,
}

impl Turn {
    /// It waits for its client, from now on.
    pub fn waits(&self) {
        let mut number = self.0.number.lock();
        if number.is_none() {
            let mut waiting = self.0.places.waiting.lock();
            waiting.next += 1;
            let next = waiting.next;
            waiting.since.insert(next, self.0.over.clone());
            *number = Some(next);
        }
    }

    /// It has something to do.
    pub fn is_busy(&self) {
        self.0.leave();
    }

    /// Resolves when somebody else needs the place.
    pub async fn over(&self) {
        self.0.over.cancelled().await;
    }
}

impl Kept {
    fn leave(&self) {
        if let Some(number) = self.number.lock().take() {
            self.places.waiting.lock().since.remove(&number);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, connections_per_address: usize) -> Arc<Places> {
        Places::new(Limits { connections, connections_per_address, ..Limits::default() })
    }

    fn from(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn is_over(turn: &Turn) -> bool {
        turn.0.over.is_cancelled()
    }

    #[test]
    fn whoever_waits_longest_gives_its_place_to_the_next() {
        let places = places(2, 0);
        let (a, b) = (places.enter(from("192.0.2.1")).expect("room"), places.enter(from("192.0.2.2")).expect("room"));
        let (first, second) = (a.turn(), b.turn());
        first.is_busy();
        first.waits();
        let _c = places.enter(from("192.0.2.3")).expect("a place that somebody gave up");
        assert!(is_over(&second) && !is_over(&first), "the first said something later");
    }

    #[test]
    fn nobody_who_is_busy_goes() {
        let places = places(1, 0);
        let place = places.enter(from("192.0.2.1")).expect("room");
        let turn = place.turn();
        turn.is_busy();
        assert_eq!(places.enter(from("192.0.2.2")).err(), Some(NoPlace::Anywhere));
        assert!(!is_over(&turn));
        drop(place);
        assert!(places.enter(from("192.0.2.2")).is_ok());
    }

    #[test]
    fn those_who_are_going_are_few() {
        let places = places(1, 0);
        let held: Vec<(Place, Turn)> = std::iter::from_fn(|| places.enter(from("192.0.2.1")).ok())
            .map(|place| {
                let turn = place.turn();
                (place, turn)
            })
            .collect();
        assert_eq!(held.len(), 1 + CHANGING);
    }

    #[test]
    fn one_address_gets_its_share_and_a_proxy_all() {
        let places = places(100, 2);
        let held: Vec<Place> = (0..2).map(|_| places.enter(from("192.0.2.1")).expect("room")).collect();
        assert_eq!(places.enter(from("192.0.2.1")).err(), Some(NoPlace::Address));
        assert!(places.enter(from("192.0.2.2")).is_ok());
        drop(held);
        assert!(places.counts.lock().of.is_empty(), "counts are forgotten with the last");
        assert!(places.enter(from("192.0.2.1")).is_ok());
        let proxied: Vec<Place> = (0..10).map(|_| places.enter(from("127.0.0.1")).expect("a proxy asks for many")).collect();
        assert_eq!(proxied.len(), 10);
    }

    #[test]
    fn a_connection_that_ends_waits_no_longer() {
        let places = places(1, 0);
        let place = places.enter(from("192.0.2.1")).expect("room");
        drop(place.turn());
        assert!(places.waiting.lock().since.is_empty());
        assert_eq!(places.enter(from("192.0.2.2")).err(), Some(NoPlace::Anywhere));
    }
}
