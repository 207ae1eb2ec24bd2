//! Who is ready: a registry of worker states that workers write and the HTTP server reads.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

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

/// One worker in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerReport {
    /// The worker's name.
    pub name: String,
    /// What it is doing.
    #[serde(flatten)]
    pub state: WorkerState,
}

/// The states of all workers of the process. Clones share one registry.
#[derive(Clone, Debug, Default)]
pub struct Health {
    workers: Arc<Mutex<BTreeMap<String, Slot>>>,
}

type Slot = Arc<Mutex<WorkerState>>;

impl Health {
    /// An empty registry; the process is not ready while no worker is registered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a worker as starting, and gives the handle by which it states what it does.
    #[must_use]
    pub fn register(&self, name: &str) -> WorkerHealth {
        let slot = Arc::new(Mutex::new(WorkerState::Starting));
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.insert(name.to_owned(), Arc::clone(&slot));
        WorkerHealth { slot }
    }

    /// Every worker and its state, by name.
    #[must_use]
    pub fn report(&self) -> Vec<WorkerReport> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |slot: &Slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        workers.iter().map(|(name, slot)| WorkerReport { name: name.clone(), state: state(slot) }).collect()
    }

    /// Whether there are workers and all of them are ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let report = self.report();
        !report.is_empty() && report.iter().all(|worker| worker.state == WorkerState::Ready)
    }
}

/// One worker's place in the registry.
#[derive(Clone, Debug)]
pub struct WorkerHealth {
    slot: Slot,
}

impl WorkerHealth {
    /// States what the worker does now.
    pub fn set(&self, state: WorkerState) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// States that the worker works; free where it did already.
    pub fn ready(&self) {
        let mut held = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if *held != WorkerState::Ready {
            *held = WorkerState::Ready;
        }
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
