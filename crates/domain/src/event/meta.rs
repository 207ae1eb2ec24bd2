//! What every event carries.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::canonical;

/// What every event carries: identity, time, origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta<'a> {
    /// Minted once by the producer (v7; the importer derives a v5 of file and row). A retry repeats it.
    #[serde(with = "canonical")]
    pub event_id: Uuid,
    /// Valid time: when it happened, in microseconds since the Unix epoch, UTC. From 0 to 5 minutes past the append time.
    pub occurred_at: i64,
    /// The tenant. 1 to 256 bytes, without `|` (it separates the parts of a record key).
    pub tenant_id: &'a str,
    /// Who appended it. 1 to 256 bytes.
    pub producer_id: &'a str,
    /// Sequence number of this producer in this topic, rising in append order, from 0; null where the producer keeps none.
    #[serde(default)]
    pub producer_seq: Option<i64>,
    /// Resonance of the writer with the subject, 0 to 100; breaks ties between writers who had seen the same version.
    pub love_resonance: i32,
    /// The version (a gen, in microseconds or version steps) this writer had seen; null for a blind writer. From 0 to 5 minutes past the append time.
    #[serde(default)]
    pub base_version: Option<i64>,
    /// W3C trace id: normally 32 hexadecimal digits; at most 8 KiB.
    #[serde(borrow, default)]
    pub trace_id: Option<&'a str>,
    /// The event that caused this one.
    #[serde(default, with = "canonical::option")]
    pub causation_id: Option<Uuid>,
}

/// The namespace of every derived id. A constant for ever: another one would make other events of the same causes.
pub const DERIVED_IDS: Uuid = Uuid::from_u128(0x2f1d_5a37_8c04_5e6b_9d21_7b64_c5e8_0a93);

/// The id of an event that follows from something else: v5 of [`DERIVED_IDS`] and `tenant|kind|name`. Whoever derives it
/// again, on whatever machine, gets the same one.
#[must_use]
pub fn derived_id(tenant_id: &str, kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(&DERIVED_IDS, format!("{tenant_id}|{kind}|{name}").as_bytes())
}

/// When the event's id was minted, in microseconds: the time in a UUIDv7 (milliseconds), for other ids `occurred_at`.
///
/// A repeat bears the id that it was minted with; a number used again bears a later one.
#[must_use]
pub fn minted_us(meta: &Meta<'_>) -> i64 {
    if meta.event_id.get_version_num() != 7 {
        return meta.occurred_at;
    }
    // The first 48 bits; times a thousand they fit easily.
    (meta.event_id.as_u128() >> 80) as i64 * 1_000
}
