//! The store against the suite, its schema against the declarations, its snapshots against changed cells.

use super::config::StoreConfig;
use super::{Snapshot, Store, diff, migrate, physical_name, schema};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::digest::LogicalRow;
use domain::projection::PROJECTIONS;
use domain::table::{Merge, Table};
use domain::{Projection, Topic, TopicPartition};
use pipeline::StoreError;
use rusqlite::Connection;
use std::path::PathBuf;
use tempfile::TempDir;
use testkit::store_suite::{self, merges, tables::SUITE};
use tokio::runtime::{Builder, Runtime};

mod contract;
mod schema_tests;
mod snapshots;

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

struct Scratch {
    _folder: TempDir,
    path: PathBuf,
}

fn scratch() -> (Scratch, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(super::STORE_FILE);
    let store = Store::open_with(StoreConfig::scratch(&path)).unwrap();
    store.create_tables(&SUITE).unwrap();
    (Scratch { _folder: folder, path }, store)
}

/// Writes rows under a fresh claim of partition 0 of a topic.
fn put(store: &mut Store, projection: &Projection, rows: &Deltas) {
    let tp = TopicPartition::new(Topic::SacredMessages, 0);
    runtime().block_on(store_suite::put(store, (projection, tp), rows, &|| ())).unwrap();
}

fn all_rows(snapshot: &Snapshot, projection: &Projection, table: &'static Table) -> Vec<LogicalRow> {
    let mut rows = Vec::new();
    let mut keep = |row| {
        rows.push(row);
        Ok(())
    };
    snapshot.rows(projection, table, &mut keep).unwrap();
    rows
}

#[test]
fn passes_the_suite_of_row_stores() {
    let (_scratch, mut store) = scratch();
    runtime().block_on(store_suite::row_store(&mut store));
}

#[test]
fn passes_the_suite_of_record_stores() {
    let (_scratch, store) = scratch();
    let reader = store.clone();
    let mut store = store.with_records(&SUITE);
    let read = async |table| all_rows(&reader.reader().unwrap(), &SUITE, table);
    runtime().block_on(store_suite::record_store(&mut store, read));
}

#[test]
fn merges_as_memory_does() {
    let (_scratch, store) = scratch();
    merges::merge_as_memory_does(&runtime(), &SUITE, store, 256);
}

#[test]
fn merges_the_declared_tables_as_memory_does() {
    for projection in PROJECTIONS {
        let (_scratch, store) = scratch();
        merges::merge_as_memory_does(&runtime(), projection, store, 48);
    }
}

#[test]
fn what_is_no_store_or_too_new_is_refused_with_what_to_do() {
    let (held, store) = scratch();
    drop(store);
    let connection = Connection::open(&held.path).unwrap();
    connection.execute("INSERT INTO migration VALUES (99, 'from_the_future', '')", []).unwrap();
    drop(connection);
    let error = Store::open(&held.path).unwrap_err();
    assert!(matches!(&error, StoreError::Fatal(text) if text.contains("newer version")), "{error}");
    let other = held.path.with_file_name("other.db");
    std::fs::write(&other, [7; 8_192]).unwrap();
    let error = Store::open(&other).unwrap_err();
    assert!(matches!(&error, StoreError::Fatal(text) if text.contains("move the file away")), "{error}");
    let error = Store::open(held.path.with_file_name("no/such/folder")).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (held, mut store) = scratch();
    put(&mut store, &SUITE, &Deltas::new(SUITE.tables));
    for file in std::fs::read_dir(held.path.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}
