//! Who is ready: a registry of worker states that workers write and the HTTP server reads.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum WorkerState {
    /// It has not begun to work.
    Starting,
    /// It works.
    Ready,
    /// It waits, for this reason.
    Paused(String),
    /// It has ended.
    Stopped,
}

/// A parked partition in the report: its worker goes on with the others (I7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParkedReport {
    /// The topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: u32,
    /// The offset at which it stands.
    pub offset: i64,
    /// The cause's label.
    pub cause: &'static str,
    /// Since when, in microseconds since 1970.
    pub since_us: i64,
    /// What is wrong and what to do.
    pub text: String,
}

/// One worker in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerReport {
    /// The worker's name.
    pub name: String,
    /// What it is doing.
    #[serde(flatten)]
    pub state: WorkerState,
    /// Its parked partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<ParkedReport>,
}

/// The states of all workers of the process. Clones share one registry.
#[derive(Clone, Debug, Default)]
pub struct Health {
    workers: Arc<Mutex<BTreeMap<String, Slot>>>,
}

type Slot = Arc<Mutex<Held>>;

#[derive(Debug)]
struct Held {
    state: WorkerState,
    parked: BTreeMap<(&'static str, u32), ParkedReport>,
}

impl Health {
    /// An empty registry; the process is not ready while no worker is registered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a worker as starting, and gives the handle by which it states what it does.
    #[must_use]
    pub fn register(&self, name: &str) -> WorkerHealth {
        let slot = Arc::new(Mutex::new(Held { state: WorkerState::Starting, parked: BTreeMap::new() }));
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.insert(name.to_owned(), Arc::clone(&slot));
        WorkerHealth { slot }
    }

    /// Every worker and its state, by name.
    #[must_use]
    pub fn report(&self) -> Vec<WorkerReport> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let report = |(name, slot): (&String, &Slot)| {
            let held = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let parked = held.parked.values().cloned().collect();
            WorkerReport { name: name.clone(), state: held.state.clone(), parked }
        };
        workers.iter().map(report).collect()
    }

    /// Whether there are workers and all of them are ready. Parked partitions do not count: a
    /// restart mends none of them, and the worker goes on with the others (I7).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        are_ready(&self.report())
    }
}

/// Whether there are workers in the report, and all of them are ready.
pub(crate) fn are_ready(report: &[WorkerReport]) -> bool {
    !report.is_empty() && report.iter().all(|worker| worker.state == WorkerState::Ready)
}

/// One worker's place in the registry.
#[derive(Clone, Debug)]
pub struct WorkerHealth {
    slot: Slot,
}

impl WorkerHealth {
    /// States what the worker does now.
    pub fn set(&self, state: WorkerState) {
        self.held().state = state;
    }

    /// States that the worker works; free where it did already.
    pub fn ready(&self) {
        let mut held = self.held();
        if held.state != WorkerState::Ready {
            held.state = WorkerState::Ready;
        }
    }

    /// States that a partition of the worker is parked.
    pub fn parked(&self, parked: ParkedReport) {
        self.held().parked.insert((parked.topic, parked.partition), parked);
    }

    /// States that a partition is parked no longer.
    pub fn unparked(&self, topic: &'static str, partition: u32) {
        self.held().parked.remove(&(topic, partition));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// States that the worker waits.
    pub fn paused(&self, reason: &str) {
        self.set(WorkerState::Paused(reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_ready_when_every_worker_is() {
        let health = Health::new();
        assert!(!health.is_ready());
        let (one, two) = (health.register("ingest-0"), health.register("projector-0"));
        one.ready();
        assert!(!health.is_ready());
        two.ready();
        assert!(health.is_ready());
        two.paused("the store is unavailable");
        let json = serde_json::to_string(&health.report()).unwrap();
        assert_eq!(
            json,
            r#"[{"name":"ingest-0","state":"ready"},{"name":"projector-0","state":"paused","reason":"the store is unavailable"}]"#
        );
    }
}
