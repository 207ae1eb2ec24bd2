//! The floor of the projector: the rows that it commits, in the same transactions, by a bare bulk upsert over one
//! connection, offsets in the same transaction.
//!
//! The statements are those that one would write for just the columns that this input fills; BEGIN, all statements and
//! COMMIT are sent without waiting in between.

use crate::capture::{self, Transaction};
use crate::child::Spec;
use crate::measure::{Measured, Meter};
use crate::worker::runtime;
use bytes::{BufMut, BytesMut};
use domain::Projection;
use domain::cell::Cell;
use domain::table::{KeyType, Merge, Slot, Table, Type};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::error::Error;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{IsNull, ToSql, Type as PgType, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};

/// How rows reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// An array per column.
    Unnest,
    /// COPY into a temporary table, then INSERT ... SELECT.
    Copy,
}

const OFFSETS: &str = "INSERT INTO bare_offset SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
    ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next";

/// Upserts what a worker commits over the prepared topics.
pub fn run(spec: &Spec, way: Way) -> Measured {
    let runtime = runtime();
    let projection = Projection::named(&spec.projection).unwrap();
    let mut bare = runtime.block_on(Bare::connect(spec, projection, way));
    let mut sum = Measured::default();
    let events = capture::run(spec, |transactions| {
        runtime.block_on(bare.prepare(transactions));
        let meter = Meter::thread(spec.pids);
        runtime.block_on(async {
            for transaction in transactions {
                bare.write(transaction).await;
            }
        });
        let width = |table: &Table| table.stored_key().count() + table.slots().count();
        let rows = |transaction: &Transaction| {
            transaction.tables.iter().map(|(table, cells)| cells.len() / width(table)).sum::<usize>() as u64
        };
        let (rows, batches) = (transactions.iter().map(rows).sum(), transactions.len() as u64);
        sum.add(&Measured { rows, batches, ..meter.spent(0) });
    });
    Measured { events, ..sum }
}

struct Bare {
    client: Client,
    projection: &'static Projection,
    way: Way,
    offsets: Statement,
    /// By table: for these filled columns, these statements.
    tables: HashMap<usize, Upsert>,
}

struct Upsert {
    width: usize,
    columns: Vec<usize>,
    types: Vec<PgType>,
    copy: Option<Statement>,
    insert: Statement,
}

impl Bare {
    async fn connect(spec: &Spec, projection: &'static Projection, way: Way) -> Self {
        let (client, connection) = tokio_postgres::connect(&spec.database, NoTls).await.unwrap();
        tokio::spawn(connection);
        let setup = "SET jit = off; SET plan_cache_mode = force_generic_plan;
            CREATE TABLE bare_offset (topic text, partition bigint, next bigint, PRIMARY KEY (topic, partition))";
        client.batch_execute(setup).await.unwrap();
        let offsets = client.prepare(OFFSETS).await.unwrap();
        Self { client, projection, way, offsets, tables: HashMap::new() }
    }

    /// Prepares statements, and the months that rows lie in: not measured.
    async fn prepare(&mut self, transactions: &[Transaction]) {
        for table in self.projection.tables {
            let all = transactions.iter().flat_map(|transaction| &transaction.tables);
            let all: Vec<&[Cell]> =
                all.filter(|(held, _)| held.ix == table.ix).map(|(_, cells)| cells.as_slice()).collect();
            let keys = table.stored_key().count();
            let width = keys + table.slots().count();
            let rows = || all.iter().flat_map(|cells| cells.chunks_exact(width));
            let known = self.tables.get(&table.ix).map(|upsert| upsert.columns.clone()).unwrap_or_default();
            let filled = |at: &usize| *at < keys || known.contains(at) || rows().any(|row| !row[*at].is_null());
            let columns: Vec<usize> = (0..width).filter(filled).collect();
            if rows().next().is_none() || columns == known {
                continue;
            }
            self.months(table, rows()).await;
            let upsert = self.upsert(table, columns, width).await;
            self.tables.insert(table.ix, upsert);
        }
    }

    async fn months<'a>(&self, table: &Table, rows: impl Iterator<Item = &'a [Cell]>) {
        let time = |name: &str| matches!(name, "window_start" | "occurred_at");
        let Some(at) = table.key.iter().position(|key| key.ty == KeyType::TimeUs && time(key.name)) else { return };
        let times = rows.filter_map(|row| if let Cell::Int(time) = row[at] { Some(time) } else { None });
        let name = store_postgres::physical_name(self.projection, table);
        for day in times.map(|us| us / 86_400_000_000).collect::<std::collections::BTreeSet<_>>() {
            let ensure = format!(
                "SELECT ensure_month('{name}', '{}',
                    (extract(epoch FROM date_trunc('month', d)) * 1000000)::bigint,
                    (extract(epoch FROM date_trunc('month', d) + interval '1 month') * 1000000)::bigint)
                 FROM (SELECT to_timestamp({day} * 86400.0) AT TIME ZONE 'UTC' AS d)",
                table.key[at].name
            );
            self.client.batch_execute(&ensure).await.unwrap();
        }
    }

    async fn upsert(&self, table: &'static Table, columns: Vec<usize>, width: usize) -> Upsert {
        let name = store_postgres::physical_name(self.projection, table);
        let all = fields(table);
        let list = columns.iter().map(|at| all[*at].0.as_str()).collect::<Vec<_>>().join(", ");
        let keys: Vec<&str> = table.stored_key().map(|column| column.name).collect();
        let slots: Vec<Slot> = table.slots().collect();
        let set = columns.iter().filter(|at| **at >= keys.len());
        let set: Vec<String> = set.filter_map(|at| merged(slots[*at - keys.len()])).collect();
        let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        let types: Vec<PgType> = columns.iter().map(|at| all[*at].1.clone()).collect();
        let arrays = types.iter().enumerate().map(|(ix, ty)| format!("${}::{ty}[]", ix + 1)).collect::<Vec<_>>();
        let from = match self.way {
            Way::Unnest => format!("unnest({}) AS r ({list})", arrays.join(", ")),
            Way::Copy => format!("staging_{}", table.name),
        };
        let mut copy = None;
        if self.way == Way::Copy {
            let staging = format!(
                "DROP TABLE IF EXISTS {from};
                 CREATE TEMPORARY TABLE {from} ON COMMIT DELETE ROWS AS SELECT {list} FROM {name} LIMIT 0"
            );
            self.client.batch_execute(&staging).await.unwrap();
            copy = Some(self.client.prepare(&format!("COPY {from} ({list}) FROM STDIN BINARY")).await.unwrap());
        }
        let conflict = keys.join(", ");
        let sql =
            format!("INSERT INTO {name} AS t ({list}) SELECT {list} FROM {from} ON CONFLICT ({conflict}) DO {action}");
        Upsert { width, columns, types, copy, insert: self.client.prepare(&sql).await.unwrap() }
    }

    async fn write(&self, transaction: &Transaction) {
        let offsets = &transaction.offsets;
        let topics: Vec<&str> = offsets.iter().map(|offset| offset.0.as_str()).collect();
        let (partitions, next): (Vec<i64>, Vec<i64>) = offsets.iter().map(|offset| (offset.1, offset.2)).unzip();
        if self.way == Way::Copy {
            self.client.batch_execute("BEGIN").await.unwrap();
            for (table, cells) in &transaction.tables {
                self.copy(&self.tables[&table.ix], cells).await;
            }
            self.client.execute(&self.offsets, &[&topics, &partitions, &next]).await.unwrap();
            self.client.batch_execute("COMMIT").await.unwrap();
            return;
        }
        let rows = transaction.tables.iter().map(|(table, cells)| self.unnest(&self.tables[&table.ix], cells));
        let parameters: [&(dyn ToSql + Sync); 3] = [&topics, &partitions, &next];
        let sent = tokio::try_join!(
            self.client.batch_execute("BEGIN"),
            try_join_all(rows),
            self.client.execute(&self.offsets, &parameters),
            self.client.batch_execute("COMMIT"),
        );
        sent.unwrap();
    }

    async fn unnest(&self, upsert: &Upsert, cells: &[Cell]) -> Result<u64, tokio_postgres::Error> {
        let column = |at: &usize| cells.chunks_exact(upsert.width).map(|row| Value(&row[*at])).collect::<Vec<_>>();
        let columns: Vec<Vec<Value<'_>>> = upsert.columns.iter().map(column).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
        self.client.execute(&upsert.insert, &parameters).await
    }

    async fn copy(&self, upsert: &Upsert, cells: &[Cell]) {
        let sink = self.client.copy_in(upsert.copy.as_ref().unwrap()).await.unwrap();
        let writer = BinaryCopyInWriter::new(sink, &upsert.types);
        let mut writer = std::pin::pin!(writer);
        for row in cells.chunks_exact(upsert.width) {
            let values: Vec<Value<'_>> = upsert.columns.iter().map(|at| Value(&row[*at])).collect();
            writer.as_mut().write_raw(values.iter().map(|value| value as &dyn ToSql)).await.unwrap();
        }
        writer.finish().await.unwrap();
        self.client.execute(&upsert.insert, &[]).await.unwrap();
    }
}

/// The columns of a table, keys first, and their types.
fn fields(table: &'static Table) -> Vec<(String, PgType)> {
    let key = |ty| match ty {
        KeyType::Text => PgType::TEXT,
        KeyType::Int | KeyType::TimeUs => PgType::INT8,
        KeyType::Uuid => PgType::UUID,
    };
    let value = |ty| match ty {
        Type::Text => PgType::TEXT,
        Type::Json => PgType::JSON,
        Type::Int | Type::TimeUs | Type::Fixed => PgType::INT8,
        Type::Double => PgType::FLOAT8,
        Type::Bytes => PgType::BYTEA,
        Type::Bits => PgType::VARBIT,
        Type::Uuid => PgType::UUID,
    };
    let keys = table.stored_key().map(|column| (column.name.to_owned(), key(column.ty)));
    keys.chain(table.slots().map(|slot| (slot.name(), value(slot.ty())))).collect()
}

/// The assignment after a conflict, where there is one to make: the input fills a column always or never.
fn merged(slot: Slot) -> Option<String> {
    let (name, column) = (slot.name(), slot.column.name);
    Some(match slot.column.merge {
        Merge::Once => return None,
        Merge::Sum => format!("{name} = t.{name} + excluded.{name}"),
        Merge::Min => format!("{name} = least(t.{name}, excluded.{name})"),
        Merge::Max => format!("{name} = greatest(t.{name}, excluded.{name})"),
        Merge::Or => format!("{name} = or_bits(t.{name}, excluded.{name})"),
        Merge::Latest if slot.stamp => format!("{name} = greatest(t.{name}, excluded.{name})"),
        Merge::Latest => format!(
            "{name} = CASE WHEN excluded.{column}_stamp > t.{column}_stamp THEN excluded.{name} ELSE t.{name} END"
        ),
        Merge::State(_) | Merge::CountOf(_) => format!("{name} = excluded.{name}"),
    })
}

#[derive(Debug)]
struct Value<'a>(&'a Cell);

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &PgType, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Cell::Null => return Ok(IsNull::Yes),
            Cell::Int(value) => out.put_i64(*value),
            Cell::Double(value) => out.put_f64(*value),
            Cell::Text(text) => out.put_slice(text.as_bytes()),
            Cell::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
            Cell::Bytes(bytes) => {
                if *ty == PgType::VARBIT {
                    out.put_i32(i32::try_from(bytes.len() * 8)?);
                }
                out.put_slice(bytes);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &PgType) -> bool {
        true
    }

    to_sql_checked!();
}
