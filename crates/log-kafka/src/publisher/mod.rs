//! Appending: idempotent, acks=all, placed by murmur2 of the key (I9).
//!
//! **A failed publish leaves a beginning of each partition's records, never a suffix** (design 7). Within one producer,
//! retries neither double nor reorder. What else could make a gap is kept out:
//!
//! | what | why it makes no gap |
//! |---|---|
//! | a record times out in the client's queue, those behind it are sent | records have no time-out; the publish has a deadline, after which everything queued is purged and what is under way is awaited |
//! | brokers refuse a batch, the one behind it is under way | it does not follow the last sequence number: refused; the client then stops for good (`enable.gapless.guarantee`) and is replaced |
//! | brokers do not know the producer yet, and so take any first sequence number | the first record that a producer sends to a partition is awaited alone |
//!
//! So which record a broker refuses is known only where it was sent alone: then a publish goes on record by record.
//! Where a batch fails and its caller publishes it again, what the brokers had taken of it is there twice: readers drop the
//! repeat by its event id or sequence number.

mod client;
mod wave;

use crate::config::KafkaConfig;
use crate::error::sort;
use crate::names::Names;
use client::Client;
use pipeline::error::Unpublished;
use pipeline::ports::Placed;
use pipeline::{LogError, OutRecord, Publisher};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wave::{Failure, Wave};

/// Appends records to Kafka; clones share one producer.
#[derive(Clone)]
pub struct KafkaPublisher(Arc<Inner>);

struct Inner {
    config: KafkaConfig,
    names: Names,
    /// None before the first record, and after an error that a producer does not survive.
    client: Mutex<Option<Arc<Client>>>,
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
        Ok(Self(Arc::new(Inner { config: config.clone(), names, client: Mutex::new(None) })))
    }

    /// The first record that is larger than any record may be, and what to say of it.
    fn too_large(&self, records: &[OutRecord]) -> Option<(usize, LogError)> {
        let limit = self.0.config.max_record_bytes;
        let bytes = |record: &OutRecord| record.key.len() + record.value.len() + record.headers.as_bytes().len();
        let at = records.iter().position(|record| bytes(record) > limit)?;
        let text = format!("{} bytes for {}, the limit is {limit}", bytes(&records[at]), records[at].topic);
        Some((at, LogError::Refused(text)))
    }
}

impl Inner {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Result<Arc<Client>, LogError> {
        let mut slot = self.slot();
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let made = Arc::new(Client::create(&self.config)?);
        *slot = Some(made.clone());
        Ok(made)
    }

    /// Lets go of a client: the next batch gets a new one. Another batch may have replaced it already.
    fn retire(&self, client: &Arc<Client>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, client)) {
            *slot = None;
        }
    }
}

impl Publisher for KafkaPublisher {
    /// # Errors
    /// [`LogError::Refused`] for a record that is too large: nothing is published where that is known beforehand.
    /// [`LogError::Unavailable`] where the brokers did not acknowledge: a beginning of the batch may be in the log. When
    /// this returns, nothing of it is on its way any more, unless a broker that does not answer has it before it.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        if let Some((at, error)) = self.too_large(&records) {
            return Err(Unpublished { error, refused: Some(at), placed: Vec::new() });
        }
        let mut placed: Vec<Option<Placed>> = vec![None; records.len()];
        let (mut singly, mut refused_once) = (false, BTreeSet::new());
        loop {
            let todo: Vec<usize> = (0..records.len()).filter(|ix| placed[*ix].is_none()).collect();
            if todo.is_empty() {
                return Ok(placed.into_iter().flatten().collect());
            }
            let sent = match self.0.client() {
                Ok(client) => {
                    let wave = Wave { inner: &self.0, client, records: &records };
                    wave.send(&todo, singly, &mut placed).await
                }
                Err(error) => Err(Failure { error, refused: None }),
            };
            let Err(Failure { error, refused }) = sent else { continue };
            match refused {
                // Some record of a batch is refused, ours or that of another publisher: the next ones go alone, and the
                // one that is refused alone, and again, is it.
                Some(at) if !singly || refused_once.insert(at) => singly = true,
                refused => return Err(Unpublished { error, refused, placed }),
            }
        }
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
    use rdkafka::producer::Producer as _;

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

        let client = publisher.0.client().unwrap();
        let code = bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        let native = client.producer.client().native_ptr();
        // SAFETY: the producer is held, and the text ends with a zero byte.
        unsafe { bindings::rd_kafka_test_fatal_error(native, code, c"made up".as_ptr()) };
        let failed = publisher.publish(vec![record.clone()]).await.unwrap_err();
        assert!(matches!(&failed.error, LogError::Unavailable(text) if text.contains("replaced")), "{failed:?}");
        publisher.publish(vec![record]).await.unwrap();
        admin.delete(&[topic]).await.unwrap();
    }
}
