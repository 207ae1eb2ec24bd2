//! The log itself: bounds, fencing, recovery. What every log must keep is in `testkit::log_suite`.

use super::*;
use domain::topics::TopicSpec;
use pipeline::{GroupOffset, Polled, Source as _, SystemClock};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicI64, Ordering};
use testkit::log_suite::{Reader, record};

mod time;
mod trouble;

const TOPIC: Topic = Topic::AgentState;
const WAIT: Duration = Duration::from_secs(30);

fn spec(partitions: u32) -> Vec<TopicSpec> {
    vec![TopicSpec { topic: TOPIC, partitions, replication: 1, configs: BTreeMap::new(), events: Vec::new() }]
}

fn open(dir: &Path, partitions: u32, options: LogOptions) -> Log {
    Log::open_with(dir, &spec(partitions), options, SystemClock::new()).unwrap()
}

fn one(value: impl Into<Vec<u8>>) -> Vec<OutRecord> {
    vec![record(TOPIC, "tenant|one", value)]
}

/// A clock that the test sets.
#[derive(Clone, Default)]
struct SetClock(Arc<AtomicI64>);

impl Clock for SetClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic_us(&self) -> i64 {
        self.now_us()
    }

    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(wait)
    }
}

/// I9: partition counts never change in place.
#[tokio::test]
async fn another_number_of_partitions_is_refused_and_the_message_helps() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path(), 4, LogOptions::default()));
    let error = Log::open(temp.path(), &spec(5)).unwrap_err().to_string();
    assert!(error.contains("agent.state has 4 partitions in log.db, topics.yaml wants 5"), "{error}");
    assert!(error.contains("set it back to 4"), "{error}");
}

#[tokio::test]
async fn a_topic_may_be_added_later_and_one_that_is_missing_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let mut topics = spec(4);
    let first = Log::open(temp.path(), &topics).unwrap();
    let cluster = first.cluster_id();
    first.append(one("before")).await.unwrap();
    let error = first.append(vec![record(Topic::PolicyAudit, "k", "v")]).await.unwrap_err().to_string();
    assert!(error.contains("policy.audit/0 is not in this log"), "{error}");
    drop(first);
    topics.insert(0, TopicSpec { topic: Topic::PolicyAudit, partitions: 2, ..topics[0].clone() });
    let log = Log::open(temp.path(), &topics).unwrap();
    assert_eq!(log.cluster_id(), cluster);
    log.append(vec![record(Topic::PolicyAudit, "k", "v")]).await.unwrap();
    assert_eq!(log.append(one("after")).await.unwrap()[0].offset, 1);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_with_its_whole_request() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions { max_record_bytes: 100, ..LogOptions::default() });
    let records = vec![record(TOPIC, "k", "small"), record(TOPIC, "k", vec![0; 100])];
    assert!(matches!(log.append(records.clone()).await, Err(LogError::Refused(_))));
    let refused = log.clone().publish(records).await.unwrap_err();
    assert!(
        matches!((&refused.error, refused.refused), (LogError::Refused(text), Some(1)) if text.contains("log.max_record_bytes"))
    );
    assert!(refused.placed.is_empty());
    assert_eq!(log.end(TopicPartition::new(TOPIC, 0)).unwrap(), 0);
    log.append(one("small")).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_outage_and_what_still_fits_is_taken() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions { max_log_bytes: Some(200_000), ..LogOptions::default() });
    log.append(one("first")).await.unwrap();
    let (large, small) = tokio::join!(log.append(one(vec![0; 400_000])), log.append(one("second")));
    assert!(matches!(&large, Err(LogError::Unavailable(text)) if text.contains("free disk space")), "{large:?}");
    assert_eq!(small.unwrap()[0].offset, 1, "a neighbour in the same round is not harmed, and there is no gap");
    assert_eq!(log.reader().unwrap().page(TopicPartition::new(TOPIC, 0), 0, log.options().page).unwrap().len(), 2);
}

#[tokio::test]
async fn appends_wait_for_room_in_the_queue() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions { queue_bytes: 10_000, ..LogOptions::default() });
    let room = log.0.room.clone().acquire_many_owned(10_000).await.unwrap();
    let waits = log.append(one("x"));
    tokio::pin!(waits);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waits).await.is_err());
    drop(room);
    tokio::time::timeout(WAIT, waits).await.unwrap().unwrap();
    let larger_than_the_queue = log.append(one(vec![0; 50_000]));
    tokio::time::timeout(WAIT, larger_than_the_queue).await.unwrap().unwrap();
}

#[tokio::test]
async fn append_time_never_goes_back_even_over_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let clock = SetClock::default();
    for time in [500, 100, 700] {
        clock.0.store(time, Ordering::Relaxed);
        let log = Log::open_with(temp.path(), &spec(1), LogOptions::default(), clock.clone()).unwrap();
        log.append(one("x")).await.unwrap();
    }
    let log = open(temp.path(), 1, LogOptions::default());
    let page = log.reader().unwrap().page(TopicPartition::new(TOPIC, 0), 0, log.options().page).unwrap();
    assert_eq!(page.records().map(|record| record.append_time_us).collect::<Vec<_>>(), [500, 500, 700]);
}

#[tokio::test]
async fn pages_keep_to_their_limit_and_a_giant_comes_alone() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions::default());
    for size in [300, 300, 5_000, 300, 300, 300, 300] {
        log.append(one(vec![0; size])).await.unwrap();
    }
    let (reader, tp) = (log.reader().unwrap(), TopicPartition::new(TOPIC, 0));
    let (mut from, mut lengths) = (0, Vec::new());
    while from < log.end(tp).unwrap() {
        let page = reader.page(tp, from, PageLimit { bytes: 1_000, records: 3 }).unwrap();
        from += page.len() as i64;
        lengths.push(page.len());
    }
    assert_eq!(lengths, [2, 1, 3, 1]);
    assert!(reader.page(tp, from, log.options().page).unwrap().is_empty());
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions::default());
    log.append(one("x")).await.unwrap();
    for file in ["log.db", "log.db-wal", "log.db-shm"] {
        let mode = std::fs::metadata(temp.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn without_grace_the_former_owner_is_a_zombie_whose_commit_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 2, LogOptions { grace: Duration::ZERO, ..LogOptions::default() });
    let mut one = Reader::new(log.join("group", &[TOPIC], "one").unwrap());
    one.until(WAIT, "both partitions", |one| one.owned.len() == 2).await;
    let mut two = Reader::new(log.join("group", &[TOPIC], "two").unwrap());
    two.until(WAIT, "its share at once", |two| two.owned.len() == 1).await;
    let tp = *two.owned.first().unwrap();
    let offset = GroupOffset { tp, next_offset: 5, metadata: String::new() };
    assert!(matches!(one.source.commit(&[offset]).await, Err(LogError::NotOwner(lost)) if lost == tp));
    assert!(!one.source.assignment().await.unwrap().contains(&tp));
    assert!(matches!(one.source.next(Duration::ZERO).await, Ok(Polled::Revoked(tps)) if tps == [tp]));
}

#[tokio::test]
async fn a_shuffle_moves_every_partition() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 4, LogOptions::default());
    let mut lone = Reader::new(log.join("group", &[TOPIC], "lone").unwrap());
    lone.until(WAIT, "all", |lone| lone.owned.len() == 4).await;
    log.shuffle("group");
    lone.until(WAIT, "all revoked, and given back", |lone| lone.revoked.len() == 4 && lone.owned.len() == 4).await;
}

#[tokio::test]
async fn a_group_that_writes_to_another_store_starts_anew() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions::default());
    log.append(one("a")).await.unwrap();
    let tp = TopicPartition::new(TOPIC, 0);
    let (first, second) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    assert!(!log.bind("group", first).await.unwrap());
    for group in ["group", "other"] {
        let mut reader = Reader::new(log.join(group, &[TOPIC], "reader").unwrap());
        reader.until(WAIT, "the record", |reader| reader.got.len() == 1).await;
        let offset = pipeline::GroupOffset { tp, next_offset: 1, metadata: String::new() };
        reader.source.commit(&[offset]).await.unwrap();
    }
    drop(log);
    let log = open(temp.path(), 1, LogOptions::default());
    let committed = async |group: &str| {
        let mut source = log.join(group, &[TOPIC], "reader").unwrap();
        source.committed(&[tp]).await.unwrap().len()
    };
    assert!(log.bind("group", first).await.unwrap());
    assert_eq!(committed("group").await, 1);
    assert!(!log.bind("group", second).await.unwrap());
    assert_eq!((committed("group").await, committed("other").await), (0, 1));
}

#[tokio::test]
async fn a_wal_that_readers_hold_back_is_bounded() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path(), 1, LogOptions { checkpoint_bytes: 1 << 20, ..LogOptions::default() });
    let mut reader = Reader::new(log.join("group", &[TOPIC], "reader").unwrap());
    for n in 1..=40 {
        log.append(one(vec![0; 500_000])).await.unwrap();
        reader.until(WAIT, "the record", |reader| reader.got.len() == n).await;
    }
    let wal = std::fs::metadata(temp.path().join("log.db-wal")).unwrap().len();
    assert!(wal < 8 << 20, "{wal} bytes of write-ahead log after 20 MB");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the times and the batches: the offset of a time is what a scan finds, and a reopened log is the same.
    #[test]
    fn offsets_of_times_agree_with_a_scan(times in prop::collection::vec((0_i64..50, 1_usize..4), 1..25), probe in -5_i64..60) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let temp = tempfile::tempdir().unwrap();
        let clock = SetClock::default();
        let open = || Log::open_with(temp.path(), &spec(1), LogOptions::default(), clock.clone()).unwrap();
        let log = open();
        for (time, count) in times {
            clock.0.store(time, Ordering::Relaxed);
            let records = (0..count).map(|_| record(TOPIC, "k", "v")).collect();
            runtime.block_on(log.append(records)).unwrap();
        }
        let tp = TopicPartition::new(TOPIC, 0);
        let page = log.reader().unwrap().page(tp, 0, log.options().page).unwrap();
        let scan = page.records().find(|record| record.append_time_us >= probe).map_or(page.log_end(), |record| record.offset);
        prop_assert_eq!(log.reader().unwrap().offset_at(tp, probe).unwrap(), scan);
        drop(log);
        let log = open();
        prop_assert_eq!(log.end(tp).unwrap(), page.log_end());
        prop_assert_eq!(log.reader().unwrap().range(tp).unwrap(), pipeline::LogRange { start: 0, end: page.log_end() });
    }
}
