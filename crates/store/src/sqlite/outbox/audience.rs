//! Frozen audiences: one row for each 65,536 keys, a compressed bitmap. Whether one person is in an audience costs one
//! small row, and a page of people one row or two.

use crate::{Result, StoreError};
use model::{EventKey, PersonKey};
use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension, params};

const INSERT: &str = "INSERT INTO audience (event, chunk, people, by_device) VALUES (?1, ?2, ?3, ?4)";
const CHUNK: &str = "SELECT people, by_device FROM audience WHERE event = ?1 AND chunk = ?2";
const CHUNKS: &str = "SELECT people, by_device FROM audience WHERE event = ?1 AND chunk >= ?2 ORDER BY chunk";

/// Everybody in an audience at most this often gets a row of their own in the inbox order (`personal`); the schema's
/// partial index says the same number.
pub(super) const PERSONAL: u64 = 32;

/// Keeps an audience.
pub(super) fn write(c: &Connection, event: EventKey, people: &RoaringBitmap, by_device: &RoaringBitmap) -> Result<()> {
    let mut insert = c.prepare_cached(INSERT)?;
    for (chunk, part) in chunks(people) {
        let mut devices = &part & by_device;
        let devices = (!devices.is_empty()).then(|| bytes(&mut devices));
        let mut part = part;
        insert.execute(params![event.0, chunk, bytes(&mut part), devices])?;
    }
    Ok(())
}

/// Splits keys by their upper halves.
fn chunks(people: &RoaringBitmap) -> Vec<(u32, RoaringBitmap)> {
    let mut chunks = Vec::new();
    let mut first = people.min();
    while let Some(key) = first {
        let chunk = key >> 16;
        let (low, high) = (chunk << 16, chunk << 16 | 0xFFFF);
        let mut span = RoaringBitmap::new();
        span.insert_range(low..=high);
        chunks.push((chunk, people & span));
        first = high.checked_add(1).and_then(|next| people.range(next..).next());
    }
    chunks
}

fn bytes(people: &mut RoaringBitmap) -> Vec<u8> {
    people.optimize();
    let mut bytes = Vec::with_capacity(people.serialized_size());
    people.serialize_into(&mut bytes).expect("writing into memory does not fail");
    bytes
}

fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap> {
    RoaringBitmap::deserialize_from(bytes).map_err(|error| StoreError::Broken(format!("an audience cannot be read: {error}")))
}

/// Whether a person is in the audience, and whether only because of an addressed device.
pub(super) fn holds(c: &Connection, event: EventKey, person: PersonKey) -> Result<Option<bool>> {
    let mut find = c.prepare_cached(CHUNK)?;
    let row = find.query_row(params![event.0, person.0 >> 16], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)));
    let Some((people, by_device)) = row.optional()? else { return Ok(None) };
    if !bitmap(&people)?.contains(person.0) {
        return Ok(None);
    }
    Ok(Some(by_device.map(|bytes| bitmap(&bytes)).transpose()?.is_some_and(|some| some.contains(person.0))))
}

/// People behind `after`, at most `limit`; and those among them who are in only because of an addressed device.
pub(super) fn page(c: &Connection, event: EventKey, after: Option<PersonKey>, limit: usize) -> Result<(Vec<PersonKey>, Vec<PersonKey>)> {
    let first = match after {
        None => 0,
        Some(PersonKey(u32::MAX)) => return Ok((Vec::new(), Vec::new())),
        Some(after) => after.0 + 1,
    };
    let (mut people, mut devices) = (Vec::with_capacity(limit.min(4096)), Vec::new());
    let mut all = c.prepare_cached(CHUNKS)?;
    let mut rows = all.query(params![event.0, first >> 16])?;
    while people.len() < limit
        && let Some(row) = rows.next()?
    {
        let chunk = bitmap(row.get_ref(0)?.as_blob().unwrap_or_default())?;
        let by_device = row.get_ref(1)?.as_blob_or_null().ok().flatten().map(bitmap).transpose()?;
        for key in chunk.range(first..).take(limit - people.len()) {
            people.push(PersonKey(key));
            if by_device.as_ref().is_some_and(|some| some.contains(key)) {
                devices.push(PersonKey(key));
            }
        }
    }
    Ok((people, devices))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, CHUNK, CHUNKS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_splits_at_every_65536_keys_and_comes_back_whole() {
        let people: RoaringBitmap = [1, 65_535, 65_536, 200_000, u32::MAX].into_iter().collect();
        let split = chunks(&people);
        assert_eq!(split.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), [0, 1, 3, 0xFFFF]);
        let back = split.into_iter().map(|(_, mut part)| bitmap(&bytes(&mut part)).expect("what was written can be read"));
        let back = back.fold(RoaringBitmap::new(), |all, part| all | part);
        assert_eq!(back, people);
        assert!(bitmap(b"nonsense").is_err());
    }
}
