//! How words and ids stand in columns, and how they come back. A number that no word has is a damaged store.

use crate::{Result, StoreError};
use rusqlite::{CachedStatement, Connection};
use uuid::Uuid;

/// The word of a stored number.
pub(crate) fn word<T>(of: fn(u8) -> Option<T>, number: i64, what: &'static str) -> Result<T> {
    u8::try_from(number).ok().and_then(of).ok_or_else(|| StoreError::Broken(format!("{number} is not a known {what}")))
}

/// The id of a stored blob of 16 bytes.
pub(crate) fn id(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| StoreError::Broken("an id does not have 16 bytes".into()))
}

/// The JSON of a stored text.
pub(crate) fn json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Broken(format!("{what} is not the JSON it should be: {error}")))
}

/// JSON as text.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Broken(format!("cannot be written as JSON: {error}")))
}

/// A stored number that is never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A statement that is run for each of many rows: what did not change since the last row is not bound again.
pub(crate) struct Repeated<'c, const N: usize> {
    statement: CachedStatement<'c>,
    bound: [Option<Option<i64>>; N],
}

impl<'c, const N: usize> Repeated<'c, N> {
    /// Prepares it; it has `N` parameters.
    pub fn new(c: &'c Connection, sql: &'static str) -> Result<Repeated<'c, N>> {
        Ok(Repeated { statement: c.prepare_cached(sql)?, bound: [None; N] })
    }

    /// Runs it with these numbers; answers how many rows changed.
    pub fn run(&mut self, values: [Option<i64>; N]) -> Result<usize> {
        for (index, (value, bound)) in values.into_iter().zip(&mut self.bound).enumerate() {
            if *bound != Some(value) {
                self.statement.raw_bind_parameter(index + 1, value)?;
                *bound = Some(value);
            }
        }
        Ok(self.statement.raw_execute()?)
    }
}
