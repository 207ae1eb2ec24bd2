//! A log in memory, with an assignment that the test moves by hand.

use domain::{Topic, TopicPartition, partitioner};
use pipeline::{
    Clock, GroupOffset, LogError, LogIdentity, LogRange, OutRecord, Page, Placed, Polled, Publisher, Source, Trouble,
    TroubleKind, Unpublished,
};
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
    publish_faults: VecDeque<(usize, Unpublished)>,
    poll_faults: VecDeque<LogError>,
    seek_faults: VecDeque<LogError>,
    /// What the log says of itself: of a topic, how often it was made again.
    cluster_id: String,
    has_no_ids: bool,
    made: BTreeMap<Topic, u32>,
    settings: BTreeMap<Topic, String>,
    /// Offsets that are gone from the beginning, and the end where it lies behind the last record.
    starts: BTreeMap<TopicPartition, i64>,
    ends: BTreeMap<TopicPartition, i64>,
    damaged: BTreeSet<(TopicPartition, i64)>,
    /// Letters above this size are refused.
    max_bytes: Option<usize>,
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
        let state = State { counts, cluster_id: "memory".to_owned(), ..State::default() };
        Self { state: Rc::new(RefCell::new(state)), clock }
    }

    /// Gives the log another id, as if the configuration pointed at another cluster.
    pub fn become_cluster(&self, cluster_id: &str) {
        cluster_id.clone_into(&mut self.state.borrow_mut().cluster_id);
    }

    /// Deletes a topic with all its records and makes it again.
    pub fn make_again(&self, topic: Topic) {
        let mut state = self.state.borrow_mut();
        *state.made.entry(topic).or_default() += 1;
        state.partitions.retain(|tp, _| tp.topic != topic);
    }

    /// Says that a topic has another number of partitions now, where its records stay as they are.
    pub fn set_partitions(&self, topic: Topic, partitions: u32) {
        self.state.borrow_mut().counts.insert(topic, partitions);
    }

    /// Lets a setting of the topic be wrong, or right again.
    pub fn set_setting(&self, topic: Topic, problem: Option<&str>) {
        let mut state = self.state.borrow_mut();
        match problem {
            Some(problem) => drop(state.settings.insert(topic, problem.to_owned())),
            None => drop(state.settings.remove(&topic)),
        }
    }

    /// Removes the records below this offset, as retention does.
    pub fn expire(&self, tp: TopicPartition, below: i64) {
        let mut state = self.state.borrow_mut();
        state.starts.insert(tp, below);
        if let Some(held) = state.partitions.get_mut(&tp) {
            held.retain(|record| record.offset >= below);
        }
    }

    /// Appends an offset without a record, as the end of a transaction does.
    pub fn append_marker(&self, tp: TopicPartition) {
        let end = self.end(tp);
        self.state.borrow_mut().ends.insert(tp, end + 1);
    }

    /// Makes the record at this offset unreadable, or readable again.
    pub fn damage(&self, tp: TopicPartition, offset: i64, is_damaged: bool) {
        let mut state = self.state.borrow_mut();
        if is_damaged {
            state.damaged.insert((tp, offset));
        } else {
            state.damaged.remove(&(tp, offset));
        }
    }

    /// Lets the log refuse records above this size, in bytes of key, value and headers.
    pub fn limit_records(&self, max_bytes: Option<usize>) {
        self.state.borrow_mut().max_bytes = max_bytes;
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
        self.append_at(record, self.clock.now_us())
    }

    /// Appends a record to this partition, whatever its key, as a producer does that places keys otherwise.
    pub fn append_to(&self, tp: TopicPartition, record: OutRecord) -> i64 {
        self.append_to_at(tp, record, self.clock.now_us())
    }

    /// Appends a record as if it were this time, so that two logs can be alike whatever their readers wait for.
    pub fn append_at(&self, record: OutRecord, append_us: i64) -> (TopicPartition, i64) {
        let partition = partitioner::partition_for(&record.key, self.state.borrow().counts[&record.topic]);
        let tp = TopicPartition::new(record.topic, partition);
        (tp, self.append_to_at(tp, record, append_us))
    }

    fn append_to_at(&self, tp: TopicPartition, record: OutRecord, append_us: i64) -> i64 {
        let offset = self.end(tp);
        let held = Held { offset, append_us, record };
        self.state.borrow_mut().partitions.entry(tp).or_default().push(held);
        offset
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
        self.fail_publish_behind(0, error);
    }

    /// Lets the next publish fail like this, when it has taken the first `taken` records.
    pub fn fail_publish_behind(&self, taken: usize, error: LogError) {
        self.state.borrow_mut().publish_faults.push_back((taken, error.into()));
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
        MemSource {
            log: self.clone(),
            group: group.to_owned(),
            id,
            cursors: BTreeMap::new(),
            turn: 0,
            passed: BTreeMap::new(),
        }
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

    /// The records of one partition, in offset order.
    #[must_use]
    pub fn records_of(&self, tp: TopicPartition) -> Vec<OutRecord> {
        let state = self.state.borrow();
        state.partitions.get(&tp).into_iter().flatten().map(|held| held.record.clone()).collect()
    }

    /// The next offset of a partition.
    #[must_use]
    pub fn end_of(&self, tp: TopicPartition) -> i64 {
        self.end(tp)
    }

    /// The first offset of a partition that is still there.
    #[must_use]
    pub fn start_of(&self, tp: TopicPartition) -> i64 {
        self.state.borrow().starts.get(&tp).copied().unwrap_or(0)
    }

    /// Lets the log have no ids, as some logs have none.
    pub fn forget_ids(&self) {
        self.state.borrow_mut().has_no_ids = true;
    }

    fn end(&self, tp: TopicPartition) -> i64 {
        let state = self.state.borrow();
        let last = state.partitions.get(&tp).and_then(|held| held.last()).map_or(0, |last| last.offset + 1);
        let said = |ends: &BTreeMap<TopicPartition, i64>| ends.get(&tp).copied().unwrap_or(0);
        last.max(said(&state.ends)).max(said(&state.starts))
    }
}

impl Publisher for MemLog {
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        let max_bytes = self.state.borrow().max_bytes.unwrap_or(usize::MAX);
        let bytes = |record: &OutRecord| record.key.len() + record.value.len() + record.headers.as_bytes().len();
        if let Some(at) = records.iter().position(|record| bytes(record) > max_bytes) {
            let error = LogError::Refused(format!("{} bytes, the limit is {max_bytes}", bytes(&records[at])));
            return Err(Unpublished { error, refused: Some(at), placed: Vec::new() });
        }
        let fault = self.state.borrow_mut().publish_faults.pop_front();
        let taken = fault.as_ref().map_or(records.len(), |(taken, _)| *taken);
        let append = |record: OutRecord| {
            let (tp, offset) = self.append(record);
            Placed { tp, offset }
        };
        let placed: Vec<Placed> = records.into_iter().take(taken).map(append).collect();
        match fault {
            None => Ok(placed),
            Some((_, fault)) => Err(Unpublished { placed: placed.into_iter().map(Some).collect(), ..fault }),
        }
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
    /// What the member was told last of each partition's passed offset.
    passed: BTreeMap<TopicPartition, i64>,
}

/// The records in one page.
const PAGE_RECORDS: usize = 100;

impl MemSource {
    /// The next page, or why there is none; markers behind the last record are passed.
    fn poll(&mut self) -> Option<Polled> {
        let cursors: Vec<_> = self.cursors.iter().map(|(tp, offset)| (*tp, *offset)).collect();
        for step in 0..cursors.len() {
            let (tp, from) = cursors[(self.turn + step) % cursors.len()];
            let end = self.log.end(tp);
            let state = self.log.state.borrow();
            let held = state.partitions.get(&tp).map_or(&[][..], Vec::as_slice);
            let ready: Vec<&Held> = held.iter().filter(|held| held.offset >= from).take(PAGE_RECORDS).collect();
            let is_good = |held: &&&Held| !state.damaged.contains(&(tp, held.offset));
            let mut page = Page::new(tp);
            for held in ready.iter().take_while(is_good) {
                let headers = held.record.headers.as_bytes();
                page.push(held.offset, held.append_us, &held.record.key, &held.record.value, headers);
            }
            let start = state.starts.get(&tp).copied().unwrap_or(0);
            let trouble = |offset, kind, text: &str| Trouble { tp, offset, kind, text: text.to_owned() };
            let fault = if from < start {
                Some(trouble(from, TroubleKind::OutOfRange, "the offset is gone"))
            } else if page.is_empty() && !ready.is_empty() {
                Some(trouble(ready[0].offset, TroubleKind::Unreadable, "the batch is damaged"))
            } else {
                None
            };
            let is_whole = page.len() == ready.len() && ready.len() < PAGE_RECORDS;
            drop(state);
            if let Some(trouble) = fault {
                self.cursors.remove(&tp);
                return Some(Polled::Trouble(trouble));
            }
            if is_whole && page.passed() < end && self.passed.get(&tp).is_none_or(|told| *told < end) {
                page.set_passed(end);
                self.passed.insert(tp, end);
            }
            if page.passed() > i64::MIN {
                page.set_log_end(end);
                self.cursors.insert(tp, page.passed().max(from));
                self.turn += step + 1;
                return Some(Polled::Page(page));
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
        if let Some(polled) = self.poll() {
            return Ok(polled);
        }
        self.log.clock.sleep(wait).await;
        Ok(Polled::Idle)
    }

    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        let state = self.log.state.borrow();
        if let Some(problem) = state.settings.get(&tp.topic) {
            return Err(LogError::Setting(problem.clone()));
        }
        if state.has_no_ids {
            return Ok(LogIdentity { partitions: state.counts[&tp.topic], ..LogIdentity::default() });
        }
        let made = state.made.get(&tp.topic).copied().unwrap_or_default();
        let topic_id = format!("{}-{made}", tp.topic);
        Ok(LogIdentity { cluster_id: state.cluster_id.clone(), topic_id, partitions: state.counts[&tp.topic] })
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        let start = self.log.state.borrow().starts.get(&tp).copied().unwrap_or(0);
        Ok(LogRange { start, end: self.log.end(tp) })
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
        self.passed.remove(&tp);
        Ok(())
    }

    fn halt(&mut self, tp: TopicPartition) {
        self.cursors.remove(&tp);
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
