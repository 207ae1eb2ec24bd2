//! Where a projection stands in a partition, in which log, and the account of every offset before it (I2, I5).

use crate::dedup::SequenceChange;
use crate::ports::BeforeCommit;
use domain::delta::Deltas;
use domain::{Projection, TopicPartition};

/// The generation of every topic: growth in place is refused, and another topic of the same name is another log (I2).
pub const GENERATION: u32 = 1;

/// What happened to the offsets of a partition: [`Counts::total`] is `next_offset - first_offset`, always (I5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Folded into rows.
    pub applied: i64,
    /// Seen before; `behind` is a part of it.
    pub duplicate: i64,
    /// At or below the floor of their producer's sequences: too late to be told from repeats.
    pub behind: i64,
    /// Valid, but no table of the projection is written by it; `unknown` is a part of it.
    pub ignored: i64,
    /// Of a kind of event that this binary does not know.
    pub unknown: i64,
    /// Sent to the dead-letter topic.
    pub dead: i64,
    /// Offsets without a record (compaction, transaction markers, tombstones).
    pub holes: i64,
    /// Passed over by an operator's order: `projection skip`.
    pub lost: i64,
}

impl Counts {
    /// The number of offsets accounted for.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.applied + self.duplicate + self.ignored + self.dead + self.holes + self.lost
    }

    /// Adds the counts of other offsets.
    pub const fn add(&mut self, other: &Counts) {
        self.applied += other.applied;
        self.duplicate += other.duplicate;
        self.behind += other.behind;
        self.ignored += other.ignored;
        self.unknown += other.unknown;
        self.dead += other.dead;
        self.holes += other.holes;
        self.lost += other.lost;
    }
}

/// Which log a partition belongs to. A position of another log is never applied (I2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogIdentity {
    /// The id of the cluster; of the embedded log, its own.
    pub cluster_id: String,
    /// The id that the cluster gave the topic when it was made; empty where the log has no such ids.
    pub topic_id: String,
    /// The number of partitions: keys lie elsewhere under another number (I9).
    pub partitions: u32,
}

/// The last record that a projection has passed: by it a position is told from that of another log (I2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// Its offset.
    pub offset: i64,
    /// Its append time, in us.
    pub append_us: i64,
    /// The leader epoch under which it was appended; -1 where the log does not say.
    pub leader_epoch: i32,
}

/// A committed position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub tp: TopicPartition,
    /// The first offset that the projection read.
    pub first_offset: i64,
    /// The next offset to read.
    pub next_offset: i64,
    /// The claim that wrote it.
    pub epoch: i64,
    /// The largest min(occurred_at, append time) among applied records, in us; `i64::MIN` before the first.
    pub watermark_us: i64,
    /// The largest append time among the records passed, in us; `i64::MIN` before the first.
    pub max_append_us: i64,
    /// The last record passed; none before the first.
    pub last: Option<LastRecord>,
    /// The offset where the window of duplicates began anew, since the log was cut before it; none where it is whole.
    pub window_from: Option<i64>,
    /// The account.
    pub counts: Counts,
}

impl Position {
    /// The position of a projection that has read nothing of a partition that starts at `first_offset`.
    #[must_use]
    pub fn start(tp: TopicPartition, first_offset: i64) -> Self {
        Self {
            tp,
            first_offset,
            next_offset: first_offset,
            epoch: 0,
            watermark_us: i64::MIN,
            max_append_us: i64::MIN,
            last: None,
            window_from: None,
            counts: Counts::default(),
        }
    }

    /// Offsets passed but not accounted for: 0 always (I5).
    #[must_use]
    pub const fn gap(&self) -> i64 {
        self.next_offset - self.first_offset - self.counts.total()
    }
}

/// Why a partition is parked, as a store or a group keeps it for those who look from outside (I7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkNote {
    /// The cause's label, see [`crate::park::ParkCause`].
    pub cause: String,
    /// The offset at which it stands.
    pub offset: i64,
    /// What is wrong and what to do.
    pub text: String,
    /// Since when, in us.
    pub since_us: i64,
}

/// A partition to be claimed, and the log in which the claimant finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The partition.
    pub tp: TopicPartition,
    /// The log: stored with the first claim, and with every claim of a partition that has no position yet.
    pub log: LogIdentity,
}

/// A claimed partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The partition.
    pub tp: TopicPartition,
    /// The epoch that this claim got.
    pub epoch: i64,
    /// The position to go on from; none where the projection has never read the partition.
    pub position: Option<Position>,
    /// The log that the stored position belongs to; the claimant's where there was no position.
    pub log: LogIdentity,
}

/// A position to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The committed next offset that this advance starts from; none where there is no position yet.
    pub from: Option<i64>,
    /// The new position, with the epoch under which it may be written.
    pub to: Position,
}

/// A record that a projection could not apply, as its store remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRow {
    /// Where the record lies.
    pub tp: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Its append time, in us.
    pub append_us: i64,
    /// The reason: `kind: text`.
    pub reason: String,
    /// XXH3-64 of its value's bytes, as the bits of a signed number.
    pub value_hash: i64,
    /// XXH3-64 of its event id's bytes, likewise; none where it has no readable id.
    pub id_hash: Option<i64>,
}

/// All that one commit writes.
pub struct Flush<'a> {
    /// The projection.
    pub projection: &'a Projection,
    /// The positions, sorted by partition: updated first, each under its epoch and old offset (I3).
    pub advances: &'a [Advance],
    /// What the batch changed in the sequences of producers, sorted by partition, tenant and producer.
    pub sequences: &'a [SequenceChange],
    /// The records that are dead, sorted by partition and offset.
    pub dead: &'a [DeadRow],
    /// The rows: merged deltas for tables that merge blind, whole rows for tables with state.
    pub rows: &'a Deltas,
    /// To be awaited when every statement has been answered, before COMMIT: it publishes. Where it fails, the
    /// transaction is rolled back and the commit fails as [`crate::StoreError::Aborted`].
    pub before_commit: BeforeCommit<'a>,
}

impl std::fmt::Debug for Flush<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flush").field("advances", &self.advances).finish_non_exhaustive()
    }
}
