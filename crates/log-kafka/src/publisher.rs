//! Appending: idempotent, acks=all, placed by murmur2 of the key (I9).
//!
//! Every record of a batch is handed to the client, then all acknowledgements are awaited. Within one producer, retries
//! neither double nor reorder records. Where a batch fails and its caller publishes it again, what the brokers had taken
//! of it is there twice: readers drop the repeat by its event id or sequence number.

use crate::config::KafkaConfig;
use crate::error::{sort, sort_code};
use crate::headers;
use crate::names::Names;
use pipeline::{LogError, OutRecord, Publisher};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long to wait when the client's queue is full.
const FULL: Duration = Duration::from_millis(5);

/// Appends records to Kafka; clones share one producer.
#[derive(Clone)]
pub struct KafkaPublisher(Arc<Inner>);

struct Inner {
    config: KafkaConfig,
    names: Names,
    /// None before the first record, and after an error that a producer does not survive.
    producer: Mutex<Option<FutureProducer>>,
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").field("bootstrap", &self.0.config.bootstrap).finish_non_exhaustive()
    }
}

impl KafkaPublisher {
    /// A publisher; it connects by itself.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the configuration cannot be used.
    pub fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        let names = Names::new(&config.topic_prefix);
        // A producer has threads of its own, which look at the clock all day: one is made for the first record only.
        let checked = config.producer()?.create_native_config();
        checked.map_err(|error| sort(&error, "making a producer"))?;
        Ok(Self(Arc::new(Inner { config: config.clone(), names, producer: Mutex::new(None) })))
    }

    /// Hands a record to the client; waits only for room in its queue.
    async fn send(&self, producer: &FutureProducer, record: &OutRecord) -> Result<DeliveryFuture, LogError> {
        let topic = self.0.names.topic(record.topic);
        let (headers, null) = headers::write(&record.headers);
        let mut out = FutureRecord::<[u8], [u8]>::to(&topic).key(&record.key);
        if !(null && record.value.is_empty()) {
            out = out.payload(&record.value);
        }
        if let Some(headers) = headers {
            out = out.headers(headers);
        }
        loop {
            match producer.send_result(out) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    out = back;
                    tokio::time::sleep(FULL).await;
                }
                Err((error, _)) => return Err(self.failed(producer, &error, &topic)),
            }
        }
    }

    /// Sorts an error. A producer that is done for is let go of: the next batch gets a new one.
    fn failed(&self, producer: &FutureProducer, error: &KafkaError, topic: &str) -> LogError {
        let doing = format!("publishing to {topic}");
        let Some((code, reason)) = producer.client().fatal_error() else { return sort(error, doing) };
        let mut slot = self.0.slot();
        // Another batch may have replaced it already.
        if slot.as_ref().is_some_and(|held| held.client().native_ptr() == producer.client().native_ptr()) {
            tracing::warn!(%code, reason, "the producer is replaced");
            *slot = None;
        }
        match sort_code(code, &doing) {
            refused @ LogError::Refused(_) => refused,
            _ => LogError::Unavailable(format!("{doing}: {code}: {reason}: the producer is replaced")),
        }
    }

    fn check(&self, record: &OutRecord) -> Result<(), LogError> {
        let bytes = record.key.len() + record.value.len() + record.headers.as_bytes().len();
        let limit = self.0.config.max_record_bytes;
        if bytes > limit {
            return Err(LogError::Refused(format!("{bytes} bytes for {}, the limit is {limit}", record.topic)));
        }
        Ok(())
    }
}

impl Inner {
    fn slot(&self) -> MutexGuard<'_, Option<FutureProducer>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn producer(&self) -> Result<FutureProducer, LogError> {
        let mut slot = self.slot();
        if let Some(producer) = slot.as_ref() {
            return Ok(producer.clone());
        }
        let made: Result<FutureProducer<DefaultClientContext>, _> = self.config.producer()?.create();
        let made = made.map_err(|error| sort(&error, "making a producer"))?;
        *slot = Some(made.clone());
        Ok(made)
    }
}

impl Publisher for KafkaPublisher {
    /// # Errors
    /// [`LogError::Refused`] for a record that is too large: nothing is published where that is known beforehand.
    /// [`LogError::Unavailable`] where the brokers did not acknowledge: some of the batch may be in the log.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<(), LogError> {
        records.iter().try_for_each(|record| self.check(record))?;
        let producer = self.0.producer()?;
        let mut deliveries = Vec::with_capacity(records.len());
        let mut failure = None;
        for record in &records {
            match self.send(&producer, record).await {
                Ok(delivery) => deliveries.push((delivery, record.topic)),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        // All are awaited even after a failure: when this returns, nothing of the batch is on its way any more.
        for (delivery, topic) in deliveries {
            let error = match delivery.await {
                Ok(Ok(_)) => continue,
                Ok(Err((error, _))) => error,
                Err(_) => KafkaError::Canceled,
            };
            failure.get_or_insert(self.failed(&producer, &error, &self.0.names.topic(topic)));
        }
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::KafkaAdmin;
    use domain::Topic;
    use domain::topics::{Change, Plan, TopicSpec};
    use engines::{Engine, address};
    use pipeline::Headers;
    use rdkafka::bindings;

    #[tokio::test]
    #[allow(unsafe_code, reason = "the client's own means of raising such an error in a test")]
    async fn a_producer_that_is_done_for_is_replaced() {
        let topic_prefix = format!("test-{}.", uuid::Uuid::now_v7().simple());
        let config = KafkaConfig { bootstrap: address(Engine::Kafka), topic_prefix, ..KafkaConfig::default() };
        let admin = KafkaAdmin::new(&config).unwrap();
        let topic = Topic::PolicyAudit;
        let spec = TopicSpec { topic, partitions: 1, replication: 1, configs: Default::default(), events: Vec::new() };
        admin.apply(&Plan { changes: vec![Change::Create(spec)], refusals: Vec::new() }).await.unwrap();
        let mut publisher = KafkaPublisher::new(&config).unwrap();
        let record = OutRecord { topic, key: b"k".to_vec(), value: b"v".to_vec(), headers: Headers::default() };
        publisher.publish(vec![record.clone()]).await.unwrap();

        let producer = publisher.0.producer().unwrap();
        let code = bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        // SAFETY: the producer is held, and the text ends with a zero byte.
        unsafe { bindings::rd_kafka_test_fatal_error(producer.client().native_ptr(), code, c"made up".as_ptr()) };
        let failed = publisher.publish(vec![record.clone()]).await;
        assert!(matches!(&failed, Err(LogError::Unavailable(text)) if text.contains("replaced")), "{failed:?}");
        publisher.publish(vec![record]).await.unwrap();
        admin.delete(&[topic]).await.unwrap();
    }
}
