//! A partition that a worker holds, and what must be true before anything of it is applied (I2).

use crate::batch::Batch;
use crate::env::Env;
use crate::observer::Observer;
use crate::park::ParkCause;
use crate::ports::{Clock, LogRange};
use crate::position::{LastRecord, LogIdentity, Position};
use crate::record::{Page, Record};

/// How far a later record's append time may lie before that of the record passed: leaders' clocks differ, and a log that
/// was written anew differs by more.
const CLOCK_SKEW_US: i64 = 3_600_000_000;

/// A partition that this worker has claimed.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) epoch: i64,
    /// The position as committed; `committed` is false where the store has no row of it yet.
    pub(crate) position: Position,
    pub(crate) committed: bool,
    /// Where the next fetch goes on: ahead of the position by what is in the batch.
    pub(crate) fetched: i64,
    pub(crate) log_end: i64,
    /// The leader epoch of the last record fetched; -1 where the log does not say.
    pub(crate) leader_epoch: i32,
    /// The record before the position, until the log has shown that it is the same one.
    pub(crate) unproven: Option<LastRecord>,
    pub(crate) refill: Refill,
}

/// How far the window of duplicates is read again.
#[derive(Debug, Default)]
pub(crate) struct Refill {
    /// The first offset that belongs to the window.
    pub(crate) from: i64,
    /// The largest append time so far.
    pub(crate) append_us: i64,
    /// The records that are dead, ascending: they never enter the window.
    pub(crate) dead: Vec<i64>,
}

impl Owned {
    /// Compares a record from before the fetched offset, or the first one from there on, with the one that was passed.
    pub(crate) fn prove(&mut self, record: &Record<'_>, leader_epoch: i32) -> Result<(), ParkCause> {
        let Some(passed) = self.unproven else { return Ok(()) };
        let verdict = prove(passed, record, leader_epoch);
        if record.offset >= passed.offset {
            self.unproven = None;
        }
        verdict
    }
}

impl Owned {
    /// Adds a page from record number `from` on to the batch, and what it passes behind its last record.
    pub(crate) fn append<C: Clock, O: Observer>(
        &mut self,
        page: Page,
        from: usize,
        batch: &mut Batch,
        env: &Env<C, O>,
    ) {
        let now_us = env.clock.monotonic_us();
        self.log_end = page.log_end().max(self.log_end);
        if page.leader_epoch() >= 0 {
            self.leader_epoch = page.leader_epoch();
        }
        let (tp, passed) = (page.tp(), page.passed());
        let behind_records = page.len().checked_sub(1).map_or(i64::MIN, |last| page.record(last).offset + 1);
        if passed > behind_records.max(self.fetched) {
            batch.pass(tp, passed, now_us);
        }
        self.fetched = self.fetched.max(passed);
        env.observer.lag(tp, self.log_end - self.position.next_offset);
        batch.push(page, from, now_us);
    }
}

/// Compares the log's record with the one that a projection has passed (I2).
pub(crate) fn prove(passed: LastRecord, record: &Record<'_>, leader_epoch: i32) -> Result<(), ParkCause> {
    let found = LastRecord { offset: record.offset, append_us: record.append_time_us, leader_epoch };
    let is_same = match found.offset.cmp(&passed.offset) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => found.append_us == passed.append_us,
        // The record itself was compacted away, or its segment expired.
        std::cmp::Ordering::Greater => found.append_us >= passed.append_us.saturating_sub(CLOCK_SKEW_US),
    };
    if is_same { Ok(()) } else { Err(ParkCause::AnotherRecord { passed, found }) }
}

/// Compares the log of a position with the one that is there (I2, I9). An id that either does not know says nothing.
///
/// # Errors
/// The cause for which the partition is parked.
pub fn compare_logs(stored: &LogIdentity, found: &LogIdentity) -> Result<(), ParkCause> {
    let differs = |stored: &str, found: &str| !stored.is_empty() && !found.is_empty() && stored != found;
    if differs(&stored.cluster_id, &found.cluster_id) || differs(&stored.topic_id, &found.topic_id) {
        return Err(ParkCause::AnotherLog { stored: stored.clone(), found: found.clone() });
    }
    if stored.partitions != found.partitions {
        return Err(ParkCause::PartitionCount { stored: stored.partitions, found: found.partitions });
    }
    Ok(())
}

/// Whether the log holds the position (I2).
///
/// # Errors
/// The cause for which the partition is parked.
pub fn check_range(position: &Position, range: LogRange) -> Result<(), ParkCause> {
    let LogRange { start, end } = range;
    if position.next_offset < start || position.next_offset > end {
        return Err(ParkCause::OutOfRange { start, end });
    }
    Ok(())
}
