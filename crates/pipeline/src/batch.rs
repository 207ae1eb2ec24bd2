//! The records between two commits, kept until the commit so that they can be folded again (I7).

use crate::options::WorkerOptions;
use crate::record::{Page, Record};
use domain::TopicPartition;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Pages of several partitions, in the order of their arrival, addressed as one list of records.
#[derive(Debug, Default)]
pub struct Batch {
    pages: Vec<(Page, usize)>,
    starts: Vec<usize>,
    len: usize,
    bytes: usize,
    opened_us: i64,
    /// Offsets up to which the log holds no further record: they are passed behind the batch's last record.
    passed: BTreeMap<TopicPartition, i64>,
}

impl Batch {
    /// Adds the records of a page from index `from` on. `now_us` is monotonic.
    pub fn push(&mut self, page: Page, from: usize, now_us: i64) {
        if from >= page.len() {
            return;
        }
        if self.is_empty() {
            self.opened_us = now_us;
        }
        self.starts.push(self.len);
        self.len += page.len() - from;
        self.bytes += page.bytes();
        self.pages.push((page, from));
    }

    /// Notes that a partition holds no further record below this offset.
    pub fn pass(&mut self, tp: TopicPartition, next_offset: i64, now_us: i64) {
        if self.is_empty() {
            self.opened_us = now_us;
        }
        let passed = self.passed.entry(tp).or_insert(next_offset);
        *passed = next_offset.max(*passed);
    }

    /// The offsets that are passed behind the last record, by partition.
    #[must_use]
    pub fn passed(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.passed
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is neither a record nor a passed offset.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0 && self.passed.is_empty()
    }

    /// The memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it can take no more, by records or bytes.
    #[must_use]
    pub fn is_full(&self, options: &WorkerOptions) -> bool {
        self.len >= options.batch_max_records || self.bytes >= options.batch_max_bytes
    }

    /// Whether the batch closes now, by records, bytes or age.
    #[must_use]
    pub fn is_due(&self, options: &WorkerOptions, now_us: i64) -> bool {
        !self.is_empty() && (self.is_full(options) || now_us - self.opened_us >= options.linger_us())
    }

    /// How long to wait for more before the batch closes by age; an empty one can wait long.
    #[must_use]
    pub fn until_due(&self, options: &WorkerOptions, now_us: i64) -> Duration {
        if self.is_empty() {
            return Duration::from_millis(options.idle_wait_ms);
        }
        Duration::from_micros(u64::try_from(options.linger_us() - (now_us - self.opened_us)).unwrap_or(0))
    }

    /// The records `from..to`, by page: those of each that are in the range.
    pub fn runs(&self, from: usize, to: usize) -> impl Iterator<Item = (&Page, Range<usize>)> {
        let first = self.starts.partition_point(|start| *start <= from).saturating_sub(1);
        let pages = self.pages.iter().zip(&self.starts).skip(first).take_while(move |(_, start)| **start < to);
        pages.map(move |((page, skip), start)| {
            let at = |number: usize| (skip + number.saturating_sub(*start)).min(page.len());
            (page, at(from)..at(to))
        })
    }

    /// The records `from..to`.
    pub fn records(&self, from: usize, to: usize) -> impl Iterator<Item = Record<'_>> {
        self.runs(from, to).flat_map(|(page, range)| range.map(|ix| page.record(ix)))
    }

    /// Forgets the first `count` records.
    pub fn drop_front(&mut self, count: usize) {
        let (opened_us, pages) = (self.opened_us, std::mem::take(&mut self.pages));
        *self = Self { passed: std::mem::take(&mut self.passed), opened_us, ..Self::default() };
        let mut left = count;
        for (page, from) in pages {
            let dropped = left.min(page.len() - from);
            left -= dropped;
            self.push(page, from + dropped, opened_us);
        }
    }

    /// Forgets all records.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Topic, TopicPartition};

    #[test]
    fn records_are_addressed_across_pages() {
        let mut batch = Batch::default();
        for (partition, offsets) in [(0, 0..3), (1, 10..12), (0, 3..7)] {
            let mut page = Page::new(TopicPartition::new(Topic::AgentState, partition));
            offsets.for_each(|offset| page.push(offset, 0, b"k", b"v", b""));
            batch.push(page, usize::from(partition == 1), 5);
        }
        let offsets = |from, to| batch.records(from, to).map(|record| record.offset).collect::<Vec<_>>();
        assert_eq!(offsets(0, 8), [0, 1, 2, 11, 3, 4, 5, 6]);
        assert_eq!(offsets(2, 5), [2, 11, 3]);
        assert_eq!(offsets(5, 6), [4]);
        assert_eq!(offsets(3, 3), [] as [i64; 0]);
        batch.drop_front(4);
        assert_eq!(batch.records(0, 4).map(|record| record.offset).collect::<Vec<_>>(), [3, 4, 5, 6]);
        batch.drop_front(4);
        assert!(batch.is_empty());
    }
}
