//! The stamp of a register: which of two writers wins.
//!
//! The largest (gen, love_resonance, occurred_at, event_id) wins, where gen = base_version + 1, or occurred_at
//! where the writer names no base. So causality first, time among blind writers, and resonance only between
//! writers who had seen the same version. The bytes are big-endian, so every store compares them alike.

use uuid::Uuid;

/// The stamp of one write, 33 bytes: gen (8), love_resonance (1), occurred_at in us (8), event_id (16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp([u8; Self::LEN]);

impl Stamp {
    /// The length in bytes.
    pub const LEN: usize = 33;

    /// The stamp of an event. Times and versions are not negative (validity).
    #[must_use]
    pub fn new(base_version: Option<i64>, love_resonance: u8, occurred_at_us: i64, event_id: Uuid) -> Self {
        let generation = base_version.map_or(occurred_at_us, |base| base.saturating_add(1));
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&generation.to_be_bytes());
        bytes[8] = love_resonance;
        bytes[9..17].copy_from_slice(&occurred_at_us.to_be_bytes());
        bytes[17..].copy_from_slice(event_id.as_bytes());
        Self(bytes)
    }

    /// The bytes, as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causality_beats_resonance_and_resonance_beats_time() {
        let (low, high) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seen_it = Stamp::new(Some(100), 0, 50, low);
        let loud_but_blind_to_it = Stamp::new(Some(99), 100, 90, high);
        assert!(seen_it > loud_but_blind_to_it);
        assert!(Stamp::new(Some(7), 60, 1, low) > Stamp::new(Some(7), 40, 2, low));
        assert!(Stamp::new(None, 0, 2, low) > Stamp::new(None, 100, 1, low));
        assert!(Stamp::new(None, 5, 2, high) > Stamp::new(None, 5, 2, low));
    }
}
