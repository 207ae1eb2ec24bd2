//! Whether a partition stands still although there is something to read. Pure: time, offsets and ends are passed in.
//!
//! Silence alone says nothing: most partitions are idle. So a partition that was silent for a while is asked for its end,
//! up to which it can be read: the last stable offset, since behind an open transaction nothing may be read. Only where
//! that end is ahead it is stalled.

use domain::TopicPartition;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Quiet {
    next: i64,
    since_us: i64,
}

/// Watches the partitions of one member.
#[derive(Debug)]
pub(super) struct Watch {
    stall_us: i64,
    quiet: BTreeMap<TopicPartition, Quiet>,
    /// Where a partition stood when it was held for stalled last, and how many times it was there: much that is passed
    /// without a word, as aborted transactions are, may take longer, and the next time it gets twice as long.
    stalls: BTreeMap<TopicPartition, (i64, u32)>,
}

/// It gets no more than this many times twice as long.
const DOUBLINGS: u32 = 6;

impl Watch {
    pub(super) fn new(stall_us: i64) -> Self {
        Self { stall_us, quiet: BTreeMap::new(), stalls: BTreeMap::new() }
    }

    /// How often it wants to look.
    pub(super) fn interval_us(&self) -> i64 {
        (self.stall_us / 10).clamp(50_000, 1_000_000)
    }

    /// A partition is read anew.
    pub(super) fn begin(&mut self, tp: TopicPartition, next: i64, now_us: i64) {
        self.quiet.insert(tp, Quiet { next, since_us: now_us });
    }

    /// Nothing can be expected now: the hand-over is full, or no broker answers.
    pub(super) fn excuse(&mut self, now_us: i64) {
        self.quiet.values_mut().for_each(|quiet| quiet.since_us = now_us);
    }

    /// The partitions of which nothing came for too long, among those that are read.
    pub(super) fn suspects(
        &mut self,
        open: impl Iterator<Item = (TopicPartition, i64)>,
        now_us: i64,
    ) -> Vec<(TopicPartition, i64)> {
        let mut seen = BTreeMap::new();
        let mut suspects = Vec::new();
        for (tp, next) in open {
            let quiet = match self.quiet.remove(&tp) {
                Some(quiet) if quiet.next == next => quiet,
                _ => Quiet { next, since_us: now_us },
            };
            if now_us - quiet.since_us >= self.patience_us(tp, next) {
                suspects.push((tp, next));
            }
            seen.insert(tp, quiet);
        }
        self.quiet = seen;
        suspects
    }

    /// Whether a suspect is stalled, which can be read up to this end; if it is, it is not watched any more.
    pub(super) fn is_stalled(&mut self, tp: TopicPartition, next: i64, end: i64, now_us: i64) -> bool {
        // It has moved while its end was asked for.
        let Some(quiet) = self.quiet.get_mut(&tp).filter(|quiet| quiet.next == next) else { return false };
        if end <= next {
            quiet.since_us = now_us;
            return false;
        }
        self.quiet.remove(&tp);
        let times = self.stalls.get(&tp).filter(|(at, _)| *at == next).map_or(0, |(_, times)| *times);
        self.stalls.insert(tp, (next, times + 1));
        true
    }

    fn patience_us(&self, tp: TopicPartition, next: i64) -> i64 {
        let times = self.stalls.get(&tp).filter(|(at, _)| *at == next).map_or(0, |(_, times)| *times);
        self.stall_us.saturating_mul(1 << times.min(DOUBLINGS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;

    const STALL_US: i64 = 60_000_000;

    fn tp(partition: u32) -> TopicPartition {
        TopicPartition::new(Topic::AgentState, partition)
    }

    fn watching() -> Watch {
        let mut watch = Watch::new(STALL_US);
        watch.begin(tp(0), 5, 0);
        watch
    }

    fn suspects(watch: &mut Watch, next: i64, now_us: i64) -> usize {
        watch.suspects([(tp(0), next)].into_iter(), now_us).len()
    }

    #[test]
    fn silent_partition_is_stalled_only_where_its_readable_end_is_ahead() {
        let mut watch = watching();
        assert_eq!(suspects(&mut watch, 5, STALL_US - 1), 0);
        assert_eq!(suspects(&mut watch, 5, STALL_US), 1);
        assert!(!watch.is_stalled(tp(0), 5, 5, STALL_US), "idle, or behind an open transaction");
        assert_eq!(suspects(&mut watch, 5, 2 * STALL_US - 1), 0, "asked once in a while only");
        assert_eq!(suspects(&mut watch, 5, 2 * STALL_US), 1);
        assert!(watch.is_stalled(tp(0), 5, 6, 2 * STALL_US));
    }

    #[test]
    fn partition_that_moves_is_not_suspected() {
        let mut watch = watching();
        assert_eq!(suspects(&mut watch, 6, STALL_US), 0);
        assert_eq!(suspects(&mut watch, 6, 2 * STALL_US - 1), 0);
        assert_eq!(suspects(&mut watch, 6, 2 * STALL_US), 1);
        assert_eq!(suspects(&mut watch, 7, 2 * STALL_US), 0);
        assert!(!watch.is_stalled(tp(0), 6, 9, 2 * STALL_US), "it moved while its end was asked for");
    }

    #[test]
    fn full_hand_over_and_outage_excuse_silence() {
        let mut watch = watching();
        watch.excuse(STALL_US);
        assert_eq!(suspects(&mut watch, 5, STALL_US), 0);
        assert_eq!(suspects(&mut watch, 5, 2 * STALL_US), 1);
    }

    #[test]
    fn partition_that_stalled_here_before_gets_twice_as_long() {
        let mut watch = watching();
        assert_eq!(suspects(&mut watch, 5, STALL_US), 1);
        assert!(watch.is_stalled(tp(0), 5, 9, STALL_US));
        watch.begin(tp(0), 5, STALL_US);
        assert_eq!(suspects(&mut watch, 5, 3 * STALL_US - 1), 0);
        assert_eq!(suspects(&mut watch, 5, 3 * STALL_US), 1);
        watch.begin(tp(0), 6, 3 * STALL_US);
        assert_eq!(suspects(&mut watch, 6, 4 * STALL_US), 1, "elsewhere it gets the usual time");
    }

    #[test]
    fn partition_that_is_not_read_is_not_watched() {
        let mut watch = watching();
        assert_eq!(watch.suspects(std::iter::empty(), STALL_US).len(), 0);
        assert_eq!(suspects(&mut watch, 5, STALL_US), 0, "it begins anew");
    }
}
