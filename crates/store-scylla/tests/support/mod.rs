//! What the tests share: a keyspace of their own on the engine, dropped at the end, and what it holds.

#![allow(dead_code)] // Each test file uses a part of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests and benches fail by panicking")]

pub mod events;
pub mod proxy;

use domain::Projection;
use domain::digest::{Digest, LogicalRow};
use domain::table::Table;
use engines::{Engine, address};
use pipeline::{Scan, StoredRow};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use store_scylla::{ScyllaConfig, ScyllaStore, migrate};
use tokio::runtime::{Builder, Runtime};

/// The runtime of a worker.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The settings of a keyspace of its own.
pub fn config() -> ScyllaConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let keyspace = format!("test_{process}_{number}");
    ScyllaConfig { keyspace, request_timeout_ms: 30_000, ..ScyllaConfig::new([address(Engine::Cassandra)]) }
}

/// A keyspace that is dropped at the end, also after a failed test.
pub struct Keyspace(pub ScyllaConfig);

impl Drop for Keyspace {
    fn drop(&mut self) {
        let config = self.0.clone();
        let dropped = std::thread::spawn(move || runtime().block_on(migrate::drop_keyspace(&config))).join();
        if !std::thread::panicking() {
            dropped.unwrap().unwrap();
        }
    }
}

/// Runs a test on a migrated keyspace.
pub fn on_keyspace<F: Future<Output = ()>>(test: impl FnOnce(ScyllaConfig) -> F) {
    let keyspace = Keyspace(config());
    runtime().block_on(async {
        migrate::up(&keyspace.0).await.unwrap();
        test(keyspace.0.clone()).await;
    });
}

/// All rows of a table, in key order.
pub async fn stored(store: &mut ScyllaStore, projection: &Projection, table: &'static Table) -> Vec<StoredRow> {
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
pub async fn logical(store: &mut ScyllaStore, projection: &Projection, table: &'static Table) -> Vec<LogicalRow> {
    let rows = stored(store, projection, table).await;
    rows.into_iter().map(|row| LogicalRow { key: row.key, cells: row.cells }).collect()
}

/// The digest of rows.
pub fn digest(table: &Table, rows: &[LogicalRow]) -> Digest {
    let mut scratch = Vec::new();
    rows.iter().fold(Digest::default(), |mut digest, row| {
        digest.add_row(table, row, &mut scratch);
        digest
    })
}
