//! How fast the log takes and gives records of 200 bytes: `cargo bench -p embedded --bench log [-- RECORDS]`.
//!
//! Appends go in batches of 1,000, first one at a time (one fsync each), then with 16 requests in flight, directly and
//! over the socket; then one member reads everything, page by page.

#![allow(clippy::unwrap_used, missing_docs)]

use domain::topics::TopicSpec;
use domain::{Topic, TopicPartition};
use embedded::appender::Appender;
use embedded::folder::DataFolder;
use embedded::log::{Log, LogOptions};
use embedded::socket::AppendServer;
use pipeline::{Clock as _, Headers, OutRecord, Polled, Source as _, SystemClock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const TOPIC: Topic = Topic::AgentState;
const PARTITIONS: u32 = 10;
const BATCH: u64 = 1_000;
const IN_FLIGHT: usize = 16;

fn batch(from: u64) -> Vec<OutRecord> {
    let record = |n: u64| OutRecord {
        topic: TOPIC,
        key: format!("tenant|agent-{:07}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000).into_bytes(),
        value: vec![n as u8; 180],
        headers: Headers::default(),
    };
    (from..from + BATCH).map(record).collect()
}

fn report(clock: &SystemClock, what: &str, records: u64, since_us: i64) {
    let seconds = (clock.monotonic_us() - since_us) as f64 / 1e6;
    println!("{what:40} {:>12.0} records/s ({records} in {seconds:.2} s)", records as f64 / seconds);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let records = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1_000_000_u64);
    let (temp, clock) = (tempfile::tempdir().unwrap(), SystemClock::new());
    let spec = TopicSpec {
        topic: TOPIC,
        partitions: PARTITIONS,
        replication: 1,
        configs: BTreeMap::new(),
        events: Vec::new(),
    };
    let folder = Arc::new(DataFolder::open(temp.path()).unwrap());
    let log = Log::open_held(folder, std::slice::from_ref(&spec), LogOptions::default(), clock).unwrap();

    let since = clock.monotonic_us();
    for from in (0..records).step_by(BATCH as usize) {
        log.append(batch(from)).await.unwrap();
    }
    report(&clock, "append, one request at a time", records, since);

    let since = clock.monotonic_us();
    let mut flying = VecDeque::new();
    for from in (0..records).step_by(BATCH as usize) {
        if flying.len() == IN_FLIGHT {
            embedded::log::Pending::placed(flying.pop_front().unwrap()).await.unwrap();
        }
        flying.push_back(log.submit(batch(from)).await.unwrap());
    }
    for pending in flying {
        pending.placed().await.unwrap();
    }
    report(&clock, "append, 16 requests in flight", records, since);

    tokio::spawn(AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
    let appender = Appender::connect(temp.path(), &[spec], LogOptions::default()).await.unwrap();
    let since = clock.monotonic_us();
    let mut flying = VecDeque::new();
    for from in (0..records).step_by(BATCH as usize) {
        if flying.len() == IN_FLIGHT {
            embedded::appender::InFlight::placed(flying.pop_front().unwrap()).await.unwrap();
        }
        flying.push_back(appender.submit(batch(from)).await.unwrap());
    }
    for pending in flying {
        pending.placed().await.unwrap();
    }
    report(&clock, "append over the socket, 16 in flight", records, since);

    let mut source = log.join("bench", &[TOPIC], "bench").unwrap();
    let (mut read, mut bytes, total) = (0, 0, records.div_ceil(BATCH) * BATCH * 3);
    let since = clock.monotonic_us();
    while read < total {
        match source.next(Duration::from_secs(1)).await.unwrap() {
            Polled::Assigned(tps) => {
                for tp in tps {
                    source.seek(TopicPartition::new(TOPIC, tp.partition), 0).await.unwrap();
                }
            }
            Polled::Page(page) => {
                read += page.len() as u64;
                bytes += page.records().map(|record| record.value.len()).sum::<usize>();
            }
            other => panic!("{other:?}"),
        }
    }
    report(&clock, "fetch, one member", read, since);
    assert!(bytes > 0);
}
