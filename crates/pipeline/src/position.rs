//! Where a projection stands in a partition, and the account of every offset before it (I2, I5).

use domain::delta::Deltas;
use domain::{Projection, TopicPartition};

/// What happened to the offsets of a partition: their sum is `next_offset - first_offset`, always (I5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Folded into rows.
    pub applied: i64,
    /// Seen before.
    pub duplicate: i64,
    /// Valid, but no table of the projection is written by it.
    pub ignored: i64,
    /// Sent to the dead-letter topic.
    pub dead: i64,
    /// Offsets without a record (compaction, transaction markers).
    pub holes: i64,
}

impl Counts {
    /// The number of offsets accounted for.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.applied + self.duplicate + self.ignored + self.dead + self.holes
    }
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
    /// The append time of the last record passed, in us; `i64::MIN` before the first.
    pub last_append_us: i64,
    /// The account.
    pub counts: Counts,
}

impl Position {
    /// The position of a projection that has read nothing of a partition that starts at `first_offset`.
    #[must_use]
    pub const fn start(tp: TopicPartition, first_offset: i64) -> Self {
        let counts = Counts { applied: 0, duplicate: 0, ignored: 0, dead: 0, holes: 0 };
        Self {
            tp,
            first_offset,
            next_offset: first_offset,
            epoch: 0,
            watermark_us: i64::MIN,
            last_append_us: i64::MIN,
            counts,
        }
    }

    /// Offsets passed but not accounted for: 0 always (I5).
    #[must_use]
    pub const fn gap(&self) -> i64 {
        self.next_offset - self.first_offset - self.counts.total()
    }
}

/// A claimed partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The partition.
    pub tp: TopicPartition,
    /// The epoch that this claim got.
    pub epoch: i64,
    /// The position to go on from; none where the projection has never read the partition.
    pub position: Option<Position>,
}

/// A position to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The committed next offset that this advance starts from; none where there is no position yet.
    pub from: Option<i64>,
    /// The new position, with the epoch under which it may be written.
    pub to: Position,
}

/// A producer's high-water mark to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The partition.
    pub tp: TopicPartition,
    /// The producer.
    pub producer_id: String,
    /// The largest sequence number applied.
    pub seq: i64,
}

/// All that one commit writes.
pub struct Flush<'a> {
    /// The projection.
    pub projection: &'a Projection,
    /// The positions, sorted by partition: updated first, each under its epoch and old offset (I3).
    pub advances: &'a [Advance],
    /// The high-water marks.
    pub marks: &'a [Mark],
    /// The rows: merged deltas for tables that merge blind, whole rows for tables with state.
    pub rows: &'a Deltas,
    /// To be called when everything is written and the transaction is about to commit.
    pub before_commit: &'a dyn Fn(),
}

impl Position {
    /// The position as the metadata of a group offset: ingest keeps its account there (I2).
    #[must_use]
    pub fn to_metadata(&self) -> String {
        let Counts { applied, duplicate, ignored, dead, holes } = self.counts;
        let (first, watermark, append) = (self.first_offset, self.watermark_us, self.last_append_us);
        format!("1 {first} {watermark} {append} {applied} {duplicate} {ignored} {dead} {holes}")
    }

    /// Reads a position back from a group offset and its metadata; `None` where they are not ours.
    #[must_use]
    pub fn from_metadata(tp: TopicPartition, next_offset: i64, metadata: &str) -> Option<Position> {
        let numbers: Vec<i64> = metadata.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let [1, first_offset, watermark_us, last_append_us, applied, duplicate, ignored, dead, holes] = numbers[..]
        else {
            return None;
        };
        let counts = Counts { applied, duplicate, ignored, dead, holes };
        let position = Position { tp, first_offset, next_offset, epoch: 0, watermark_us, last_append_us, counts };
        (position.gap() == 0).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;

    #[test]
    fn metadata_comes_back_only_with_a_closed_account() {
        let tp = TopicPartition::new(Topic::SporeCreated, 1);
        let counts = Counts { applied: 3, duplicate: 1, ignored: 0, dead: 1, holes: 2 };
        let position =
            Position { next_offset: 17, watermark_us: 5, last_append_us: 6, counts, ..Position::start(tp, 10) };
        assert_eq!(position.gap(), 0);
        assert_eq!(Position::from_metadata(tp, 17, &position.to_metadata()), Some(position));
        assert_eq!(Position::from_metadata(tp, 18, &position.to_metadata()), None);
        assert_eq!(Position::from_metadata(tp, 17, ""), None);
    }
}
