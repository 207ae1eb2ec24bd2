//! Looking into a backend from outside, without joining a group: for `verify` and `deadletter`.

use anyhow::Result;
use domain::{Projection, Topic, TopicPartition};
use pipeline::{GroupOffset, LogRange, Polled, Position, Record, Scan, SchemaBook, Source};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What partitions of a log hold.
pub type Ranges = BTreeMap<TopicPartition, LogRange>;

/// How long a replay waits for news before it looks whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A log and its stores, beside the workers.
#[allow(async_fn_in_trait)]
pub trait Look {
    /// Reads bounded ranges of the log again.
    type Replay: Source;
    /// The rows of views or series, as of one moment.
    type Rows: Scan;
    /// The records.
    type Records: Scan;

    /// The schemas of the events.
    fn schemas(&self) -> SchemaBook;

    /// The partitions of these topics.
    async fn partitions(&self, topics: &[Topic]) -> Result<Vec<TopicPartition>>;

    /// What they hold now.
    async fn ranges(&self, tps: &[TopicPartition]) -> Result<Ranges>;

    /// The offsets that a projection's group has committed.
    async fn committed(&self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>>;

    /// A source that reads these ranges and then cancels `done`.
    async fn replay(&self, ranges: Ranges, done: CancellationToken) -> Result<Self::Replay>;

    /// The rows of a projection with the positions that belong to them.
    async fn rows(&self, projection: &Projection) -> Result<(Self::Rows, Vec<Position>)>;

    /// The records as they are now.
    async fn records(&self) -> Result<Self::Records>;
}

/// Calls `visit` with every record of these ranges, in offset order within each partition
pub async fn each_record<L: Look>(look: &L, ranges: Ranges, mut visit: impl FnMut(&Record<'_>)) -> Result<()> {
    let starts: Vec<_> = ranges.iter().map(|(tp, range)| (*tp, range.start)).collect();
    let done = CancellationToken::new();
    let mut replay = look.replay(ranges, done.clone()).await?;
    for (tp, start) in starts {
        replay.seek(tp, start).await?;
    }
    while !done.is_cancelled() {
        if let Polled::Page(page) = replay.next(LOOK_AGAIN).await? {
            page.records().for_each(|record| visit(&record));
        }
    }
    Ok(())
}
