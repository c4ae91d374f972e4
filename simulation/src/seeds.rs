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
pub const NAMED: &[Named] = &[];
