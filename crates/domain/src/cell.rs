//! One value of a row, and the order-preserving byte form of a row's key.
//!
//! Keys are compared, hashed and sorted as bytes, so that every store sees the rows of a flush in the same
//! order and the digest has one canonical form. Text ends with a zero byte (validity refuses NUL in text);
//! integers are big-endian with the sign bit flipped; UUIDs are their 16 bytes.

use crate::table::{KeyColumn, KeyType};
use crate::window;
use uuid::Uuid;

/// One value of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// No value.
    #[default]
    Null,
    /// An integer: counts, microseconds, fixed point.
    Int(i64),
    /// A double that is only ever copied, never summed.
    Double(f64),
    /// Text or JSON.
    Text(String),
    /// Bytes: bit maps, stamps, states, vectors.
    Bytes(Vec<u8>),
    /// A UUID.
    Uuid(Uuid),
}

impl Cell {
    /// Text, or null where there is none.
    #[must_use]
    pub fn text(value: Option<&str>) -> Cell {
        value.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
    }

    /// An integer, or null where there is none.
    #[must_use]
    pub fn int(value: Option<i64>) -> Cell {
        value.map_or(Cell::Null, Cell::Int)
    }

    /// A double, or null where there is none.
    #[must_use]
    pub fn double(value: Option<f64>) -> Cell {
        value.map_or(Cell::Null, Cell::Double)
    }

    /// Whether there is no value.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }

    /// The memory behind the cell, in bytes, without the cell itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Cell::Text(text) => text.capacity(),
            Cell::Bytes(bytes) => bytes.capacity(),
            _ => 0,
        }
    }

    /// Appends the canonical form used by the digest: a tag, then the value (length first where it varies).
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Cell::Null => out.push(0),
            Cell::Int(value) => {
                out.push(1);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Cell::Double(value) => {
                out.push(2);
                // Adding 0 makes -0.0 into 0.0: not every store keeps the sign of zero.
                out.extend_from_slice(&(value + 0.0).to_bits().to_be_bytes());
            }
            Cell::Text(text) => encode_sized(3, text.as_bytes(), out),
            Cell::Bytes(bytes) => encode_sized(4, bytes, out),
            Cell::Uuid(uuid) => {
                out.push(5);
                out.extend_from_slice(uuid.as_bytes());
            }
        }
    }
}

fn encode_sized(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Writes the key of a row, column by column, in the order of its declaration.
#[derive(Debug)]
pub struct KeyWriter<'a>(pub(crate) &'a mut Vec<u8>);

impl<'a> KeyWriter<'a> {
    /// Starts a key at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    /// Appends a text column.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// Appends an integer column.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&int_bytes(value));
        self
    }

    /// Appends a UUID column.
    pub fn uuid(&mut self, uuid: Uuid) -> &mut Self {
        self.0.extend_from_slice(uuid.as_bytes());
        self
    }

    /// Appends a cell read back from a store; `None` where it does not fit the column.
    pub fn cell(&mut self, column: &KeyColumn, cell: &Cell) -> Option<&mut Self> {
        match (column.ty, cell) {
            (KeyType::Text, Cell::Text(text)) => Some(self.text(text)),
            (KeyType::Int | KeyType::TimeUs, Cell::Int(value)) => Some(self.int(*value)),
            (KeyType::Uuid, Cell::Uuid(uuid)) => Some(self.uuid(*uuid)),
            _ => None,
        }
    }
}

/// One column of a key, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart<'a> {
    /// Text.
    Text(&'a str),
    /// An integer.
    Int(i64),
    /// A UUID.
    Uuid(Uuid),
}

/// Takes the bytes of the next column off the front of a key, as they lie there, a text without its end; `None` where
/// the bytes are not of that column's form.
pub fn take_key_bytes<'a>(ty: KeyType, key: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (part, rest) = match ty {
        KeyType::Text => {
            let (part, rest) = key.split_at(memchr::memchr(0, key)?);
            (part, &rest[1..])
        }
        KeyType::Int | KeyType::TimeUs => key.split_at_checked(8)?,
        KeyType::Uuid => key.split_at_checked(16)?,
    };
    *key = rest;
    Some(part)
}

/// Takes the next column off the front of a key; `None` where the bytes are not of that column's form.
pub fn take_key_part<'a>(ty: KeyType, key: &mut &'a [u8]) -> Option<KeyPart<'a>> {
    let part = take_key_bytes(ty, key)?;
    Some(match ty {
        KeyType::Text => KeyPart::Text(std::str::from_utf8(part).ok()?),
        KeyType::Int | KeyType::TimeUs => KeyPart::Int(key_int(part)?),
        KeyType::Uuid => KeyPart::Uuid(Uuid::from_slice(part).ok()?),
    })
}

/// The integer whose bytes these are in a key; `None` where they are not eight.
#[must_use]
pub fn key_int(part: &[u8]) -> Option<i64> {
    part.try_into().ok().map(int_of)
}

/// Sets the first time in a key back to the start of its window. A key without a time stays as it is.
pub fn floor_time(columns: &[KeyColumn], key: &mut [u8], size_us: i64) {
    let mut from = 0;
    for column in columns {
        let Some(rest) = key.get_mut(from..) else { return };
        match column.ty {
            KeyType::Text => from += memchr::memchr(0, rest).map_or(rest.len(), |end| end + 1),
            KeyType::Int => from += 8,
            KeyType::Uuid => from += 16,
            KeyType::TimeUs => {
                let Some(bytes) = rest.first_chunk_mut::<8>() else { return };
                *bytes = int_bytes(window::start(int_of(*bytes), size_us));
                return;
            }
        }
    }
}

/// An integer as the bytes of a key, which order as integers do.
const fn int_bytes(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

const fn int_of(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_sort_as_their_columns(a in any::<i64>(), b in any::<i64>(), x in "[a-z]{0,6}", y in "[a-z]{0,6}") {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            KeyWriter::new(&mut left).text(&x).int(a);
            KeyWriter::new(&mut right).text(&y).int(b);
            prop_assert_eq!(left.cmp(&right), (x.as_str(), a).cmp(&(y.as_str(), b)));
            let mut rest = left.as_slice();
            prop_assert_eq!(take_key_part(KeyType::Text, &mut rest), Some(KeyPart::Text(&x)));
            prop_assert_eq!(take_key_part(KeyType::Int, &mut rest), Some(KeyPart::Int(a)));
            prop_assert!(rest.is_empty());
        }
    }
}
