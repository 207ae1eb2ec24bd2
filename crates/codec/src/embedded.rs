//! The schemas of this build: the current one of each event, and every version frozen before it.

use std::sync::LazyLock;

use domain::event::EventKind;
use serde_avro_fast::Schema;

use crate::SchemaError;
use crate::resolve::{Reader, Resolved, Unresolved, plain_text};
use crate::shape::Shape;

/// A schema of this build, as text.
struct Source {
    kind: EventKind,
    #[cfg(test)]
    example: &'static str,
    current: &'static str,
    frozen: &'static [(u32, &'static str)],
}

macro_rules! sources {
    ($($kind:ident $file:literal [$($version:literal)*];)*) => {
        &[$(Source {
            kind: EventKind::$kind,
            #[cfg(test)]
            example: include_str!(concat!("../../../schemas/examples/", $file, ".json")),
            current: include_str!(concat!("../../../schemas/", $file, ".avsc")),
            frozen: &[$((
                $version,
                include_str!(concat!("../../../schemas/frozen/", $file, ".v", $version, ".avsc")),
            ),)*],
        },)*]
    };
}

/// In the order of [`EventKind::ALL`].
static SOURCES: &[Source] = sources! {
    AgentHeartbeat "agent_heartbeat" [1 2];
    AgentProfiled "agent_profiled" [1];
    AgentStateChanged "agent_state_changed" [1];
    BeliefUpdated "belief_updated" [1];
    SporeCreated "spore_created" [1];
    SporePropagated "spore_propagated" [1];
    InteractionRecorded "interaction_recorded" [1 2];
    MemoryAnnotated "memory_annotated" [1];
    MemoryTiered "memory_tiered" [1];
    MemoryRecalled "memory_recalled" [1];
    MemoryLinked "memory_linked" [1];
    LoopOpened "loop_opened" [1];
    LoopAdvanced "loop_advanced" [1];
    Contributed "contributed" [1];
    Blessed "blessed" [1];
    WisdomCrystallized "wisdom_crystallized" [1];
    CoalitionFormed "coalition_formed" [1];
    CoalitionMembership "coalition_membership" [1];
    CoalitionReported "coalition_reported" [1];
    FieldMeasured "field_measured" [1];
    PolicyDecided "policy_decided" [1];
    Forgotten "forgotten" [1];
};

/// A parsed schema of one event.
#[derive(Debug)]
pub(crate) struct WriterSchema {
    pub(crate) kind: EventKind,
    pub(crate) schema: Schema,
    pub(crate) fingerprint: u64,
    /// How its bytes become an event of ours.
    pub(crate) resolved: Resolved,
    /// Of this build's current schema, whose fields lie as those of our structs do.
    pub(crate) shape: Option<Shape>,
}

impl WriterSchema {
    pub(crate) fn parse(kind: EventKind, text: &str) -> Result<Self, SchemaError> {
        let invalid = |detail: String| SchemaError::Invalid { name: kind.name().to_owned(), detail };
        let schema: Schema = plain_text(text)
            .map_err(invalid)?
            .parse()
            .map_err(|error: serde_avro_fast::schema::SchemaError| invalid(error.to_string()))?;
        let fingerprint = u64::from_le_bytes(*schema.rabin_fingerprint());
        let resolved = Resolved::new(reader(kind)?, text).map_err(|error| match error {
            Unresolved::Invalid(detail) => invalid(detail),
            Unresolved::Mismatch(mismatch) => {
                SchemaError::Mismatch { event: kind.name().to_owned(), detail: mismatch.to_string() }
            }
        })?;
        Ok(Self { kind, schema, fingerprint, resolved, shape: None })
    }

    /// A hash of what decides how its bytes are read and what they mean: unlike a fingerprint, logical types count.
    pub(crate) fn identity(&self) -> u64 {
        self.resolved.identity
    }
}

static READERS: LazyLock<Vec<Result<Reader, String>>> =
    LazyLock::new(|| SOURCES.iter().map(|source| Reader::parse(source.current)).collect());

/// This build's schema of a kind, to lay others beside.
fn reader(kind: EventKind) -> Result<&'static Reader, SchemaError> {
    let invalid = |detail: &String| SchemaError::Invalid { name: kind.name().to_owned(), detail: detail.clone() };
    READERS[kind as usize].as_ref().map_err(invalid)
}

/// The parsed schemas of this build.
#[derive(Debug)]
pub struct Embedded {
    /// The current schema of each kind, in the order of [`EventKind::ALL`].
    current: Vec<WriterSchema>,
    /// Frozen versions whose fingerprint differs from the current one's.
    older: Vec<WriterSchema>,
}

impl Embedded {
    fn parse() -> Result<Self, SchemaError> {
        let mut embedded = Self { current: Vec::new(), older: Vec::new() };
        for source in SOURCES {
            let mut current = WriterSchema::parse(source.kind, source.current)?;
            current.shape = Shape::of(source.current);
            for (_, text) in source.frozen {
                let frozen = WriterSchema::parse(source.kind, text)?;
                let known = |schema: &WriterSchema| schema.fingerprint == frozen.fingerprint;
                if !known(&current) && !embedded.older.iter().any(known) {
                    embedded.older.push(frozen);
                }
            }
            embedded.current.push(current);
        }
        Ok(embedded)
    }

    /// The current schema of a kind, as text.
    #[must_use]
    pub fn text(&self, kind: EventKind) -> &'static str {
        SOURCES[kind as usize].current
    }

    /// The example of a kind, as JSON.
    #[cfg(test)]
    pub(crate) fn example(&self, kind: EventKind) -> &'static str {
        SOURCES[kind as usize].example
    }

    /// The frozen versions of a kind, oldest first, as text.
    #[must_use]
    pub fn frozen(&self, kind: EventKind) -> &'static [(u32, &'static str)] {
        SOURCES[kind as usize].frozen
    }

    /// The fingerprint of a kind's current schema, CRC-64-AVRO.
    #[must_use]
    pub fn fingerprint(&self, kind: EventKind) -> u64 {
        self.current(kind).fingerprint
    }

    pub(crate) fn current(&self, kind: EventKind) -> &WriterSchema {
        &self.current[kind as usize]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &WriterSchema> {
        self.current.iter().chain(&self.older)
    }
}

static EMBEDDED: LazyLock<Result<Embedded, SchemaError>> = LazyLock::new(Embedded::parse);

/// The schemas of this build, parsed once.
///
/// # Errors
/// Never in a build whose tests have passed.
pub fn embedded() -> Result<&'static Embedded, SchemaError> {
    EMBEDDED.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_schema() {
        for (kind, source) in EventKind::ALL.iter().zip(SOURCES) {
            assert_eq!(*kind, source.kind);
        }
        assert_eq!(SOURCES.len(), EventKind::ALL.len());
        let embedded = embedded().unwrap();
        assert_eq!(embedded.older.len(), 2, "two events have a second version");
    }

    /// `{"type": "string", "logicalType": "uuid"}` becomes `"string"`, as the canonical form wants it and as Java does
    /// it; `apache_avro` 0.22 leaves `{"type": "string"}`, so its own fingerprints of such schemas are nobody else's.
    fn strip(json: serde_json::Value) -> serde_json::Value {
        use serde_json::Value as Json;
        match json {
            Json::Array(items) => items.into_iter().map(strip).collect(),
            Json::Object(object) if object.contains_key("logicalType") => object["type"].clone(),
            Json::Object(object) => Json::Object(object.into_iter().map(|(key, value)| (key, strip(value))).collect()),
            leaf => leaf,
        }
    }

    #[test]
    fn fingerprints_agree_with_the_canonical_form() {
        for schema in embedded().unwrap().all() {
            let stripped = strip(serde_json::from_str(schema.schema.json()).unwrap());
            let parsed = apache_avro::Schema::parse(&stripped).unwrap();
            let reference = parsed.fingerprint::<apache_avro::rabin::Rabin>();
            assert_eq!(reference.bytes, schema.fingerprint.to_le_bytes(), "{}", schema.kind);
        }
    }
}
