//! What is there of a publish that failed is a beginning of each partition's records, and the publisher says which.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::partitioner::partition_for;
use engines::{Kafka, KafkaOptions};
use log_kafka::KafkaPublisher;
use pipeline::error::Unpublished;
use pipeline::ports::Placed;
use pipeline::{LogError, OutRecord, Publisher as _};
use std::sync::Arc;
use std::time::Duration;
use support::{DEADLINE, PARTITIONS, Rig, TOPIC, everything, record, spec};
use testkit::log_suite::Got;
use tokio::time::{Instant, sleep};

/// The log holds of each partition a beginning of the batch, and every record where the publisher says.
fn check(batch: &[OutRecord], published: &Result<Vec<Placed>, Unpublished>, got: &[Got]) {
    for partition in 0..PARTITIONS {
        let sent = batch.iter().filter(|record| partition_for(&record.key, PARTITIONS) == partition);
        let found: Vec<_> = got.iter().filter(|got| got.tp.partition == partition).collect();
        let first = found.first().map(|got| String::from_utf8_lossy(&got.value[..got.value.len().min(9)]).into_owned());
        let is_beginning = sent.map(|record| &record.value).take(found.len()).eq(found.iter().map(|got| &got.value));
        assert!(
            is_beginning,
            "partition {partition}: {} records, not a beginning: the first is {first:?}",
            found.len()
        );
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
        (0..bytes)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    };
    for (is_known, at) in [(false, 0), (false, 3), (false, 150), (true, 0), (true, 150), (true, 299)] {
        let mut config = support::config();
        // Several batches of a partition are under way at once.
        config.properties.insert("batch.size".to_owned(), "4000".to_owned());
        let rig = Rig::with(config, vec![spec(TOPIC, PARTITIONS, &[("max.message.bytes", "60000")])]).await;
        let mut publisher = KafkaPublisher::new(&rig.config).unwrap();
        let mut before = Vec::new();
        if is_known {
            before = (0..14).map(|n| keyed(n, format!("before {n}").into_bytes())).collect();
            publisher.publish(before.clone()).await.unwrap();
        }
        let batch: Vec<_> = (0..300).map(|n| keyed(n, noise(if n == at { 100_000 } else { 900 }))).collect();
        let published = publisher.publish(batch.clone()).await;
        let failed = published.as_ref().unwrap_err();
        assert!(
            matches!(&failed.error, LogError::Refused(text) if text.contains("max.message.bytes")),
            "{}",
            failed.error
        );
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

/// A fault of a broker: how long after the publish begins, and for how long.
#[derive(Clone, Copy, Debug)]
struct Fault {
    hangs: bool,
    after_ms: u64,
    for_ms: u64,
    delivery_timeout_ms: u64,
}

impl Fault {
    async fn make(self, kafka: Arc<Kafka>) {
        sleep(Duration::from_millis(self.after_ms)).await;
        let at = move |kafka: &Kafka, begins: bool| {
            let broker = &kafka.brokers()[0];
            match (self.hangs, begins) {
                (true, true) => broker.pause(),
                (true, false) => broker.resume(),
                (false, true) => broker.kill(),
                (false, false) => broker.restart(),
            }
        };
        let brokers = kafka.clone();
        tokio::task::spawn_blocking(move || at(&brokers, true)).await.unwrap().unwrap();
        sleep(Duration::from_millis(self.for_ms)).await;
        tokio::task::spawn_blocking(move || at(&kafka, false)).await.unwrap().unwrap();
    }
}

/// Publishes 2,000 records beside a fault; says whether that failed, and how many are there.
async fn publish_beside(kafka: &Arc<Kafka>, fault: Fault) -> (bool, usize) {
    let mut config = support::config();
    (config.bootstrap, config.delivery_timeout_ms) = (kafka.bootstrap(), fault.delivery_timeout_ms);
    config.properties.insert("queue.buffering.max.messages".to_owned(), "50".to_owned());
    let rig = Rig::with(config, vec![spec(TOPIC, PARTITIONS, &[])]).await;
    let mut publisher = KafkaPublisher::new(&rig.config).unwrap();
    let first: Vec<_> = (0..14).map(|n| keyed(n, format!("before {n}").into_bytes())).collect();
    publisher.publish(first.clone()).await.unwrap();
    let batch: Vec<_> = (0..2_000).map(|n| keyed(n, format!("{n:9}").into_bytes())).collect();
    let began = Instant::now();
    let faulty = tokio::spawn(fault.make(kafka.clone()));
    let published = publisher.publish(batch.clone()).await;
    let took = began.elapsed();
    faulty.await.unwrap();
    // What a broker that hung had before it may still be taken.
    sleep(Duration::from_secs(1)).await;
    let got = everything(&rig.config).await;
    eprintln!("{fault:?}: published {} after {took:?}, {} in the log", published.is_ok(), got.len() - first.len());
    check(&[first.clone(), batch].concat(), &Ok(Vec::new()), &got);
    if let Err(failed) = &published {
        let placed = failed.placed.iter().flatten().count();
        assert!(
            placed <= got.len() - first.len() && took < Duration::from_millis(2 * fault.delivery_timeout_ms + 5_000)
        );
    } else {
        assert_eq!(got.len(), 2_014);
    }
    // The same publisher goes on.
    let again = async { while publisher.publish(vec![record("k0", "after")]).await.is_err() {} };
    tokio::time::timeout(DEADLINE, again).await.expect("it goes on");
    let result = (published.is_err(), got.len() - first.len());
    rig.end().await;
    result
}

/// L7: the broker is killed and comes back, sooner and later than the publisher waits, or hangs and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn outage_leaves_a_beginning() {
    let kafka = Arc::new(Kafka::start(&KafkaOptions::default()).unwrap());
    let mut partly = 0;
    for (hangs, after_ms, for_ms, delivery_timeout_ms) in [
        (false, 5, 0, 3_000),
        (false, 20, 0, 30_000),
        (false, 30, 3_000, 3_000),
        (false, 40, 0, 6_000),
        (true, 10, 1_000, 3_000),
        (true, 20, 2_500, 3_000),
        (true, 30, 5_000, 3_000),
    ] {
        let fault = Fault { hangs, after_ms, for_ms, delivery_timeout_ms };
        let (failed, there) = publish_beside(&kafka, fault).await;
        partly += usize::from(failed && there > 0);
    }
    assert!(partly > 0, "no publish failed half way: the faults came too early or too late");
}
