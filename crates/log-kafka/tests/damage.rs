//! Batches that were damaged on a broker's disk: told with their coordinates, and nothing behind them is handed out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use engines::{Kafka, KafkaOptions};
use log_kafka::{KafkaConfig, KafkaView};
use pipeline::LogRange;
use pipeline::ports::TroubleKind;
use rdkafka::producer::{BaseRecord, Producer as _};
use std::fs;
use std::path::PathBuf;
use support::{DEADLINE, Rig, TOPIC, foreign, name, spec, tp};
use testkit::log_suite::Reader;

/// The bytes of a batch before its length, and those before the field that its checksum begins at.
const HEADER: usize = 12;

/// The file that holds the records of a partition, on a broker of the tests.
fn segment(config: &KafkaConfig, partition: u32) -> PathBuf {
    let folder = format!("{}-{partition}", name(config));
    let engines = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let found = engines.map(|entry| entry.path().join("broker-0/data").join(&folder)).find(|path| path.is_dir());
    found.expect("the partition's folder").join("00000000000000000000.log")
}

/// Damages a batch of a partition, by its number.
fn damage(config: &KafkaConfig, partition: u32, batch: usize, damage: impl Fn(&mut [u8])) {
    let path = segment(config, partition);
    let mut bytes = fs::read(&path).unwrap();
    let length = |at: usize| HEADER + u32::from_be_bytes(bytes[at + 8..at + HEADER].try_into().unwrap()) as usize;
    let start = (0..batch).fold(0, |at, _| at + length(at));
    let end = start + length(start);
    damage(&mut bytes[start..end]);
    fs::write(path, bytes).unwrap();
}

fn append(config: &KafkaConfig, partition: u32, compression: &str, batch: usize) {
    let producer = foreign(config, &[("compression.type", compression), ("linger.ms", "200")]);
    let topic = name(config);
    for n in 0..10 {
        let value = format!("batch {batch} record {n} ").repeat(30);
        let record = BaseRecord::<str, str>::to(&topic).key("k").payload(&value).partition(partition as i32);
        producer.send(record).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// Where each partition stands, and why; the last one is whole.
const STANDS: [(i64, TroubleKind, &str); 6] = [
    (10, TroubleKind::Unreadable, "CRC"),
    (10, TroubleKind::Unreadable, "CRC"),
    (10, TroubleKind::Unreadable, "the offset is damaged"),
    (10, TroubleKind::Unreadable, "MagicByte"),
    (20, TroubleKind::Unreadable, "CRC"),
    (10, TroubleKind::Stalled, "can be read up to offset 30"),
];

/// I7, L4: three batches of ten records, of which one is damaged, in several ways; a partition that is whole goes on.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_batch_is_trouble_and_no_hole() {
    let kafka = Kafka::start(&KafkaOptions::default()).unwrap();
    let mut config = support::config();
    (config.bootstrap, config.stall_timeout_ms) = (kafka.bootstrap(), 3_000);
    let rig = Rig::with(config, vec![spec(TOPIC, 7, &[])]).await;
    for partition in 0..7 {
        (0..3).for_each(|batch| append(&rig.config, partition, ["zstd", "none"][partition as usize % 2], batch));
    }
    kafka.brokers()[0].stop().unwrap();
    let flip = |batch: &mut [u8]| batch[batch.len() / 2] ^= 0x11;
    // Two bits, of compressed and of bare records.
    damage(&rig.config, 0, 1, flip);
    damage(&rig.config, 1, 1, flip);
    // The offset, which no checksum covers: far behind the log's end.
    damage(&rig.config, 2, 1, |batch| batch[4] ^= 0x40);
    // The format.
    damage(&rig.config, 3, 1, |batch| batch[16] ^= 0x08);
    // The last batch.
    damage(&rig.config, 4, 2, flip);
    kafka.brokers()[0].restart().unwrap();
    // A length beyond the file: the broker, which knows the log's end, finds nothing to give.
    damage(&rig.config, 5, 1, |batch| batch[8] ^= 0x40);

    let mut reader = Reader::new(rig.source("damaged"));
    reader.until(DEADLINE, "the troubles", |reader| reader.troubles.len() == 6 && reader.got.len() == 100).await;
    for trouble in &reader.troubles {
        let partition = trouble.tp.partition;
        let (offset, kind, words) = STANDS[partition as usize];
        assert_eq!((trouble.offset, trouble.kind), (offset, kind), "{trouble:?}");
        assert!(trouble.text.contains(words), "{trouble:?}");
        let offsets = reader.got.iter().filter(|got| got.tp == tp(partition)).map(|got| got.offset);
        assert!(offsets.eq(0..offset), "partition {partition}: the records before, and none behind");
    }
    // Behind a damaged batch there is no trouble.
    for partition in [0, 1, 3] {
        reader.seek(tp(partition), 20).await;
    }
    reader.until(DEADLINE, "what is behind", |reader| reader.got.len() == 130).await;
    // The same place again, as a worker tries it.
    reader.seek(tp(1), 10).await;
    let again = |reader: &Reader<_>| reader.troubles.iter().any(|trouble| trouble.tp == tp(1));
    reader.until(DEADLINE, "the trouble again", again).await;
    assert_eq!(reader.got.len(), 130);
    drop(reader);

    // Every reader of the log ends.
    let view = KafkaView::open(&rig.config).unwrap();
    let bounds = (0..7).map(|ix| (tp(ix), LogRange { start: 0, end: view.range(tp(ix)).unwrap().end })).collect();
    let (got, troubles) = support::replay(&rig.config, bounds).await;
    assert_eq!((got.len(), troubles.len()), (100, 6), "{troubles:?}");
    for trouble in troubles {
        let (offset, kind, _) = STANDS[trouble.tp.partition as usize];
        assert_eq!((trouble.offset, trouble.kind), (offset, kind), "{trouble:?}");
    }
}
