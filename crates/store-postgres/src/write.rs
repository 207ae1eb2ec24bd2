//! What happens inside a writing transaction.
//!
//! Three round trips: BEGIN; then positions, sequences, dead records and the rows of all tables
//! without waiting in between; then COMMIT. BEGIN is waited for, because a statement behind a BEGIN
//! that was cancelled would commit by itself. What must happen before COMMIT
//! ([`Flush::before_commit`]) is awaited when every statement has been answered: so nothing is
//! published of a cause that the store refuses.

use crate::database::Session;
use crate::error::{commit_error, no_reply};
use crate::month::Months;
use crate::position::{advance, lost, prepare_advance};
use crate::request::{ProjectionSql, TableSql};
use crate::rows::{Keys, RowArray, check_types};
use crate::sequence::{self, Prepared};
use domain::cell::Cell;
use domain::delta::TableDelta;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use pipeline::{Flush, StoreError};
use std::ops::Range;
use tokio_postgres::{Client, Statement};

/// The size at which the rows of a table are split over several statements. A message must stay
/// below 1 GiB.
const STATEMENT_BYTES: usize = 16 << 20;
/// Statements that are encoded and sent before the first reply has come: with their size, the
/// memory they take (I8).
const IN_FLIGHT: usize = 4;
/// Statements that may have been sent before the rows: positions, heads, blocks, blocks that are
/// gone, dead records.
const BEFORE: u32 = 5;

/// The rows of one table, ready to be sent.
struct Batch<'a> {
    delta: &'a TableDelta,
    sql: &'a TableSql,
    statement: Statement,
    order: Vec<usize>,
    keys: Keys<'a>,
    chunks: Vec<Range<usize>>,
}

/// Commits a flush. Positions go first, so that a worker that was fenced waits for its successor
/// before it writes anything else, and is rolled back (I3).
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
    let moving = prepare_advance(session).await?;
    let prepared = Prepared::new(session, flush.sequences, flush.dead).await?;
    session.replied(session.client()?.batch_execute("BEGIN")).await?;
    let (moved, sequences, dead, rows) = future::join4(
        advance(session, &moving, flush.projection, flush.advances),
        sequence::put(session, &prepared, flush.projection, flush.sequences),
        sequence::put_dead(session, &prepared, flush.projection, flush.dead),
        upsert_all(session, &batches),
    )
    .await;
    let lost = lost(flush.advances, &moved?);
    if !lost.is_empty() {
        roll_back(session).await?;
        return Err(StoreError::Fenced(lost));
    }
    sequences.and(dead).and(rows)?;
    if (flush.before_commit)().await.is_err() {
        // Nothing was committed, whatever becomes of this.
        if roll_back(session).await.is_err() {
            session.condemn();
        }
        return Err(StoreError::Aborted);
    }
    end(session).await
}

async fn roll_back(session: &Session) -> Result<(), StoreError> {
    session.replied(session.client()?.batch_execute("ROLLBACK")).await
}

/// Ends the transaction by COMMIT.
async fn end(session: &Session) -> Result<(), StoreError> {
    let client = session.client()?;
    // The server ends a session that stood idle for too long. Nothing has been sent since, so
    // nothing was committed.
    if client.is_closed() {
        return Err(StoreError::Unavailable(gone_before_commit(session)));
    }
    match tokio::time::timeout(session.reply_timeout(), client.batch_execute("COMMIT")).await {
        Ok(reply) => reply.map_err(|error| commit_error(&error)),
        Err(_) => Err(StoreError::Unknown(no_reply())),
    }
}

fn gone_before_commit(session: &Session) -> String {
    format!(
        "the server ended the connection before COMMIT was sent, and rolled back: it was cut, or what is published before \
         COMMIT took longer than postgres.idle_in_transaction_timeout_ms ({}). If it happens again, raise that",
        session.idle_timeout_ms()
    )
}

/// Writes all rows; what is left of its time is counted from the first reply that is waited for.
async fn upsert_all(session: &Session, batches: &[Batch<'_>]) -> Result<(), StoreError> {
    let client = session.client()?;
    let chunks = batches.iter().flat_map(|batch| batch.chunks.iter().map(move |rows| (batch, rows.clone())));
    stream::iter(chunks)
        .map(|(batch, rows)| session.replied_behind(BEFORE + IN_FLIGHT as u32, upsert(client, batch, rows)))
        .buffered(IN_FLIGHT)
        .try_collect::<()>()
        .await
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
    // The rows are looked at one by one, in an order that is none in memory, only where there may
    // be too many.
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
