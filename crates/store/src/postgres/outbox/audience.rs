//! Frozen audiences: one row for each 65,536 keys, a compressed bitmap. Whether one person is in an audience costs one
//! small row, and a page of people one row or two.

use crate::postgres::args::params;
use crate::postgres::link::{Connection, OptionalExtension};
use crate::{Result, StoreError};
use model::{EventKey, PersonKey};
use roaring::RoaringBitmap;

const INSERT: &str = "INSERT INTO audience (event, chunk, people, by_device) VALUES ($1, $2, $3, $4)";
const CHUNK: &str = "SELECT people, by_device FROM audience WHERE event = $1 AND chunk = $2";
const CHUNKS: &str = "SELECT people, by_device, chunk FROM audience WHERE event = $1 AND chunk >= $2 ORDER BY chunk LIMIT 1";

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
    let row = find.query_row(params![event.0, person.0 >> 16], |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<Option<Vec<u8>>>(1)?)));
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
    let mut chunk_number = first >> 16;
    while people.len() < limit
        && let Some(row) = all.all(params![event.0, chunk_number])?.first()
    {
        let chunk = bitmap(row.get::<&[u8]>(0)?)?;
        let by_device = row.get::<Option<&[u8]>>(1)?.map(bitmap).transpose()?;
        for key in chunk.range(first..).take(limit - people.len()) {
            people.push(PersonKey(key));
            if by_device.as_ref().is_some_and(|some| some.contains(key)) {
                devices.push(PersonKey(key));
            }
        }
        chunk_number = row.get::<u32>(2)? + 1;
    }
    Ok((people, devices))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, CHUNK, CHUNKS];
