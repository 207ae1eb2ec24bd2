//! The partitions that a worker has parked, and when each is tried again (I7).

use crate::backoff::Backoff;
use crate::park::{ParkCause, Parked};
use domain::{Topic, TopicPartition};
use std::collections::BTreeMap;

#[derive(Debug)]
struct Entry {
    parked: Parked,
    backoff: Backoff,
    retry_at_us: i64,
    /// A retry is under way: parked again by it, the partition waits longer.
    is_tried: bool,
}

/// The parked partitions of one worker.
#[derive(Debug)]
pub(crate) struct Parking {
    retry_ms: u64,
    retry_max_ms: u64,
    entries: BTreeMap<TopicPartition, Entry>,
}

impl Parking {
    /// Nothing parked; retries after `retry_ms`, doubled up to `retry_max_ms`.
    pub(crate) fn new(retry_ms: u64, retry_max_ms: u64) -> Self {
        Self { retry_ms, retry_max_ms, entries: BTreeMap::new() }
    }

    /// Parks a partition; `now_us` is monotonic. Gives it as it is to be told: since the first time.
    pub(crate) fn park(&mut self, parked: Parked, now_us: i64) -> Parked {
        let (retry_ms, retry_max_ms) = (self.retry_ms, self.retry_max_ms);
        let entry = self.entries.entry(parked.tp).or_insert_with(|| Entry {
            backoff: Backoff::new(retry_ms, retry_max_ms, now_us as u64 ^ u64::from(parked.tp.partition)),
            parked: parked.clone(),
            retry_at_us: 0,
            is_tried: false,
        });
        entry.parked = Parked { since_us: entry.parked.since_us, ..parked };
        entry.retry_at_us = now_us + entry.backoff.wait().as_micros() as i64;
        entry.is_tried = false;
        entry.parked.clone()
    }

    /// Takes the partitions that are due, to be tried.
    pub(crate) fn due(&mut self, now_us: i64) -> Vec<TopicPartition> {
        let due = self.entries.iter_mut().filter(|(_, entry)| !entry.is_tried && entry.retry_at_us <= now_us);
        due.map(|(tp, entry)| {
            entry.is_tried = true;
            *tp
        })
        .collect()
    }

    /// When the next one is due, as a wait from now; none where nothing is parked.
    pub(crate) fn next_wait_us(&self, now_us: i64) -> Option<i64> {
        let waiting = self.entries.values().filter(|entry| !entry.is_tried);
        waiting.map(|entry| (entry.retry_at_us - now_us).max(0)).min()
    }

    /// The partition is read again, or is no longer this worker's; whether it was parked.
    pub(crate) fn leave(&mut self, tp: TopicPartition) -> bool {
        self.entries.remove(&tp).is_some()
    }

    /// The number of partitions that a topic had, where one that it had then is parked for having another by now.
    pub(crate) fn former_partitions(&self, topic: Topic) -> Option<u32> {
        self.entries.values().find_map(|entry| match entry.parked.cause {
            ParkCause::PartitionCount { stored, .. } if entry.parked.tp.topic == topic => {
                (entry.parked.tp.partition < stored).then_some(stored)
            }
            _ => None,
        })
    }

    /// The parked partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.entries.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_waits_longer_each_time_and_keeps_its_beginning() {
        let tp = TopicPartition::new(Topic::AgentState, 3);
        let cause = ParkCause::Unreadable("damaged".to_owned());
        let parked = |since_us| Parked { projection: "views", tp, offset: 7, cause: cause.clone(), since_us };
        let mut parking = Parking::new(1_000, 60_000);
        parking.park(parked(5), 0);
        let first_us = parking.next_wait_us(0).unwrap();
        assert!((500_000..=1_000_000).contains(&first_us), "{first_us}");
        assert!(parking.due(first_us - 1).is_empty());
        assert_eq!(parking.due(first_us), [tp]);
        assert_eq!((parking.due(first_us).len(), parking.next_wait_us(first_us)), (0, None), "it is being tried");
        assert_eq!(parking.park(parked(900), first_us).since_us, 5);
        assert!(parking.next_wait_us(first_us).unwrap() >= 1_000_000, "longer");
        assert!(parking.leave(tp) && !parking.leave(tp));
    }
}
