//! The events of the log, borrowed from the bytes of a record.
//!
//! Each struct mirrors one schema of `schemas/` field by field; the codec crate decodes a record with the schema that
//! its writer used, fields that the writer lacked take the schema's default (here: serde's), and fields that we lack
//! are skipped. Null, an empty array and an empty map mean *unchanged* in an updating event; a field is set to null
//! by naming it in `cleared`. Enumerations are strings with an open vocabulary (`schemas/vocabulary.json`).
//!
//! What an event may contain is the affair of [`crate::validity`].

mod agent;
pub mod canonical;
mod group;
mod key;
mod memory;
mod meta;
mod process;
mod spore;
mod value;

use std::fmt;

use crate::Topic;

pub use agent::{Action, AgentHeartbeat, AgentProfiled, AgentStateChanged, BeliefUpdated, Position, ToneShift};
pub use group::{CoalitionFormed, CoalitionMembership, CoalitionReported, FieldMeasured, Forgotten, PolicyDecided};
pub use memory::{Compression, MemoryAnnotated, MemoryLinked, MemoryRecalled, MemoryTiered, RecalledSpore, Weights};
pub use meta::{Meta, derived_id, minted_us};
pub use process::{Blessed, Contributed, LoopAdvanced, LoopOpened, Recurrence, WisdomCrystallized};
pub use spore::{Embedding, InteractionRecorded, SporeCreated, SporePropagated};
pub use value::{Beliefs, Pairs, Sealed, Text};

macro_rules! events {
    ($($name:ident on $topic:ident, $doc:literal;)*) => {
        /// The kind of an event: the name of its schema's record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum EventKind { $(#[doc = $doc] $name,)* }

        impl EventKind {
            /// Every kind, in declaration order.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)*];

            /// The name of the schema's record, such as `SporeCreated`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(EventKind::$name => stringify!($name),)* }
            }

            /// The topic it is appended to. `Forgotten` goes, besides, to every topic it affects (I11).
            #[must_use]
            pub const fn topic(self) -> Topic {
                match self { $(EventKind::$name => Topic::$topic,)* }
            }
        }

        /// An event, borrowed from the bytes of its record.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "boxing would allocate for each record on the hot path")]
        pub enum Event<'a> { $(#[doc = $doc] $name($name<'a>),)* }

        impl<'a> Event<'a> {
            /// Identity, time and origin.
            #[must_use]
            pub fn meta(&self) -> &Meta<'a> {
                match self { $(Event::$name(event) => &event.meta,)* }
            }

            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> EventKind {
                match self { $(Event::$name(_) => EventKind::$name,)* }
            }
        }

        $(impl<'a> From<$name<'a>> for Event<'a> {
            fn from(event: $name<'a>) -> Self {
                Event::$name(event)
            }
        })*
    };
}

events! {
    AgentHeartbeat on AgentPresence, "An agent says that it is there.";
    AgentProfiled on AgentState, "An agent is registered, or its description changes.";
    AgentStateChanged on AgentState, "Something about an agent's state changed.";
    BeliefUpdated on AgentState, "An agent's beliefs changed.";
    SporeCreated on SporeCreated, "An agent created a spore.";
    SporePropagated on SporePropagated, "A spore was carried from one agent to another.";
    InteractionRecorded on SacredMessages, "An agent addressed another.";
    MemoryAnnotated on MemoryLifecycle, "An agent's own note on a spore changes.";
    MemoryTiered on MemoryLifecycle, "A memory moves from one tier to another.";
    MemoryRecalled on MemoryLifecycle, "An agent asked its memory.";
    MemoryLinked on MemoryLifecycle, "An agent linked two memories, or withdrew a link.";
    LoopOpened on LoopLifecycle, "An agent began a loop.";
    LoopAdvanced on LoopLifecycle, "A loop moved on.";
    Contributed on WisdomInsights, "Derived: an agent contributed to a signature.";
    Blessed on WisdomInsights, "An agent blessed a spore, a loop or a pattern.";
    WisdomCrystallized on WisdomInsights, "Derived: a signature crystallised, or its crystal changed.";
    CoalitionFormed on CoalitionLifecycle, "A coalition, guild or cluster was formed.";
    CoalitionMembership on CoalitionLifecycle, "An agent joined or left a coalition, or was scored in it.";
    CoalitionReported on CoalitionLifecycle, "A coalition reports its standing.";
    FieldMeasured on FieldCoherence, "A source measured a region's coherence over a window.";
    PolicyDecided on PolicyAudit, "A policy decided about a subject's data.";
    Forgotten on PolicyAudit, "A subject's data is erased.";
}

impl EventKind {
    /// The kind of that name, if it is one of ours.
    #[must_use]
    pub fn from_name(name: &str) -> Option<EventKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether workers derive it from other events; producers may not append it.
    #[must_use]
    pub const fn derived(self) -> bool {
        matches!(self, EventKind::Contributed | EventKind::WisdomCrystallized)
    }

    /// The slot of its sequence numbers, where it is derived: see [`crate::projection::DERIVED_SLOTS`].
    #[must_use]
    pub fn derived_slot(self) -> Option<i64> {
        let slots = crate::projection::DERIVED_SLOTS;
        slots.iter().find(|(kind, _)| *kind == self).map(|(_, slot)| *slot)
    }
}

impl Event<'_> {
    /// Puts the pairs of every map into the order of their names, so that equal maps have equal bytes.
    pub fn sort_maps(&mut self) {
        match self {
            Event::AgentProfiled(event) => {
                event.personality.sort();
                event.capabilities.sort();
            }
            Event::SporeCreated(event) => event.metadata.sort(),
            Event::InteractionRecorded(event) => event.context.sort(),
            Event::MemoryAnnotated(event) => event.metadata.sort(),
            Event::MemoryLinked(event) => event.metadata.sort(),
            Event::FieldMeasured(event) => event.resonance_patterns.sort(),
            _ => {}
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_name() {
        assert_eq!(EventKind::ALL.len(), 22);
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(EventKind::from_name("Nothing"), None);
    }
}
