//! What is there of a publish that failed is a beginning of each partition's records, and the publisher says which.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::partitioner::partition_for;
use engines::{Kafka, KafkaOptions, Node};
use log_kafka::{KafkaConfig, KafkaPublisher};
use pipeline::error::Unpublished;
use pipeline::ports::Placed;
use pipeline::{LogError, OutRecord, Publisher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{PARTITIONS, Rig, TOPIC, everything, record, spec};
use testkit::log_suite::Got;
use tokio::time::sleep;

/// The log holds of each partition a beginning of the batch, and every record where the publisher says.
fn check(batch: &[OutRecord], published: &Result<Vec<Placed>, Unpublished>, got: &[Got]) {
    for partition in 0..PARTITIONS {
        let sent = batch.iter().filter(|record| partition_for(&record.key, PARTITIONS) == partition);
        let found: Vec<_> = got.iter().filter(|got| got.tp.partition == partition).collect();
        let first = found.first().map(|got| String::from_utf8_lossy(&got.value[..got.value.len().min(9)]).into_owned());
        let is_beginning = sent.map(|record| &record.value).take(found.len()).eq(found.iter().map(|got| &got.value));
        assert!(is_beginning, "partition {partition}: {} records, not a beginning: the first is {first:?}", found.len());
    }
    let placed: Vec<Option<Placed>> = match published {
        Ok(placed) => placed.iter().copied().map(Some).collect(),
        Err(failed) => failed.placed.clone(),
    };
    for (record, at) in batch.iter().zip(placed).filter_map(|(record, at)| Some((record, at?))) {
        let found = got.iter().find(|got| (got.tp, got.offset) == (at.tp, at.offset));
        assert_eq!(found.map(|got| &got.value), Some(&record.value), "{at:?}");
    }
}

fn keyed(n: usize, value: Vec<u8>) -> OutRecord {
    record(format!("k{}", n % 7), value)
}

/// Brokers refuse a record by the limit of its topic, within a batch of small ones, of a producer that they do not know yet
/// and of one that they know.
#[tokio::test]
async fn record_that_brokers_refuse_is_named_and_ends_its_partition() {
    let mut state = 1_u32;
    let mut noise = |bytes: usize| -> Vec<u8> {
        (0..bytes).map(|_| { state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); (state >> 24) as u8 }).collect()
    };
    for (is_known, at) in [(false, 0), (false, 3), (false, 150), (true, 0), (true, 150), (true, 299)] {
        let rig = Rig::with(support::config(), vec![spec(TOPIC, PARTITIONS, &[("max.message.bytes", "60000")])]).await;
        let mut publisher = KafkaPublisher::new(&rig.config).unwrap();
        let mut before = Vec::new();
        if is_known {
            before = (0..14).map(|n| keyed(n, format!("before {n}").into_bytes())).collect();
            publisher.publish(before.clone()).await.unwrap();
        }
        let batch: Vec<_> = (0..300).map(|n| keyed(n, noise(if n == at { 100_000 } else { 900 }))).collect();
        let published = publisher.publish(batch.clone()).await;
        let failed = published.as_ref().unwrap_err();
        assert!(matches!(&failed.error, LogError::Refused(text) if text.contains("max.message.bytes")), "{}", failed.error);
        assert_eq!(failed.refused, Some(at), "known {is_known}");
        let got = everything(&rig.config).await;
        check(&[before, batch.clone()].concat(), &Ok(Vec::new()), &got);
        let lane = |record: &OutRecord| partition_for(&record.key, PARTITIONS);
        let taken = batch[..at].iter().filter(|record| lane(record) == lane(&batch[at])).count();
        let there = batch.iter().filter(|record| lane(record) == lane(&batch[at]));
        let there = there.filter(|record| got.iter().any(|got| got.value == record.value)).count();
        assert_eq!(there, taken, "everything before it, and nothing behind");
        publisher.publish(vec![record("k0", "after")]).await.unwrap();
        rig.end().await;
    }
}

/// A topic that takes less than the client's batches: each record fits, and so each is taken.
#[tokio::test]
async fn records_that_fit_are_taken_although_a_batch_of_them_does_not() {
    let settings = [("max.message.bytes", "3000")];
    let mut rig = Rig::with(support::config(), vec![spec(TOPIC, PARTITIONS, &settings)]).await;
    rig.config.properties.insert("compression.type".to_owned(), "none".to_owned());
    let batch: Vec<_> = (0..60).map(|n| keyed(n, format!("{n:9}").repeat(100).into_bytes())).collect();
    let published = KafkaPublisher::new(&rig.config).unwrap().publish(batch.clone()).await;
    assert!(published.is_ok(), "{published:?}");
    let got = everything(&rig.config).await;
    assert_eq!(got.len(), 60);
    check(&batch, &published, &got);
    rig.end().await;
}

struct Outage {
    kafka: Arc<Kafka>,
    config: KafkaConfig,
}

impl Outage {
    /// Runs `during` beside a publish of 2,000 records, whose topic is empty before.
    async fn run(&self, during: impl FnOnce(&Node) + Send + 'static, settled: Duration) -> (bool, usize) {
        let mut config = KafkaConfig { topic_prefix: support::config().topic_prefix, ..self.config.clone() };
        config.properties.insert("queue.buffering.max.messages".to_owned(), "50".to_owned());
        let rig = Rig::with(config, vec![spec(TOPIC, PARTITIONS, &[])]).await;
        let mut publisher = KafkaPublisher::new(&rig.config).unwrap();
        let batch: Vec<_> = (0..2_000).map(|n| keyed(n, format!("{n:9}").into_bytes())).collect();
        let began = Instant::now();
        let kafka = self.kafka.clone();
        let fault = tokio::task::spawn_blocking(move || during(&kafka.brokers()[0]));
        let published = publisher.publish(batch.clone()).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "{took:?}");
        fault.await.unwrap();
        sleep(settled).await;
        let got = everything(&rig.config).await;
        eprintln!("published: {}, in the log: {} of 2000", published.is_ok(), got.len());
        check(&batch, &published, &got);
        assert!(published.is_err() || got.len() == 2_000);
        let result = (published.is_ok(), got.len());
        rig.end().await;
        result
    }
}

/// L7: the broker is killed and comes back, sooner and later than the publisher waits, or hangs and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn outage_leaves_a_beginning() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let config = KafkaConfig { bootstrap: kafka.bootstrap(), delivery_timeout_ms: 3_000, ..support::config() };
    let outage = Outage { kafka: Arc::new(kafka), config };
    let mut failed = 0;
    for (after_ms, down_ms) in [(0, 0), (20, 0), (20, 3_000), (60, 6_000), (150, 0), (150, 4_000)] {
        let killed = move |broker: &Node| {
            std::thread::sleep(Duration::from_millis(after_ms));
            broker.kill().unwrap();
            std::thread::sleep(Duration::from_millis(down_ms));
            broker.restart().unwrap();
        };
        failed += usize::from(!outage.run(killed, Duration::ZERO).await.0);
    }
    for (after_ms, down_ms) in [(10, 1_000), (20, 2_500), (60, 5_000)] {
        let hung = move |broker: &Node| {
            std::thread::sleep(Duration::from_millis(after_ms));
            broker.pause().unwrap();
            std::thread::sleep(Duration::from_millis(down_ms));
            broker.resume().unwrap();
        };
        failed += usize::from(!outage.run(hung, Duration::from_secs(1)).await.0);
    }
    assert!(failed > 0, "no publish failed: the faults came too late");
}
