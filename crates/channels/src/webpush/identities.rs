//! The key pairs to which subscriptions are bound (RFC 8292 §4): the one in force, which browsers are given, and those that were in
//! force before it. Which of them a subscription was made for no subscription says: it is asked with the newest first, and when its
//! service refuses that, the next attempt goes with the one before. What was learned so is remembered while the process lives.

use super::vapid::{Identity, pairs};
use crate::setup::ChannelSetupError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Key pairs at once: one in force, and those that apps which are seldom opened may still be subscribed with.
pub(super) const MOST_KEYS: usize = 4;
/// Subscriptions of older keys that are remembered, about 16 MiB; beyond, all are learned anew.
const MOST_OLDER: usize = 1 << 20;

/// All key pairs.
pub(super) struct Identities {
    all: Vec<Identity>,
    /// By the hash of its URL, which key a subscription is asked with when that is not the one in force.
    older: Mutex<HashMap<u64, usize>>,
    hasher: RandomState,
}

/// Which key a subscription is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) subscription: u64,
    /// The place of the key; 0 is in force.
    pub(super) key: usize,
}

impl Identities {
    /// Reads the key file's text, in which the key in force stands first, and the contact.
    pub(super) fn new(pem: &str, subject: &str) -> Result<Identities, ChannelSetupError> {
        let all: Result<Vec<_>, _> = pairs(pem)?.into_iter().take(MOST_KEYS).map(|pair| Identity::new(pair, subject)).collect();
        Ok(Identities { all: all?, older: Mutex::default(), hasher: RandomState::new() })
    }

    /// The one in force.
    pub(super) fn in_force(&self) -> &Identity {
        &self.all[0]
    }

    /// The key at a place.
    pub(super) fn at(&self, chosen: Chosen) -> &Identity {
        &self.all[chosen.key]
    }

    /// The key for a subscription.
    pub(super) fn choose(&self, url: &str) -> Chosen {
        let subscription = if self.all.len() == 1 { 0 } else { self.hasher.hash_one(url) };
        let key = if self.all.len() == 1 { 0 } else { self.older.lock().get(&subscription).copied().unwrap_or_default() };
        Chosen { subscription, key }
    }

    /// A key was refused: whether there is one before it, with which the subscription is asked from now on. After the last one it
    /// begins anew.
    pub(super) fn go_back(&self, refused: Chosen) -> bool {
        let next = refused.key + 1;
        let mut older = self.older.lock();
        if next >= self.all.len() {
            older.remove(&refused.subscription);
            return false;
        }
        if older.len() >= MOST_OLDER {
            older.clear();
        }
        older.insert(refused.subscription, next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::apple::Key;

    #[test]
    fn a_subscription_goes_back_key_by_key_and_begins_anew_after_the_last() {
        let pem: String = ["a", "b", "c"].map(|id| format!("{}\n", Key::generate(id, "T").pem())).concat();
        let identities = Identities::new(&pem, "mailto:push@example.com").expect("three keys");
        let (one, other) = ("https://push.example.net/1", "https://push.example.net/2");
        assert_eq!(identities.choose(one).key, 0);
        assert!(identities.go_back(identities.choose(one)));
        assert_eq!((identities.choose(one).key, identities.choose(other).key), (1, 0));
        assert!(identities.go_back(identities.choose(one)));
        assert!(!identities.go_back(identities.choose(one)), "there are three");
        assert_eq!(identities.choose(one).key, 0);
        assert_ne!(identities.in_force().hint(), identities.at(Chosen { subscription: 0, key: 2 }).hint());
    }

    #[test]
    fn with_one_key_nothing_is_learned() {
        let identities = Identities::new(Key::generate("a", "T").pem(), "mailto:push@example.com").expect("a key");
        assert!(!identities.go_back(identities.choose("https://push.example.net/1")));
        assert!(identities.older.lock().is_empty());
    }
}
