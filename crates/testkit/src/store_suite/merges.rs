//! The property that holds every merge kind of a store against the in-memory one: changes committed in any
//! grouping read back as what memory makes of them all at once.

use super::{advance, claim, partition};
use domain::Projection;
use domain::cell::{Cell, KeyWriter};
use domain::delta::{Deltas, RowMut};
use domain::distinct;
use domain::stamp::Stamp;
use domain::table::{Column, KeyType, Merge, Table, Type};
use pipeline::{Claim, Flush, Position, RowStore, nothing_before_commit};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::cell::{Cell as StdCell, RefCell};
use uuid::Uuid;

/// What happens to one column.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Value(Cell),
    Register(Cell, Stamp),
    Members(Vec<u16>),
}

/// What happens to one row.
#[derive(Clone, Debug)]
struct Op {
    table: usize,
    partition: u32,
    key: [u8; 8],
    changes: Vec<Change>,
    /// Whether everything so far is committed behind it.
    commit: bool,
}

/// Runs `cases` random cases over all tables of a projection, on one store.
///
/// # Panics
/// Where the store and memory disagree, with the smallest such case.
pub fn merge_as_memory_does<S: RowStore>(
    runtime: &tokio::runtime::Runtime,
    projection: &'static Projection,
    store: S,
    cases: u32,
) {
    let store = RefCell::new(store);
    let case = StdCell::new(0_u32);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(op(projection), 1..40), |ops| {
        case.set(case.get() + 1);
        let tenant = format!("case {}", case.get());
        runtime.block_on(run(projection, &mut *store.borrow_mut(), &tenant, &ops))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn run<S: RowStore>(
    projection: &'static Projection,
    store: &mut S,
    tenant: &str,
    ops: &[Op],
) -> Result<(), TestCaseError> {
    let mut memory = Deltas::new(projection.tables);
    let mut batch = Deltas::new(projection.tables);
    let mut writer = Writer::claim(projection, store).await;
    for op in ops {
        apply(projection, &mut memory, tenant, op);
        apply(projection, &mut batch, tenant, op);
        if op.commit {
            writer.commit(store, &mut batch).await?;
        }
    }
    writer.commit(store, &mut batch).await?;
    for delta in memory.tables_mut() {
        let table = delta.table();
        for ix in 0..delta.len() {
            if table.has_state() {
                delta.complete_row(ix, None);
            }
            let found = store.load(projection, table, &[delta.key(ix)]).await.map_err(fail)?.remove(0);
            prop_assert_eq!(found.as_deref(), Some(delta.cells(ix)), "{} row {}", table.name, ix);
        }
    }
    Ok(())
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// Commits batches as the worker does, and keeps the position.
struct Writer {
    projection: &'static Projection,
    epoch: i64,
    position: Option<Position>,
}

impl Writer {
    async fn claim<S: RowStore>(projection: &'static Projection, store: &mut S) -> Self {
        let (epoch, position) = if projection.name == super::SUITE.name {
            claim(store, partition(0)).await
        } else {
            let claim = Claim { tp: partition(0), log: super::log() };
            let claimed = store.claim(projection, &[claim]).await.expect("a claim").remove(0);
            (claimed.epoch, claimed.position)
        };
        Self { projection, epoch, position }
    }

    async fn commit<S: RowStore>(&mut self, store: &mut S, batch: &mut Deltas) -> Result<(), TestCaseError> {
        for delta in batch.tables_mut().iter_mut().filter(|delta| delta.table().has_state()) {
            let keys: Vec<Vec<u8>> = (0..delta.len()).map(|ix| delta.key(ix).to_vec()).collect();
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let stored = store.load(self.projection, delta.table(), &keys).await.map_err(fail)?;
            stored.into_iter().enumerate().for_each(|(ix, row)| delta.complete_row(ix, row));
        }
        let moved = advance(self.position, partition(0), self.epoch, 1);
        let advances = &[moved];
        let flush = Flush {
            projection: self.projection,
            advances,
            sequences: &[],
            dead: &[],
            rows: batch,
            before_commit: &nothing_before_commit,
        };
        store.commit(&flush).await.map_err(fail)?;
        self.position = Some(moved.to);
        batch.clear();
        Ok(())
    }
}

fn apply(projection: &'static Projection, deltas: &mut Deltas, tenant: &str, op: &Op) {
    let table = projection.tables[op.table];
    deltas.set_scope(partition(op.partition));
    let mut row = deltas.row(table, |writer| write_key(table, writer, tenant, &op.key));
    for (column, change) in table.columns.iter().zip(&op.changes) {
        match change {
            Change::Nothing => {}
            Change::Value(value) => {
                row.merge(column.name, value.clone());
            }
            Change::Register(value, stamp) => {
                row.latest(column.name, value.clone(), stamp);
            }
            Change::Members(members) => add_members(&mut row, column, members),
        }
    }
}

fn add_members(row: &mut RowMut<'_>, column: &'static Column, members: &[u16]) {
    let cell = row.in_place(column.name);
    let mut state = if let Cell::Bytes(state) = std::mem::take(cell) { state } else { Vec::new() };
    members.iter().for_each(|member| distinct::insert(&mut state, distinct::hash(&member.to_be_bytes())));
    *cell = Cell::Bytes(state);
}

/// The first text column is the tenant; the others take one of two values each, so that rows meet.
fn write_key(table: &Table, writer: &mut KeyWriter<'_>, tenant: &str, key: &[u8; 8]) {
    for (ix, column) in table.key.iter().enumerate() {
        let value = i64::from(key[ix]);
        match column.ty {
            KeyType::Text if ix == 0 => writer.text(tenant),
            KeyType::Text => writer.text(["", "é"][key[ix] as usize]),
            KeyType::Int | KeyType::TimeUs => writer.int(-value),
            KeyType::Uuid => writer.uuid(Uuid::from_u128(value as u128)),
        };
    }
}

fn op(projection: &'static Projection) -> impl Strategy<Value = Op> + use<> {
    let head = (0..projection.tables.len(), 0..2_u32, proptest::array::uniform8(0..2_u8), any::<bool>());
    head.prop_flat_map(|(table, partition, key, commit)| {
        let changes: Vec<BoxedStrategy<Change>> = projection.tables[table].columns.iter().map(change).collect();
        changes.prop_map(move |changes| Op { table, partition, key, changes, commit })
    })
}

fn change(column: &'static Column) -> BoxedStrategy<Change> {
    let written = match column.merge {
        Merge::CountOf(_) => return Just(Change::Nothing).boxed(),
        Merge::State(_) => vec(0..100_u16, 0..5).prop_map(Change::Members).boxed(),
        Merge::Latest => {
            let value = prop_oneof![1 => Just(Cell::Null), 3 => value(column.ty)];
            (value, stamp()).prop_map(|(value, stamp)| Change::Register(value, stamp)).boxed()
        }
        Merge::Once | Merge::Sum | Merge::Min | Merge::Max | Merge::Or => {
            value(column.ty).prop_map(Change::Value).boxed()
        }
    };
    prop_oneof![Just(Change::Nothing), written].boxed()
}

/// Few stamps, so that equal ones meet.
fn stamp() -> impl Strategy<Value = Stamp> {
    (proptest::option::of(0..3_i64), 0..2_u8, 0..3_i64, 0..2_u128)
        .prop_map(|(base, resonance, at, id)| Stamp::new(base, resonance, at, Uuid::from_u128(id)))
}

fn value(ty: Type) -> BoxedStrategy<Cell> {
    match ty {
        Type::Text => "[a-z'é\u{1F344}]{0,4}".prop_map(Cell::Text).boxed(),
        Type::Json => prop_oneof![Just("{}"), Just("[]"), Just("3")].prop_map(|json| Cell::Text(json.into())).boxed(),
        Type::Int | Type::TimeUs | Type::Fixed => (-(1_i64 << 40)..1 << 40).prop_map(Cell::Int).boxed(),
        // Adding 0.0 turns -0.0 into 0.0, which is what stores keep.
        Type::Double => (-1e9..1e9).prop_map(|double: f64| Cell::Double(double + 0.0)).boxed(),
        Type::Bytes | Type::Bits => vec(any::<u8>(), 0..6).prop_map(Cell::Bytes).boxed(),
        Type::Uuid => any::<u128>().prop_map(|id| Cell::Uuid(Uuid::from_u128(id))).boxed(),
    }
}
