//! Offsets without a record: where transactions were aborted, also at the very end of what is read again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use log_kafka::{KafkaReplay, KafkaView};
use pipeline::{LogRange, Polled, Source as _};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::time::Duration;
use support::{DEADLINE, PARTITIONS, Rig, TOPIC, publish, record, tp};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

fn transaction(rig: &Rig, id: &str, values: &[&str], commits: bool) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &rig.config.bootstrap)
        .set("transactional.id", format!("{}{id}", rig.config.topic_prefix))
        .create()
        .unwrap();
    let topic = format!("{}{TOPIC}", rig.config.topic_prefix);
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    for value in values {
        producer.send(BaseRecord::<str, str>::to(&topic).key("k").payload(value).partition(1)).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    if commits { producer.commit_transaction(DEADLINE) } else { producer.abort_transaction(DEADLINE) }.unwrap();
}

async fn replay(view: KafkaView, bounds: BTreeMap<domain::TopicPartition, LogRange>) -> Vec<(i64, Vec<u8>)> {
    let done = CancellationToken::new();
    let starts = bounds.clone();
    let mut replay = KafkaReplay::new(view, bounds, done.clone()).unwrap();
    let mut got = Vec::new();
    let run = async {
        while !done.is_cancelled() {
            match replay.next(Duration::ZERO).await.unwrap() {
                Polled::Assigned(tps) => {
                    for tp in tps {
                        replay.seek(tp, starts[&tp].start).await.unwrap();
                    }
                }
                Polled::Page(page) => got.extend(page.records().map(|record| (record.offset, record.value.to_vec()))),
                Polled::Revoked(_) | Polled::Idle => {}
            }
        }
    };
    timeout(DEADLINE, run).await.expect("the replay ends");
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_ends_at_its_bounds_although_the_last_offsets_are_holes() {
    let rig = Rig::new().await;
    transaction(&rig, "one", &["a", "b"], true); // 0, 1 and a marker at 2
    transaction(&rig, "two", &["x", "y", "z"], false); // 3, 4, 5, and a marker at 6
    let view = || KafkaView::open(&rig.config).unwrap();
    assert_eq!(view().range(tp(1)).unwrap(), LogRange { start: 0, end: 7 });
    let all = [(0, b"a".to_vec()), (1, b"b".to_vec())];
    let bound = |start, end| BTreeMap::from([(tp(1), LogRange { start, end })]);
    assert_eq!(replay(view(), bound(0, 7)).await, all, "holes up to the log's end");
    assert_eq!(replay(view(), bound(0, 5)).await, all, "a bound within the holes");
    assert_eq!(replay(view(), bound(1, 2)).await, all[1..], "a bound within the records");
    assert_eq!(replay(view(), bound(3, 3)).await, [], "nothing to read");

    transaction(&rig, "three", &["c"], true); // 7, and a marker at 8
    assert_eq!(replay(view(), bound(0, 7)).await, all, "the log has gone on behind the bound");
    let every = (0..PARTITIONS).map(|ix| (tp(ix), view().range(tp(ix)).unwrap())).collect();
    assert_eq!(replay(view(), every).await.len(), 3, "empty partitions too");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_past_holes() {
    let rig = Rig::new().await;
    transaction(&rig, "one", &["x", "y"], false);
    publish(&rig.config, (0..20).map(|n| record(format!("k{n}"), "v")).collect()).await;
    let mut reader = testkit::log_suite::Reader::new(rig.source("holes"));
    reader.until(DEADLINE, "20 records", |reader| reader.got.len() >= 20).await;
    let first = reader.got.iter().find(|got| got.tp == tp(1)).unwrap();
    assert_eq!(first.offset, 3, "after two aborted records and their marker");
    rig.end().await;
}
