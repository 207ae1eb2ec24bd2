//! From the fields of events to cells.

use crate::cell::Cell;
use crate::event::{Pairs, Text};
use serde::Serialize;

/// A text field as its two columns: plain and sealed.
pub(super) fn text(text: Option<&Text<'_>>) -> (Cell, Cell) {
    match text {
        None => (Cell::Null, Cell::Null),
        Some(Text::Plain(plain)) => (Cell::Text((*plain).to_owned()), Cell::Null),
        Some(Text::Sealed(sealed)) => (Cell::Null, Cell::Bytes(seal(sealed))),
    }
}

/// A sealed value as bytes: key reference (u16 length first), nonce (u8 length first), ciphertext.
pub(super) fn seal(sealed: &crate::event::Sealed<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 + sealed.key_ref.len() + sealed.nonce.len() + sealed.ciphertext.len());
    bytes.extend_from_slice(&(sealed.key_ref.len() as u16).to_be_bytes());
    bytes.extend_from_slice(sealed.key_ref.as_bytes());
    bytes.push(sealed.nonce.len() as u8);
    bytes.extend_from_slice(sealed.nonce);
    bytes.extend_from_slice(sealed.ciphertext);
    bytes
}

/// A value as JSON text.
pub(super) fn json(value: &impl Serialize) -> Cell {
    serde_json::to_string(value).map_or(Cell::Null, Cell::Text)
}

/// A list as JSON text; null where it is empty, which means unchanged.
pub(super) fn json_list<T: Serialize>(list: &[T]) -> Cell {
    if list.is_empty() { Cell::Null } else { json(&list) }
}

/// Pairs as a JSON object; null where there are none, which means unchanged.
pub(super) fn json_pairs<V: Serialize>(pairs: &Pairs<'_, V>) -> Cell {
    if pairs.is_empty() { Cell::Null } else { json(pairs) }
}

/// Numbers as little-endian f32.
pub(super) fn floats(values: &[f32]) -> Cell {
    Cell::Bytes(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}
