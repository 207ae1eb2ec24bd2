//! Events to bytes, with the current schemas.

use std::fmt;
use std::sync::Arc;

use domain::event::{Event, EventKind};
use serde_avro_fast::ser::{SerError, SerializerConfig};

use crate::{EncodeError, Schemas};

/// Encodes events with the current schema of their kind. Not shared: each thread keeps its own, with its buffers.
pub struct Encoder {
    schemas: Arc<Schemas>,
    /// In the order of [`EventKind::ALL`].
    kinds: Vec<SerializerConfig<'static>>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = EventKind::ALL.iter().map(|kind| self.schemas.header(*kind));
        f.debug_list().entries(headers).finish()
    }
}

impl Encoder {
    /// An encoder that writes a registry's ids where `schemas` knows them by then, else fingerprints.
    #[must_use]
    pub fn new(schemas: Arc<Schemas>) -> Self {
        let kinds = EventKind::ALL.iter().map(|kind| SerializerConfig::new(schemas.current(*kind))).collect();
        Self { schemas, kinds }
    }

    /// Appends the framed event to `out`; on an error `out` is as it was.
    ///
    /// # Errors
    /// The event does not fit its schema. Cannot happen for events built from our structs, short of a bug.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        self.schemas.header(event.kind()).write(out);
        write(event, out, &mut self.kinds[event.kind() as usize]).map_err(|error| {
            out.truncate(start);
            EncodeError { event: event.kind(), detail: error.to_string() }
        })
    }
}

/// Appends one framed event, without an encoder's buffers.
pub(crate) fn encode_once(schemas: &Schemas, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    schemas.header(event.kind()).write(out);
    let mut config = SerializerConfig::new(schemas.current(event.kind()));
    write(event, out, &mut config).map_err(|error| EncodeError { event: event.kind(), detail: error.to_string() })
}

macro_rules! encode_kinds {
    ($($kind:ident)*) => {
        fn write(
            event: &Event<'_>,
            out: &mut Vec<u8>,
            config: &mut SerializerConfig<'static>,
        ) -> Result<(), SerError> {
            match event {
                $(Event::$kind(event) => serde_avro_fast::to_datum(event, out, config).map(drop),)*
            }
        }
    };
}

encode_kinds! {
    AgentHeartbeat AgentProfiled AgentStateChanged BeliefUpdated SporeCreated SporePropagated InteractionRecorded
    MemoryAnnotated MemoryTiered MemoryRecalled MemoryLinked LoopOpened LoopAdvanced Contributed Blessed
    WisdomCrystallized CoalitionFormed CoalitionMembership CoalitionReported FieldMeasured PolicyDecided Forgotten
}
