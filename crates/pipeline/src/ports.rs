//! The ports: what the worker loop needs of a log, a store and a clock. Adapters implement them; each port has
//! one conformance suite that every adapter passes.
//!
//! Futures are not `Send`: a worker runs on a thread of its own, with a single-threaded runtime.

use crate::error::{LogError, StoreError};
use crate::position::{Claimed, Flush, Position};
use crate::record::{OutRecord, Page};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use std::time::Duration;

/// What a source has to say.
#[derive(Debug)]
pub enum Polled {
    /// These partitions are now this member's; none is read before [`Source::seek`].
    Assigned(Vec<TopicPartition>),
    /// These partitions must be given up: flush what is in flight, then [`Source::release`] them.
    Revoked(Vec<TopicPartition>),
    /// Records of one assigned partition.
    Page(Page),
    /// Nothing new within the wait.
    Idle,
}

/// What a partition's log holds, and where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The first offset that is still there.
    pub start: i64,
    /// The next offset to be appended.
    pub end: i64,
}

/// An offset committed to the log's group, with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The partition.
    pub tp: TopicPartition,
    /// The next offset to read.
    pub next_offset: i64,
    /// Free text beside it: the worker's counters.
    pub metadata: String,
}

/// One member of a consumer group.
#[allow(async_fn_in_trait)]
pub trait Source {
    /// The next thing that happened, after at most `wait`.
    async fn next(&mut self, wait: Duration) -> Result<Polled, LogError>;

    /// What the partition's log holds now.
    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError>;

    /// The first offset whose record was appended at or after this time; the log's end where there is none.
    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError>;

    /// Starts reading an assigned partition at this offset.
    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError>;

    /// The partitions that are this member's now, as far as it can know.
    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError>;

    /// Gives revoked partitions up, after they were flushed.
    async fn release(&mut self, tps: &[TopicPartition]) -> Result<(), LogError>;

    /// The offsets that the group has committed for these partitions; partitions without one are left out.
    async fn committed(&mut self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError>;

    /// Commits offsets for the group; refused as [`LogError::NotOwner`] where this member lost a partition.
    async fn commit(&mut self, offsets: &[GroupOffset]) -> Result<(), LogError>;

    /// Shows positions that a store holds to those who watch the group's lag, best effort: nothing is resumed from
    /// there (I2), and an adapter that has no such watchers does nothing.
    fn mirror(&mut self, _positions: &[(TopicPartition, i64)]) {}
}

/// Appends records to the log.
#[allow(async_fn_in_trait)]
pub trait Publisher {
    /// Appends all records; returns when every one of them is durable (acks=all).
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<(), LogError>;
}

/// A store that commits rows and positions in one transaction.
#[allow(async_fn_in_trait)]
pub trait RowStore {
    /// Claims partitions: raises each one's epoch by one, durably, and gives back where to go on (I3).
    async fn claim(&mut self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<Claimed>, StoreError>;

    /// The positions as committed, to settle a commit whose reply was lost.
    async fn positions(&mut self, projection: &Projection, tps: &[TopicPartition])
    -> Result<Vec<Position>, StoreError>;

    /// The high-water marks of these producers on this partition, in the order asked.
    async fn marks(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        producers: &[&str],
    ) -> Result<Vec<Option<i64>>, StoreError>;

    /// The stored rows under these keys, in the order asked.
    async fn load(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError>;

    /// Commits rows, marks and positions in one transaction, fenced by epoch and old offset (I2, I3).
    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError>;
}

/// A store without transactions: idempotent writes only (I4).
#[allow(async_fn_in_trait)]
pub trait RecordStore {
    /// Whether the rows of this projection can be written: the store is there, and so are its tables. A worker asks
    /// before it says that it is ready.
    async fn check(&mut self, _projection: &Projection) -> Result<(), StoreError> {
        Ok(())
    }

    /// Writes the rows; each may be written again at any time, with the same effect.
    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError>;
}

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// The declared key's bytes.
    pub key: Vec<u8>,
    /// The partition it was folded from, for a part of a partial table.
    pub part: Option<TopicPartition>,
    /// The cells, in slot order.
    pub cells: Vec<Cell>,
}

/// What a store holds, to be compared and copied.
#[allow(async_fn_in_trait)]
pub trait Scan {
    /// Visits every stored row of a table; the parts of one key come one after another. A store with transactions
    /// shows one moment, the same for all tables that one reader scans.
    async fn scan(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        visit: &mut dyn FnMut(StoredRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

/// The time, passed in so that tests can advance it.
pub trait Clock {
    /// The wall clock, in microseconds since 1970.
    fn now_us(&self) -> i64;
    /// A clock that never goes back, in microseconds since some fixed moment.
    fn monotonic_us(&self) -> i64;
    /// Waits.
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()>;
}
