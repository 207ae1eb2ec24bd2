//! Serde for UUIDs in their canonical text form: 36 characters, hyphenated. The braced, URN and bare forms of
//! the `uuid` crate are refused, because an id that has several spellings is several ids to whoever compares text.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Length of the canonical form, bytes.
pub const LEN: usize = 36;

/// Reads the canonical form; upper-case digits are read, never written.
#[must_use]
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() == LEN { Uuid::try_parse(text).ok() } else { None }
}

/// Writes the canonical form into `buffer`.
pub(crate) fn text<'b>(id: &Uuid, buffer: &'b mut [u8; LEN]) -> &'b str {
    id.hyphenated().encode_lower(buffer)
}

struct Id(Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text(&self.0, &mut [0; LEN]))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID of 36 characters")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                parse(text).map(Id).ok_or_else(|| E::custom("not a UUID of 36 characters"))
            }
        }
        from.deserialize_str(IdVisitor)
    }
}

pub(super) fn serialize<S: Serializer>(id: &Uuid, to: S) -> Result<S::Ok, S::Error> {
    Id(*id).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
    Id::deserialize(from).map(|id| id.0)
}

/// The same for a nullable id.
pub(super) mod option {
    use super::{Deserialize, Deserializer, Id, Serialize, Serializer, Uuid};

    pub(in crate::event) fn serialize<S: Serializer>(id: &Option<Uuid>, to: S) -> Result<S::Ok, S::Error> {
        id.map(Id).serialize(to)
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Uuid>, D::Error> {
        Ok(Option::<Id>::deserialize(from)?.map(|id| id.0))
    }
}

/// The same for an array of ids.
pub(super) mod list {
    use super::{Deserializer, Id, SeqAccess, SerializeSeq, Serializer, Uuid, Visitor, fmt};

    pub(in crate::event) fn serialize<S: Serializer>(ids: &[Uuid], to: S) -> Result<S::Ok, S::Error> {
        let mut seq = to.serialize_seq(Some(ids.len()))?;
        for id in ids {
            seq.serialize_element(&Id(*id))?;
        }
        seq.end()
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Uuid>, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = Vec<Uuid>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of UUIDs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Uuid>, A::Error> {
                let mut ids = Vec::new();
                while let Some(Id(id)) = seq.next_element()? {
                    ids.push(id);
                }
                Ok(ids)
            }
        }
        from.deserialize_seq(ListVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_read() {
        let id = "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0001";
        assert!(parse(id).is_some());
        assert_eq!(parse(&id.to_uppercase()), parse(id));
        for other in [format!("{{{id}}}"), format!("urn:uuid:{id}"), id.replace('-', ""), String::new()] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }
}
