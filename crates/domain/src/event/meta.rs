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
