//! Values on their way to PostgreSQL and back. The contract's numbers have many Rust types and the columns three widths;
//! here one meets the other, so that the statements need no casts: a number fits any column that is wide enough.

use super::link::{Fault, Sql};
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// A value of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg<'a> {
    /// Nothing.
    Null,
    /// A number or a switch.
    Int(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
    /// A column of numbers, for `unnest`.
    Ints(Cow<'a, [i64]>),
    /// A column of numbers, some missing.
    SomeInts(Cow<'a, [Option<i64>]>),
    /// A column of texts.
    Texts(Vec<Option<Cow<'a, str>>>),
    /// A column of bytes.
    Blobs(Vec<Option<Cow<'a, [u8]>>>),
}

impl ToSql for Arg<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Arg::Null => return Ok(IsNull::Yes),
            Arg::Int(n) => match *ty {
                Type::BOOL => out.put_u8(u8::from(*n != 0)),
                Type::INT2 => out.put_i16(i16::try_from(*n)?),
                Type::INT4 => out.put_i32(i32::try_from(*n)?),
                Type::INT8 => out.put_i64(*n),
                _ => return Err(format!("a number for a parameter of type {ty}").into()),
            },
            Arg::Text(text) => out.put_slice(text.as_bytes()),
            Arg::Blob(bytes) => out.put_slice(bytes),
            Arg::Ints(numbers) => return numbers.as_ref().to_sql(ty, out),
            Arg::SomeInts(numbers) => return numbers.as_ref().to_sql(ty, out),
            Arg::Texts(texts) => return texts.to_sql(ty, out),
            Arg::Blobs(blobs) => return blobs.iter().map(|blob| blob.as_deref()).collect::<Vec<_>>().to_sql(ty, out),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// What can be a value of a statement.
pub(crate) trait ToArg {
    /// The value.
    fn arg(&self) -> Arg<'_>;
}

macro_rules! numbers {
    ($($of:ty),+) => {$(
        impl ToArg for $of {
            fn arg(&self) -> Arg<'_> {
                Arg::Int(i64::from(*self))
            }
        }
    )+};
}

numbers!(i64, i32, u32, u16, u8, bool);

impl ToArg for str {
    fn arg(&self) -> Arg<'_> {
        Arg::Text(Cow::Borrowed(self))
    }
}

impl ToArg for String {
    fn arg(&self) -> Arg<'_> {
        Arg::Text(Cow::Borrowed(self))
    }
}

impl ToArg for [u8] {
    fn arg(&self) -> Arg<'_> {
        Arg::Blob(Cow::Borrowed(self))
    }
}

impl ToArg for Vec<u8> {
    fn arg(&self) -> Arg<'_> {
        Arg::Blob(Cow::Borrowed(self))
    }
}

impl<const N: usize> ToArg for [u8; N] {
    fn arg(&self) -> Arg<'_> {
        Arg::Blob(Cow::Borrowed(self))
    }
}

impl ToArg for [i64] {
    fn arg(&self) -> Arg<'_> {
        Arg::Ints(Cow::Borrowed(self))
    }
}

impl ToArg for Vec<i64> {
    fn arg(&self) -> Arg<'_> {
        Arg::Ints(Cow::Borrowed(self))
    }
}

impl ToArg for Vec<Option<i64>> {
    fn arg(&self) -> Arg<'_> {
        Arg::SomeInts(Cow::Borrowed(self))
    }
}

impl<T: AsRef<str>> ToArg for Texts<'_, T> {
    fn arg(&self) -> Arg<'_> {
        Arg::Texts(self.0.iter().map(|text| Some(Cow::Borrowed(text.as_ref()))).collect())
    }
}

/// A column of texts.
pub(crate) struct Texts<'a, T>(pub &'a [T]);

impl<T: ToArg> ToArg for Option<T> {
    fn arg(&self) -> Arg<'_> {
        self.as_ref().map_or(Arg::Null, ToArg::arg)
    }
}

impl<T: ToArg + ?Sized> ToArg for &T {
    fn arg(&self) -> Arg<'_> {
        (**self).arg()
    }
}

impl ToArg for Arg<'_> {
    fn arg(&self) -> Arg<'_> {
        self.clone()
    }
}

/// All values of a statement.
pub(crate) trait Params {
    /// In the order of the parameters.
    fn args(&self) -> Vec<Arg<'_>>;
}

impl<T: ToArg, const N: usize> Params for [T; N] {
    fn args(&self) -> Vec<Arg<'_>> {
        self.iter().map(ToArg::arg).collect()
    }
}

impl Params for &[&dyn ToArg] {
    fn args(&self) -> Vec<Arg<'_>> {
        self.iter().map(|one| one.arg()).collect()
    }
}

impl Params for Vec<Arg<'_>> {
    fn args(&self) -> Vec<Arg<'_>> {
        self.clone()
    }
}

/// Values of different types for one statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::postgres::args::ToArg),*] as &[&dyn $crate::postgres::args::ToArg]
    };
}
pub(crate) use params;

/// What stands in one column of a row.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Cell(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Cell(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What a column can be read as.
pub(crate) trait FromCell<'a>: Sized {
    /// Reads it.
    fn from_cell(cell: Cell<'a>) -> Sql<Self>;
}

fn strange(what: &str) -> Fault {
    Fault::Strange(format!("a column does not hold {what}"))
}

impl<'a> FromCell<'a> for i64 {
    fn from_cell(cell: Cell<'a>) -> Sql<i64> {
        let raw = cell.0.ok_or_else(|| strange("anything"))?;
        match raw.len() {
            8 => Ok(i64::from_be_bytes(raw.try_into().map_err(|_| strange("a number"))?)),
            4 => Ok(i32::from_be_bytes(raw.try_into().map_err(|_| strange("a number"))?).into()),
            2 => Ok(i16::from_be_bytes(raw.try_into().map_err(|_| strange("a number"))?).into()),
            1 => Ok(raw[0].into()),
            _ => Err(strange("a number")),
        }
    }
}

macro_rules! narrower {
    ($($of:ty),+) => {$(
        impl<'a> FromCell<'a> for $of {
            fn from_cell(cell: Cell<'a>) -> Sql<$of> {
                <$of>::try_from(i64::from_cell(cell)?).map_err(|_| strange("a number of this size"))
            }
        }
    )+};
}

narrower!(u32, u16, u8);

impl<'a> FromCell<'a> for bool {
    fn from_cell(cell: Cell<'a>) -> Sql<bool> {
        Ok(i64::from_cell(cell)? != 0)
    }
}

impl<'a> FromCell<'a> for &'a [u8] {
    fn from_cell(cell: Cell<'a>) -> Sql<&'a [u8]> {
        cell.0.ok_or_else(|| strange("anything"))
    }
}

impl<'a> FromCell<'a> for &'a str {
    fn from_cell(cell: Cell<'a>) -> Sql<&'a str> {
        std::str::from_utf8(<&[u8]>::from_cell(cell)?).map_err(|_| strange("a text"))
    }
}

impl<'a> FromCell<'a> for String {
    fn from_cell(cell: Cell<'a>) -> Sql<String> {
        <&str>::from_cell(cell).map(str::to_owned)
    }
}

impl<'a> FromCell<'a> for Vec<u8> {
    fn from_cell(cell: Cell<'a>) -> Sql<Vec<u8>> {
        <&[u8]>::from_cell(cell).map(<[u8]>::to_vec)
    }
}

impl<'a> FromCell<'a> for [u8; 32] {
    fn from_cell(cell: Cell<'a>) -> Sql<[u8; 32]> {
        <&[u8]>::from_cell(cell)?.try_into().map_err(|_| strange("32 bytes"))
    }
}

impl<'a, T: FromCell<'a>> FromCell<'a> for Option<T> {
    fn from_cell(cell: Cell<'a>) -> Sql<Option<T>> {
        if cell.0.is_none() { Ok(None) } else { T::from_cell(cell).map(Some) }
    }
}
