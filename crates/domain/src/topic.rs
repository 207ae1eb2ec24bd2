//! The topics that Sporelog knows, and the coordinates of a record in them.
//!
//! The set is closed: a topic is a contract (key, events, retention), not a string. Partition counts and
//! retention are configuration and stand in `topics.yaml`.

use std::fmt;

macro_rules! topics {
    ($($variant:ident => $name:literal, $doc:literal;)*) => {
        /// A topic of the log. `u8` representation, so that it is cheap to carry per record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Topic { $(#[doc = $doc] $variant,)* }

        impl Topic {
            /// Every topic, in declaration order.
            pub const ALL: &'static [Topic] = &[$(Topic::$variant,)*];

            /// The topic's name in the log.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Topic::$variant => $name,)* }
            }
        }
    };
}

topics! {
    AgentPresence => "agent.presence", "Heartbeats, keyed by agent.";
    SporeCreated => "spore.created", "New spores, keyed by spore.";
    SporePropagated => "spore.propagated", "Spores carried from agent to agent, keyed by spore.";
    FieldCoherence => "field.coherence", "Field measurements, keyed by region, window (start and length) and source.";
    SacredMessages => "sacred.messages", "Interactions, keyed by the sending agent.";
    WisdomInsights => "wisdom.insights", "Contributions, blessings and crystals, keyed by signature; blessings by subject.";
    AgentState => "agent.state", "Profiles, state changes and beliefs, keyed by agent.";
    MemoryLifecycle => "memory.lifecycle", "Annotations, tiers, recalls and links, keyed by agent.";
    LoopLifecycle => "loop.lifecycle", "Loops opened and advanced, keyed by loop.";
    CoalitionLifecycle => "coalition.lifecycle", "Coalitions, members and reports, keyed by coalition.";
    PolicyAudit => "policy.audit", "Policy decisions and erasures, keyed by subject.";
    DeadLetter => "sporelog.deadletter", "Records that could not be applied, under their original key.";
}

impl Topic {
    /// The topic of that name, if it is one of ours.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Topic> {
        Self::ALL.iter().copied().find(|topic| topic.name() == name)
    }

    /// Whether the log keeps the last record of each key only, as `topics.yaml` says: then a null value is a tombstone.
    #[must_use]
    pub const fn is_compacted(self) -> bool {
        matches!(self, Topic::FieldCoherence)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Names a partition.
    #[must_use]
    pub const fn new(topic: Topic, partition: u32) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_name(topic.name()), Some(*topic));
        }
        assert_eq!(Topic::from_name("nobody"), None);
    }
}
