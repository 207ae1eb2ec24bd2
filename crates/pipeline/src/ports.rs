//! The ports: what the worker loop needs of a log, a store and a clock. Adapters implement them; each port has
//! one conformance suite that every adapter passes.
//!
//! Futures are not `Send`: a worker runs on a thread of its own, with a single-threaded runtime.

use crate::dedup::StoredSequence;
use crate::error::{LogError, StoreError, Unpublished};
use crate::position::{Claim, Claimed, Flush, LogIdentity, ParkNote, Position};
use crate::record::{OutRecord, Page};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use futures_util::future::LocalBoxFuture;
use std::ops::Range;
use std::time::Duration;

/// What a source has to say.
#[derive(Debug)]
pub enum Polled {
    /// These partitions are now this member's; none is read before [`Source::seek`].
    Assigned(Vec<TopicPartition>),
    /// These partitions must be given up: flush what is in flight, then [`Source::release`] them.
    Revoked(Vec<TopicPartition>),
    /// Records of one assigned partition, or only how far it was read: see [`Page::passed`].
    Page(Page),
    /// A partition that cannot be read on: nothing of it comes until the next [`Source::seek`]. Whatever lies behind the
    /// trouble must not be handed out before (I7).
    Trouble(Trouble),
    /// Nothing new within the wait.
    Idle,
}

/// A partition that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The partition.
    pub tp: TopicPartition,
    /// The offset at which reading stands: nothing at or behind it was handed out.
    pub offset: i64,
    /// The kind of trouble.
    pub kind: TroubleKind,
    /// What the log said, in the log's words.
    pub text: String,
}

/// What kind of trouble a partition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// A batch is damaged, or larger than the client takes.
    Unreadable,
    /// The offset is not in the log any more, or not yet.
    OutOfRange,
    /// The end is ahead, and nothing comes.
    Stalled,
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

    /// Which log the partition belongs to, as the log says itself; also looks at those settings of its topic that change
    /// what is stored.
    ///
    /// # Errors
    /// [`LogError::Setting`] where such a setting is wrong: the partition is parked until it is mended.
    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError>;

    /// What the partition's log holds now.
    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError>;

    /// The first offset whose record was appended at or after this time; the log's end where there is none.
    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError>;

    /// Starts reading an assigned partition at this offset.
    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError>;

    /// Stops reading a partition that stays assigned: it is parked. The next seek reads it again.
    fn halt(&mut self, tp: TopicPartition);

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
    /// Appends all records; returns when every one of them is durable (acks=all), with where each one went.
    ///
    /// # Errors
    /// Says where those went that were taken: of each partition a beginning of its records, never a suffix.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished>;
}

/// Where a record was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The partition.
    pub tp: TopicPartition,
    /// The offset.
    pub offset: i64,
}

/// The transaction is to be rolled back: what had to happen before COMMIT did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort;

/// What happens between the statements of a commit and COMMIT.
pub type BeforeCommit<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Result<(), Abort>>;

/// Nothing happens before COMMIT.
#[must_use]
pub fn nothing_before_commit<'a>() -> LocalBoxFuture<'a, Result<(), Abort>> {
    Box::pin(std::future::ready(Ok(())))
}

/// The rules by which a projection's version tells duplicates: they are stored with it (design 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupSettings {
    /// The window, in ms of append time.
    pub window_ms: i64,
    /// How many valid unsequenced records of the partition may lie between two occurrences.
    pub max_records: i64,
}

/// Which producers a store may forget, on one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Those whose last number was appended before this keep their floor alone, raised to their largest number.
    pub sets_before_us: i64,
    /// Those whose last number was appended before this are dropped; none where the topic keeps its records for ever.
    pub floors_before_us: Option<i64>,
}

/// A store that commits rows and positions in one transaction.
#[allow(async_fn_in_trait)]
pub trait RowStore {
    /// Whether the store can be written: it is there, and those of its settings that change what is stored are as they
    /// must be. A worker asks before it claims.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the remedy.
    async fn check(&mut self, _projection: &Projection) -> Result<(), StoreError> {
        Ok(())
    }

    /// The settings stored with the projection's version; stores `wanted` where there are none.
    async fn settings(&mut self, projection: &Projection, wanted: DedupSettings) -> Result<DedupSettings, StoreError>;

    /// Claims partitions: raises each one's epoch by one, durably, and gives back where to go on (I3), in the order asked.
    /// Takes away the partitions' park notes.
    async fn claim(&mut self, projection: &Projection, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError>;

    /// Notes that a partition is parked, for those who look from outside: best effort, on no path of a guarantee.
    async fn note_parked(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        note: &ParkNote,
    ) -> Result<(), StoreError>;

    /// The positions as committed, to settle a commit whose reply was lost.
    async fn positions(&mut self, projection: &Projection, tps: &[TopicPartition])
    -> Result<Vec<Position>, StoreError>;

    /// The sequences of these producers (tenant, producer id) on this partition, in the order asked.
    async fn sequences(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        producers: &[(&str, &str)],
    ) -> Result<Vec<Option<StoredSequence>>, StoreError>;

    /// Forgets what is left of producers that are silent: the rules hold without it, since they are said of what is read
    /// (design 7); it bounds what is stored (I8).
    async fn forget_producers(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        silent: Silent,
    ) -> Result<(), StoreError>;

    /// The offsets of the partition's records that this projection's version holds for dead, ascending.
    async fn dead(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        offsets: Range<i64>,
    ) -> Result<Vec<i64>, StoreError>;

    /// The stored rows under these keys, in the order asked.
    async fn load(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError>;

    /// Commits rows, sequences, dead rows and positions in one transaction, fenced by epoch and old offset (I2, I3). Awaits
    /// [`Flush::before_commit`] between the last answer and COMMIT.
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
