//! PostgreSQL's binary copy format (PostgreSQL 15 manual, COPY, "Binary Format"): a header, rows of length and bytes, a
//! trailer.

use crate::{Result, StoreError};
use bytes::{BufMut, Bytes, BytesMut};

/// A file in the making.
pub(crate) struct File(BytesMut);

impl File {
    /// An empty file with room for rows of about this many bytes.
    pub fn with_capacity(rows: usize, bytes: usize) -> File {
        let mut file = BytesMut::with_capacity(32 + rows * (bytes + 2));
        file.put_slice(b"PGCOPY\n\xff\r\n\0");
        file.put_i32(0);
        file.put_i32(0);
        File(file)
    }

    /// Begins a row.
    pub fn row(&mut self, columns: i16) {
        self.0.put_i16(columns);
    }

    /// A `bigint`.
    pub fn int8(&mut self, number: i64) {
        self.0.put_i32(8);
        self.0.put_i64(number);
    }

    /// A `bigint` or nothing.
    pub fn some_int8(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.int8(number),
            None => self.null(),
        }
    }

    /// An `integer`.
    ///
    /// # Errors
    /// `Broken` for a number that is too large.
    pub fn int4(&mut self, number: i64) -> Result<()> {
        let number = i32::try_from(number).map_err(|_| StoreError::Broken(format!("{number} is too large for its column")))?;
        self.0.put_i32(4);
        self.0.put_i32(number);
        Ok(())
    }

    /// A `smallint`.
    pub fn int2(&mut self, number: u8) {
        self.0.put_i32(2);
        self.0.put_i16(number.into());
    }

    /// A `smallint` from a wider number.
    ///
    /// # Errors
    /// `Broken` for a number that is too large.
    pub fn narrow(&mut self, number: i64) -> Result<()> {
        let number = i16::try_from(number).map_err(|_| StoreError::Broken(format!("{number} is too large for its column")))?;
        self.0.put_i32(2);
        self.0.put_i16(number);
        Ok(())
    }

    /// A `text` or `bytea`.
    ///
    /// # Errors
    /// `Broken` for more than 2 GiB.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let length = i32::try_from(bytes.len()).map_err(|_| StoreError::Broken("a value is too large for its column".into()))?;
        self.0.put_i32(length);
        self.0.put_slice(bytes);
        Ok(())
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.0.put_i32(-1);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The whole file.
    pub fn end(mut self) -> Bytes {
        self.0.put_i16(-1);
        self.0.freeze()
    }
}
