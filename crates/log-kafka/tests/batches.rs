//! Batches of producers that are not ours are read, however large: what a topic took is in the log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use rdkafka::producer::{BaseRecord, Producer as _};
use support::{DEADLINE, Rig, TOPIC, everything, foreign, name, spec, tp};
use testkit::log_suite::Reader;

/// Sends the values as one batch, if the compressed ones fit, and reads them back, by a member and by a replay.
async fn check(settings: &[(&str, &str)], properties: &[(&str, &str)], values: Vec<Vec<u8>>) {
    let rig = Rig::with(support::config(), vec![spec(TOPIC, 1, settings)]).await;
    let large = [("message.max.bytes", "60000000"), ("batch.size", "60000000"), ("linger.ms", "800")];
    let producer = foreign(&rig.config, &[&large[..], properties].concat());
    let topic = name(&rig.config);
    for value in &values {
        let record = BaseRecord::<str, [u8]>::to(&topic).key("k").payload(value).partition(0);
        producer.send(record).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    let mut reader = Reader::new(rig.source("large"));
    reader.until(DEADLINE, "every record", |reader| reader.got.len() >= values.len()).await;
    assert!(reader.got.iter().map(|got| &got.value).eq(&values), "by a member");
    assert_eq!(reader.passed[&tp(0)].0, values.len() as i64);
    drop(reader);
    assert!(everything(&rig.config).await.iter().map(|got| &got.value).eq(&values), "by a replay");
    rig.end().await;
}

fn text(bytes: usize, from: usize) -> Vec<u8> {
    let mut words =
        (from..).flat_map(|n| format!("the same words again and again, as JSON and text are {n}; ").into_bytes());
    (0..bytes).filter_map(|_| words.next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_that_unpacks_to_much_more_than_a_fetch_is_read() {
    check(&[], &[("compression.type", "zstd")], (0..2_500).map(|n| text(6_000, n)).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_of_many_small_records_is_read() {
    check(&[], &[("compression.type", "zstd")], (0..12_000).map(|n| text(1_100, n % 7)).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_of_60_mb_that_no_compression_made_smaller_is_read() {
    let values = (0..2_500_u32).map(|n| n.to_be_bytes().repeat(6_000)).collect();
    check(&[("max.message.bytes", "100000000")], &[("compression.type", "none")], values).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_large_record_that_compresses_well_is_read() {
    for compression in ["zstd", "gzip", "lz4", "snappy"] {
        check(&[], &[("compression.type", compression)], vec![vec![b'x'; (8 << 20) - 1], vec![0; 20 << 20]]).await;
    }
}
