//! A log in memory, with an assignment that the test moves by hand.

use domain::{Topic, TopicPartition, partitioner};
use pipeline::{Clock, GroupOffset, LogError, LogRange, OutRecord, Page, Polled, Publisher, Source};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::clock::ManualClock;

#[derive(Clone, Debug)]
struct Held {
    offset: i64,
    append_us: i64,
    record: OutRecord,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<TopicPartition, Vec<Held>>,
    counts: BTreeMap<Topic, u32>,
    offsets: BTreeMap<(String, TopicPartition), GroupOffset>,
    members: BTreeMap<u64, Member>,
    next_member: u64,
    publish_faults: VecDeque<LogError>,
    poll_faults: VecDeque<LogError>,
    seek_faults: VecDeque<LogError>,
}

#[derive(Debug, Default)]
struct Member {
    assigned: BTreeSet<TopicPartition>,
    news: VecDeque<(bool, Vec<TopicPartition>)>,
}

/// A log in memory; clones share it.
#[derive(Clone, Debug)]
pub struct MemLog {
    state: Rc<RefCell<State>>,
    clock: ManualClock,
}

impl MemLog {
    /// An empty log whose topics have this many partitions each.
    #[must_use]
    pub fn new(clock: ManualClock, partitions: u32) -> Self {
        let counts = Topic::ALL.iter().map(|topic| (*topic, partitions)).collect();
        Self { state: Rc::new(RefCell::new(State { counts, ..State::default() })), clock }
    }

    /// All partitions of these topics.
    #[must_use]
    pub fn partitions(&self, topics: &[Topic]) -> Vec<TopicPartition> {
        let state = self.state.borrow();
        let all = topics.iter().flat_map(|topic| (0..state.counts[topic]).map(|ix| TopicPartition::new(*topic, ix)));
        all.collect()
    }

    /// Appends a record at the clock's time; gives its coordinates.
    pub fn append(&self, record: OutRecord) -> (TopicPartition, i64) {
        let mut state = self.state.borrow_mut();
        let partition = partitioner::partition_for(&record.key, state.counts[&record.topic]);
        let tp = TopicPartition::new(record.topic, partition);
        let held = state.partitions.entry(tp).or_default();
        let offset = held.last().map_or(0, |last| last.offset + 1);
        held.push(Held { offset, append_us: self.clock.now_us(), record });
        (tp, offset)
    }

    /// Removes a record and leaves a hole, as compaction does.
    pub fn punch(&self, tp: TopicPartition, offset: i64) {
        if let Some(held) = self.state.borrow_mut().partitions.get_mut(&tp) {
            held.retain(|record| record.offset != offset);
        }
    }

    /// Lets the next poll of any member fail like this.
    pub fn fail_poll(&self, error: LogError) {
        self.state.borrow_mut().poll_faults.push_back(error);
    }

    /// Lets the next seek of any member fail like this.
    pub fn fail_seek(&self, error: LogError) {
        self.state.borrow_mut().seek_faults.push_back(error);
    }

    /// Lets the next publish fail like this.
    pub fn fail_publish(&self, error: LogError) {
        self.state.borrow_mut().publish_faults.push_back(error);
    }

    /// The records of a topic, in partition and offset order.
    #[must_use]
    pub fn records(&self, topic: Topic) -> Vec<OutRecord> {
        let state = self.state.borrow();
        let held = state.partitions.iter().filter(|(tp, _)| tp.topic == topic);
        held.flat_map(|(_, held)| held.iter().map(|held| held.record.clone())).collect()
    }

    /// A new member without partitions.
    #[must_use]
    pub fn join(&self, group: &str) -> MemSource {
        let mut state = self.state.borrow_mut();
        let id = state.next_member;
        state.next_member += 1;
        state.members.insert(id, Member::default());
        MemSource { log: self.clone(), group: group.to_owned(), id, cursors: BTreeMap::new(), turn: 0 }
    }

    /// Gives partitions to a member; it learns of it at its next poll.
    pub fn assign(&self, member: u64, tps: &[TopicPartition]) {
        if let Some(member) = self.state.borrow_mut().members.get_mut(&member) {
            member.assigned.extend(tps);
            member.news.push_back((true, tps.to_vec()));
        }
    }

    /// Takes partitions from a member; it learns of it at its next poll, unless it is to be a zombie.
    pub fn revoke(&self, member: u64, tps: &[TopicPartition], tell: bool) {
        if let Some(member) = self.state.borrow_mut().members.get_mut(&member) {
            tps.iter().for_each(|tp| {
                member.assigned.remove(tp);
            });
            if tell {
                member.news.push_back((false, tps.to_vec()));
            }
        }
    }

    fn end(&self, tp: TopicPartition) -> i64 {
        self.state.borrow().partitions.get(&tp).and_then(|held| held.last()).map_or(0, |last| last.offset + 1)
    }
}

impl Publisher for MemLog {
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<(), LogError> {
        if let Some(error) = self.state.borrow_mut().publish_faults.pop_front() {
            return Err(error);
        }
        records.into_iter().for_each(|record| {
            self.append(record);
        });
        Ok(())
    }
}

/// A member of a group on a [`MemLog`].
#[derive(Debug)]
pub struct MemSource {
    log: MemLog,
    group: String,
    /// The member's number, for [`MemLog::assign`].
    pub id: u64,
    cursors: BTreeMap<TopicPartition, i64>,
    turn: usize,
}

/// The records in one page.
const PAGE_RECORDS: usize = 100;

impl MemSource {
    fn page(&mut self) -> Option<Page> {
        let cursors: Vec<_> = self.cursors.iter().map(|(tp, offset)| (*tp, *offset)).collect();
        for step in 0..cursors.len() {
            let (tp, from) = cursors[(self.turn + step) % cursors.len()];
            let state = self.log.state.borrow();
            let held = state.partitions.get(&tp).map_or(&[][..], Vec::as_slice);
            let ready = held.iter().filter(|held| held.offset >= from).take(PAGE_RECORDS);
            let mut page = Page::new(tp);
            for held in ready {
                let headers = held.record.headers.as_bytes();
                page.push(held.offset, held.append_us, &held.record.key, &held.record.value, headers);
            }
            drop(state);
            if !page.is_empty() {
                page.set_log_end(self.log.end(tp));
                self.cursors.insert(tp, page.record(page.len() - 1).offset + 1);
                self.turn += step + 1;
                return Some(page);
            }
        }
        None
    }
}

impl Source for MemSource {
    async fn next(&mut self, wait: Duration) -> Result<Polled, LogError> {
        if let Some(error) = self.log.state.borrow_mut().poll_faults.pop_front() {
            return Err(error);
        }
        let news = self.log.state.borrow_mut().members.get_mut(&self.id).and_then(|member| member.news.pop_front());
        if let Some((given, tps)) = news {
            if !given {
                self.cursors.retain(|tp, _| !tps.contains(tp));
            }
            return Ok(if given { Polled::Assigned(tps) } else { Polled::Revoked(tps) });
        }
        if let Some(page) = self.page() {
            return Ok(Polled::Page(page));
        }
        self.log.clock.sleep(wait).await;
        Ok(Polled::Idle)
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        Ok(LogRange { start: 0, end: self.log.end(tp) })
    }

    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        let state = self.log.state.borrow();
        let held = state.partitions.get(&tp).map_or(&[][..], Vec::as_slice);
        let found = held.iter().find(|held| held.append_us >= append_time_us).map(|held| held.offset);
        drop(state);
        Ok(found.unwrap_or_else(|| self.log.end(tp)))
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        if let Some(error) = self.log.state.borrow_mut().seek_faults.pop_front() {
            return Err(error);
        }
        self.cursors.insert(tp, offset);
        Ok(())
    }

    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        let state = self.log.state.borrow();
        Ok(state.members.get(&self.id).map_or(Vec::new(), |member| member.assigned.iter().copied().collect()))
    }

    async fn release(&mut self, tps: &[TopicPartition]) -> Result<(), LogError> {
        self.cursors.retain(|tp, _| !tps.contains(tp));
        Ok(())
    }

    async fn committed(&mut self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        let state = self.log.state.borrow();
        Ok(tps.iter().filter_map(|tp| state.offsets.get(&(self.group.clone(), *tp)).cloned()).collect())
    }

    async fn commit(&mut self, offsets: &[GroupOffset]) -> Result<(), LogError> {
        let mut state = self.log.state.borrow_mut();
        for offset in offsets {
            if !state.members.get(&self.id).is_some_and(|member| member.assigned.contains(&offset.tp)) {
                return Err(LogError::NotOwner(offset.tp));
            }
        }
        for offset in offsets {
            state.offsets.insert((self.group.clone(), offset.tp), offset.clone());
        }
        Ok(())
    }
}
