//! What can be wrong with a record, an event or a schema.

use domain::event::EventKind;
use thiserror::Error;

/// Why a record's value is no event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The value is empty.
    #[error("the value is empty")]
    Empty,
    /// The value has another serialiser's framing, which cannot be decoded without doubt.
    #[error("the value is {framing}; {remedy}")]
    Framing {
        /// The framing.
        framing: &'static str,
        /// What to do at the producer.
        remedy: &'static str,
    },
    /// A kind of our namespace that this build does not know: to be ignored and counted apart, never dead (I7).
    #[error("{name} is a kind of event that this build does not know: a newer build reads it")]
    UnknownKind {
        /// The full name of the schema's record.
        name: String,
    },
    /// What the registry holds under that id is no schema that we can read.
    #[error("schema id {id} cannot be read: {detail}")]
    Schema {
        /// The registry's id.
        id: u32,
        /// Why not, and what to do.
        detail: String,
    },
    /// The value starts with neither frame's magic.
    #[error("unknown magic byte {byte:#04x}: neither Confluent's 0x00 nor Avro's 0xc3 0x01")]
    WrongMagic {
        /// The offending byte.
        byte: u8,
    },
    /// The value ends within its frame's header.
    #[error("the value ends within its header: {len} bytes of {needed}")]
    Truncated {
        /// Bytes present.
        len: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// No schema is known under that registry id.
    #[error("schema id {id} is unknown: register it, or restart with the registry that the producer used")]
    UnknownSchema {
        /// The registry's id.
        id: u32,
    },
    /// No schema is known under that fingerprint.
    #[error("schema fingerprint {fingerprint:016x} is unknown: this build holds no such version")]
    UnknownFingerprint {
        /// CRC-64-AVRO of the schema's parsing canonical form.
        fingerprint: u64,
    },
    /// The value is larger than the limit.
    #[error(
        "the value has {len} bytes, more than the {max} that this process reads: set log.max_record_bytes to at least its \
         size (up to 67108864), restart, and re-drive the record"
    )]
    Oversize {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// Bytes follow the datum.
    #[error("{bytes} bytes follow the datum: its schema is not the one that it was written with, or it was damaged")]
    Trailing {
        /// Their number.
        bytes: usize,
    },
    /// The datum does not match its schema.
    #[error("malformed {event}: {detail}")]
    Malformed {
        /// The event that the schema describes.
        event: EventKind,
        /// The path of the field, and what the decoder met there.
        detail: String,
    },
}

impl DecodeError {
    /// Whether the datum does not fit the schema that it names: damage, or an id that the registry gave away again (then
    /// [`crate::Schemas::confirm`] tells).
    #[must_use]
    pub const fn is_misfit(&self) -> bool {
        matches!(self, DecodeError::Malformed { .. } | DecodeError::Trailing { .. })
    }
}

/// Why an event could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot encode {event}: {detail}")]
pub struct EncodeError {
    /// The event.
    pub event: EventKind,
    /// What the encoder met.
    pub detail: String,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// It is no Avro schema.
    #[error("schema {name} does not parse: {detail}")]
    Invalid {
        /// Its file or event.
        name: String,
        /// What the parser met.
        detail: String,
    },
    /// It describes no event of ours.
    #[error(
        "schema {name} is none of our events: its record must have the name of one, such as io.sporelog.SporeCreated"
    )]
    UnknownEvent {
        /// The record's name.
        name: String,
    },
    /// A field of it cannot be read as ours.
    #[error("{event}.{detail}")]
    Mismatch {
        /// The event.
        event: String,
        /// The path of the field, both types, and what to do.
        detail: String,
    },
    /// A registry's id has another schema now: registries never do that.
    #[error(
        "the registry gives another schema under id {id} than before, when it was {known}: it was replaced or rebuilt; \
         restore it from its backup, since records in the log name their schemas by its ids, then restart"
    )]
    IdReused {
        /// The id.
        id: u32,
        /// What it was: an event's name.
        known: String,
    },
    /// More ids than are kept.
    #[error("schema id {id} is one too many: {max} are kept; look for a producer that registers a schema per record")]
    TooManyIds {
        /// The id.
        id: u32,
        /// The limit.
        max: usize,
    },
}

/// Why JSON is no event, or an event cannot be shown as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JsonError {
    /// A field of the JSON document.
    #[error("{path}: {problem}")]
    Field {
        /// Its path, such as `meta.occurred_at` or `spores[2].score`; empty for the document itself.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The Avro library refused the value or the bytes.
    #[error("avro: {0}")]
    Avro(String),
    /// The record is no event.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The schemas of this build are unusable.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}
