//! The ack ledger: which offsets may be committed to the group when writes finish out of order (I4).
//!
//! A type without I/O. Chunks of records are dispatched in log order and finish in any order; only the contiguous
//! finished head of a partition may be committed.
//!
//! | chunk | 1 | 2 | 3 | committable |
//! |---|---|---|---|---|
//! | | in flight | done | done | nothing |
//! | | done | in flight | done | to the end of 1 |
//! | | done | done | done | to the end of 3 |

use crate::position::Position;
use domain::TopicPartition;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
struct Entry {
    chunk: u64,
    /// What the chunk did to the partition: `first_offset..next_offset`, with its own counts.
    part: Position,
    done: bool,
}

#[derive(Debug)]
struct Partition {
    head: Position,
    entries: VecDeque<Entry>,
    moved: bool,
}

/// The ledger of the partitions that an ingest worker owns.
#[derive(Debug, Default)]
pub struct Ledger {
    partitions: BTreeMap<TopicPartition, Partition>,
    next_chunk: u64,
}

impl Ledger {
    /// Takes a partition up at its committed position.
    pub fn own(&mut self, position: Position) {
        self.partitions.insert(position.tp, Partition { head: position, entries: VecDeque::new(), moved: false });
    }

    /// Forgets a partition: what is in flight for it no longer counts.
    pub fn forget(&mut self, tp: TopicPartition) {
        self.partitions.remove(&tp);
    }

    /// Whether the partition is owned.
    #[must_use]
    pub fn owns(&self, tp: TopicPartition) -> bool {
        self.partitions.contains_key(&tp)
    }

    /// The partitions owned.
    #[must_use]
    pub fn owned(&self) -> Vec<TopicPartition> {
        self.partitions.keys().copied().collect()
    }

    /// The position behind the contiguous finished head of a partition.
    #[must_use]
    pub fn head(&self, tp: TopicPartition) -> Option<Position> {
        self.partitions.get(&tp).map(|partition| partition.head)
    }

    /// The next offset to be dispatched for a partition.
    #[must_use]
    pub fn dispatched(&self, tp: TopicPartition) -> Option<i64> {
        let partition = self.partitions.get(&tp)?;
        Some(partition.entries.back().map_or(partition.head.next_offset, |entry| entry.part.next_offset))
    }

    /// Notes a chunk as in flight; each part covers `first_offset..next_offset` of one partition.
    pub fn dispatch(&mut self, parts: &[Position]) -> u64 {
        let chunk = self.next_chunk;
        self.next_chunk += 1;
        for part in parts {
            if let Some(partition) = self.partitions.get_mut(&part.tp) {
                partition.entries.push_back(Entry { chunk, part: *part, done: false });
            }
        }
        chunk
    }

    /// The chunk is written. `parts` says what became of its records in the end.
    pub fn done(&mut self, chunk: u64, parts: &[Position]) {
        for part in parts {
            let Some(partition) = self.partitions.get_mut(&part.tp) else { continue };
            if let Some(entry) = partition.entries.iter_mut().find(|entry| entry.chunk == chunk) {
                entry.part = *part;
                entry.done = true;
            }
            while partition.entries.front().is_some_and(|entry| entry.done) {
                if let Some(entry) = partition.entries.pop_front() {
                    advance(&mut partition.head, &entry.part);
                    partition.moved = true;
                }
            }
        }
    }

    /// The positions to be committed: behind the contiguous head of each partition that moved.
    #[must_use]
    pub fn committable(&self) -> Vec<Position> {
        self.partitions.values().filter(|partition| partition.moved).map(|partition| partition.head).collect()
    }

    /// These positions are committed.
    pub fn committed(&mut self, positions: &[Position]) {
        for position in positions {
            if let Some(partition) = self.partitions.get_mut(&position.tp) {
                partition.moved = partition.head.next_offset != position.next_offset;
            }
        }
    }
}

fn advance(head: &mut Position, part: &Position) {
    head.next_offset = part.next_offset;
    head.watermark_us = head.watermark_us.max(part.watermark_us);
    head.max_append_us = head.max_append_us.max(part.max_append_us);
    head.last = part.last.or(head.last);
    head.counts.add(&part.counts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;
    use proptest::prelude::*;

    const TP: TopicPartition = TopicPartition::new(Topic::SporeCreated, 0);

    fn part(from: i64, to: i64) -> Position {
        let mut part = Position { next_offset: to, ..Position::start(TP, from) };
        part.counts.applied = to - from;
        part
    }

    proptest! {
        /// I4: whatever the order of the acknowledgements, only the contiguous prefix is committable.
        #[test]
        fn only_the_contiguous_head_commits(order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let mut ledger = Ledger::default();
            ledger.own(Position::start(TP, 0));
            let chunks: Vec<u64> = (0..20).map(|ix| ledger.dispatch(&[part(ix * 5, ix * 5 + 5)])).collect();
            let mut done = [false; 20];
            for ix in order {
                ledger.done(chunks[ix], &[part(ix as i64 * 5, ix as i64 * 5 + 5)]);
                done[ix] = true;
                let prefix = done.iter().take_while(|done| **done).count() as i64;
                let committable = ledger.committable();
                let next = committable.first().map_or(0, |position| position.next_offset);
                prop_assert_eq!(next, prefix * 5);
                prop_assert!(committable.iter().all(|position| position.gap() == 0));
            }
            let all = ledger.committable();
            ledger.committed(&all);
            prop_assert!(ledger.committable().is_empty());
        }
    }
}
