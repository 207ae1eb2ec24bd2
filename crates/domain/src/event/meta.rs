//! What every event carries.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::canonical;

/// What every event carries: identity, time, origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta<'a> {
    /// Minted once by the producer: v7, or v5 where it is derived ([`derived_id`]). A retry repeats it.
    #[serde(with = "canonical")]
    pub event_id: Uuid,
    /// Valid time: when it happened, in microseconds since the Unix epoch, UTC. From 0 to 5 minutes past the append time.
    pub occurred_at: i64,
    /// The tenant. 1 to 256 bytes, without `|` (it separates the parts of a record key).
    pub tenant_id: &'a str,
    /// Who appended it. 1 to 256 bytes; what begins with a projection's name and `/` is for derived events.
    pub producer_id: &'a str,
    /// Number of this event, from 0, unique per producer and topic, in any order within 1,024 of a partition; null where the
    /// producer keeps none. Who does not keep its counter durably puts its start into its producer_id.
    #[serde(default)]
    pub producer_seq: Option<i64>,
    /// Resonance of the writer with the subject, 0 to 100; breaks ties between writers who had seen the same version.
    pub love_resonance: i32,
    /// The version that a read gave this writer, in microseconds; null for a blind writer. From 0 to 5 minutes past the
    /// append time.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(event_id: Uuid) -> Meta<'static> {
        Meta {
            event_id,
            occurred_at: 77,
            tenant_id: "t",
            producer_id: "p",
            producer_seq: None,
            love_resonance: 0,
            base_version: None,
            trace_id: None,
            causation_id: None,
        }
    }

    #[test]
    fn minted_us_is_the_time_of_a_v7_and_occurred_at_of_others() {
        let time = uuid::Timestamp::from_unix_time(1_764_000_000, 123_456_789, 0, 0);
        assert_eq!(minted_us(&meta(Uuid::new_v7(time))), 1_764_000_000_123_000);
        assert_eq!(minted_us(&meta(derived_id("t", "k", "n"))), 77);
        assert_eq!(minted_us(&meta(Uuid::from_u128(7))), 77);
        assert!(minted_us(&meta(Uuid::from_u128(!(0xf << 76) | 7 << 76))) > 0, "the largest time fits");
    }

    /// Ids in the log depend on it: neither namespace nor form may change.
    #[test]
    fn derived_id_is_the_same_for_ever() {
        let id = derived_id("grove", "Contributed", "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0001");
        assert_eq!(id.get_version_num(), 5);
        assert_eq!(id.to_string(), "f03d9019-5f2a-524a-901d-a263a09ee68f");
        assert_ne!(id, derived_id("grove", "Contributed", "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0002"));
        assert_ne!(id, derived_id("meadow", "Contributed", "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0001"));
    }
}
