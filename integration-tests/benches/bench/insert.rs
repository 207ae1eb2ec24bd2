//! The floor of ingest: the rows that it writes, by a bare loop of the same prepared statements, a request a row, so
//! many in flight.

use crate::capture::{self, Transaction};
use crate::child::Spec;
use crate::measure::{Measured, Meter};
use crate::worker::runtime;
use domain::Projection;
use domain::cell::Cell;
use domain::table::Table;
use futures_util::StreamExt as _;
use scylla::client::PoolSize;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::prepared::PreparedStatement;
use std::num::NonZeroUsize;
use store_scylla::{layout, physical_name};

/// As the adapter's default.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

struct Insert {
    statement: PreparedStatement,
    width: usize,
    written_at: usize,
}

/// Inserts what a worker writes over the prepared topics.
pub fn run(spec: &Spec, in_flight: usize) -> Measured {
    let runtime = runtime();
    let projection = Projection::named(&spec.projection).unwrap();
    let (session, inserts) = runtime.block_on(connect(spec, projection));
    let mut sum = Measured::default();
    let events = capture::run(spec, |transactions| {
        let rows: Vec<(&Insert, &[Cell])> = transactions.iter().flat_map(|taken| rows(&inserts, taken)).collect();
        let meter = Meter::thread(spec.pids);
        runtime.block_on(async {
            let sent = futures_util::stream::iter(&rows).map(|(insert, row)| async {
                session.execute_unpaged(&insert.statement, Row(row, insert.written_at)).await.unwrap();
            });
            sent.buffer_unordered(in_flight).for_each(|()| async {}).await;
        });
        let batches = transactions.len() as u64;
        sum.add(&Measured { rows: rows.len() as u64, batches, ..meter.spent(0) });
    });
    Measured { events, ..sum }
}

async fn connect(spec: &Spec, projection: &'static Projection) -> (Session, Vec<Insert>) {
    let builder = SessionBuilder::new().known_node(&spec.cassandra).pool_size(PoolSize::PerHost(CONNECTIONS));
    let session = builder.build().await.unwrap();
    let mut inserts = Vec::new();
    for table in projection.tables {
        let names: Vec<String> =
            table.stored_key().map(|key| key.name.to_owned()).chain(table.slots().map(|slot| slot.name())).collect();
        let at = layout(table).unwrap().written_at;
        let written_at = names.iter().position(|name| name == at).unwrap();
        let name = physical_name(projection, table);
        let marks = vec!["?"; names.len()].join(", ");
        let columns = names.join(", ");
        let cql = format!("INSERT INTO {}.{name} ({columns}) VALUES ({marks}) USING TIMESTAMP ?", spec.keyspace);
        let mut statement = session.prepare(cql).await.unwrap();
        statement.set_is_idempotent(true);
        inserts.push(Insert { statement, width: names.len(), written_at });
    }
    (session, inserts)
}

fn rows<'a>(inserts: &'a [Insert], taken: &'a Transaction) -> impl Iterator<Item = (&'a Insert, &'a [Cell])> {
    taken.tables.iter().flat_map(|(table, cells): &(&'static Table, Vec<Cell>)| {
        let insert = &inserts[table.ix];
        cells.chunks_exact(insert.width).map(move |row| (insert, row))
    })
}

struct Row<'a>(&'a [Cell], usize);

impl SerializeRow for Row<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, out: &mut RowWriter<'_>) -> Result<(), SerializationError> {
        for value in self.0.iter().chain([&self.0[self.1]]) {
            let cell = out.make_cell_writer();
            match value {
                Cell::Null => Ok(cell.set_unset()),
                Cell::Int(value) => cell.set_value(&value.to_be_bytes()),
                Cell::Double(value) => cell.set_value(&value.to_be_bytes()),
                Cell::Text(text) => cell.set_value(text.as_bytes()),
                Cell::Bytes(bytes) => cell.set_value(bytes),
                Cell::Uuid(uuid) => cell.set_value(uuid.as_bytes()),
            }
            .unwrap();
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        false
    }
}
