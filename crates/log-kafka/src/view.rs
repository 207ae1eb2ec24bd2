//! Looking into the log without joining a group.

use crate::ask::Ask;
use crate::config::KafkaConfig;
use crate::error::{sort, sort_code};
use crate::names::Names;
use domain::{Topic, TopicPartition};
use pipeline::position::LogIdentity;
use pipeline::{GroupOffset, LogError, LogRange};
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The group that a reader outside of groups must name. It is never joined, and nothing is committed for it.
const GROUP: &str = "sporelog-view";

/// A cluster opened for reading only. Its methods block for a round trip to the brokers.
pub struct KafkaView {
    pub(crate) config: KafkaConfig,
    pub(crate) ask: Ask<DefaultConsumerContext>,
}

impl fmt::Debug for KafkaView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaView").field("bootstrap", &self.config.bootstrap).finish_non_exhaustive()
    }
}

impl KafkaView {
    /// A view; it connects by itself.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the configuration cannot be used.
    pub fn open(config: &KafkaConfig) -> Result<Self, LogError> {
        let ask = ask(config, GROUP)?;
        Ok(Self { config: config.clone(), ask })
    }

    /// The partitions of these topics, in their order; none for a topic that the cluster does not have.
    ///
    /// # Errors
    /// Where the brokers do not answer, or refuse to describe a topic.
    pub fn partitions(&self, topics: &[Topic]) -> Result<Vec<TopicPartition>, LogError> {
        let mut found = Vec::new();
        for topic in topics {
            let name = self.ask.names.topic(*topic);
            let doing = format!("asking for the partitions of {name}");
            let metadata = self.ask.consumer.fetch_metadata(Some(&name), self.ask.timeout);
            let metadata = metadata.map_err(|error| sort(&error, &doing))?;
            let Some(described) = metadata.topics().iter().find(|described| described.name() == name) else { continue };
            match described.error().map(rdkafka::error::RDKafkaErrorCode::from) {
                None => {}
                Some(rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition) => continue,
                Some(code) => return Err(sort_code(code, doing)),
            }
            found.extend((0..described.partitions().len() as u32).map(|ix| TopicPartition::new(*topic, ix)));
        }
        Ok(found)
    }

    /// What a partition's log holds.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn range(&self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.ask.range(tp)
    }

    /// Which log a topic is.
    ///
    /// # Errors
    /// Where the brokers do not answer; [`LogError::Setting`] where a setting of the topic would change what is stored.
    pub fn identity(&self, topic: Topic) -> Result<LogIdentity, LogError> {
        self.ask.identities(&[topic])?.of(topic)
    }

    /// The offsets that a group has committed.
    ///
    /// # Errors
    /// Where the brokers do not answer, or this user may not read the group.
    pub fn committed(&self, group: &str, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        ask(&self.config, &self.ask.names.group(group))?.committed(tps)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.ask.names
    }

    /// A consumer that is told what to read, and told where a partition ends.
    pub(crate) fn reader(&self) -> Result<Arc<BaseConsumer>, LogError> {
        let made = self.config.reader(&self.ask.names.group(GROUP))?;
        let made = made.create::<BaseConsumer>().map_err(|error| sort(&error, "making a reader"))?;
        Ok(Arc::new(made))
    }
}

fn ask(config: &KafkaConfig, group: &str) -> Result<Ask<DefaultConsumerContext>, LogError> {
    let consumer: BaseConsumer =
        config.reader(group)?.create().map_err(|error| sort(&error, "making a client to ask with"))?;
    let timeout = Duration::from_millis(config.request_timeout_ms);
    Ok(Ask { consumer: Arc::new(consumer), names: Names::new(&config.topic_prefix), timeout })
}
