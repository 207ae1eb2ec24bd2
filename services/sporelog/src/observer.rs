//! What a worker tells, as metrics and health; and a place to hold it, so that a test can kill the process there.

use domain::TopicPartition;
use pipeline::{Committed, DeadKind, Observer, Step};
use runtime::health::WorkerHealth;
use runtime::metrics::{Commit, Paused, WorkerMetrics};
use std::cell::Cell;

/// The environment variable that holds a worker: `role:step:count`. At the count-th time that a worker of the role
/// reaches the step it prints `held at STEP` and stands still for ever.
pub const HOLD_AT: &str = "SPORELOG_TEST_HOLD_AT";

/// Observes one worker.
#[derive(Debug)]
pub struct RoleObserver {
    metrics: WorkerMetrics,
    health: WorkerHealth,
    waiting: Cell<bool>,
    hold: Option<(Step, Cell<u32>)>,
}

impl RoleObserver {
    /// An observer of a worker of this role, that writes to these.
    pub fn new(role: &str, metrics: WorkerMetrics, health: WorkerHealth) -> Self {
        let hold = std::env::var(HOLD_AT).ok().and_then(|text| parse(role, &text));
        Self { metrics, health, waiting: Cell::new(false), hold }
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
        let counts = committed.counts;
        let outcomes = [counts.applied, counts.duplicate, counts.ignored, counts.dead, counts.holes];
        let (oldest, newest) = committed.append_us;
        self.metrics.committed(&Commit {
            outcomes: outcomes.map(|count| u64::try_from(count).unwrap_or_default()),
            records: committed.records,
            bytes: committed.bytes,
            rows: committed.rows,
            commit_us: committed.commit_us,
            latency_us: [committed.now_us - oldest, committed.now_us - newest],
        });
        for position in committed.positions {
            let watermark_us = (position.watermark_us != i64::MIN).then_some(position.watermark_us);
            let (topic, partition) = (position.tp.topic.name(), position.tp.partition);
            self.metrics.position(topic, partition, position.next_offset, watermark_us, position.gap());
        }
    }

    fn lag(&self, tp: TopicPartition, records: i64) {
        self.metrics.lag(tp.topic.name(), tp.partition, records);
    }

    fn owned(&self, tps: &[TopicPartition]) {
        let owned: Vec<_> = tps.iter().map(|tp| (tp.topic.name(), tp.partition)).collect();
        self.metrics.owned(&owned);
    }

    fn dead(&self, kind: DeadKind) {
        self.metrics.dead(kind.label());
    }

    fn row_cache(&self, hits: usize, misses: usize) {
        self.metrics.row_cache(hits, misses);
    }

    fn in_flight(&self, bytes: usize) {
        self.metrics.in_flight(bytes);
    }

    fn fenced(&self) {
        self.metrics.fenced();
    }

    fn horizon_shortened(&self, _: TopicPartition) {
        self.metrics.horizon_shortened();
    }

    fn paused(&self, reason: &str) {
        self.metrics.retried();
        self.metrics.paused(Some(Paused::of(reason)));
        self.health.paused(reason);
        self.waiting.set(true);
    }

    fn ready(&self) {
        if self.waiting.replace(false) {
            self.metrics.paused(None);
        }
        self.health.ready();
    }
}
