//! What happened, in order: a running hash of all of it, so that two runs of a seed can be compared, and the last events
//! of each delivery, so that a failure can be read.

use model::DeliveryId;
use std::collections::{BTreeMap, VecDeque};

/// Events kept of the whole run.
const LAST: usize = 60;
/// Events kept of each delivery.
const OF_ONE: usize = 24;

/// The trace of one run.
#[derive(Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    last: VecDeque<String>,
    of: BTreeMap<DeliveryId, VecDeque<String>>,
    aloud: bool,
}

impl Trace {
    /// An empty one; `aloud` prints everything as it happens.
    pub fn new(aloud: bool) -> Trace {
        Trace { aloud, ..Trace::default() }
    }

    /// Notes what happened, and to which delivery.
    pub fn note(&mut self, at_ms: i64, of: Option<DeliveryId>, what: &str) {
        let line = format!("{:>10.3} s  {what}", at_ms as f64 / 1000.0);
        // FNV-1a, 64 bits.
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        self.events += 1;
        if self.aloud {
            println!("{line}");
        }
        if let Some(id) = of {
            keep(self.of.entry(id).or_default(), OF_ONE, line.clone());
        }
        keep(&mut self.last, LAST, line);
    }

    /// A number that two equal runs share.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The last events of one delivery, or of everything.
    pub fn last_of(&self, of: Option<DeliveryId>) -> Vec<String> {
        let kept = of.and_then(|id| self.of.get(&id)).unwrap_or(&self.last);
        kept.iter().cloned().collect()
    }
}

fn keep(kept: &mut VecDeque<String>, most: usize, line: String) {
    if kept.len() == most {
        kept.pop_front();
    }
    kept.push_back(line);
}
