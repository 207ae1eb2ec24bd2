//! What every log must keep, as one suite: each adapter of [`Source`] and [`Publisher`] runs all of it.
//!
//! Every check wants a fresh log. Checks fail by panicking, and wait for conditions under a deadline.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a check fails by panicking")]

mod edges;

pub use edges::*;

use domain::{Topic, TopicPartition, partitioner::partition_for};
use pipeline::ports::Trouble;
use pipeline::position::LogIdentity;
use pipeline::{GroupOffset, Headers, LogError, OutRecord, Polled, Publisher, Record, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// How long one wait for news may take.
const POLL: Duration = Duration::from_millis(20);
const GROUP: &str = "suite";

/// A fresh log of one adapter.
#[allow(async_fn_in_trait)]
pub trait LogRig {
    /// The adapter's source.
    type Source: Source;
    /// The adapter's publisher.
    type Publisher: Publisher;

    /// The topic that the checks use; empty.
    fn topic(&self) -> Topic;

    /// Its partitions: at least 2.
    fn partitions(&self) -> u32;

    /// How long anything may take before a check fails.
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How soon a waiting member must have a record that was acknowledged.
    fn wake_up(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// A new publisher.
    async fn publisher(&self) -> Self::Publisher;

    /// A new member of a group that reads the topic.
    async fn join(&self, group: &str) -> Self::Source;

    /// The identity that a partition of the topic has in another log: [`identity_tells_logs_apart`] needs it.
    async fn other_identity(&self) -> Option<LogIdentity> {
        None
    }

    /// Appends to a partition what takes an offset and holds no record, as the end of a transaction does; false where this
    /// log has no such thing.
    async fn append_marker(&self, _tp: TopicPartition) -> bool {
        false
    }

    /// A value that the log refuses for its size: [`failed_publish_leaves_a_beginning`] needs it.
    fn too_large(&self) -> Option<Vec<u8>> {
        None
    }
}

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// Where it lies.
    pub tp: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Its append time, in us.
    pub append_us: i64,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers, as stored.
    pub headers: Vec<u8>,
}

impl Got {
    /// What a record of a page says.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        Self {
            tp: record.tp,
            offset: record.offset,
            append_us: record.append_time_us,
            key: record.key.to_vec(),
            value: record.value.to_vec(),
            headers: record.headers.to_vec(),
        }
    }
}

/// A member that follows the protocol: it seeks what it gets and releases what is revoked.
#[derive(Debug)]
pub struct Reader<S> {
    /// The source.
    pub source: S,
    /// What it owns now.
    pub owned: BTreeSet<TopicPartition>,
    /// What it was ever told to give up.
    pub revoked: BTreeSet<TopicPartition>,
    /// What it has read.
    pub got: Vec<Got>,
    /// The offset behind everything that it was told of each partition, and the end that it was told.
    pub passed: BTreeMap<TopicPartition, (i64, i64)>,
    /// The partitions that could not be read on; they are not read until the next seek.
    pub troubles: Vec<Trouble>,
}

impl<S: Source> Reader<S> {
    /// A member that has not been polled yet.
    pub fn new(source: S) -> Self {
        let (owned, revoked, got) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        Self { source, owned, revoked, got, passed: BTreeMap::new(), troubles: Vec::new() }
    }

    /// Seeks a partition that it owns.
    pub async fn seek(&mut self, tp: TopicPartition, offset: i64) {
        self.source.seek(tp, offset).await.expect("seek");
        self.passed.insert(tp, (offset, 0));
        self.troubles.retain(|trouble| trouble.tp != tp);
    }

    /// Does the next thing; says whether there was one.
    pub async fn step(&mut self, wait: Duration) -> bool {
        match self.source.next(wait).await.expect("next") {
            Polled::Idle => return false,
            Polled::Trouble(trouble) => {
                let (passed, _) = self.passed.get(&trouble.tp).expect("trouble of a partition that is read");
                assert_eq!(*passed, trouble.offset, "reading stands behind what was handed out: {trouble:?}");
                self.troubles.push(trouble);
            }
            Polled::Assigned(tps) => {
                let committed = self.source.committed(&tps).await.expect("committed");
                for tp in tps {
                    assert!(self.owned.insert(tp), "{tp} assigned twice");
                    let from = committed.iter().find(|offset| offset.tp == tp).map_or(0, |offset| offset.next_offset);
                    self.seek(tp, from).await;
                }
            }
            Polled::Revoked(tps) => {
                for tp in &tps {
                    assert!(self.owned.remove(tp), "{tp} revoked but not owned");
                    self.revoked.insert(*tp);
                }
                self.source.release(&tps).await.expect("release");
            }
            Polled::Page(page) => {
                let tp = page.tp();
                assert!(self.owned.contains(&tp), "a page of {tp} which is not owned");
                let in_trouble = self.troubles.iter().any(|trouble| trouble.tp == tp);
                assert!(!in_trouble, "a page of {tp} behind its trouble");
                let (passed, _) = *self.passed.get(&tp).expect("a page after a seek");
                assert!(page.records().all(|record| record.offset >= passed), "{tp}: below {passed}");
                assert!(page.passed() >= passed, "{tp}: passed {} after {passed}", page.passed());
                assert!(page.log_end() >= page.passed(), "{tp}: end {} at {}", page.log_end(), page.passed());
                self.passed.insert(tp, (page.passed(), page.log_end()));
                self.got.extend(page.records().map(|record| Got::of(&record)));
            }
        }
        true
    }

    /// Steps until the condition holds; panics after the deadline.
    pub async fn until(&mut self, deadline: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let run = async {
            while !holds(self) {
                self.step(POLL).await;
            }
        };
        assert!(timeout(deadline, run).await.is_ok(), "{what}: not within {deadline:?}");
    }

    fn offsets(&self) -> BTreeMap<TopicPartition, Vec<i64>> {
        let mut offsets = BTreeMap::<_, Vec<_>>::new();
        self.got.iter().for_each(|got| offsets.entry(got.tp).or_default().push(got.offset));
        offsets
    }
}

/// A record of the suite.
#[must_use]
pub fn record(topic: Topic, key: &str, value: impl Into<Vec<u8>>) -> OutRecord {
    OutRecord { topic, key: key.as_bytes().to_vec(), value: value.into(), headers: Headers::default() }
}

fn numbered(rig: &impl LogRig, from: u32, count: u32) -> Vec<OutRecord> {
    (from..from + count).map(|n| record(rig.topic(), &format!("tenant|{}", n % 17), n.to_be_bytes())).collect()
}

async fn reader<R: LogRig>(rig: &R, group: &str) -> Reader<R::Source> {
    let mut reader = Reader::new(rig.join(group).await);
    let all = rig.partitions() as usize;
    reader.until(rig.deadline(), "all partitions assigned", |reader| reader.owned.len() == all).await;
    reader
}

fn check_order(rig: &impl LogRig, got: &[Got]) {
    let mut last = BTreeMap::new();
    for got in got {
        assert_eq!(got.tp, TopicPartition::new(rig.topic(), partition_for(&got.key, rig.partitions())), "murmur2 (I9)");
        let number = u32::from_be_bytes(got.value.as_slice().try_into().unwrap());
        let before = last.insert(got.key.clone(), number);
        assert!(before < Some(number), "{before:?} before {number}");
    }
}

/// Offsets are dense from 0, keys keep their order and go where murmur2 says, append times never fall.
pub async fn order_and_offsets(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    for batch in 0..6 {
        publisher.publish(numbered(rig, batch * 50, 50)).await.unwrap();
    }
    let mut reader = reader(rig, GROUP).await;
    reader.until(rig.deadline(), "300 records", |reader| reader.got.len() >= 300).await;
    assert!(!reader.step(POLL).await, "nothing is read twice");
    assert_eq!(reader.got.len(), 300);
    for (tp, offsets) in reader.offsets() {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{tp}: {offsets:?}");
        assert_eq!(reader.source.range(tp).await.unwrap().end, offsets.len() as i64);
        let times: Vec<i64> = reader.got.iter().filter(|got| got.tp == tp).map(|got| got.append_us).collect();
        assert!(times.is_sorted(), "{tp}: {times:?}");
    }
    check_order(rig, &reader.got);
}

/// Keys, values and headers come back byte for byte, empty ones too, and large ones.
pub async fn bytes_come_back(rig: &impl LogRig) {
    let mut headers = Headers::default();
    headers.push("traceparent", b"00-\x00\xff");
    headers.push("traceparent", b"");
    headers.push("\u{fc}", b"twice");
    let value: Vec<u8> = (0..600_000_u32).map(|n| n as u8).collect();
    let full = OutRecord { topic: rig.topic(), key: b"k\x00\xff".to_vec(), value, headers };
    let bare = OutRecord { topic: rig.topic(), key: b"k".to_vec(), value: Vec::new(), headers: Headers::default() };
    rig.publisher().await.publish(vec![full.clone(), bare.clone()]).await.unwrap();
    let mut reader = reader(rig, GROUP).await;
    reader.until(rig.deadline(), "2 records", |reader| reader.got.len() == 2).await;
    for wanted in [full, bare] {
        let got = reader.got.iter().find(|got| got.key == wanted.key).unwrap();
        assert!(got.value == wanted.value, "the value differs");
        assert_eq!(got.headers, wanted.headers.as_bytes());
    }
}

/// Reading starts where it is told to, and pages follow each other without gap or repeat.
pub async fn seek_and_pages(rig: &impl LogRig) {
    let many = (0..400_u32).map(|n| record(rig.topic(), "tenant|one", [&n.to_be_bytes()[..], &[7; 8_000]].concat()));
    rig.publisher().await.publish(many.collect()).await.unwrap();
    let mut reader = reader(rig, GROUP).await;
    reader.until(rig.deadline(), "400 records", |reader| reader.got.len() >= 400).await;
    let tp = reader.got[0].tp;
    assert!(reader.got.iter().map(|got| got.offset).eq(0..400));
    reader.got.clear();
    reader.seek(tp, 123).await;
    reader.until(rig.deadline(), "277 records", |reader| reader.got.len() >= 277).await;
    assert!(reader.got.iter().map(|got| got.offset).eq(123..400));
    let other = TopicPartition::new(rig.topic(), (tp.partition + 1) % rig.partitions());
    let range = reader.source.range(other).await.unwrap();
    assert_eq!((range.start, range.end), (0, 0));
}

/// A member that waits is woken by an append; one that does not wait is told that nothing is there.
pub async fn wake_up(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    let mut reader = reader(rig, GROUP).await;
    assert!(matches!(reader.source.next(Duration::ZERO).await, Ok(Polled::Idle)));
    for round in 1..=20_usize {
        let long = rig.deadline();
        let wait = async {
            while reader.got.len() < round {
                reader.step(long).await;
            }
        };
        let both = async { tokio::join!(wait, publisher.publish(numbered(rig, round as u32, 1))).1 };
        timeout(rig.wake_up(), both).await.expect("woken in time").unwrap();
        assert_eq!(reader.got.len(), round);
    }
}

/// A wait that is cancelled loses nothing.
pub async fn cancelled_waits(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    let mut reader = reader(rig, GROUP).await;
    for round in 0..40 {
        let write = publisher.publish(numbered(rig, round * 5, 5));
        let read = async { while timeout(Duration::from_micros(50), reader.step(POLL)).await.is_err() {} };
        tokio::join!(write, read).0.unwrap();
    }
    reader.until(rig.deadline(), "200 records", |reader| reader.got.len() >= 200).await;
    assert_eq!(reader.got.len(), 200);
    check_order(rig, &reader.got);
}

/// Partitions move only where they must, and what was committed before is where the next owner starts.
pub async fn hand_over(rig: &impl LogRig) {
    rig.publisher().await.publish(numbered(rig, 0, 200)).await.unwrap();
    let mut one = reader(rig, GROUP).await;
    one.until(rig.deadline(), "200 records", |reader| reader.got.len() >= 200).await;
    let offsets: Vec<GroupOffset> = ends(&one);
    one.source.commit(&offsets).await.unwrap();
    let mut two = Reader::new(rig.join(GROUP).await);
    let all = rig.partitions() as usize;
    let share = async {
        while one.owned.len() + two.owned.len() != all || two.owned.len() < all / 2 {
            one.step(POLL).await;
            two.step(POLL).await;
        }
    };
    assert!(timeout(rig.deadline(), share).await.is_ok(), "no even share: {:?} {:?}", one.owned, two.owned);
    assert!(one.owned.is_disjoint(&two.owned));
    assert_eq!(one.revoked, two.owned, "only what moves is revoked");
    assert!(!two.step(POLL).await, "what was committed is not read again");
    let told: BTreeSet<_> = two.source.assignment().await.unwrap().into_iter().collect();
    assert_eq!(told, two.owned);
    let mut metadata = two.source.committed(&two.owned.iter().copied().collect::<Vec<_>>()).await.unwrap();
    metadata.retain(|offset| offset.metadata != format!("at {}", offset.tp));
    assert_eq!(metadata, Vec::new());
    drop(two);
    one.until(rig.deadline(), "the leaver's partitions", |one| one.owned.len() == all).await;
}

fn ends<S>(reader: &Reader<S>) -> Vec<GroupOffset> {
    let mut ends = BTreeMap::new();
    for got in &reader.got {
        ends.insert(got.tp, got.offset + 1);
    }
    let offset = |(tp, next_offset)| GroupOffset { tp, next_offset, metadata: format!("at {tp}") };
    ends.into_iter().map(offset).collect()
}

/// Who has lost a partition can neither commit for it nor read it.
pub async fn commit_is_fenced(rig: &impl LogRig) {
    rig.publisher().await.publish(numbered(rig, 0, 200)).await.unwrap();
    let mut one = reader(rig, GROUP).await;
    one.until(rig.deadline(), "200 records", |reader| reader.got.len() >= 200).await;
    let offsets = ends(&one);
    let mut two = Reader::new(rig.join(GROUP).await);
    let share = async {
        while two.owned.is_empty() {
            one.step(POLL).await;
            two.step(POLL).await;
        }
    };
    assert!(timeout(rig.deadline(), share).await.is_ok(), "the second member gets nothing");
    let lost = offsets.iter().find(|offset| two.owned.contains(&offset.tp)).unwrap();
    let refused = one.source.commit(std::slice::from_ref(lost)).await;
    assert!(matches!(refused, Err(LogError::NotOwner(tp)) if tp == lost.tp), "{refused:?}");
    let refused = one.source.seek(lost.tp, 0).await;
    assert!(matches!(refused, Err(LogError::NotOwner(tp)) if tp == lost.tp), "{refused:?}");
    assert_eq!(two.source.committed(&[lost.tp]).await.unwrap(), Vec::new());
    let kept: Vec<_> = offsets.into_iter().filter(|offset| one.owned.contains(&offset.tp)).collect();
    one.source.commit(&kept).await.unwrap();
}

/// The offset of a time: the first record appended at or after it.
pub async fn offset_of_a_time(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    for n in 0..30_u32 {
        publisher.publish(vec![record(rig.topic(), "tenant|one", n.to_be_bytes())]).await.unwrap();
    }
    let mut reader = reader(rig, GROUP).await;
    reader.until(rig.deadline(), "30 records", |reader| reader.got.len() >= 30).await;
    let tp = reader.got[0].tp;
    for probe in reader.got.iter().flat_map(|got| [got.append_us - 1, got.append_us, got.append_us + 1]) {
        let first = reader.got.iter().find(|got| got.append_us >= probe).map_or(30, |got| got.offset);
        assert_eq!(reader.source.offset_at(tp, probe).await.unwrap(), first, "at {probe}");
    }
    let other = TopicPartition::new(rig.topic(), (tp.partition + 1) % rig.partitions());
    assert_eq!(reader.source.offset_at(other, 0).await.unwrap(), 0, "an empty partition");
}

/// Several publishers at once: nothing is lost, nothing repeated, and each one's keys keep their order.
pub async fn many_publishers(rig: &impl LogRig) {
    let publish = async |from: u32| {
        let mut publisher = rig.publisher().await;
        for batch in 0..20 {
            let numbers = (0..10).map(|n| batch * 10 + n);
            let records = numbers.map(|n: u32| record(rig.topic(), &format!("{from}|{}", n % 3), n.to_be_bytes()));
            publisher.publish(records.collect()).await.unwrap();
        }
    };
    let mut reader = reader(rig, GROUP).await;
    let read = reader.until(rig.deadline(), "600 records", |reader| reader.got.len() >= 600);
    tokio::join!(publish(1), publish(2), publish(3), read);
    assert_eq!(reader.got.len(), 600);
    check_order(rig, &reader.got);
    for (tp, offsets) in reader.offsets() {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{tp}: a reader saw a gap: {offsets:?}");
    }
}

/// Groups do not share offsets or assignments.
pub async fn groups_are_apart(rig: &impl LogRig) {
    rig.publisher().await.publish(numbered(rig, 0, 50)).await.unwrap();
    let mut one = reader(rig, "one").await;
    one.until(rig.deadline(), "50 records", |reader| reader.got.len() >= 50).await;
    one.source.commit(&ends(&one)).await.unwrap();
    let mut two = reader(rig, "two").await;
    two.until(rig.deadline(), "50 records", |reader| reader.got.len() >= 50).await;
    assert_eq!(one.got.len(), two.got.len());
}
