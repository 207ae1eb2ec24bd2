//! The schemas a worker can read, and decoding with them.

use std::io::BufRead;

use domain::event::{Event, EventKind};
use serde::{Deserialize, Deserializer};
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};

use crate::embedded::{Embedded, WriterSchema, embedded};
use crate::frame::{self, Header};
use crate::ids::{Ids, Registered};
use crate::{DecodeError, SchemaError, positional};

/// The largest value that is decoded, unless told otherwise: 4 MiB.
pub const DEFAULT_MAX_LEN: usize = 4 << 20;

/// Most elements of one array or map. Validity allows 10,000; what lies between gets an error that names its field.
pub(crate) const MAX_SEQ_LEN: usize = 100_000;
/// Deepest nesting of our schemas, with room.
const MAX_DEPTH: usize = 16;

/// Every schema a record may have been written with: this build's, and those that a registry gave an id. New ids are
/// learned while it is shared, without a lock; share it in an [`Arc`](std::sync::Arc).
#[derive(Debug)]
pub struct Schemas {
    embedded: &'static Embedded,
    /// Fingerprint to schema, sorted: a couple of dozen entries, so a binary search is a few nanoseconds.
    by_fingerprint: Vec<(u64, &'static WriterSchema)>,
    ids: Ids,
    max_len: usize,
}

impl Schemas {
    /// The schemas of this build, without a registry.
    ///
    /// # Errors
    /// Never in a build whose tests have passed.
    pub fn embedded() -> Result<Self, SchemaError> {
        let embedded = embedded()?;
        let mut by_fingerprint: Vec<_> = embedded.all().map(|schema| (schema.fingerprint, schema)).collect();
        by_fingerprint.sort_unstable_by_key(|(fingerprint, _)| *fingerprint);
        Ok(Self { embedded, by_fingerprint, ids: Ids::default(), max_len: DEFAULT_MAX_LEN })
    }

    /// Adds a schema that a registry holds under `id`; see [`Schemas::learn`].
    ///
    /// # Errors
    /// As for `learn`.
    pub fn with_id(self, id: u32, text: &str) -> Result<Self, SchemaError> {
        self.learn(id, text)?;
        Ok(self)
    }

    /// Learns a schema that a registry holds under `id`. It may be newer than this build: fields that we lack are
    /// skipped. An id of an event's current schema is also used for encoding. An id keeps its schema for ever, and at
    /// most 4,096 are kept (I8).
    ///
    /// # Errors
    /// The text is no Avro schema, or none of our events; or the id has another schema already.
    pub fn learn(&self, id: u32, text: &str) -> Result<(), SchemaError> {
        let invalid = |detail: String| SchemaError::Invalid { name: format!("id {id}"), detail };
        let json: serde_json::Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let name = json.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
        let short = name.rsplit('.').next().unwrap_or_default();
        let kind = EventKind::from_name(short).ok_or_else(|| SchemaError::UnknownEvent { name: name.to_owned() })?;
        let parsed = WriterSchema::parse(kind, text)?;
        // A fingerprint covers the record's full name: a schema of ours that has it is of the same kind.
        let is_current = parsed.fingerprint == self.embedded.fingerprint(kind);
        let ours = self.by_fingerprint(parsed.fingerprint);
        self.ids.learn(id, ours.map_or(Registered::Foreign(parsed), Registered::Ours), is_current)
    }

    /// Whether a schema is known under this id of a registry.
    #[must_use]
    pub fn knows(&self, id: u32) -> bool {
        self.ids.get(id).is_some()
    }

    /// Sets the largest value that is decoded, bytes.
    #[must_use]
    pub fn with_max_len(mut self, max_len: usize) -> Self {
        self.max_len = max_len;
        self
    }

    /// The header under which the current schema of a kind is written: the newest id of a registry, else the
    /// fingerprint.
    #[must_use]
    pub fn header(&self, kind: EventKind) -> Header {
        self.ids.current(kind).map_or_else(|| Header::Fingerprint(self.embedded.fingerprint(kind)), Header::Id)
    }

    pub(crate) fn current(&self, kind: EventKind) -> &'static serde_avro_fast::Schema {
        &self.embedded.current(kind).schema
    }

    /// The event in a record's value, borrowed from it. Strings are checked UTF-8; nothing else is: see
    /// [`domain::validity`].
    ///
    /// # Errors
    /// The value is no event. Never panics, and allocates no more than a small multiple of the value's length.
    pub fn decode<'a>(&self, value: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        let mut room = None;
        self.decode_into(value, &mut room)?;
        room.ok_or(DecodeError::Empty)
    }

    /// The same, into room of the caller's: an event is large, and every function that hands it on by value copies it.
    ///
    /// # Errors
    /// As for `decode`; what lies in the room then means nothing.
    pub fn decode_into<'r, 'a>(
        &self,
        value: &'a [u8],
        room: &'r mut Option<Event<'a>>,
    ) -> Result<&'r Event<'a>, DecodeError> {
        let (schema, datum) = self.open(value)?;
        decode_datum(schema, datum, room)?;
        // There is one: decoding succeeded.
        room.as_ref().ok_or(DecodeError::Empty)
    }

    /// The kind of the event in a record's value, from its header alone.
    ///
    /// # Errors
    /// The header is broken or names an unknown schema.
    pub fn kind(&self, value: &[u8]) -> Result<EventKind, DecodeError> {
        self.open(value).map(|(schema, _)| schema.kind)
    }

    pub(crate) fn open<'a>(&self, value: &'a [u8]) -> Result<(&WriterSchema, &'a [u8]), DecodeError> {
        if value.len() > self.max_len {
            return Err(DecodeError::Oversize { len: value.len(), max: self.max_len });
        }
        let (header, datum) = frame::parse(value)?;
        let schema = match header {
            Header::Id(id) => self.ids.get(id).ok_or(DecodeError::UnknownSchema { id })?,
            Header::Fingerprint(fingerprint) => {
                self.by_fingerprint(fingerprint).ok_or(DecodeError::UnknownFingerprint { fingerprint })?
            }
        };
        Ok((schema, datum))
    }

    fn by_fingerprint(&self, fingerprint: u64) -> Option<&'static WriterSchema> {
        let at = self.by_fingerprint.binary_search_by_key(&fingerprint, |(known, _)| *known).ok()?;
        Some(self.by_fingerprint[at].1)
    }
}

fn decode_datum<'a>(writer: &WriterSchema, datum: &'a [u8], room: &mut Option<Event<'a>>) -> Result<(), DecodeError> {
    let shape = writer.shape.as_ref();
    if shape.is_some_and(|shape| positional::decode(writer.kind, shape, datum, room).is_ok()) {
        return Ok(());
    }
    decode_by_name(writer, datum, room)
}

/// With any schema: fields that we lack are skipped, those that the writer lacked are defaults.
pub(crate) fn decode_by_name<'a>(
    writer: &WriterSchema,
    datum: &'a [u8],
    room: &mut Option<Event<'a>>,
) -> Result<(), DecodeError> {
    let mut config = DeserializerConfig::new(&writer.schema);
    config.max_seq_size = MAX_SEQ_LEN;
    config.allowed_depth = MAX_DEPTH;
    let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
    event(writer.kind, state.deserializer(), room)
        .map_err(|error| DecodeError::Malformed { event: writer.kind, detail: error.to_string() })?;
    match state.into_reader().fill_buf().map_or(0, <[u8]>::len) {
        0 => Ok(()),
        bytes => Err(DecodeError::Trailing { bytes }),
    }
}

macro_rules! decode_kinds {
    ($($kind:ident)*) => {
        /// Puts the event of that kind that lies ahead into the room.
        pub(crate) fn event<'a, D: Deserializer<'a>>(
            kind: EventKind,
            from: D,
            room: &mut Option<Event<'a>>,
        ) -> Result<(), D::Error> {
            match kind {
                $(EventKind::$kind => *room = Some(Event::$kind(domain::event::$kind::deserialize(from)?)),)*
            }
            Ok(())
        }
    };
}

decode_kinds! {
    AgentHeartbeat AgentProfiled AgentStateChanged BeliefUpdated SporeCreated SporePropagated InteractionRecorded
    MemoryAnnotated MemoryTiered MemoryRecalled MemoryLinked LoopOpened LoopAdvanced Contributed Blessed
    WisdomCrystallized CoalitionFormed CoalitionMembership CoalitionReported FieldMeasured PolicyDecided Forgotten
}
