//! Admission: whether a valid record was seen before. Decided once per projection.
//!
//! - A producer with `producer_seq` has a high-water mark per (producer, topic, partition): a record at or below
//!   it is a duplicate, exactly, for ever. Marks are committed with the position.
//! - For the others, an `event_id` applied within the horizon (append time) of the same key is a duplicate. The
//!   horizon is kept as 64-bit hashes per partition and refilled from the log by a new owner; past a cap on its
//!   entries it shortens. An unsequenced repeat after the horizon counts again in sums.
//!
//! What a batch adds is staged until its commit: a batch that fails leaves no trace (I3). Two batches may be staged, one
//! behind the other: the first is sealed and being committed while the second is folded. They fail together.

use domain::TopicPartition;
use domain::event::Meta;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use std::collections::VecDeque;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The part of a full horizon that leaves at once, one of so many: look-ups that need not wait for each other cost much less
/// than one beside every record.
const SHED: usize = 64;

/// The event ids applied to one partition within the horizon, in the order of their appends.
///
/// The log takes many records with one fsync, at one time; so append times are kept by run, not by record.
#[derive(Debug, Default)]
struct Horizon {
    /// Each id by its number: a table of numbers is half as large as one of ids, which lie in `order` anyway.
    seen: HashTable<u32>,
    order: VecDeque<u64>,
    /// The number of the oldest id; the others count on from it, and around.
    first: u32,
    /// Append time and number of the ids in `order` that share it.
    runs: VecDeque<(i64, usize)>,
    /// How many of them, the newest, are not committed; and how many of those are of the sealed batch.
    staged: usize,
    sealed: usize,
    /// What has left since the last commit, and how much of that by the sealed batch: it is seen again where a batch is
    /// folded again.
    gone: VecDeque<(i64, u64)>,
    sealed_gone: usize,
}

impl Horizon {
    fn contains(&self, hash: u64) -> bool {
        let held = |number: &u32| self.order.get(number.wrapping_sub(self.first) as usize) == Some(&hash);
        self.seen.find(hash, held).is_some()
    }

    /// Adds a number for an id that has, or is about to get, its place in the order; false where the id has one already.
    fn number(&mut self, number: u32, hash: u64) -> bool {
        let (order, first) = (&self.order, self.first);
        let id = |number: &u32| order.get(number.wrapping_sub(first) as usize).copied().unwrap_or_default();
        match self.seen.entry(hash, |held| id(held) == hash, id) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(number);
                true
            }
        }
    }

    fn forget(&mut self, number: u32, hash: u64) {
        if let Ok(held) = self.seen.find_entry(hash, |held| *held == number) {
            held.remove();
        }
    }

    /// Adds an id; false where it was seen before.
    fn push(&mut self, append_us: i64, hash: u64) -> bool {
        if !self.number(self.first.wrapping_add(self.order.len() as u32), hash) {
            return false;
        }
        self.order.push_back(hash);
        match self.runs.back_mut() {
            Some((at_us, count)) if *at_us == append_us => *count += 1,
            _ => self.runs.push_back((append_us, 1)),
        }
        true
    }

    fn pop_oldest(&mut self) {
        let Some(hash) = self.order.pop_front() else { return };
        self.forget(self.first, hash);
        self.first = self.first.wrapping_add(1);
        let Some((append_us, count)) = self.runs.front_mut() else { return };
        self.gone.push_back((*append_us, hash));
        *count -= 1;
        if *count == 0 {
            self.runs.pop_front();
        }
    }

    fn push_oldest(&mut self, append_us: i64, hash: u64) {
        self.first = self.first.wrapping_sub(1);
        self.order.push_front(hash);
        self.number(self.first, hash);
        match self.runs.front_mut() {
            Some((at_us, count)) if *at_us == append_us => *count += 1,
            _ => self.runs.push_front((append_us, 1)),
        }
    }

    fn pop_newest(&mut self) {
        let Some(hash) = self.order.pop_back() else { return };
        self.forget(self.first.wrapping_add(self.order.len() as u32), hash);
        if let Some((_, count)) = self.runs.back_mut() {
            *count -= 1;
            if *count == 0 {
                self.runs.pop_back();
            }
        }
    }

    /// Makes room where there are more than `max` ids; false where there are not, or all of them are staged.
    fn shed(&mut self, max: usize) -> bool {
        if self.order.len() <= max {
            return false;
        }
        let count = (max / SHED).max(1).min(self.order.len() - self.staged);
        (0..count).for_each(|_| self.pop_oldest());
        count > 0
    }

    fn expire(&mut self, before_us: i64) {
        while self.runs.front().is_some_and(|(append_us, _)| *append_us < before_us) && self.order.len() > self.staged {
            self.pop_oldest();
        }
    }

    fn seal(&mut self) {
        (self.sealed, self.sealed_gone) = (self.staged, self.gone.len());
    }

    fn commit(&mut self) {
        self.staged -= std::mem::take(&mut self.sealed);
        self.gone.drain(..std::mem::take(&mut self.sealed_gone));
    }

    fn roll_back(&mut self) {
        (self.sealed, self.sealed_gone) = (0, 0);
        for _ in 0..std::mem::take(&mut self.staged) {
            self.pop_newest();
        }
        while let Some((append_us, hash)) = self.gone.pop_back() {
            self.push_oldest(append_us, hash);
        }
    }
}

/// What is known of a producer's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Absent,
    At(i64),
}

/// An event under its record key, as 64 bits; nothing for a record that its producer's mark decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(u64);

/// The verdict on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It was not seen before: what to say of it where it is applied.
    New(Identity),
    /// It was.
    Duplicate,
    /// The producer's mark must be loaded first.
    MarkNeeded,
}

type Marks = HashMap<TopicPartition, HashMap<Box<str>, i64>>;

/// Marks and horizons of the partitions that a worker owns.
#[derive(Debug)]
pub struct Admission {
    horizon_us: i64,
    max_entries: usize,
    max_marks: usize,
    horizons: HashMap<TopicPartition, Horizon>,
    marks: HashMap<TopicPartition, HashMap<Box<str>, Known>>,
    staged_marks: Marks,
    sealed_marks: Marks,
}

impl Admission {
    /// Nothing seen yet. `horizon_us` is in append time; `max_entries` bounds each partition's horizon.
    #[must_use]
    pub fn new(horizon_us: i64, max_entries: usize, max_marks: usize) -> Self {
        Self {
            horizon_us,
            max_entries: max_entries.max(1),
            max_marks: max_marks.max(1),
            horizons: HashMap::new(),
            marks: HashMap::new(),
            staged_marks: HashMap::new(),
            sealed_marks: HashMap::new(),
        }
    }

    /// Whether the record was seen before.
    pub fn admit(&mut self, tp: TopicPartition, meta: &Meta<'_>, key: &[u8], append_us: i64) -> Admit {
        let Some(seq) = meta.producer_seq else {
            let horizon = self.horizons.entry(tp).or_default();
            horizon.expire(append_us.saturating_sub(self.horizon_us));
            let identity = identity(meta.event_id, key);
            return if horizon.contains(identity.0) { Admit::Duplicate } else { Admit::New(identity) };
        };
        let of = |marks: &Marks| marks.get(&tp).and_then(|marks| marks.get(meta.producer_id)).copied();
        let staged = of(&self.staged_marks).or_else(|| of(&self.sealed_marks));
        let held = self.marks.get(&tp).and_then(|marks| marks.get(meta.producer_id)).copied();
        match (staged, held) {
            (Some(mark), _) | (None, Some(Known::At(mark))) if seq <= mark => Admit::Duplicate,
            (None, None) => Admit::MarkNeeded,
            _ => Admit::New(Identity(0)),
        }
    }

    /// Remembers a mark that was loaded, or that there is none.
    pub fn learn_mark(&mut self, tp: TopicPartition, producer_id: &str, mark: Option<i64>) {
        let known = mark.map_or(Known::Absent, Known::At);
        self.marks.entry(tp).or_default().insert(producer_id.into(), known);
    }

    /// Whether the producer's mark is known.
    #[must_use]
    pub fn knows(&self, tp: TopicPartition, producer_id: &str) -> bool {
        let holds = |marks: Option<&HashMap<Box<str>, i64>>| marks.is_some_and(|marks| marks.contains_key(producer_id));
        holds(self.staged_marks.get(&tp))
            || holds(self.sealed_marks.get(&tp))
            || self.marks.get(&tp).is_some_and(|marks| marks.contains_key(producer_id))
    }

    /// Stages an applied record. Returns whether the partition's horizon was cut short by its cap.
    pub fn applied(&mut self, tp: TopicPartition, meta: &Meta<'_>, identity: Identity, append_us: i64) -> bool {
        if let Some(seq) = meta.producer_seq {
            let marks = self.staged_marks.entry(tp).or_default();
            match marks.get_mut(meta.producer_id) {
                Some(mark) => *mark = seq,
                None => {
                    marks.insert(meta.producer_id.into(), seq);
                }
            }
            return false;
        }
        let horizon = self.horizons.entry(tp).or_default();
        if !horizon.push(append_us, identity.0) {
            return false;
        }
        horizon.staged += 1;
        horizon.shed(self.max_entries)
    }

    /// Takes up an unsequenced event that was applied before this worker owned the partition: it is committed.
    pub fn refilled(&mut self, tp: TopicPartition, identity: Identity, append_us: i64) {
        let horizon = self.horizons.entry(tp).or_default();
        if horizon.push(append_us, identity.0) {
            horizon.shed(self.max_entries);
        }
    }

    /// The marks to be committed, sorted: those of the batch that is not sealed yet.
    #[must_use]
    pub fn staged_marks(&self) -> Vec<crate::position::Mark> {
        let mut marks: Vec<_> = self
            .staged_marks
            .iter()
            .flat_map(|(tp, marks)| {
                marks.iter().map(|(producer_id, seq)| crate::position::Mark {
                    tp: *tp,
                    producer_id: producer_id.to_string(),
                    seq: *seq,
                })
            })
            .collect();
        marks.sort_unstable_by(|a, b| (a.tp, &a.producer_id).cmp(&(b.tp, &b.producer_id)));
        marks
    }

    /// The batch is about to be committed: what comes now is of the next one. None is sealed already.
    pub fn seal(&mut self) {
        self.sealed_marks = std::mem::take(&mut self.staged_marks);
        self.horizons.values_mut().for_each(Horizon::seal);
    }

    /// The sealed batch was committed: what it staged holds from now on.
    pub fn commit(&mut self) {
        for (tp, staged) in self.sealed_marks.drain() {
            let marks = self.marks.entry(tp).or_default();
            marks.extend(staged.into_iter().map(|(producer, seq)| (producer, Known::At(seq))));
            if marks.len() > self.max_marks {
                marks.clear();
            }
        }
        self.horizons.values_mut().for_each(Horizon::commit);
    }

    /// The batch failed: what it and the one behind it staged is forgotten.
    pub fn roll_back(&mut self) {
        self.staged_marks.clear();
        self.sealed_marks.clear();
        self.horizons.values_mut().for_each(Horizon::roll_back);
    }

    /// The partition is no longer owned: everything known of it is forgotten.
    pub fn forget(&mut self, tp: TopicPartition) {
        self.horizons.remove(&tp);
        self.marks.remove(&tp);
        self.staged_marks.remove(&tp);
        self.sealed_marks.remove(&tp);
    }
}

fn identity(event_id: Uuid, key: &[u8]) -> Identity {
    let id = event_id.as_u128();
    Identity(xxh3_64_with_seed(key, (id as u64) ^ ((id >> 64) as u64).rotate_left(32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TP: TopicPartition = TopicPartition::new(domain::Topic::SacredMessages, 0);

    fn meta(id: u128) -> Meta<'static> {
        Meta {
            event_id: Uuid::from_u128(id),
            occurred_at: 0,
            tenant_id: "t",
            producer_id: "p",
            producer_seq: None,
            love_resonance: 0,
            base_version: None,
            trace_id: None,
            causation_id: None,
        }
    }

    fn apply(admission: &mut Admission, id: u128, append_us: i64) -> bool {
        let Admit::New(identity) = admission.admit(TP, &meta(id), b"t|k", append_us) else { panic!("{id} was seen") };
        admission.applied(TP, &meta(id), identity, append_us)
    }

    fn seen(admission: &mut Admission, id: u128, append_us: i64) -> bool {
        admission.admit(TP, &meta(id), b"t|k", append_us) == Admit::Duplicate
    }

    fn commit(admission: &mut Admission) {
        admission.seal();
        admission.commit();
    }

    #[test]
    fn of_two_batches_the_sealed_one_is_committed_and_both_fail() {
        let sequenced = |seq| Meta { producer_seq: Some(seq), ..meta(7) };
        let mut admission = Admission::new(100, 1_000, 10);
        admission.learn_mark(TP, "p", None);
        for (id, fails) in [(1, false), (3, true)] {
            apply(&mut admission, id, 1);
            admission.applied(TP, &sequenced(id as i64), Identity(0), 1);
            admission.seal();
            apply(&mut admission, id + 1, 1);
            admission.applied(TP, &sequenced(id as i64 + 1), Identity(0), 1);
            assert!(seen(&mut admission, id, 1) && seen(&mut admission, id + 1, 1));
            if !fails {
                admission.commit();
                assert_eq!(admission.admit(TP, &sequenced(2), b"", 1), Admit::Duplicate);
                commit(&mut admission);
            }
        }
        admission.roll_back();
        assert!(seen(&mut admission, 2, 1) && !seen(&mut admission, 3, 1) && !seen(&mut admission, 4, 1));
        assert_eq!(admission.admit(TP, &sequenced(2), b"", 1), Admit::Duplicate);
        assert_eq!(admission.admit(TP, &sequenced(3), b"", 1), Admit::New(Identity(0)));
    }

    #[test]
    fn an_id_is_forgotten_when_its_append_time_leaves_the_horizon() {
        let mut admission = Admission::new(100, 1_000, 10);
        for (id, append_us) in [(1, 0), (2, 0), (3, 50)] {
            apply(&mut admission, id, append_us);
        }
        commit(&mut admission);
        assert!([1, 2, 3].iter().all(|id| seen(&mut admission, *id, 100)));
        assert!(!seen(&mut admission, 1, 101) && !seen(&mut admission, 2, 101) && seen(&mut admission, 3, 101));
        assert!(!seen(&mut admission, 3, 151));
    }

    #[test]
    fn what_a_failed_batch_added_is_forgotten_and_nothing_else() {
        let mut admission = Admission::new(100, 1_000, 10);
        apply(&mut admission, 1, 7);
        commit(&mut admission);
        // The same append time as what was committed, and another.
        apply(&mut admission, 2, 7);
        apply(&mut admission, 3, 8);
        admission.roll_back();
        assert!(seen(&mut admission, 1, 9) && !seen(&mut admission, 2, 9) && !seen(&mut admission, 3, 9));
        apply(&mut admission, 2, 9);
        commit(&mut admission);
        assert!(seen(&mut admission, 1, 107) && !seen(&mut admission, 1, 108) && seen(&mut admission, 2, 108));
    }

    #[test]
    fn what_a_failed_batch_let_go_is_seen_again() {
        let mut admission = Admission::new(100, 1_000, 10);
        apply(&mut admission, 1, 0);
        apply(&mut admission, 2, 50);
        commit(&mut admission);
        // A repeat at the edge of the horizon, then a record behind it, by which the first one leaves.
        assert!(seen(&mut admission, 1, 100) && !seen(&mut admission, 3, 101));
        admission.roll_back();
        assert!(seen(&mut admission, 1, 100) && seen(&mut admission, 2, 100));
        assert!(!seen(&mut admission, 3, 101));
        commit(&mut admission);
        admission.roll_back();
        assert!(!seen(&mut admission, 1, 101) && seen(&mut admission, 2, 101));
    }

    #[test]
    fn numbers_of_ids_go_around() {
        let mut admission = Admission::new(100, 1_000, 10);
        admission.horizons.insert(TP, Horizon { first: u32::MAX - 1, ..Horizon::default() });
        for (id, append_us) in [(1, 0), (2, 50), (3, 60), (4, 60)] {
            apply(&mut admission, id, append_us);
        }
        commit(&mut admission);
        assert!([1, 2, 3, 4].iter().all(|id| seen(&mut admission, *id, 100)));
        assert!(!seen(&mut admission, 1, 151) && !seen(&mut admission, 2, 151) && seen(&mut admission, 3, 151));
        admission.roll_back();
        assert!([1, 2, 3, 4].iter().all(|id| seen(&mut admission, *id, 100)));
    }

    #[test]
    fn past_the_cap_a_part_goes_at_once_but_nothing_of_a_batch() {
        let max = 4 * SHED as u128;
        let mut admission = Admission::new(100, max as usize, 10);
        for id in 0..max {
            assert!(!apply(&mut admission, id, 0));
        }
        assert!(!apply(&mut admission, max, 0), "all of them are staged");
        commit(&mut admission);
        assert!(apply(&mut admission, max + 1, 0));
        assert!(!seen(&mut admission, 0, 1) && !seen(&mut admission, 3, 1) && seen(&mut admission, 4, 1));
        assert!(!apply(&mut admission, 0, 0), "there is room again");
    }

    #[test]
    fn past_the_cap_the_oldest_goes() {
        let mut admission = Admission::new(100, 2, 10);
        for id in 1..=2 {
            assert!(!apply(&mut admission, id, 0));
        }
        commit(&mut admission);
        assert!(apply(&mut admission, 3, 0), "the horizon was cut short");
        commit(&mut admission);
        assert!(!seen(&mut admission, 1, 1) && seen(&mut admission, 2, 1) && seen(&mut admission, 3, 1));
    }
}
