//! A set of topics of its own on the cluster under test.

use domain::topics::{Change, Plan, TopicSpec};
use domain::{Topic, TopicPartition};
use engines::{Engine, address};
use log_kafka::{KafkaAdmin, KafkaConfig, KafkaPublisher, KafkaReplay, KafkaSource, KafkaView};
use pipeline::ports::Trouble;
use pipeline::position::LogIdentity;
use pipeline::{Headers, LogRange, OutRecord, Polled, Publisher as _, Source as _};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::log_suite::{Got, LogRig};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
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
        // As in topics.yaml: a record of the largest size, and its batch.
        ("max.message.bytes".to_owned(), (9 << 20).to_string()),
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

    async fn other_identity(&self) -> Option<LogIdentity> {
        let other = Rig::new().await;
        let identity = KafkaView::open(&other.config).unwrap().identity(TOPIC).unwrap();
        other.end().await;
        Some(identity)
    }

    async fn append_marker(&self, tp: TopicPartition) -> bool {
        let (config, partition) = (self.config.clone(), tp.partition);
        tokio::task::spawn_blocking(move || transaction(&config, "marker", partition, &["x"], false)).await.unwrap();
        true
    }

    fn too_large(&self) -> Option<Vec<u8>> {
        Some(vec![b'x'; self.config.max_record_bytes])
    }
}

/// The topic's name on the cluster.
pub fn name(config: &KafkaConfig) -> String {
    format!("{}{TOPIC}", config.topic_prefix)
}

/// A producer that is not ours, with properties of its own.
pub fn foreign(config: &KafkaConfig, properties: &[(&str, &str)]) -> BaseProducer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.bootstrap);
    for (name, value) in properties {
        client.set(*name, *value);
    }
    client.create().unwrap()
}

/// Begins a transaction with a record for each value.
pub fn begin(config: &KafkaConfig, id: &str, partition: u32, values: &[&str]) -> BaseProducer {
    let producer = foreign(config, &[("transactional.id", &format!("{}{id}", config.topic_prefix))]);
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    let topic = name(config);
    for value in values {
        let record = BaseRecord::<str, str>::to(&topic).key("k").payload(*value).partition(partition as i32);
        producer.send(record).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    producer
}

/// A whole transaction, which leaves a marker behind its records.
pub fn transaction(config: &KafkaConfig, id: &str, partition: u32, values: &[&str], commits: bool) {
    let producer = begin(config, id, partition, values);
    if commits { producer.commit_transaction(DEADLINE) } else { producer.abort_transaction(DEADLINE) }.unwrap();
}

/// What a replay of these bounds gives, which must end.
pub async fn replay(config: &KafkaConfig, bounds: BTreeMap<TopicPartition, LogRange>) -> (Vec<Got>, Vec<Trouble>) {
    let (done, starts) = (CancellationToken::new(), bounds.clone());
    let mut replay = KafkaReplay::new(KafkaView::open(config).unwrap(), bounds, done.clone()).unwrap();
    let (mut got, mut troubles) = (Vec::new(), Vec::new());
    let run = async {
        while !done.is_cancelled() {
            match replay.next(Duration::ZERO).await.unwrap() {
                Polled::Assigned(tps) => {
                    for tp in tps {
                        replay.seek(tp, starts[&tp].start).await.unwrap();
                    }
                }
                Polled::Page(page) => got.extend(page.records().map(|record| Got::of(&record))),
                Polled::Trouble(trouble) => troubles.push(trouble),
                Polled::Revoked(_) | Polled::Idle => {}
            }
        }
    };
    timeout(DEADLINE, run).await.expect("the replay ends");
    (got, troubles)
}

/// A replay of everything.
pub async fn everything(config: &KafkaConfig) -> Vec<Got> {
    let view = KafkaView::open(config).unwrap();
    let tps = view.partitions(&[TOPIC]).unwrap();
    let bounds = tps.iter().map(|tp| (*tp, view.range(*tp).unwrap())).collect();
    let (got, troubles) = replay(config, bounds).await;
    assert_eq!(troubles, []);
    got
}

pub fn tp(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

pub fn record(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> OutRecord {
    OutRecord { topic: TOPIC, key: key.into(), value: value.into(), headers: Headers::default() }
}

pub async fn publish(config: &KafkaConfig, records: Vec<OutRecord>) {
    drop(KafkaPublisher::new(config).unwrap().publish(records).await.unwrap());
}
