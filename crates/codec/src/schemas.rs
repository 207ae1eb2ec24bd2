//! The schemas a worker can read, and decoding with them.

use std::hash::{DefaultHasher, Hash, Hasher};

use domain::event::{Event, EventKind};
use serde::{Deserialize, Deserializer};

use crate::embedded::{Embedded, WriterSchema, embedded};
use crate::foreign::{self, Told};
use crate::frame::{self, Header};
use crate::ids::{Ids, Registered};
use crate::{DecodeError, SchemaError, positional};

/// The largest value that is decoded, unless told otherwise: what a log takes, every reader must read.
pub const DEFAULT_MAX_LEN: usize = domain::MAX_RECORD_BYTES;

/// Most elements of one array or map. Validity allows 10,000; what lies between gets an error that names its field.
pub(crate) const MAX_SEQ_LEN: usize = 100_000;

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

    /// Learns a schema that a registry holds under `id`. It may be newer than this build, or another producer's: see
    /// `resolve` for what is converted, skipped and refused. An id of an event's current schema is also used for encoding.
    /// An id keeps its schema for ever, and at most 4,096 are kept (I8).
    ///
    /// What cannot be read is learned too: its records are then answered at once, by [`DecodeError::UnknownKind`] or
    /// [`DecodeError::Schema`], and the registry is not asked again.
    ///
    /// # Errors
    /// The text is no Avro schema, or none of our events', or has a field that cannot be read as ours; or the id has
    /// another schema already. A kind of our namespace that this build does not know is no error.
    pub fn learn(&self, id: u32, text: &str) -> Result<(), SchemaError> {
        let registered = self.read(id, text);
        // A fingerprint covers the record's full name, the identity its units: such a schema is of the same kind.
        let schema = registered.schema();
        let is_current =
            schema.is_some_and(|schema| schema.identity() == self.embedded.current(schema.kind).identity());
        self.ids.learn(id, registered, is_current)?;
        match self.ids.get(id) {
            Some(Registered::Unreadable { error, .. }) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Holds what the registry says of a known id now against what it said before.
    ///
    /// A registry that was rebuilt gives its ids away again. A worker that goes on with what it knows would read new
    /// records with old schemas; so whoever meets a record that its schema does not fit asks the registry again.
    ///
    /// # Errors
    /// [`SchemaError::IdReused`], where it is another schema.
    pub fn confirm(&self, id: u32, text: &str) -> Result<(), SchemaError> {
        self.ids.knows(id, identity_of(text)).map(drop)
    }

    /// The id of the registry that a record names its schema by.
    #[must_use]
    pub fn registry_id<'h>(value: &[u8], headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Option<u32> {
        Told::by(headers).id.or_else(|| match frame::parse(value) {
            Ok((Header::Id(id), _)) => Some(id),
            _ => None,
        })
    }

    fn read(&self, id: u32, text: &str) -> Registered {
        let unreadable = |error| Registered::Unreadable { error, identity: identity_of(text) };
        let json: serde_json::Value = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(error) => {
                return unreadable(SchemaError::Invalid { name: format!("id {id}"), detail: error.to_string() });
            }
        };
        let name = full_name(&json);
        if let Some(name) = foreign::unknown_kind(Some(&name)) {
            return Registered::UnknownKind { name, identity: identity_of(text) };
        }
        let short = name.rsplit('.').next().unwrap_or_default();
        let Some(kind) = EventKind::from_name(short) else {
            return unreadable(SchemaError::UnknownEvent { name });
        };
        match WriterSchema::parse(kind, text) {
            Err(error) => unreadable(error),
            Ok(parsed) => match self.by_fingerprint(parsed.fingerprint) {
                // Fingerprints leave logical types out: what has ours may have other units.
                Some(ours) if ours.identity() == parsed.identity() => Registered::Ours(ours),
                _ => Registered::Foreign(Box::new(parsed)),
            },
        }
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
        self.decode_record_into(value, std::iter::empty(), room)
    }

    /// The same for a record with headers: some serialisers name the schema there. They are looked at only where the value
    /// itself names no schema that is known.
    ///
    /// # Errors
    /// As for `decode`; what lies in the room then means nothing.
    pub fn decode_record_into<'r, 'a, 'h>(
        &self,
        value: &'a [u8],
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
        room: &'r mut Option<Event<'a>>,
    ) -> Result<&'r Event<'a>, DecodeError> {
        let (schema, datum) = match self.open(value) {
            Ok(opened) => opened,
            Err(error) => self.open_by_headers(value, headers, error)?,
        };
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
            Header::Id(id) => self.by_id(id, datum)?,
            Header::Fingerprint(fingerprint) => {
                self.by_fingerprint(fingerprint).ok_or(DecodeError::UnknownFingerprint { fingerprint })?
            }
        };
        Ok((schema, datum))
    }

    fn by_id(&self, id: u32, datum: &[u8]) -> Result<&WriterSchema, DecodeError> {
        match self.ids.get(id) {
            Some(Registered::Ours(schema)) => Ok(schema),
            Some(Registered::Foreign(schema)) => Ok(schema),
            Some(Registered::UnknownKind { name, .. }) => Err(DecodeError::UnknownKind { name: name.clone() }),
            Some(Registered::Unreadable { error, .. }) => Err(DecodeError::Schema { id, detail: error.to_string() }),
            None if id == 0 => Err(foreign::in_id_zero(datum).unwrap_or(DecodeError::UnknownSchema { id })),
            None => Err(DecodeError::UnknownSchema { id }),
        }
    }

    /// Of a value that could not be opened: the way its headers name, or its error as they explain it.
    #[cold]
    fn open_by_headers<'a, 'h>(
        &self,
        value: &'a [u8],
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
        error: DecodeError,
    ) -> Result<(&WriterSchema, &'a [u8]), DecodeError> {
        if matches!(error, DecodeError::Oversize { .. } | DecodeError::Empty) {
            return Err(error);
        }
        let told = Told::by(headers);
        match told.id {
            Some(id) => Ok((self.by_id(id, value)?, value)),
            None => Err(told.explain(error)),
        }
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
    match writer.resolved.decode(writer.kind, datum, room) {
        Ok(0) => Ok(()),
        Ok(bytes) => Err(DecodeError::Trailing { bytes }),
        Err(error) => Err(DecodeError::Malformed { event: writer.kind, detail: error.to_string() }),
    }
}

/// The full name of a schema's record; of anything else what it is.
fn full_name(json: &serde_json::Value) -> String {
    let text = |key| json.get(key).and_then(serde_json::Value::as_str);
    match (text("name"), text("namespace")) {
        (Some(name), Some(namespace)) if !name.contains('.') => format!("{namespace}.{name}"),
        (Some(name), _) => name.to_owned(),
        (None, _) if json.is_array() => "that is a union".to_owned(),
        (None, _) => "without a name".to_owned(),
    }
}

/// The identity of a schema as a registry gives it; of what does not parse that of its text.
fn identity_of(text: &str) -> u64 {
    crate::resolve::identity(text).unwrap_or_else(|| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    })
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
