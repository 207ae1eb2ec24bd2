//! The store against the suite of record stores, and against what the same events make in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod support;

use domain::Projection;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::digest::{Digest, LogicalRow};
use domain::fold::records::RECORDS;
use domain::table::Table;
use domain::tables::records::{INTERACTIONS, SPORES};
use futures_util::future::join_all;
use oorandom::Rand64;
use pipeline::{RecordStore, Scan, StoreError, StoredRow};
use std::ops::Range;
use store_scylla::{ScyllaConfig, ScyllaStore};
use support::{events, on_keyspace};
use testkit::store_suite::{self, tables::SUITE};
use uuid::Uuid;

/// All rows of a table, in key order.
async fn stored(store: &mut ScyllaStore, projection: &Projection, table: &'static Table) -> Vec<StoredRow> {
    let mut rows = Vec::new();
    let mut keep = |row| {
        rows.push(row);
        Ok(())
    };
    store.scan(projection, table, &mut keep).await.unwrap();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

/// The same as logical rows.
async fn logical(store: &mut ScyllaStore, projection: &Projection, table: &'static Table) -> Vec<LogicalRow> {
    let rows = stored(store, projection, table).await;
    rows.into_iter().map(|row| LogicalRow { key: row.key, cells: row.cells }).collect()
}

/// The digest of rows.
fn digest(table: &Table, rows: &[LogicalRow]) -> Digest {
    let mut scratch = Vec::new();
    rows.iter().fold(Digest::default(), |mut digest, row| {
        digest.add_row(table, row, &mut scratch);
        digest
    })
}

/// The numbers of a range in another order, some of them twice.
fn shuffled(range: Range<u64>, seed: u128) -> Vec<u64> {
    let mut random = Rand64::new(seed);
    let mut numbers: Vec<u64> = range.clone().chain(range.step_by(3)).collect();
    for ix in (1..numbers.len()).rev() {
        numbers.swap(ix, random.rand_range(0..ix as u64 + 1) as usize);
    }
    numbers
}

#[test]
fn passes_the_suite_of_record_stores() {
    on_keyspace(|config| async move {
        let mut store = ScyllaStore::new(config).with_records(&SUITE);
        store.create_tables(&SUITE).await.unwrap();
        store.create_tables(&SUITE).await.unwrap();
        let reader = store.clone();
        let read = async |table| logical(&mut reader.clone(), &SUITE, table).await;
        store_suite::record_store(&mut store, read).await;
    });
}

/// Every table holds what the deltas of these events hold, bit for bit, and has their digest (I10).
async fn assert_holds(store: &mut ScyllaStore, expected: &Deltas) {
    for table in RECORDS.tables {
        let (found, expected) = (logical(store, &RECORDS, table).await, store_suite::logical(expected, table));
        assert_eq!(found.len(), expected.len(), "{}", table.name);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{}", table.name);
        }
        assert_eq!(digest(table, &found), digest(table, &expected), "{}", table.name);
    }
}

#[test]
fn what_was_written_is_what_memory_holds() {
    on_keyspace(|config| async move {
        let mut store = ScyllaStore::new(config);
        store.write(&Deltas::new(RECORDS.tables)).await.unwrap();
        let rows = events::deltas(0..3_000);
        store.write(&rows).await.unwrap();
        assert_holds(&mut store, &rows).await;
    });
}

/// I4: the same rows again, in another order, in other groups, by several writers at once.
#[test]
fn writes_may_be_repeated_reordered_and_interleaved() {
    on_keyspace(|config| async move {
        let store = ScyllaStore::new(ScyllaConfig { batch_max_rows: 7, spread_max_rows: 3, ..config });
        let chunks: Vec<Deltas> =
            (0..6).map(|chunk| events::deltas(shuffled(chunk * 150..chunk * 150 + 400, u128::from(chunk)))).collect();
        for _ in 0..2 {
            let writes = chunks.iter().map(|rows| {
                let mut store = store.clone();
                async move { store.write(rows).await }
            });
            join_all(writes).await.into_iter().for_each(Result::unwrap);
        }
        assert_holds(&mut store.clone(), &events::deltas(0..1_150)).await;
    });
}

fn spore(id: u128, cells: &[(&'static str, Cell)]) -> Deltas {
    let mut deltas = Deltas::new(RECORDS.tables);
    let mut row = deltas.row(&SPORES, |key| {
        key.text("t").uuid(Uuid::from_u128(id));
    });
    cells.iter().for_each(|(name, value)| {
        row.merge(name, value.clone());
    });
    deltas
}

/// The cells of the only spore that is not null, as they are written in the source.
async fn only_spore(store: &mut ScyllaStore) -> Vec<String> {
    let rows = stored(store, &RECORDS, &SPORES).await;
    assert_eq!(rows.len(), 1);
    rows[0].cells.iter().filter(|cell| !cell.is_null()).map(|cell| format!("{cell:?}")).collect()
}

#[test]
fn null_is_unset_and_empty_is_a_value() {
    on_keyspace(|config| async move {
        let mut store = ScyllaStore::new(config);
        let at = ("created_at", Cell::Int(5));
        let empty = ("content", Cell::Text(String::new()));
        let bytes = ("content_sealed", Cell::Bytes(Vec::new()));
        let zero = ("importance", Cell::Double(-0.0));
        store.write(&spore(1, &[at.clone(), empty, bytes, zero])).await.unwrap();
        let first = ["Int(5)", "Text(\"\")", "Bytes([])", "Double(-0.0)"];
        assert_eq!(only_spore(&mut store).await, first);
        // A later write without these columns takes nothing away: null was not written.
        store.write(&spore(1, &[("created_at", Cell::Int(6)), ("tier", Cell::Text("w".into()))])).await.unwrap();
        let both = ["Int(6)", "Text(\"\")", "Bytes([])", "Double(-0.0)", "Text(\"w\")"];
        assert_eq!(only_spore(&mut store).await, both);
        // And an earlier event that arrives late does not win: the time is the event's (I4).
        store.write(&spore(1, &[("created_at", Cell::Int(4)), ("tier", Cell::Text("x".into()))])).await.unwrap();
        assert_eq!(only_spore(&mut store).await, both);
    });
}

#[test]
fn rows_that_do_not_fit_are_refused_with_nothing_written() {
    on_keyspace(|config| async move {
        let mut store = ScyllaStore::new(config);
        let at = ("created_at", Cell::Int(1));
        let mut long_key = spore(1, std::slice::from_ref(&at));
        long_key
            .row(&INTERACTIONS, |key| {
                key.text("t").text(&"a".repeat(70_000)).int(0).int(0).text("b").uuid(Uuid::nil());
            })
            .merge("direction", Cell::Text("out".into()));
        let cases = [
            (spore(1, &[("tier", Cell::Text("w".into()))]), "does not say when"),
            (spore(1, &[at.clone(), ("content", Cell::Int(1))]), "column content"),
            (long_key, "70001 bytes"),
        ];
        for (rows, sign) in cases {
            let refused = store.write(&rows).await;
            assert!(matches!(&refused, Err(StoreError::Refused(text)) if text.contains(sign)), "{refused:?}");
        }
        assert_eq!(stored(&mut store, &RECORDS, &SPORES).await, []);
    });
}

/// The nodes take no mutation above half a segment of their commit log (16 MiB by default, less here), and no request
/// above another limit.
#[test]
fn a_row_that_is_too_large_for_the_nodes_is_refused_and_the_others_are_written() {
    on_keyspace(|config| async move {
        let mut store = ScyllaStore::new(config);
        let sized = |bytes| {
            let content = Cell::Text("x".repeat(bytes));
            spore(bytes as u128, &[("created_at", Cell::Int(1)), ("content", content)])
        };
        store.write(&sized(1_000_000)).await.unwrap();
        for bytes in [17_000_000, 40_000_000] {
            let refused = store.write(&sized(bytes)).await;
            assert!(matches!(&refused, Err(StoreError::Refused(_))), "{bytes}: {refused:?}");
        }
        store.write(&sized(1)).await.unwrap();
        assert_eq!(stored(&mut store, &RECORDS, &SPORES).await.len(), 2);
    });
}

/// Rows of a partition travel together, and single ones with others of their home; the rows are the same.
#[test]
fn rows_travel_together() {
    on_keyspace(|config| async move {
        let rows = events::deltas(0..3_000);
        let mut sent = Vec::new();
        for (partition, spread) in [(1, 1), (64, 1), (64, 8)] {
            let limits = ScyllaConfig { batch_max_rows: partition, spread_max_rows: spread, ..config.clone() };
            let mut store = ScyllaStore::new(limits);
            store.write(&rows).await.unwrap();
            sent.push(store.in_flight().sent_statements);
            assert_holds(&mut store, &rows).await;
        }
        assert_eq!(sent[0], rows.rows() as u64);
        assert!(sent[1] * 3 < sent[0] * 2 && sent[2] * 4 < sent[1], "{sent:?}");
    });
}

/// I8: all clones together keep to the limits.
#[test]
fn what_is_in_flight_is_bounded_over_all_clones() {
    on_keyspace(|config| async move {
        let limits = ScyllaConfig { max_in_flight_statements: 6, max_in_flight_bytes: 8_000, ..config };
        let store = ScyllaStore::new(limits);
        let chunks: Vec<Deltas> = (0..4).map(|chunk| events::deltas(chunk * 300..chunk * 300 + 300)).collect();
        let writes = chunks.iter().map(|rows| {
            let mut store = store.clone();
            async move { store.write(rows).await }
        });
        join_all(writes).await.into_iter().for_each(Result::unwrap);
        let seen = store.in_flight();
        assert_eq!((seen.statements, seen.bytes), (0, 0));
        assert!((2..=6).contains(&seen.peak_statements), "{seen:?}");
        assert!((1_000..=8_000).contains(&seen.peak_bytes), "{seen:?}");
        assert_holds(&mut store.clone(), &events::deltas(0..1_200)).await;
    });
}
