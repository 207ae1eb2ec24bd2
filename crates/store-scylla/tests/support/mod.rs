//! What the tests share: a keyspace of their own on the engine, dropped at the end, and what it holds.

#![allow(clippy::unwrap_used, reason = "helpers of tests and benches fail by panicking")]

pub mod events;

use engines::{Engine, address};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use store_scylla::{ScyllaConfig, migrate};
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
