//! Metrics, by declared names. Handles are held: nothing is looked up by label per event.

mod families;
mod names;
mod worker;

pub use names::{ALL, Kind, MetricDef, markdown};
pub use worker::{Commit, CommittedPosition, OUTCOMES, Outcomes, WorkerMetrics, WorkerSnapshot};

use families::Families;
use prometheus::{Encoder as _, Registry, TextEncoder};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    workers: Mutex<Vec<WorkerMetrics>>,
    pools: Mutex<Vec<(&'static str, ReadPool)>>,
}

/// What a store's client holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections, or statements, at work.
    pub in_use: usize,
    /// Connections, or places for statements, that are free.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

type ReadPool = Box<dyn Fn() -> PoolUse + Send + Sync>;

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl Metrics {
    /// An empty registry with every family declared.
    ///
    /// # Errors
    /// Where two declarations share a name (a programming error).
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let families = Arc::new(Families::new(&registry)?);
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self { registry, families, workers: Mutex::new(Vec::new()), pools: Mutex::default() })
    }

    /// The metrics of one worker, such as `projector`, `projector-0`. Clones share them.
    #[must_use]
    pub fn worker(&self, role: &'static str, worker: &str) -> WorkerMetrics {
        let metrics = WorkerMetrics::new(Arc::clone(&self.families), role, worker);
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(metrics.clone());
        metrics
    }

    /// The client of a store, which is asked at each scrape.
    pub fn pool(&self, store: &'static str, read: impl Fn() -> PoolUse + Send + Sync + 'static) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push((store, Box::new(read)));
    }

    /// What each worker has done so far, in order of registration, for a line on the terminal.
    #[must_use]
    pub fn snapshot(&self) -> Vec<WorkerSnapshot> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(WorkerMetrics::snapshot).collect()
    }

    /// The text that Prometheus reads; ages are as of `now_us` (microseconds since 1970).
    #[must_use]
    pub fn render(&self, now_us: i64) -> String {
        for worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            worker.age(now_us);
        }
        for (store, read) in self.pools.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let PoolUse { in_use, idle, waiting } = read();
            for (state, count) in [("in_use", in_use), ("idle", idle), ("waiting", waiting)] {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                self.families.pool.with_label_values(&[*store, state]).set(count);
            }
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests;
