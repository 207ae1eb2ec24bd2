//! A worker's observer that can hold it at a step, so that a test can kill the process just there.

use domain::TopicPartition;
use pipeline::{Committed, DeadKind, Observer, Parked, Paused, Step};
use runtime::observe::WorkerObserver;
use std::cell::Cell;

/// The environment variable that holds a worker: `role:step:count`. At the count-th time that a worker of the role
/// reaches the step it prints `held at STEP` and stands still for ever.
pub const HOLD_AT: &str = "SPORELOG_TEST_HOLD_AT";

/// Passes everything on, and holds the worker where a test asks for it.
#[derive(Debug)]
pub struct RoleObserver {
    inner: WorkerObserver,
    hold: Option<(Step, Cell<u32>)>,
}

impl RoleObserver {
    /// Wraps the observer of a worker of this role.
    pub fn new(role: &str, inner: WorkerObserver) -> Self {
        let hold = std::env::var(HOLD_AT).ok().and_then(|text| parse(role, &text));
        Self { inner, hold }
    }
}

fn parse(role: &str, text: &str) -> Option<(Step, Cell<u32>)> {
    let mut parts = text.split(':');
    let (for_role, step, count) = (parts.next()?, parts.next()?, parts.next()?);
    (for_role == role).then_some((Step::named(step)?, Cell::new(count.parse().ok()?)))
}

impl Observer for RoleObserver {
    fn step(&self, step: Step) {
        let Some((_, left)) = self.hold.as_ref().filter(|(at, _)| *at == step) else { return };
        left.set(left.get().saturating_sub(1));
        if left.get() == 0 {
            eprintln!("held at {}", step.name());
            loop {
                std::thread::park();
            }
        }
    }

    fn committed(&self, committed: &Committed<'_>) {
        self.inner.committed(committed);
    }

    fn lag(&self, tp: TopicPartition, records: i64) {
        self.inner.lag(tp, records);
    }

    fn owned(&self, tps: &[TopicPartition]) {
        self.inner.owned(tps);
    }

    fn dead(&self, kind: DeadKind) {
        self.inner.dead(kind);
    }

    fn row_cache(&self, hits: usize, misses: usize) {
        self.inner.row_cache(hits, misses);
    }

    fn in_flight(&self, bytes: usize) {
        self.inner.in_flight(bytes);
    }

    fn fenced(&self) {
        self.inner.fenced();
    }

    fn parked(&self, parked: &Parked) {
        self.inner.parked(parked);
    }

    fn unparked(&self, tp: TopicPartition) {
        self.inner.unparked(tp);
    }

    fn paused(&self, cause: Paused, reason: &str) {
        self.inner.paused(cause, reason);
    }

    fn ready(&self) {
        self.inner.ready();
    }
}
