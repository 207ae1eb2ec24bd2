//! Looking into a backend from outside, without joining a group: for `lag`, `doctor`, `verify` and
//! `deadletter`.

use anyhow::Result;
use domain::{Projection, Topic, TopicPartition};
use pipeline::{
    DedupSettings, GroupOffset, GroupPosition, KnownDead, LogIdentity, LogRange, Polled, Record, Scan, SchemaBook,
    Source, Trouble,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What partitions of a log hold.
pub type Ranges = BTreeMap<TopicPartition, LogRange>;

/// Which log each partition belongs to; why that cannot be told, where it cannot: a setting that is
/// wrong, say.
pub type Identities = BTreeMap<TopicPartition, Result<LogIdentity, String>>;

/// How long a replay waits for news before it looks whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The rows of views or series, and what their projection keeps beside them, all as of one moment.
#[allow(async_fn_in_trait)]
pub trait Held: Scan {
    /// Where the projection stands, in which log, and whether it is parked.
    async fn positions(&self, projection: &Projection) -> Result<Vec<GroupPosition>>;

    /// The rules by which its rows tell repeats; none where it has never run.
    async fn settings(&self, projection: &Projection) -> Result<Option<DedupSettings>>;

    /// The records that it holds for dead, and why.
    async fn known_dead(&self, projection: &Projection) -> Result<KnownDead>;
}

/// A log and its stores, beside the workers.
#[allow(async_fn_in_trait)]
pub trait Look {
    /// Reads bounded ranges of the log again.
    type Replay: Source;
    /// The rows of views or series, as of one moment.
    type Rows: Held;
    /// The records.
    type Records: Scan;

    /// The schemas of the events.
    fn schemas(&self) -> SchemaBook;

    /// The partitions of these topics.
    async fn partitions(&self, topics: &[Topic]) -> Result<Vec<TopicPartition>>;

    /// What they hold now.
    async fn ranges(&self, tps: &[TopicPartition]) -> Result<Ranges>;

    /// Which logs they are.
    async fn identities(&self, tps: &[TopicPartition]) -> Result<Identities>;

    /// The offsets that a projection's group has committed.
    async fn committed(&self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>>;

    /// A source that reads these ranges and then cancels `done`.
    async fn replay(&self, ranges: Ranges, done: CancellationToken) -> Result<Self::Replay>;

    /// The rows of a projection with what belongs to them.
    async fn rows(&self) -> Result<Self::Rows>;

    /// The records as they are now.
    async fn records(&self) -> Result<Self::Records>;
}

/// Where a projection stands, whichever way it keeps that: ingest in the metadata of its group's
/// offsets. An offset that an operator's tool has set stands without an account, as if nothing had
/// been read before it.
pub async fn positions<L: Look>(
    look: &L,
    projection: &Projection,
    tps: &[TopicPartition],
) -> Result<Vec<GroupPosition>> {
    if projection.name != ingest::PROJECTION.name {
        return look.rows().await?.positions(projection).await;
    }
    let position = |offset: &GroupOffset| {
        GroupPosition::from_offset(offset).unwrap_or_else(|| GroupPosition {
            position: pipeline::Position::start(offset.tp, offset.next_offset),
            log: LogIdentity::default(),
            parked: None,
        })
    };
    Ok(look.committed(projection, tps).await?.iter().map(position).collect())
}

/// Calls `visit` with every record of these ranges, in offset order within each partition. It ends
/// whatever lies in the log: a partition that cannot be read on is left, and told at the end.
pub async fn each_record<L: Look>(
    look: &L,
    ranges: Ranges,
    mut visit: impl FnMut(&Record<'_>),
) -> Result<Vec<Trouble>> {
    let starts: Vec<_> = ranges.iter().map(|(tp, range)| (*tp, range.start)).collect();
    let done = CancellationToken::new();
    let mut replay = look.replay(ranges, done.clone()).await?;
    for (tp, start) in starts {
        replay.seek(tp, start).await?;
    }
    let mut troubles: Vec<Trouble> = Vec::new();
    while !done.is_cancelled() {
        match replay.next(LOOK_AGAIN).await? {
            Polled::Page(page) => page.records().for_each(|record| visit(&record)),
            Polled::Trouble(trouble) => {
                replay.halt(trouble.tp);
                troubles.push(trouble);
            }
            Polled::Assigned(_) | Polled::Revoked(_) | Polled::Idle => {}
        }
    }
    Ok(troubles)
}
