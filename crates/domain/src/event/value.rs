//! Values that have no plain serde shape: text that may be sealed, beliefs, maps kept as pairs.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A personal value, encrypted with AES-256-GCM under its subject's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed<'a> {
    /// Names the key. 1 to 256 bytes.
    pub key_ref: &'a str,
    /// The nonce, 12 bytes.
    #[serde(with = "blob")]
    pub nonce: &'a [u8],
    /// The ciphertext and its 16-byte tag, at most 1 MiB.
    #[serde(with = "blob")]
    pub ciphertext: &'a [u8],
}

/// Writes a slice as bytes; serde alone would write it as a sequence.
mod blob {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(from)
    }
}

/// Text, in the clear or sealed. At most 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// In the clear.
    Plain(&'a str),
    /// Encrypted under its subject's key.
    Sealed(Sealed<'a>),
}

impl<'a> Text<'a> {
    /// The text, unless it is sealed.
    #[must_use]
    pub fn plain(&self) -> Option<&'a str> {
        match self {
            Text::Plain(text) => Some(text),
            Text::Sealed(_) => None,
        }
    }

    /// The sealed value, unless it is plain.
    #[must_use]
    pub fn sealed(&self) -> Option<&Sealed<'a>> {
        match self {
            Text::Plain(_) => None,
            Text::Sealed(sealed) => Some(sealed),
        }
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Text::Plain(text) => to.serialize_str(text),
            Text::Sealed(sealed) => sealed.serialize(to),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a sealed value")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text::Plain(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<'de>, A::Error> {
                Sealed::deserialize(MapAccessDeserializer::new(map)).map(Text::Sealed)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text<'de>, A::Error> {
                Sealed::deserialize(SeqAccessDeserializer::new(seq)).map(Text::Sealed)
            }
        }
        from.deserialize_any(TextVisitor)
    }
}

/// A belief distribution, in the clear or sealed. At most 10,000 probabilities.
#[derive(Clone, Debug, PartialEq)]
pub enum Beliefs<'a> {
    /// Probabilities, each 0 to 1.
    Plain(Vec<f64>),
    /// Encrypted under the agent's key.
    Sealed(Sealed<'a>),
}

impl Serialize for Beliefs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Beliefs::Plain(values) => values.serialize(to),
            Beliefs::Sealed(sealed) => sealed.serialize(to),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Beliefs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct BeliefsVisitor;
        impl<'de> Visitor<'de> for BeliefsVisitor {
            type Value = Beliefs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of numbers or a sealed value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Beliefs<'de>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Beliefs::Plain)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Beliefs<'de>, A::Error> {
                Sealed::deserialize(MapAccessDeserializer::new(map)).map(Beliefs::Sealed)
            }
        }
        from.deserialize_any(BeliefsVisitor)
    }
}

/// A map as pairs, in the order of the record: cheaper to decode than a hash map, and order is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs<'a, V>(pub Vec<(&'a str, V)>);

impl<V> Default for Pairs<'_, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, V> Pairs<'a, V> {
    /// The pairs.
    pub fn iter(&self) -> std::slice::Iter<'_, (&'a str, V)> {
        self.0.iter()
    }

    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Orders the pairs by name; those of one name keep their order.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|(name, _)| *name);
    }

    /// The value of a name: of the last pair, where a name stands twice.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        self.0.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl<V: Serialize> Serialize for Pairs<'_, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Vec<(&'de str, V)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        from.deserialize_map(PairsVisitor(PhantomData)).map(Pairs)
    }
}
