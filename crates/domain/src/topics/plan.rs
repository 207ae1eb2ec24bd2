//! The difference between the topics as wanted and a cluster as it is.

use super::{Desired, TopicSpec};
use crate::topic::Topic;
use std::collections::BTreeMap;
use std::fmt;

/// A cluster as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// Its id.
    pub cluster_id: String,
    /// Its topics, those of others too.
    pub topics: Vec<ActualTopic>,
}

/// A topic as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActualTopic {
    /// Its name.
    pub name: String,
    /// The number of partitions.
    pub partitions: u32,
    /// Copies of each partition.
    pub replication: u16,
    /// Its configuration in force, defaults of the broker included.
    pub configs: BTreeMap<String, String>,
}

/// One step towards what is wanted. None of them loses a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates a topic.
    Create(TopicSpec),
    /// Changes one configuration of a topic.
    Configure {
        /// The topic.
        topic: Topic,
        /// The configuration, by Kafka's name.
        name: String,
        /// The value in force, if any.
        from: Option<String>,
        /// The value wanted.
        to: String,
    },
}

/// A difference that is never mended by a plan: somebody must decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The cluster is not the one named.
    WrongCluster {
        /// The id named.
        wanted: String,
        /// The id found.
        found: String,
    },
    /// Fewer partitions are wanted: that would lose records.
    Shrink {
        /// The topic.
        topic: Topic,
        /// Partitions found.
        from: u32,
        /// Partitions wanted.
        to: u32,
    },
    /// More partitions are wanted: that would break the order of keys (I9).
    Grow {
        /// The topic.
        topic: Topic,
        /// Partitions found.
        from: u32,
        /// Partitions wanted.
        to: u32,
    },
    /// The number of copies differs: that is a reassignment, made with the cluster's own tools.
    Replication {
        /// The topic.
        topic: Topic,
        /// Copies found.
        from: u16,
        /// Copies wanted.
        to: u16,
    },
    /// A topic of ours is on the cluster but not wanted: deleting it would lose records.
    Delete(Topic),
}

/// What a cluster needs. It may be applied only where nothing is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order of the topics.
    pub changes: Vec<Change>,
    /// What stands in the way.
    pub refusals: Vec<Refusal>,
}

impl Plan {
    /// Whether the cluster is as wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.refusals.is_empty()
    }
}

/// What must change on this cluster. Topics of others are left alone; on the wrong cluster nothing is planned.
#[must_use]
pub fn plan(desired: &Desired, actual: &Actual) -> Plan {
    let mut plan = Plan::default();
    if let Some(wanted) = desired.cluster_id.as_ref().filter(|wanted| **wanted != actual.cluster_id) {
        let found = actual.cluster_id.clone();
        plan.refusals.push(Refusal::WrongCluster { wanted: wanted.clone(), found });
        return plan;
    }
    let found: BTreeMap<&str, &ActualTopic> = actual.topics.iter().map(|topic| (topic.name.as_str(), topic)).collect();
    for spec in &desired.topics {
        match found.get(spec.topic.name()) {
            None => plan.changes.push(Change::Create(spec.clone())),
            Some(actual) => compare(spec, actual, &mut plan),
        }
    }
    let wanted = |topic: &Topic| desired.topics.iter().any(|spec| spec.topic == *topic);
    let ours = actual.topics.iter().filter_map(|topic| Topic::from_name(&topic.name));
    plan.refusals.extend(ours.filter(|topic| !wanted(topic)).map(Refusal::Delete));
    plan
}

fn compare(spec: &TopicSpec, actual: &ActualTopic, plan: &mut Plan) {
    let topic = spec.topic;
    let (from, to) = (actual.partitions, spec.partitions);
    if from > to {
        plan.refusals.push(Refusal::Shrink { topic, from, to });
    } else if from < to {
        plan.refusals.push(Refusal::Grow { topic, from, to });
    }
    let (from, to) = (actual.replication, spec.replication);
    if from != to {
        plan.refusals.push(Refusal::Replication { topic, from, to });
    }
    for (name, to) in &spec.configs {
        let from = actual.configs.get(name).cloned();
        if from.as_ref() != Some(to) {
            plan.changes.push(Change::Configure { topic, name: name.clone(), from, to: to.clone() });
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(spec) => {
                write!(f, "create {} with {} partitions x {}", spec.topic, spec.partitions, spec.replication)
            }
            Self::Configure { topic, name, from: Some(from), to } => write!(f, "set {name} of {topic}: {from} -> {to}"),
            Self::Configure { topic, name, from: None, to } => write!(f, "set {name} of {topic}: {to}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCluster { wanted, found } => write!(
                f,
                "this cluster is `{found}`, the profile names `{wanted}`: check the brokers you connect to, or correct cluster_id"
            ),
            Self::Shrink { topic, from, to } => write!(
                f,
                "{topic} has {from} partitions, {to} are wanted: partitions are never removed, set {from} in topics.yaml"
            ),
            Self::Grow { topic, from, to } => write!(
                f,
                "{topic} has {from} partitions, {to} are wanted: growth in place breaks the order of keys, make a new generation of the topic"
            ),
            Self::Replication { topic, from, to } => write!(
                f,
                "{topic} has {from} copies, {to} are wanted: reassign its replicas with the cluster's tools, then plan again"
            ),
            Self::Delete(topic) => write!(
                f,
                "{topic} is on the cluster but not wanted: topics are never deleted here, add it to topics.yaml or delete it by hand"
            ),
        }
    }
}
