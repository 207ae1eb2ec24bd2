//! Offsets without a record: where transactions were aborted, also at the very end of what is read again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::TopicPartition;
use log_kafka::{KafkaConfig, KafkaView};
use pipeline::LogRange;
use rdkafka::producer::Producer as _;
use std::collections::BTreeMap;
use std::time::Duration;
use support::{DEADLINE, PARTITIONS, Rig, begin, publish, record, spec, tp, transaction};
use testkit::log_suite::Reader;
use tokio::time::{Instant, sleep};

async fn replay(config: &KafkaConfig, bounds: BTreeMap<TopicPartition, LogRange>) -> Vec<(i64, Vec<u8>)> {
    let (got, troubles) = support::replay(config, bounds).await;
    assert_eq!(troubles, []);
    got.into_iter().map(|got| (got.offset, got.value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_ends_at_its_bounds_although_the_last_offsets_are_holes() {
    let rig = Rig::new().await;
    transaction(&rig.config, "one", 1, &["a", "b"], true); // 0, 1 and a marker at 2
    transaction(&rig.config, "two", 1, &["x", "y", "z"], false); // 3, 4, 5, and a marker at 6
    let view = || KafkaView::open(&rig.config).unwrap();
    assert_eq!(view().range(tp(1)).unwrap(), LogRange { start: 0, end: 7 });
    let all = [(0, b"a".to_vec()), (1, b"b".to_vec())];
    let bound = |start, end| BTreeMap::from([(tp(1), LogRange { start, end })]);
    assert_eq!(replay(&rig.config, bound(0, 7)).await, all, "holes up to the log's end");
    assert_eq!(replay(&rig.config, bound(0, 5)).await, all, "a bound within the holes");
    assert_eq!(replay(&rig.config, bound(1, 2)).await, all[1..], "a bound within the records");
    assert_eq!(replay(&rig.config, bound(3, 3)).await, [], "nothing to read");

    transaction(&rig.config, "three", 1, &["c"], true); // 7, and a marker at 8
    assert_eq!(replay(&rig.config, bound(0, 7)).await, all, "the log has gone on behind the bound");
    let every = (0..PARTITIONS).map(|ix| (tp(ix), view().range(tp(ix)).unwrap())).collect();
    assert_eq!(replay(&rig.config, every).await.len(), 3, "empty partitions too");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_past_holes() {
    let rig = Rig::new().await;
    transaction(&rig.config, "one", 1, &["x", "y"], false);
    publish(&rig.config, (0..20).map(|n| record(format!("k{n}"), "v")).collect()).await;
    let mut reader = testkit::log_suite::Reader::new(rig.source("holes"));
    reader.until(DEADLINE, "20 records", |reader| reader.got.len() >= 20).await;
    let first = reader.got.iter().find(|got| got.tp == tp(1)).unwrap();
    assert_eq!(first.offset, 3, "after two aborted records and their marker");
    rig.end().await;
}

/// I5: what the group may not read yet is lag and no stall, and the end is reached when the transaction is over.
#[tokio::test(flavor = "multi_thread")]
async fn open_transaction_is_lag_and_not_stalled() {
    let mut rig = Rig::new().await;
    rig.config.stall_timeout_ms = 500;
    transaction(&rig.config, "before", 1, &["a"], true); // 0, and a marker at 1
    let mut reader = Reader::new(rig.source("open"));
    reader.until(DEADLINE, "the end", |reader| reader.passed.get(&tp(1)) == Some(&(2, 2))).await;
    let producer = begin(&rig.config, "open", 1, &["b", "c", "d"]); // 2, 3, 4
    assert_eq!(KafkaView::open(&rig.config).unwrap().range(tp(1)).unwrap(), LogRange { start: 0, end: 5 });
    reader.until(DEADLINE, "the lag", |reader| reader.passed[&tp(1)] == (2, 5)).await;
    // Several times as long as silence is excused.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        reader.step(Duration::from_millis(50)).await;
    }
    assert_eq!((&reader.troubles[..], reader.got.len()), (&[][..], 1));
    let bound = |end| BTreeMap::from([(tp(1), LogRange { start: 0, end })]);
    assert_eq!(replay(&rig.config, bound(5)).await, [(0, b"a".to_vec())], "a reader of the log ends");
    producer.commit_transaction(DEADLINE).unwrap();
    reader.until(DEADLINE, "the end", |reader| reader.passed[&tp(1)] == (6, 6)).await;
    assert_eq!(reader.got.len(), 4);
    rig.end().await;
}

/// I5: compaction leaves holes also at the end of a closed segment; they are passed.
#[tokio::test(flavor = "multi_thread")]
async fn compacted_records_are_passed() {
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "100"),
    ];
    let rig = Rig::with(support::config(), vec![spec(support::TOPIC, PARTITIONS, &settings)]).await;
    for n in 0..5 {
        publish(&rig.config, vec![record("k", format!("{n}"))]).await;
        sleep(Duration::from_millis(150)).await;
    }
    let mut reader = Reader::new(rig.source("compacted"));
    reader.until(DEADLINE, "the last record", |reader| reader.got.iter().any(|got| got.value == b"4")).await;
    let at = reader.got[0].tp;
    assert_eq!(reader.passed[&at], (5, 5));
    rig.end().await;
}
