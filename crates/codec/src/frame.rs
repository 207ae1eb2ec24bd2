//! The frame around a datum: which schema its writer used.
//!
//! | frame | bytes |
//! |---|---|
//! | Confluent | `00`, schema id (4 bytes, big-endian), datum |
//! | Avro single-object encoding | `C3 01`, CRC-64-AVRO of the schema's parsing canonical form (8 bytes, little-endian), datum |
//! | none, the id in a header | the datum alone: see [`crate::foreign`] |
//!
//! The second is our fingerprint header: it needs no registry. What other serialisers write is told by name in the error
//! ([`crate::foreign`]), with what to set at the producer.

use crate::DecodeError;

const CONFLUENT_MAGIC: u8 = 0x00;
const SINGLE_OBJECT_MAGIC: [u8; 2] = [0xC3, 0x01];
const CONFLUENT_LEN: usize = 5;
const SINGLE_OBJECT_LEN: usize = 10;

/// How a record names its writer's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// By the id that a registry gave it.
    Id(u32),
    /// By its fingerprint, CRC-64-AVRO.
    Fingerprint(u64),
}

impl Header {
    /// Appends the header.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Header::Id(id) => {
                out.push(CONFLUENT_MAGIC);
                out.extend_from_slice(&id.to_be_bytes());
            }
            Header::Fingerprint(fingerprint) => {
                out.extend_from_slice(&SINGLE_OBJECT_MAGIC);
                out.extend_from_slice(&fingerprint.to_le_bytes());
            }
        }
    }
}

/// Splits a record's value into header and datum.
///
/// # Errors
/// `Empty`, `WrongMagic`, `Truncated`, or `Framing` where it is another serialiser's.
pub fn parse(value: &[u8]) -> Result<(Header, &[u8]), DecodeError> {
    let truncated = |needed| DecodeError::Truncated { len: value.len(), needed };
    match value {
        [] => Err(DecodeError::Empty),
        [CONFLUENT_MAGIC, rest @ ..] => {
            let (id, datum) = rest.split_first_chunk().ok_or_else(|| truncated(CONFLUENT_LEN))?;
            Ok((Header::Id(u32::from_be_bytes(*id)), datum))
        }
        [0xC3, 0x01, rest @ ..] => {
            let (fingerprint, datum) = rest.split_first_chunk().ok_or_else(|| truncated(SINGLE_OBJECT_LEN))?;
            Ok((Header::Fingerprint(u64::from_le_bytes(*fingerprint)), datum))
        }
        [0xC3] => Err(truncated(SINGLE_OBJECT_LEN)),
        [first, rest @ ..] => Err(crate::foreign::in_value(value).unwrap_or_else(|| {
            let byte = if *first == 0xC3 { rest.first().copied().unwrap_or(*first) } else { *first };
            DecodeError::WrongMagic { byte }
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_written() {
        for header in [Header::Id(7), Header::Id(u32::MAX), Header::Fingerprint(0x0102_0304_0506_0708)] {
            let mut value = Vec::new();
            header.write(&mut value);
            value.push(42);
            assert_eq!(parse(&value), Ok((header, &[42][..])));
            for len in 1..value.len() - 1 {
                assert!(matches!(parse(&value[..len]), Err(DecodeError::Truncated { .. })), "{len}");
            }
        }
        assert_eq!(parse(&[]), Err(DecodeError::Empty));
        assert_eq!(parse(&[9, 1]), Err(DecodeError::WrongMagic { byte: 9 }));
        assert_eq!(parse(&[0xC3, 2]), Err(DecodeError::WrongMagic { byte: 2 }));
    }
}
