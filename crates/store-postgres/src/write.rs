//! What happens inside a writing transaction.
//!
//! Three round trips: BEGIN; then positions, marks and the rows of all tables without waiting in between; then COMMIT.
//! BEGIN is waited for, because a statement behind a BEGIN that was cancelled would commit by itself.

use crate::database::Session;
use crate::error::{commit_error, no_reply};
use crate::month::Months;
use crate::request::{ADVANCE, ProjectionSql, RAISE_MARKS, TableSql};
use crate::rows::{Keys, RowArray, check_types};
use domain::cell::Cell;
use domain::delta::TableDelta;
use domain::{Topic, TopicPartition};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use pipeline::{Advance, Claimed, Counts, Flush, Mark, Position, StoreError};
use std::ops::Range;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// The size at which the rows of a table are split over several statements. A message must stay below 1 GiB.
const STATEMENT_BYTES: usize = 16 << 20;
/// Statements that are encoded and sent before the first reply has come: with their size, the memory they take (I8).
const IN_FLIGHT: usize = 4;

/// The rows of one table, ready to be sent.
struct Batch<'a> {
    delta: &'a TableDelta,
    sql: &'a TableSql,
    statement: Statement,
    order: Vec<usize>,
    keys: Keys<'a>,
    chunks: Vec<Range<usize>>,
}

/// Commits a flush. Positions go first, so that a worker that was fenced waits for its successor before it writes
/// anything else, and is rolled back (I3).
pub(crate) async fn commit(
    session: &Session,
    sql: &ProjectionSql,
    months: &mut Months,
    flush: &Flush<'_>,
) -> Result<(), StoreError> {
    let batches = prepare(session, sql, flush).await?;
    for batch in &batches {
        months.ensure(session, batch.sql, &batch.keys).await?;
    }
    let (advance, raise) = (session.prepared(ADVANCE).await?, session.prepared(RAISE_MARKS).await?);
    let client = session.client()?;
    session.replied(client.batch_execute("BEGIN")).await?;
    let positions = session.replied_behind(1, moved(client, &advance, flush));
    let marks = session.replied_behind(2, raise_marks(client, &raise, flush));
    let chunks = batches.iter().flat_map(|batch| batch.chunks.iter().map(move |rows| (batch, rows.clone())));
    let rows = stream::iter(chunks)
        .map(|(batch, rows)| session.replied_behind(2 + IN_FLIGHT as u32, upsert(client, batch, rows)))
        .buffered(IN_FLIGHT)
        .try_collect::<()>();
    let (moved, marks, rows) = future::join3(positions, marks, rows).await;
    let lost = lost(flush.advances, &moved?);
    if !lost.is_empty() {
        session.replied(client.batch_execute("ROLLBACK")).await?;
        return Err(StoreError::Fenced(lost));
    }
    marks.and(rows)?;
    (flush.before_commit)();
    match tokio::time::timeout(session.reply_timeout(), client.batch_execute("COMMIT")).await {
        Ok(reply) => reply.map_err(|error| commit_error(&error)),
        Err(_) => Err(StoreError::Unknown(no_reply())),
    }
}

/// Looks at every row before anything is sent, and prepares the statements.
async fn prepare<'a>(
    session: &Session,
    sql: &'a ProjectionSql,
    flush: &'a Flush<'_>,
) -> Result<Vec<Batch<'a>>, StoreError> {
    let mut batches = Vec::new();
    for delta in flush.rows.tables().iter().filter(|delta| !delta.is_empty()) {
        let sql = sql.table(delta.table());
        check_types(delta, &sql.slots)?;
        let order = delta.sorted();
        let keys = Keys::split(&sql.key, order.iter().map(|ix| delta.key(*ix)))?;
        let statement = session.prepared(&sql.upsert).await?;
        let chunks = chunks(delta, &order);
        batches.push(Batch { delta, sql, statement, order, keys, chunks });
    }
    Ok(batches)
}

fn chunks(delta: &TableDelta, order: &[usize]) -> Vec<Range<usize>> {
    let (mut chunks, mut from, mut bytes) = (Vec::new(), 0, 0);
    // The rows are looked at one by one, in an order that is none in memory, only where there may be too many.
    let looked_at = if delta.bytes() < STATEMENT_BYTES { &[] } else { order };
    for (at, ix) in looked_at.iter().enumerate() {
        let heap: usize = delta.cells(*ix).iter().map(Cell::heap_bytes).sum();
        bytes += delta.key(*ix).len() + delta.cells(*ix).len() * 12 + heap;
        if bytes >= STATEMENT_BYTES {
            chunks.push(from..at + 1);
            (from, bytes) = (at + 1, 0);
        }
    }
    if from < order.len() {
        chunks.push(from..order.len());
    }
    chunks
}

async fn upsert(client: &Client, batch: &Batch<'_>, rows: Range<usize>) -> Result<(), tokio_postgres::Error> {
    let Batch { delta, sql, keys, order, .. } = batch;
    client.execute(&batch.statement, &[&RowArray { delta, sql, keys, order, rows }]).await.map(drop)
}

/// Moves the positions; those that moved come back.
async fn moved(client: &Client, statement: &Statement, flush: &Flush<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
    if flush.advances.is_empty() {
        return Ok(Vec::new());
    }
    let column = |value: fn(&Advance) -> i64| flush.advances.iter().map(value).collect::<Vec<i64>>();
    let time = |us: i64| (us != i64::MIN).then_some(us);
    let topics: Vec<&str> = flush.advances.iter().map(|advance| advance.to.tp.topic.name()).collect();
    let old: Vec<Option<i64>> = flush.advances.iter().map(|advance| advance.from).collect();
    let watermarks: Vec<Option<i64>> = flush.advances.iter().map(|advance| time(advance.to.watermark_us)).collect();
    let appends: Vec<Option<i64>> = flush.advances.iter().map(|advance| time(advance.to.last_append_us)).collect();
    let parameters: [&(dyn ToSql + Sync); 15] = [
        &flush.projection.name,
        &i64::from(flush.projection.version),
        &topics,
        &column(|advance| advance.to.tp.partition.into()),
        &column(|advance| advance.to.epoch),
        &old,
        &column(|advance| advance.to.first_offset),
        &column(|advance| advance.to.next_offset),
        &watermarks,
        &appends,
        &column(|advance| advance.to.counts.applied),
        &column(|advance| advance.to.counts.duplicate),
        &column(|advance| advance.to.counts.ignored),
        &column(|advance| advance.to.counts.dead),
        &column(|advance| advance.to.counts.holes),
    ];
    client.query(statement, &parameters).await
}

/// The partitions whose position did not move: another worker's, or not where this one thought.
fn lost(advances: &[Advance], moved: &[Row]) -> Vec<TopicPartition> {
    if moved.len() == advances.len() {
        return Vec::new();
    }
    let moved: Vec<TopicPartition> = moved.iter().filter_map(|row| read_partition(row, 0).ok()).collect();
    let mut lost: Vec<TopicPartition> = advances.iter().map(|advance| advance.to.tp).collect();
    lost.retain(|tp| !moved.contains(tp));
    lost.sort_unstable();
    lost
}

async fn raise_marks(client: &Client, statement: &Statement, flush: &Flush<'_>) -> Result<(), tokio_postgres::Error> {
    if flush.marks.is_empty() {
        return Ok(());
    }
    let mut order: Vec<&Mark> = flush.marks.iter().collect();
    order.sort_unstable_by(|a, b| (a.tp, &a.producer_id).cmp(&(b.tp, &b.producer_id)));
    let topics: Vec<&str> = order.iter().map(|mark| mark.tp.topic.name()).collect();
    let partitions: Vec<i64> = order.iter().map(|mark| mark.tp.partition.into()).collect();
    let producers: Vec<&str> = order.iter().map(|mark| mark.producer_id.as_str()).collect();
    let seqs: Vec<i64> = order.iter().map(|mark| mark.seq).collect();
    let version = i64::from(flush.projection.version);
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&flush.projection.name, &version, &topics, &partitions, &producers, &seqs];
    client.execute(statement, &parameters).await.map(drop)
}

/// The partition in two columns of a row.
pub(crate) fn read_partition(row: &Row, first: usize) -> Result<TopicPartition, StoreError> {
    let unread = |error: tokio_postgres::Error| StoreError::Fatal(format!("a position cannot be read: {error}"));
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

/// A claim from the columns that [`crate::request::claim`] returns.
pub(crate) fn read_claim(row: &Row) -> Result<Claimed, StoreError> {
    let tp = read_partition(row, 0)?;
    let claimed = || -> Result<Claimed, tokio_postgres::Error> {
        let epoch = row.try_get(2)?;
        let offsets: (Option<i64>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
        let (Some(first_offset), Some(next_offset)) = offsets else {
            return Ok(Claimed { tp, epoch, position: None });
        };
        let time = |ix| row.try_get::<_, Option<i64>>(ix).map(|time| time.unwrap_or(i64::MIN));
        let counts = Counts {
            applied: row.try_get(7)?,
            duplicate: row.try_get(8)?,
            ignored: row.try_get(9)?,
            dead: row.try_get(10)?,
            holes: row.try_get(11)?,
        };
        let (watermark_us, last_append_us) = (time(5)?, time(6)?);
        let position = Position { tp, first_offset, next_offset, epoch, watermark_us, last_append_us, counts };
        Ok(Claimed { tp, epoch, position: Some(position) })
    };
    claimed().map_err(|error| StoreError::Fatal(format!("the position of {tp} cannot be read: {error}")))
}
