//! The store against the suite, its schema against the declarations, its snapshots against changed cells.

use super::config::StoreConfig;
use super::{Snapshot, Store, diff, migrate, physical_name, schema};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::digest::LogicalRow;
use domain::projection::PROJECTIONS;
use domain::table::{Merge, Table};
use domain::{Projection, Topic, TopicPartition};
use pipeline::{
    Advance, BeforeCommit, Claim, Claimed, Flush, LogIdentity, Position, RowStore as _, StoreError,
    nothing_before_commit,
};
use rusqlite::Connection;
use std::path::PathBuf;
use tempfile::TempDir;
use testkit::store_suite::{self, merges, tables::SUITE};
use tokio::runtime::{Builder, Runtime};

mod commits;
mod contract;
mod errors;
mod held;
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

fn tp(partition: u32) -> TopicPartition {
    TopicPartition::new(Topic::SacredMessages, partition)
}

fn log_of(cluster_id: &str) -> LogIdentity {
    LogIdentity { cluster_id: cluster_id.to_owned(), topic_id: String::new(), partitions: 10 }
}

/// Claims a partition for a worker that finds it in this log.
async fn claim(store: &mut Store, projection: &Projection, tp: TopicPartition, cluster_id: &str) -> Claimed {
    store.claim(projection, &[Claim { tp, log: log_of(cluster_id) }]).await.unwrap().remove(0)
}

/// The position behind one more applied record.
fn step(claimed: &Claimed) -> Advance {
    let mut to = claimed.position.unwrap_or(Position::start(claimed.tp, 0));
    let from = claimed.position.map(|position| position.next_offset);
    to.epoch = claimed.epoch;
    to.next_offset += 1;
    to.counts.applied += 1;
    Advance { from, to }
}

async fn commit<'a>(
    store: &mut Store,
    projection: &'a Projection,
    advances: &'a [Advance],
    rows: &'a Deltas,
    before_commit: BeforeCommit<'a>,
) -> Result<(), StoreError> {
    store.commit(&Flush { projection, advances, sequences: &[], dead: &[], rows, before_commit }).await
}

/// Writes rows under a fresh claim of partition 0 of a topic.
fn put(store: &mut Store, projection: &Projection, rows: &Deltas) {
    runtime().block_on(async {
        let claimed = claim(store, projection, tp(0), "log").await;
        commit(store, projection, &[step(&claimed)], rows, &nothing_before_commit).await.unwrap();
    });
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
