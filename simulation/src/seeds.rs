//! Seeds that once found something, each by the name of what it found. They are run by every check.

/// A run that found something.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What it found, in a sentence.
    pub found: &'static str,
    /// The seed.
    pub seed: u64,
    /// Virtual hours.
    pub hours: f64,
}

/// Every one.
pub const NAMED: &[Named] = &[
    Named { found: "NotTwice: a claim ran out while a provider was slow to answer, and the letter went out again", seed: 16, hours: 0.05 },
    Named { found: "NotTwice: the same, with an answer that was lost", seed: 92, hours: 0.05 },
    Named { found: "NoCircles: a clock behind the store's made a process claim a held row again and again", seed: 21, hours: 0.05 },
    Named { found: "NoCircles: the same at the end of quiet hours", seed: 147, hours: 0.05 },
    Named {
        found: "NothingAfterExpiry: the last look was taken before room was waited for, and expiry came in between",
        seed: 276,
        hours: 0.05,
    },
    Named { found: "Replayed: an outcome was written with the policy that stood when the answer came", seed: 18, hours: 0.05 },
    Named {
        found: "AudienceIsRight: a change of members that changed nothing moved the resident version, not the store's",
        seed: 5,
        hours: 0.05,
    },
    Named {
        found: "AudienceIsRight: a mend of that asked the store between the change and its taking over, and lost it when that failed",
        seed: 3054,
        hours: 0.05,
    },
    Named {
        found: "OffMeansNow: a switch was kept, the settings could not be read after it, and the process went on by the old ones",
        seed: 249,
        hours: 0.04,
    },
    Named {
        found: "LimitsHold: a process that had been cut off accepted by the limit that stood before, in the moment in which it was back",
        seed: 458,
        hours: 0.04,
    },
    Named {
        found: "AudienceIsRight: a process that had just begun accepted for one person under no version of the directory at all",
        seed: 209,
        hours: 0.04,
    },
    Named { found: "LimitsHold: the same the other way: it refused by a limit that had been raised meanwhile", seed: 1140, hours: 0.04 },
];
