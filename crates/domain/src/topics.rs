//! The topics as `topics.yaml` wants them, and what must change on a cluster to get there.
//!
//! Pure: reading the file and talking to a cluster are other crates' affair. A plan only ever creates topics and
//! changes their configuration; whatever would lose data or break the order of a key (I9) is refused by name.

use crate::topic::Topic;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

const DAY_MS: i64 = 86_400_000;

/// The text of `topics.yaml`, read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicsFile {
    /// Copies of each partition.
    pub replication: u16,
    /// Broker configuration of every topic, by Kafka's names.
    pub configs: BTreeMap<String, String>,
    /// The topics by name.
    pub topics: BTreeMap<String, TopicEntry>,
    /// Variations by name, see [`Profile`].
    pub profiles: BTreeMap<String, Profile>,
}

/// One topic of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicEntry {
    /// What stands after `tenant|` in the record key.
    pub key: String,
    /// The number of partitions.
    pub partitions: u32,
    /// What the broker does with old records.
    pub cleanup: Cleanup,
    /// How long records are kept.
    pub retention: Retention,
    /// Broker configuration of this topic, over that of the file.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
    /// The events it carries, by the names of their schemas.
    pub events: Vec<String>,
}

/// What the broker does with old records.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Cleanup {
    /// Removes them after the retention.
    Delete,
    /// Keeps the last of each key.
    Compact,
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Without end.
    Forever,
    /// For this many days.
    Days(u32),
}

impl Retention {
    /// Kafka's `retention.ms`: -1 is without end.
    #[must_use]
    pub fn millis(self) -> i64 {
        match self {
            Self::Forever => -1,
            Self::Days(days) => i64::from(days) * DAY_MS,
        }
    }
}

/// A variation of the file for one kind of cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The only cluster on which this profile may be applied.
    pub cluster_id: Option<String>,
    /// Copies of each partition, instead of the file's.
    pub replication: Option<u16>,
    /// Every partition count is divided by this, down to 1.
    pub partitions_divisor: Option<u32>,
    /// Broker configuration, over that of file and topics.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

/// One topic as wanted, with the profile applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic.
    pub topic: Topic,
    /// The number of partitions, at least 1.
    pub partitions: u32,
    /// Copies of each partition.
    pub replication: u16,
    /// Broker configuration by Kafka's names, with `cleanup.policy` and `retention.ms`.
    pub configs: BTreeMap<String, String>,
    /// The events it carries.
    pub events: Vec<String>,
}

/// Everything wanted of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The only cluster this may be applied to, where one is named.
    pub cluster_id: Option<String>,
    /// The topics, in declaration order.
    pub topics: Vec<TopicSpec>,
}

/// What is wrong with the file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicsError {
    /// A name that is no topic of ours.
    #[error("`{0}` is not a topic of sporelog: correct the name in topics.yaml")]
    Unknown(String),
    /// A topic of ours that the file leaves out.
    #[error("topics.yaml has no entry for `{0}`: add it, every topic must be declared")]
    Missing(Topic),
    /// A topic without partitions.
    #[error("`{0}` has 0 partitions in topics.yaml: give it at least 1")]
    NoPartitions(Topic),
    /// A profile that the file does not have.
    #[error("topics.yaml has no profile `{name}`: choose one of {known}")]
    NoProfile {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

impl TopicsFile {
    /// The topics wanted under a profile, or as the file has them; every topic of [`Topic::ALL`] is among them.
    pub fn desired(&self, profile: Option<&str>) -> Result<Desired, TopicsError> {
        let profile = profile.map(|name| self.profile(name)).transpose()?;
        if let Some(name) = self.topics.keys().find(|name| Topic::from_name(name).is_none()) {
            return Err(TopicsError::Unknown(name.clone()));
        }
        let topics = Topic::ALL.iter().map(|topic| self.spec(*topic, profile)).collect::<Result<_, _>>()?;
        Ok(Desired { cluster_id: profile.and_then(|profile| profile.cluster_id.clone()), topics })
    }

    fn profile(&self, name: &str) -> Result<&Profile, TopicsError> {
        self.profiles.get(name).ok_or_else(|| TopicsError::NoProfile {
            name: name.to_owned(),
            known: self.profiles.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    fn spec(&self, topic: Topic, profile: Option<&Profile>) -> Result<TopicSpec, TopicsError> {
        let entry = self.topics.get(topic.name()).ok_or(TopicsError::Missing(topic))?;
        if entry.partitions == 0 {
            return Err(TopicsError::NoPartitions(topic));
        }
        let divisor = profile.and_then(|profile| profile.partitions_divisor).unwrap_or(1).max(1);
        let mut configs = self.configs.clone();
        configs.extend(entry.configs.clone());
        configs.insert("cleanup.policy".to_owned(), entry.cleanup.to_string());
        configs.insert("retention.ms".to_owned(), entry.retention.millis().to_string());
        configs.extend(profile.map(|profile| profile.configs.clone()).unwrap_or_default());
        Ok(TopicSpec {
            topic,
            partitions: (entry.partitions / divisor).max(1),
            replication: profile.and_then(|profile| profile.replication).unwrap_or(self.replication),
            configs,
            events: entry.events.clone(),
        })
    }
}

impl fmt::Display for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        })
    }
}

mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Actual, ActualTopic, Change, Plan, Refusal, plan};
