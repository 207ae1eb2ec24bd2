//! Metrics, by declared names. Handles are held: nothing is looked up by label per event.

mod families;
mod names;
mod worker;

pub use names::{ALL, Kind, MetricDef, markdown};
pub use worker::{Commit, WorkerMetrics, WorkerSnapshot};

use families::Families;
use prometheus::{Encoder as _, Registry, TextEncoder};
use std::sync::{Arc, Mutex, PoisonError};

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    workers: Mutex<Vec<WorkerMetrics>>,
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
        Ok(Self { registry, families, workers: Mutex::new(Vec::new()) })
    }

    /// The metrics of one worker, such as `projector`, `projector-0`. Clones share them.
    #[must_use]
    pub fn worker(&self, role: &'static str, worker: &str) -> WorkerMetrics {
        let metrics = WorkerMetrics::new(Arc::clone(&self.families), role, worker);
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(metrics.clone());
        metrics
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
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests;
