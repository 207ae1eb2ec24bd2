//! A producer, and what is known of the partitions that it has sent to.

use crate::ask::blocking;
use crate::config::KafkaConfig;
use crate::error::{sort, sort_code};
use domain::Topic;
use domain::partitioner::partition_for;
use pipeline::{LogError, OutRecord};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::future_producer::FutureProducer;
use rdkafka::producer::{Producer as _, PurgeConfig};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a broker surely remembers a producer (`producer.id.expiration.ms` is a day by default), and how long a
/// partition count is good enough to tell partitions apart.
const KNOWN: Duration = Duration::from_secs(3_600);
/// How long a topic that was just made may be unknown to a broker.
const UNKNOWN: Duration = Duration::from_secs(1);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A partition, as it is told from others before a record is sent.
pub(super) type Lane = (Topic, u32);

/// What librdkafka calls back.
pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, words: &str) {
        // It warns that a property that we set is experimental.
        if fac == "CONFWARN" || level as u8 > RDKafkaLogLevel::Warning as u8 {
            tracing::debug!(fac, words, "librdkafka");
        } else {
            tracing::warn!(fac, words, "librdkafka");
        }
    }
}

/// A producer.
pub(super) struct Client {
    pub(super) producer: FutureProducer<Context>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    counts: HashMap<Topic, (u32, Instant)>,
    /// When a record of this producer was acknowledged first, as far as brokers surely remember.
    first: HashMap<Lane, Instant>,
}

impl Client {
    pub(super) fn create(config: &KafkaConfig) -> Result<Self, LogError> {
        let producer = config.producer()?.create_with_context(Context);
        let producer = producer.map_err(|error| sort(&error, "making a producer"))?;
        Ok(Self { producer, known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out how many partitions these topics have, where that is not known.
    pub(super) async fn count(
        self: &Arc<Self>,
        topics: impl Iterator<Item = (Topic, String)>,
        timeout: Duration,
    ) -> Result<(), LogError> {
        for (topic, name) in topics {
            let known = self.known().counts.get(&topic).is_some_and(|(_, at)| at.elapsed() < KNOWN);
            if known {
                continue;
            }
            let began = Instant::now();
            let count = loop {
                let (client, asked) = (self.clone(), name.clone());
                match blocking(move || client.partitions(&asked, timeout)).await {
                    Err(_) if began.elapsed() < UNKNOWN => tokio::time::sleep(ASK_AGAIN).await,
                    answer => break answer?,
                }
            };
            self.known().counts.insert(topic, (count, Instant::now()));
        }
        Ok(())
    }

    fn partitions(&self, name: &str, timeout: Duration) -> Result<u32, LogError> {
        let doing = format!("publishing to {name}");
        let metadata = self.producer.client().fetch_metadata(Some(name), timeout);
        let metadata = metadata.map_err(|error| sort(&error, &doing))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        match topic.map(|topic| (topic.error(), topic.partitions().len() as u32)) {
            Some((None, count)) if count > 0 => Ok(count),
            Some((Some(code), _)) => Err(sort_code(code.into(), doing)),
            _ => Err(sort_code(rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition, doing)),
        }
    }

    /// Where a record will go. Only order and awaiting rest on it: the client places the record itself.
    pub(super) fn lane(&self, record: &OutRecord) -> Lane {
        let count = self.known().counts.get(&record.topic).map_or(1, |(count, _)| *count);
        (record.topic, partition_for(&record.key, count))
    }

    /// Whether the brokers know this producer on that partition: they took a record of it.
    pub(super) fn is_known(&self, lane: Lane) -> bool {
        self.known().first.get(&lane).is_some_and(|at| at.elapsed() < KNOWN)
    }

    /// A record of this producer was acknowledged.
    pub(super) fn acknowledged(&self, lane: Lane) {
        let mut known = self.known();
        let at = known.first.entry(lane).or_insert_with(Instant::now);
        if at.elapsed() >= KNOWN {
            *at = Instant::now();
        }
    }

    /// Fails what is queued, and what is under way too if so wanted.
    pub(super) async fn purge(self: &Arc<Self>, in_flight: bool) {
        let client = self.clone();
        let flags = PurgeConfig::default().queue();
        let flags = if in_flight { flags.inflight() } else { flags };
        let purged = blocking(move || {
            client.producer.purge(flags);
            Ok(())
        });
        if let Err(error) = purged.await {
            tracing::warn!(%error, "records were not purged");
        }
    }
}
