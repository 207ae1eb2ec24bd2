//! Positions as parameters, and back from rows.

use crate::bookkeeping::{ADVANCE, ADVANCED};
use crate::database::Session;
use domain::{Projection, Topic, TopicPartition};
use pipeline::position::{LastRecord, LogIdentity, ParkNote};
use pipeline::{Advance, Claimed, Counts, Position, StoreError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// A row of the table: what is stored of a partition, whether or not it has a position yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub tp: TopicPartition,
    pub epoch: i64,
    pub position: Option<Position>,
    /// None where the partition was parked before its first claim.
    pub log: Option<LogIdentity>,
    pub parked: Option<ParkNote>,
}

impl Held {
    /// The claim that the row was just changed by.
    pub(crate) fn claimed(self) -> Claimed {
        let Self { tp, epoch, position, log, .. } = self;
        Claimed { tp, epoch, position, log: log.unwrap_or_default() }
    }
}

/// The values of [`ADVANCED`], in that order. Times before the first record are null.
fn advanced(position: &Position) -> [Option<i64>; ADVANCED.len()] {
    let Position { first_offset, next_offset, watermark_us, max_append_us, last, window_from, .. } = *position;
    let Counts { applied, duplicate, behind, ignored, unknown, dead, holes, lost } = position.counts;
    let time = |us: i64| (us != i64::MIN).then_some(us);
    [
        Some(first_offset),
        Some(next_offset),
        time(watermark_us),
        time(max_append_us),
        last.map(|last| last.offset),
        last.map(|last| last.append_us),
        last.map(|last| last.leader_epoch.into()),
        window_from,
        Some(applied),
        Some(duplicate),
        Some(behind),
        Some(ignored),
        Some(unknown),
        Some(dead),
        Some(holes),
        Some(lost),
    ]
}

/// Moves the positions; those that moved come back.
pub(crate) async fn advance(
    session: &Session,
    statement: &Statement,
    projection: &Projection,
    advances: &[Advance],
) -> Result<Vec<Row>, StoreError> {
    if advances.is_empty() {
        return Ok(Vec::new());
    }
    let version = i64::from(projection.version);
    let topics: Vec<&str> = advances.iter().map(|advance| advance.to.tp.topic.name()).collect();
    let partitions: Vec<i64> = advances.iter().map(|advance| advance.to.tp.partition.into()).collect();
    let epochs: Vec<i64> = advances.iter().map(|advance| advance.to.epoch).collect();
    let old: Vec<Option<i64>> = advances.iter().map(|advance| advance.from).collect();
    let values: Vec<_> = advances.iter().map(|advance| advanced(&advance.to)).collect();
    let columns: Vec<Vec<Option<i64>>> =
        (0..ADVANCED.len()).map(|ix| values.iter().map(|row| row[ix]).collect()).collect();
    let mut parameters: Vec<&(dyn ToSql + Sync)> =
        vec![&projection.name, &version, &topics, &partitions, &epochs, &old];
    parameters.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    session.replied(session.client()?.query(statement, &parameters)).await
}

/// Prepares [`advance`].
pub(crate) async fn prepare_advance(session: &Session) -> Result<Statement, StoreError> {
    session.prepared(&ADVANCE).await
}

/// The partitions whose position did not move: another worker's, or not where this one thought.
pub(crate) fn lost(advances: &[Advance], moved: &[Row]) -> Vec<TopicPartition> {
    if moved.len() == advances.len() {
        return Vec::new();
    }
    let moved: Vec<TopicPartition> = moved.iter().filter_map(|row| read_partition(row, 0).ok()).collect();
    let mut lost: Vec<TopicPartition> = advances.iter().map(|advance| advance.to.tp).collect();
    lost.retain(|tp| !moved.contains(tp));
    lost.sort_unstable();
    lost
}

/// The partition in two columns of a row.
pub(crate) fn read_partition(row: &Row, first: usize) -> Result<TopicPartition, StoreError> {
    let unread = |error: Error| StoreError::Fatal(format!("a position cannot be read: {error}"));
    let name: &str = row.try_get(first).map_err(unread)?;
    let topic = Topic::from_name(name).ok_or_else(|| {
        StoreError::Fatal(format!(
            "the store names the topic {name}, which this version does not know: use a newer one"
        ))
    })?;
    let partition: i64 = row.try_get(first + 1).map_err(unread)?;
    let partition = u32::try_from(partition)
        .map_err(|_| StoreError::Fatal(format!("the store names partition {partition} of {name}")))?;
    Ok(TopicPartition::new(topic, partition))
}

/// What a row of the table says, from the columns of [`crate::bookkeeping`].
pub(crate) fn read_held(row: &Row) -> Result<Held, StoreError> {
    let tp = read_partition(row, 0)?;
    let read = || -> Result<Held, Error> {
        let epoch = row.try_get(2)?;
        let position = read_position(row, tp, epoch)?;
        Ok(Held { tp, epoch, position, log: read_log(row)?, parked: read_note(row)? })
    };
    read().map_err(|error| StoreError::Fatal(format!("the position of {tp} cannot be read: {error}")))
}

fn read_log(row: &Row) -> Result<Option<LogIdentity>, Error> {
    let (cluster_id, topic_id) = (row.try_get::<_, Option<String>>(3)?, row.try_get::<_, Option<String>>(4)?);
    let partitions: Option<i64> = row.try_get(5)?;
    Ok(cluster_id.map(|cluster_id| LogIdentity {
        cluster_id,
        topic_id: topic_id.unwrap_or_default(),
        partitions: partitions.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
    }))
}

fn read_note(row: &Row) -> Result<Option<ParkNote>, Error> {
    let cause: Option<String> = row.try_get(6)?;
    let Some(cause) = cause else { return Ok(None) };
    let number = |ix| row.try_get::<_, Option<i64>>(ix).map(Option::unwrap_or_default);
    let text: Option<String> = row.try_get(8)?;
    Ok(Some(ParkNote { cause, offset: number(7)?, text: text.unwrap_or_default(), since_us: number(9)? }))
}

/// Where the columns of [`ADVANCED`] begin.
const FIRST: usize = 10;

fn read_position(row: &Row, tp: TopicPartition, epoch: i64) -> Result<Option<Position>, Error> {
    let mut values = [None; ADVANCED.len()];
    for (ix, value) in values.iter_mut().enumerate() {
        *value = row.try_get::<_, Option<i64>>(FIRST + ix)?;
    }
    let [
        first_offset,
        next_offset,
        watermark_us,
        max_append_us,
        last_offset,
        last_append_us,
        last_leader_epoch,
        window_from,
        counts @ ..,
    ] = values;
    let (Some(first_offset), Some(next_offset)) = (first_offset, next_offset) else { return Ok(None) };
    let last = last_offset.zip(last_append_us).map(|(offset, append_us)| LastRecord {
        offset,
        append_us,
        leader_epoch: last_leader_epoch.and_then(|epoch| i32::try_from(epoch).ok()).unwrap_or(-1),
    });
    let [applied, duplicate, behind, ignored, unknown, dead, holes, lost] = counts.map(Option::unwrap_or_default);
    Ok(Some(Position {
        tp,
        first_offset,
        next_offset,
        epoch,
        watermark_us: watermark_us.unwrap_or(i64::MIN),
        max_append_us: max_append_us.unwrap_or(i64::MIN),
        last,
        window_from,
        counts: Counts { applied, duplicate, behind, ignored, unknown, dead, holes, lost },
    }))
}
