//! The record key of an event: `tenant|key` (design 5). It decides the partition, hence who writes the event's rows
//! and in which order (I3, I9).
//!
//! `|` separates the parts of a key and is not escaped. So that no two events share a key by accident, validity refuses it
//! in the tenant and in every part but the last, which runs to the key's end.

use uuid::Uuid;

use super::{Event, canonical};

/// The parts of a key after the tenant, in order.
enum Part<'e> {
    Text(&'e str),
    Id(&'e Uuid),
    Int(i64),
}

/// A decimal integer as text, without allocating.
struct Digits {
    buffer: [u8; 20],
    start: usize,
}

impl Digits {
    fn new(value: i64) -> Self {
        let mut digits = Self { buffer: [0; 20], start: 20 };
        let mut rest = value.unsigned_abs();
        loop {
            digits.push(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            digits.push(b'-');
        }
        digits
    }

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.buffer[self.start] = byte;
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl Event<'_> {
    /// Appends the record key, `tenant|key`, to `out`.
    pub fn key(&self, out: &mut Vec<u8>) {
        self.key_parts(&mut |bytes, _| {
            out.extend_from_slice(bytes);
            true
        });
    }

    /// Whether `key` is this event's record key. Does not allocate. The digits of an id may be upper-case: that is the same
    /// id, and the event that is folded bears the canonical form.
    ///
    /// `Forgotten` is appended to every affected topic under that topic's key (I11): of its key only the tenant is
    /// fixed.
    #[must_use]
    pub fn key_matches(&self, key: &[u8]) -> bool {
        if let Event::Forgotten(event) = self {
            let tenant = event.meta.tenant_id.as_bytes();
            return key.len() > tenant.len() + 1 && key.starts_with(tenant) && key[tenant.len()] == b'|';
        }
        let mut rest = key;
        let equal = self.key_parts(&mut |bytes, is_id| {
            let Some((head, tail)) = rest.split_at_checked(bytes.len()) else { return false };
            rest = tail;
            head == bytes || (is_id && head.eq_ignore_ascii_case(bytes))
        });
        equal && rest.is_empty()
    }

    /// Gives the key to `sink` piece by piece, with whether it is an id's, until it returns false; whether it never did.
    fn key_parts(&self, sink: &mut dyn FnMut(&[u8], bool) -> bool) -> bool {
        if !sink(self.meta().tenant_id.as_bytes(), false) {
            return false;
        }
        let mut put = |part: Part<'_>| {
            sink(b"|", false)
                && match part {
                    Part::Text(text) => sink(text.as_bytes(), false),
                    Part::Id(id) => sink(canonical::text(id, &mut [0; canonical::LEN]).as_bytes(), true),
                    Part::Int(value) => sink(Digits::new(value).bytes(), false),
                }
        };
        match self {
            Event::AgentHeartbeat(e) => put(Part::Text(e.agent_id)),
            Event::AgentProfiled(e) => put(Part::Text(e.agent_id)),
            Event::AgentStateChanged(e) => put(Part::Text(e.agent_id)),
            Event::BeliefUpdated(e) => put(Part::Text(e.agent_id)),
            Event::SporeCreated(e) => put(Part::Id(&e.spore_id)),
            Event::SporePropagated(e) => put(Part::Id(&e.spore_id)),
            Event::InteractionRecorded(e) => put(Part::Text(e.agent_id)),
            Event::MemoryAnnotated(e) => put(Part::Text(e.agent_id)),
            Event::MemoryTiered(e) => put(Part::Text(e.agent_id)),
            Event::MemoryRecalled(e) => put(Part::Text(e.agent_id)),
            Event::MemoryLinked(e) => put(Part::Text(e.agent_id)),
            Event::LoopOpened(e) => put(Part::Text(e.loop_id)),
            Event::LoopAdvanced(e) => put(Part::Text(e.loop_id)),
            Event::Contributed(e) => put(Part::Text(e.signature)),
            // The blessings of one subject lie in one partition; those of a pattern beside what it consists of.
            Event::Blessed(e) if e.subject_kind == "PATTERN" => put(Part::Text(e.signature.unwrap_or(e.subject_id))),
            Event::Blessed(e) => put(Part::Text(e.subject_id)),
            Event::WisdomCrystallized(e) => put(Part::Text(e.signature)),
            Event::CoalitionFormed(e) => put(Part::Text(e.coalition_id)),
            Event::CoalitionMembership(e) => put(Part::Text(e.coalition_id)),
            Event::CoalitionReported(e) => put(Part::Text(e.coalition_id)),
            Event::FieldMeasured(e) => {
                // The length too: an hour may start with a minute, and compaction keeps one record of a key.
                put(Part::Text(e.region_id))
                    && put(Part::Int(e.window_start))
                    && put(Part::Int(e.window_secs.into()))
                    && put(Part::Text(e.source))
            }
            Event::PolicyDecided(e) => put(Part::Text(e.subject_id)),
            Event::Forgotten(e) => put(Part::Text(e.subject_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Digits;

    #[test]
    fn digits_read_like_display() {
        for value in [0, 7, -1, 1_764_000_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(Digits::new(value).bytes(), value.to_string().as_bytes());
        }
    }
}
