//! A set of topics of its own on the cluster under test.

use domain::topics::{Change, Plan, TopicSpec};
use domain::{Topic, TopicPartition};
use engines::{Engine, address};
use log_kafka::{KafkaAdmin, KafkaConfig, KafkaPublisher, KafkaSource};
use pipeline::{Headers, OutRecord, Publisher as _};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::log_suite::LogRig;
use uuid::Uuid;

pub const TOPIC: Topic = Topic::AgentState;
pub const PARTITIONS: u32 = 5;
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Rig {
    pub config: KafkaConfig,
    pub admin: KafkaAdmin,
    topics: Vec<Topic>,
}

pub fn config() -> KafkaConfig {
    KafkaConfig {
        bootstrap: address(Engine::Kafka),
        topic_prefix: format!("test-{}.", Uuid::now_v7().simple()),
        session_timeout_ms: 6_000,
        ..KafkaConfig::default()
    }
}

pub fn spec(topic: Topic, partitions: u32, configs: &[(&str, &str)]) -> TopicSpec {
    let mut all = BTreeMap::from([
        ("message.timestamp.type".to_owned(), "LogAppendTime".to_owned()),
        ("max.message.bytes".to_owned(), (8 << 20).to_string()),
    ]);
    all.extend(configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    TopicSpec { topic, partitions, replication: 1, configs: all, events: Vec::new() }
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(config(), vec![spec(TOPIC, PARTITIONS, &[])]).await
    }

    pub async fn with(config: KafkaConfig, specs: Vec<TopicSpec>) -> Self {
        let admin = KafkaAdmin::new(&config).unwrap();
        let topics = specs.iter().map(|spec| spec.topic).collect();
        let changes = specs.into_iter().map(Change::Create).collect();
        admin.apply(&Plan { changes, refusals: Vec::new() }).await.unwrap();
        Self { config, admin, topics }
    }

    pub fn source(&self, group: &str) -> KafkaSource {
        KafkaSource::join(&self.config, group, &self.topics).unwrap()
    }

    pub async fn end(self) {
        self.admin.delete(&self.topics).await.unwrap();
    }
}

impl LogRig for Rig {
    type Source = KafkaSource;
    type Publisher = KafkaPublisher;

    fn topic(&self) -> Topic {
        TOPIC
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    async fn publisher(&self) -> KafkaPublisher {
        KafkaPublisher::new(&self.config).unwrap()
    }

    async fn join(&self, group: &str) -> KafkaSource {
        self.source(group)
    }
}

pub fn tp(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

pub fn record(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> OutRecord {
    OutRecord { topic: TOPIC, key: key.into(), value: value.into(), headers: Headers::default() }
}

pub async fn publish(config: &KafkaConfig, records: Vec<OutRecord>) {
    KafkaPublisher::new(config).unwrap().publish(records).await.unwrap();
}
