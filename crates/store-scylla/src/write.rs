//! Deltas into requests: rows of one partition travel together, a row that is alone in its partition travels alone.
//!
//! The rows of a batch of one partition are one mutation for the nodes: it costs them one request and one write of the
//! commit log, and their warnings for large batches do not count it (they are for batches of several partitions, which
//! a single node would have to spread).

use crate::config::ScyllaConfig;
use crate::error::request_error;
use crate::limits::Limits;
use crate::request::Shape;
use crate::rows::RowRef;
use domain::delta::TableDelta;
use futures_util::stream::{self, StreamExt};
use pipeline::StoreError;
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use std::cell::RefCell;

/// How many requests of one call are under way at most: polling more of them in one task costs more than it brings.
const REQUESTS_PER_CALL: usize = 128;

/// The rows of one request: all of one partition.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub insert: &'a PreparedStatement,
    pub rows: Vec<RowRef<'a>>,
    pub bytes: usize,
}

/// The requests that write a table's rows, in key order (I3). Nothing is sent yet: a row that cannot be written refuses
/// them all.
pub(crate) fn requests<'a>(
    config: &ScyllaConfig,
    shape: &'a Shape,
    insert: &'a PreparedStatement,
    delta: &'a TableDelta,
) -> Result<Vec<Request<'a>>, StoreError> {
    let mut requests: Vec<Request<'a>> = Vec::new();
    for ix in delta.sorted() {
        let row = RowRef::new(shape, delta.key(ix), delta.cells(ix))?;
        let fits = |request: &&mut Request<'a>| {
            request.rows.len() < config.batch_max_rows
                && request.bytes + row.bytes <= config.batch_max_bytes
                && request.rows.last().is_some_and(|last| last.partition() == row.partition())
        };
        match requests.last_mut().filter(fits) {
            Some(request) => {
                request.bytes += row.bytes;
                request.rows.push(row);
            }
            None => requests.push(Request { insert, bytes: row.bytes, rows: vec![row] }),
        }
    }
    Ok(requests)
}

/// Sends requests, many at a time. After a failure no further one is sent, those under way are waited for, and the
/// failure is given back: a refusal before an outage, for only a refusal says that waiting is in vain.
pub(crate) async fn send_all(session: &Session, limits: &Limits, requests: &[Request<'_>]) -> Result<(), StoreError> {
    let failed = RefCell::new(None);
    let failure = &failed;
    let send = |request| async move {
        let going_on = failure.borrow().is_none();
        if going_on && let Err(error) = send(session, limits, request).await {
            let mut first = failure.borrow_mut();
            if first.is_none() || matches!(error, StoreError::Refused(_)) {
                *first = Some(error);
            }
        }
    };
    stream::iter(requests).map(send).buffer_unordered(REQUESTS_PER_CALL).for_each(|()| std::future::ready(())).await;
    failed.into_inner().map_or(Ok(()), Err)
}

async fn send(session: &Session, limits: &Limits, request: &Request<'_>) -> Result<(), StoreError> {
    let [first, rest @ ..] = request.rows.as_slice() else { return Ok(()) };
    let _leave = limits.enter(request.bytes).await;
    if rest.is_empty() {
        return send_row(session, request.insert, first).await;
    }
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    request.rows.iter().for_each(|_| batch.append_statement(request.insert.clone()));
    match session.batch(&batch, request.rows.as_slice()).await.map_err(|error| request_error(&error)) {
        // The nodes may be set to take less in a batch than we put in: the rows alone tell whether it is theirs.
        Err(StoreError::Refused(_)) => {
            for row in &request.rows {
                send_row(session, request.insert, row).await?;
            }
            Ok(())
        }
        sent => sent.map(drop),
    }
}

async fn send_row(session: &Session, insert: &PreparedStatement, row: &RowRef<'_>) -> Result<(), StoreError> {
    session.execute_unpaged(insert, row).await.map(drop).map_err(|error| request_error(&error))
}
