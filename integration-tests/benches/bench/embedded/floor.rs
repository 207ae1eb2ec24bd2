//! The floor under a worker: a bare loop over prepared upserts, written for just these columns, of the rows that the
//! worker commits, in the same transactions and the same order, with the same settings and indexes.
//!
//! A worker runs against a store that takes its rows down; every hundred thousand rows they are played into a second
//! file. Only the playing is measured.

use super::workers::{Prepared, Until, remove};
use crate::capture::flat;
use crate::input::Input;
use crate::measure::{Measured, Meter, Pids};
use crate::worker::runtime;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::table::{Merge, Slot, Table};
use domain::{Projection, TopicPartition};
use embedded::store::{Store, physical_name};
use pipeline::{
    Claim, Claimed, DedupSettings, Flush, ParkNote, Position, RecordStore, RowStore, Silent, StoreError,
    StoredSequence, SystemClock,
};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

const PLAY_AT: usize = 100_000;

/// One transaction: per table its rows, one after another, key columns first.
type Transaction = Vec<(&'static Table, Vec<Cell>)>;

struct Bare {
    projection: &'static Projection,
    connection: Connection,
    taken: Vec<Transaction>,
    rows: usize,
    spent: Measured,
}

/// What the worker writes to: the real store, for the rows that it loads again, and the bare loop.
#[derive(Clone)]
struct Recorder {
    store: Store,
    bare: Arc<Mutex<Bare>>,
}

impl RowStore for Recorder {
    async fn settings(&mut self, of: &Projection, wanted: DedupSettings) -> Result<DedupSettings, StoreError> {
        self.store.settings(of, wanted).await
    }

    async fn claim(&mut self, projection: &Projection, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        self.store.claim(projection, claims).await
    }

    async fn note_parked(&mut self, of: &Projection, tp: TopicPartition, note: &ParkNote) -> Result<(), StoreError> {
        self.store.note_parked(of, tp, note).await
    }

    async fn positions(
        &mut self,
        projection: &Projection,
        tps: &[TopicPartition],
    ) -> Result<Vec<Position>, StoreError> {
        self.store.positions(projection, tps).await
    }

    async fn sequences(
        &mut self,
        of: &Projection,
        tp: TopicPartition,
        producers: &[(&str, &str)],
    ) -> Result<Vec<Option<StoredSequence>>, StoreError> {
        self.store.sequences(of, tp, producers).await
    }

    async fn forget_producers(
        &mut self,
        of: &Projection,
        tp: TopicPartition,
        silent: Silent,
    ) -> Result<(), StoreError> {
        self.store.forget_producers(of, tp, silent).await
    }

    async fn dead(&mut self, of: &Projection, tp: TopicPartition, offsets: Range<i64>) -> Result<Vec<i64>, StoreError> {
        self.store.dead(of, tp, offsets).await
    }

    async fn load(
        &mut self,
        of: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError> {
        self.store.load(of, table, keys).await
    }

    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        self.bare.lock().unwrap().take(flush.rows);
        self.store.commit(flush).await
    }
}

impl RecordStore for Recorder {
    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        self.bare.lock().unwrap().take(rows);
        Ok(())
    }
}

impl Bare {
    fn new(path: &Path, projection: &'static Projection) -> Self {
        drop(Store::open(path).unwrap());
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection.pragma_update(None, "cache_size", -65_536).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 8_192).unwrap();
        connection.set_prepared_statement_cache_capacity(64);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
        let or = |context: &rusqlite::functions::Context<'_>| {
            let mut bits = context.get_raw(0).as_blob()?.to_vec();
            bits.iter_mut().zip(context.get_raw(1).as_blob()?).for_each(|(bits, more)| *bits |= more);
            Ok(bits)
        };
        connection.create_scalar_function("or_bits", 2, flags, or).unwrap();
        Self { projection, connection, taken: Vec::new(), rows: 0, spent: Measured::default() }
    }

    fn take(&mut self, deltas: &Deltas) {
        let written = deltas.tables().iter().filter(|delta| !delta.is_empty());
        self.taken.push(written.map(|delta| (delta.table(), flat(delta))).collect());
        self.rows += deltas.rows();
        if self.rows >= PLAY_AT {
            self.play();
        }
    }

    fn play(&mut self) {
        let statements: Vec<Option<Statement>> =
            self.projection.tables.iter().map(|table| Statement::new(self.projection, table, &self.taken)).collect();
        for text in statements.iter().flatten() {
            self.connection.prepare_cached(&text.sql).unwrap();
        }
        let meter = Meter::thread(Pids::default());
        for transaction in &self.taken {
            let open = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
            for (table, cells) in transaction {
                let Some(text) = &statements[table.ix] else { continue };
                let mut statement = open.prepare_cached(&text.sql).unwrap();
                for row in cells.chunks_exact(text.width) {
                    for (at, column) in text.columns.iter().enumerate() {
                        statement.raw_bind_parameter(at + 1, Bound(&row[*column])).unwrap();
                    }
                    statement.raw_execute().unwrap();
                }
            }
            open.commit().unwrap();
        }
        let (rows, batches) = (self.rows as u64, self.taken.len() as u64);
        self.spent.add(&Measured { rows, batches, ..meter.spent(0) });
        (self.rows, self.taken) = (0, Vec::new());
    }
}

struct Bound<'a>(&'a Cell);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Int(value) => ValueRef::Integer(*value),
            Cell::Double(value) => ValueRef::Real(*value),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
            Cell::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
        }))
    }
}

/// The statement that one would write for the columns that this input fills.
struct Statement {
    sql: String,
    /// The cells of a taken row.
    width: usize,
    /// Which of them are bound.
    columns: Vec<usize>,
}

impl Statement {
    fn new(projection: &Projection, table: &'static Table, taken: &[Transaction]) -> Option<Self> {
        let keys: Vec<&str> = table.stored_key().map(|column| column.name).collect();
        let slots: Vec<Slot> = table.slots().collect();
        let width = keys.len() + slots.len();
        let rows = || {
            taken
                .iter()
                .flatten()
                .filter(|(held, _)| held.ix == table.ix)
                .flat_map(|(_, cells)| cells.chunks_exact(width))
        };
        rows().next()?;
        let filled: Vec<usize> = (keys.len()..width).filter(|at| rows().any(|row| !row[*at].is_null())).collect();
        let columns: Vec<usize> = (0..keys.len()).chain(filled.iter().copied()).collect();
        let slot = |at: &usize| slots[*at - keys.len()];
        let names: Vec<String> =
            keys.iter().map(|key| (*key).to_owned()).chain(filled.iter().map(|at| slot(at).name())).collect();
        let set: Vec<String> = filled.iter().filter_map(|at| merged(slot(at), table.has_state())).collect();
        let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        let (name, values) = (physical_name(projection, table), vec!["?"; names.len()].join(", "));
        let sql = format!("INSERT INTO {name} AS t ({}) VALUES ({values}) ON CONFLICT DO {action}", names.join(", "));
        Some(Self { sql, width, columns })
    }
}

/// The assignment after a conflict, where there is one to make.
fn merged(slot: Slot, replace: bool) -> Option<String> {
    let (name, column) = (slot.name(), slot.column.name);
    Some(match slot.column.merge {
        _ if replace => format!("{name} = excluded.{name}"),
        Merge::Once => return None,
        Merge::Sum => format!("{name} = t.{name} + excluded.{name}"),
        Merge::Min => format!("{name} = min(t.{name}, excluded.{name})"),
        Merge::Max => format!("{name} = max(t.{name}, excluded.{name})"),
        Merge::Or => format!("{name} = or_bits(t.{name}, excluded.{name})"),
        Merge::Latest if slot.stamp => format!("{name} = max(t.{name}, excluded.{name})"),
        Merge::Latest => format!("{name} = iif(excluded.{column}_stamp > t.{column}_stamp, excluded.{name}, t.{name})"),
        Merge::State(_) | Merge::CountOf(_) => format!("{name} = excluded.{name}"),
    })
}

/// Plays what a worker commits over the prepared log.
pub fn run(prepared: &Prepared, input: &Input, projection: &'static Projection) -> Measured {
    let (real, file) = (format!("real-{}.db", projection.name), format!("bare-{}.db", projection.name));
    let bare = Arc::new(Mutex::new(Bare::new(&prepared.dir.join(&file), projection)));
    let recorder = Recorder { store: prepared.store(&real), bare: bare.clone() };
    let (until, done) = Until::new(input.of(projection));
    let cancel = CancellationToken::new();
    let source = prepared.log.join(&format!("bare-{}", projection.name), projection.topics, "bare").unwrap();
    let (schemas, sink, token) = (input.schemas.clone(), prepared.sink.clone(), cancel.clone());
    let thread = std::thread::spawn(move || {
        let (clock, options) = (SystemClock::new(), crate::worker::options());
        let ports = (source, sink, recorder);
        if projection.name == "records" {
            runtime().block_on(ingest::run(schemas, ports, clock, until, options, token)).unwrap();
        } else {
            let worker = pipeline::Worker::new(projection, schemas, ports, clock, until, options, token);
            runtime().block_on(worker.run()).unwrap();
        }
    });
    done.recv().unwrap();
    cancel.cancel();
    thread.join().unwrap();
    let mut bare = bare.lock().unwrap();
    bare.play();
    let spent = Measured { events: input.of(projection) as u64, ..bare.spent.clone() };
    drop(bare);
    [&real, &file].into_iter().for_each(|file| remove(&prepared.dir, file));
    spent
}
