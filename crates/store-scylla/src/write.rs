//! Deltas into requests.
//!
//! | rows | travel |
//! |---|---|
//! | of one partition | in one unlogged batch, up to `batch_max_rows` and `batch_max_bytes`: for the nodes it is one mutation |
//! | few of their partitions, at home on the same node and shard | together, up to `spread_max_rows` and `spread_max_bytes` |
//! | others | each in a request of its own |
//!
//! A request costs the nodes more than what is in it, so this is what decides how much they take (see the benchmark). A
//! batch of several partitions is one to be avoided where a single node would have to spread it over the cluster: so it
//! holds only rows whose first copy lies on the node that it is sent to, and stays below the size and the number of
//! partitions at which the nodes warn. A batch is no transaction here, and needs to be none (I4).

use crate::config::ScyllaConfig;
use crate::error::request_error;
use crate::limits::Limits;
use crate::request::Shape;
use crate::rows::RowRef;
use domain::delta::TableDelta;
use futures_util::stream::{self, StreamExt};
use pipeline::StoreError;
use scylla::client::session::Session;
use scylla::cluster::{ClusterState, Node};
use scylla::routing::Shard;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// How many requests of one call are under way at most: polling more of them in one task costs more than it brings.
const REQUESTS_PER_CALL: usize = 128;

/// The rows of one request, all of one table.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    insert: &'a PreparedStatement,
    rows: Vec<RowRef<'a>>,
    bytes: usize,
}

/// Where the first copy of a row lies: a node and, with ScyllaDB, its shard.
type Home = (Uuid, Shard);

/// The requests that write a table's rows, in key order (I3). Nothing is sent yet: a row that cannot be written refuses
/// them all.
pub(crate) fn requests<'a>(
    config: &ScyllaConfig,
    cluster: &ClusterState,
    shape: &'a Shape,
    insert: &'a PreparedStatement,
    delta: &'a TableDelta,
) -> Result<Vec<Request<'a>>, StoreError> {
    let requests = by_partition(config, shape, insert, delta)?;
    if config.spread_max_rows < 2 || cluster.get_keyspace(&config.keyspace).is_none() {
        return Ok(requests);
    }
    Ok(by_home(config, requests, |row| home(config, cluster, insert, row)))
}

fn by_partition<'a>(
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

/// Puts small requests to the same home into one.
fn by_home<'a>(
    config: &ScyllaConfig,
    requests: Vec<Request<'a>>,
    home: impl Fn(&RowRef<'a>) -> Option<Home>,
) -> Vec<Request<'a>> {
    let mut joined: Vec<Request<'a>> = Vec::with_capacity(requests.len());
    let mut open: HashMap<Home, usize> = HashMap::new();
    for request in requests {
        let fits = |rows: usize, bytes: usize| rows <= config.spread_max_rows && bytes <= config.spread_max_bytes;
        // One that is not at least halved by a companion is not worth a look at where it goes.
        if !fits(request.rows.len() * 2, request.bytes) {
            joined.push(request);
            continue;
        }
        let Some(home) = request.rows.first().and_then(&home) else {
            joined.push(request);
            continue;
        };
        match open.get(&home).and_then(|ix| joined.get_mut(*ix)) {
            Some(other) if fits(other.rows.len() + request.rows.len(), other.bytes + request.bytes) => {
                other.bytes += request.bytes;
                other.rows.extend(request.rows);
            }
            _ => {
                open.insert(home, joined.len());
                joined.push(request);
            }
        }
    }
    joined
}

fn home(config: &ScyllaConfig, cluster: &ClusterState, insert: &PreparedStatement, row: &RowRef<'_>) -> Option<Home> {
    let token = insert.calculate_token(row).ok()??;
    let copies = cluster.get_token_endpoints(&config.keyspace, insert.get_table_name()?, token);
    let local = |(node, _): &&(Arc<Node>, Shard)| config.local_dc.is_none() || node.datacenter == config.local_dc;
    let (node, shard) = copies.iter().find(local)?;
    Some((node.host_id, *shard))
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
