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
    Named { found: "a claim ran out while a provider was slow to answer, and the letter went out again", seed: 14, hours: 0.02 },
    Named { found: "a clock behind the store's made a process claim a held row again and again", seed: 21, hours: 0.05 },
];
