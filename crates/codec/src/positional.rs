//! Decoding by position: the way of nearly every record.
//!
//! What was written with this build's own schema has its fields in the order of our structs. So a struct is read as the
//! sequence of its fields, and no name is matched; half of the time of the general decoder goes into that and into what
//! this one need not have: other schemas, other readers, errors with words.
//!
//! It takes a datum as the general decoder would, or it does not take it: anything unusual ends without a word, and the
//! caller decodes again with the general decoder, which accepts it or says what is wrong. So this may be stricter, never
//! laxer; the tests below hold the two against each other on whole and on damaged values.

use std::fmt;

use domain::event::{Event, EventKind};
use serde::Deserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::schemas::{MAX_SEQ_LEN, event};
use crate::shape::Shape;

/// The event in a datum of this shape.
///
/// # Errors
/// It is not as expected, or does not fill the datum; what lies in the room then means nothing.
pub(crate) fn decode<'a>(
    kind: EventKind,
    shape: &Shape,
    mut datum: &'a [u8],
    room: &mut Option<Event<'a>>,
) -> Result<(), Unusual> {
    event(kind, Datum { shape, rest: &mut datum }, room)?;
    if datum.is_empty() { Ok(()) } else { Err(Unusual) }
}

/// Not as expected.
#[derive(Debug)]
pub(crate) struct Unusual;

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not as expected")
    }
}

impl std::error::Error for Unusual {}

impl de::Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Unusual
    }
}

/// What lies ahead, and its shape.
struct Datum<'r, 'de> {
    shape: &'r Shape,
    rest: &'r mut &'de [u8],
}

/// A zigzag integer of variable length.
#[inline]
pub(crate) fn varint(rest: &mut &[u8]) -> Result<i64, Unusual> {
    let (raw, used) = match **rest {
        [a, ..] if a < 0x80 => (u64::from(a), 1),
        [a, b, ..] if b < 0x80 => (u64::from(a & 0x7f) | u64::from(b) << 7, 2),
        _ => long_varint(rest)?,
    };
    *rest = &rest[used..];
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

fn long_varint(bytes: &[u8]) -> Result<(u64, usize), Unusual> {
    let mut raw = 0;
    for (ix, byte) in bytes.iter().take(9).enumerate() {
        raw |= u64::from(byte & 0x7f) << (7 * ix);
        if *byte < 0x80 {
            return Ok((raw, ix + 1));
        }
    }
    // The tenth byte has room for one bit.
    match bytes.get(9) {
        Some(last @ 0..=1) => Ok((raw | u64::from(*last) << 63, 10)),
        _ => Err(Unusual),
    }
}

#[inline]
pub(crate) fn take<'de>(rest: &mut &'de [u8], len: usize) -> Result<&'de [u8], Unusual> {
    let (head, tail) = rest.split_at_checked(len).ok_or(Unusual)?;
    *rest = tail;
    Ok(head)
}

#[inline]
fn sized<'de>(rest: &mut &'de [u8]) -> Result<&'de [u8], Unusual> {
    let len = usize::try_from(varint(rest)?).map_err(|_| Unusual)?;
    take(rest, len)
}

#[inline]
fn text<'de>(rest: &mut &'de [u8]) -> Result<&'de str, Unusual> {
    let bytes = sized(rest)?;
    // Most text is short and ASCII: to see that takes a fifth of what the general check of such a text takes.
    if bytes.is_ascii() {
        #[allow(unsafe_code, reason = "ASCII is UTF-8")]
        // SAFETY: all bytes are ASCII, and so UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).map_err(|_| Unusual)
}

pub(crate) fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Unusual> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Unusual)?;
    *rest = tail;
    Ok(*head)
}

macro_rules! exactly {
    ($($method:ident $shape:ident $visit:ident ($rest:ident) $read:expr;)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
            let $rest = self.rest;
            if let Shape::$shape = self.shape { visitor.$visit($read) } else { Err(Unusual) }
        })*
    };
}

impl<'de> Deserializer<'de> for Datum<'_, 'de> {
    type Error = Unusual;

    exactly! {
        deserialize_i32 Int visit_i32 (rest) i32::try_from(varint(rest)?).map_err(|_| Unusual)?;
        deserialize_i64 Long visit_i64 (rest) varint(rest)?;
        deserialize_f32 Float visit_f32 (rest) f32::from_le_bytes(array(rest)?);
        deserialize_f64 Double visit_f64 (rest) f64::from_le_bytes(array(rest)?);
        deserialize_str Text visit_borrowed_str (rest) text(rest)?;
        deserialize_bytes Bytes visit_borrowed_bytes (rest) sized(rest)?;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match (self.shape, array(self.rest)?) {
            (Shape::Boolean, [bit @ 0..=1]) => visitor.visit_bool(bit == 1),
            _ => Err(Unusual),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match branch(self.shape, self.rest)? {
            Shape::Null => visitor.visit_none(),
            shape => visitor.visit_some(Datum { shape, rest: self.rest }),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        wanted: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        let Shape::Record { names, fields } = self.shape else { return Err(Unusual) };
        debug_assert!(names.iter().map(|name| &**name).eq(wanted.iter().copied()), "{wanted:?} are {names:?}");
        if fields.len() != wanted.len() {
            return Err(Unusual);
        }
        visitor.visit_seq(Fields { fields: fields.iter(), rest: self.rest })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let Shape::Array(shape) = self.shape else { return Err(Unusual) };
        visitor.visit_seq(Items { shape, rest: self.rest, left: 0, met: 0 })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let Shape::Map(shape) = self.shape else { return Err(Unusual) };
        visitor.visit_map(Items { shape, rest: self.rest, left: 0, met: 0 })
    }

    /// For what may be of several shapes.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let Self { shape, rest } = self;
        let shape = if let Shape::Union(_) = shape { branch(shape, rest)? } else { shape };
        match shape {
            Shape::Text => visitor.visit_borrowed_str(text(rest)?),
            Shape::Array(shape) => visitor.visit_seq(Items { shape, rest, left: 0, met: 0 }),
            Shape::Record { fields, .. } => visitor.visit_seq(Fields { fields: fields.iter(), rest }),
            _ => Err(Unusual),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 char string byte_buf unit unit_struct newtype_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

/// Which branch of a union follows.
#[inline]
fn branch<'r>(shape: &'r Shape, rest: &mut &[u8]) -> Result<&'r Shape, Unusual> {
    let Shape::Union(branches) = shape else { return Err(Unusual) };
    usize::try_from(varint(rest)?).ok().and_then(|ix| branches.get(ix)).ok_or(Unusual)
}

/// The fields of a record.
struct Fields<'r, 'de> {
    fields: std::slice::Iter<'r, Shape>,
    rest: &'r mut &'de [u8],
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Unusual;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unusual> {
        let Some(shape) = self.fields.next() else { return Ok(None) };
        seed.deserialize(Datum { shape, rest: self.rest }).map(Some)
    }
}

/// The items of an array or a map, in blocks.
struct Items<'r, 'de> {
    shape: &'r Shape,
    rest: &'r mut &'de [u8],
    /// Of the block.
    left: usize,
    /// Of all blocks so far.
    met: usize,
}

impl Items<'_, '_> {
    fn is_at_end(&mut self) -> Result<bool, Unusual> {
        if self.left == 0 {
            let count = varint(self.rest)?;
            if count < 0 {
                // The size of the block, for who skips it.
                varint(self.rest)?;
            }
            self.left = usize::try_from(count.unsigned_abs()).map_err(|_| Unusual)?;
            self.met = self.met.saturating_add(self.left);
            if self.met > MAX_SEQ_LEN {
                return Err(Unusual);
            }
        }
        let is_at_end = self.left == 0;
        self.left = self.left.saturating_sub(1);
        Ok(is_at_end)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Unusual;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unusual> {
        if self.is_at_end()? {
            return Ok(None);
        }
        seed.deserialize(Datum { shape: self.shape, rest: self.rest }).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Unusual;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unusual> {
        if self.is_at_end()? {
            return Ok(None);
        }
        seed.deserialize(Datum { shape: &Shape::Text, rest: self.rest }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unusual> {
        seed.deserialize(Datum { shape: self.shape, rest: self.rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schemas, embedded, from_json};
    use proptest::prelude::*;

    /// The example of a kind, without its frame.
    fn example(kind: EventKind) -> Vec<u8> {
        let json = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
        let value = from_json(&Schemas::embedded().unwrap(), kind, &json).unwrap();
        crate::frame::parse(&value).unwrap().1.to_vec()
    }

    /// What is taken by position; also whether it is what the general decoder reads.
    fn taken(kind: EventKind, datum: &[u8]) -> Option<bool> {
        let writer = embedded().unwrap().current(kind);
        let (mut event, mut by_name) = (None, None);
        decode(kind, writer.shape.as_ref().unwrap(), datum, &mut event).ok()?;
        let reads = writer.resolved.decode(kind, datum, &mut by_name).is_ok_and(|trailing| trailing == 0);
        // By their texts: numbers that are none differ from themselves.
        Some(reads && format!("{by_name:?}") == format!("{event:?}"))
    }

    #[test]
    fn every_example_is_taken() {
        for kind in EventKind::ALL {
            assert_eq!(taken(*kind, &example(*kind)), Some(true), "{kind}");
        }
    }

    #[test]
    fn integers_of_every_length_are_read() {
        for value in (0..64).flat_map(|bit| [1_i64 << bit, !(1_i64 << bit), i64::MIN >> bit, 0]) {
            let zigzag = (value as u64) << 1 ^ (value >> 63) as u64;
            let mut bytes: Vec<u8> = (0..10)
                .map(|ix| (zigzag >> (7 * ix)) as u8 | 0x80)
                .take(1.max((70 - zigzag.leading_zeros() as usize) / 7))
                .collect();
            *bytes.last_mut().unwrap() &= 0x7f;
            let mut rest = bytes.as_slice();
            assert_eq!(varint(&mut rest).unwrap(), value, "{bytes:?}");
            assert!(rest.is_empty() && varint(&mut &bytes[..bytes.len() - 1]).is_err());
        }
        assert!(varint(&mut [0xff; 11].as_slice()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_taken_is_what_the_general_decoder_reads(
            kind in prop::sample::select(EventKind::ALL),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            tail in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let mut datum = example(kind);
            if let Some(cut) = cut {
                datum.truncate(cut.index(datum.len()));
            }
            datum.extend(tail);
            let len = datum.len();
            for (at, byte) in changes.into_iter().filter(|_| len > 0) {
                datum[at.index(len)] = byte;
            }
            prop_assert_ne!(taken(kind, &datum), Some(false));
        }
    }
}
