//! What a worker tells, as metrics and health.

use crate::health::WorkerHealth;
use crate::metrics::{Commit, WorkerMetrics};
use domain::TopicPartition;
use pipeline::{Committed, DeadKind, Observer, Paused};

/// The observer of a worker in a running process.
#[derive(Debug)]
pub struct WorkerObserver {
    metrics: WorkerMetrics,
    health: WorkerHealth,
}

impl WorkerObserver {
    /// Writes what the worker tells to these.
    #[must_use]
    pub fn new(metrics: WorkerMetrics, health: WorkerHealth) -> Self {
        Self { metrics, health }
    }
}

impl Observer for WorkerObserver {
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
            latency_us: [committed.now_us.saturating_sub(oldest), committed.now_us.saturating_sub(newest)],
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
        let tps: Vec<_> = tps.iter().map(|tp| (tp.topic.name(), tp.partition)).collect();
        self.metrics.owned(&tps);
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

    fn horizon_shortened(&self, _tp: TopicPartition) {
        self.metrics.horizon_shortened();
    }

    fn paused(&self, cause: Paused, reason: &str) {
        if cause != Paused::DeadLetterFlood {
            self.metrics.retried();
        }
        self.metrics.paused(Some(cause));
        self.health.paused(reason);
    }

    fn ready(&self) {
        self.metrics.paused(None);
        self.health.ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, WorkerState};
    use crate::metrics::Metrics;
    use domain::Topic;
    use pipeline::{Counts, Position};

    #[test]
    fn a_commit_and_a_pause_reach_metrics_and_health() {
        let (metrics, health) = (Metrics::new().unwrap(), Health::new());
        let observer = WorkerObserver::new(metrics.worker("ingest", "ingest-0"), health.register("ingest-0"));
        let counts = Counts { applied: 3, ..Counts::default() };
        let tp = TopicPartition::new(Topic::SporeCreated, 1);
        let position = Position { next_offset: 3, counts, ..Position::start(tp, 0) };
        observer.ready();
        observer.committed(&Committed {
            counts,
            records: 3,
            bytes: 300,
            rows: 6,
            took_us: 2,
            commit_us: 1,
            now_us: 1_000_000,
            positions: &[position],
            append_us: (0, 500_000),
        });
        observer.lag(tp, 9);
        observer.paused(Paused::Store, "the store is unavailable: database is locked");
        let text = metrics.render(0);
        assert!(text.contains(r#"sporelog_paused{reason="store",role="ingest",worker="ingest-0"} 1"#), "{text}");
        assert!(!text.contains("sporelog_watermark_age_seconds{"), "there is no watermark yet");
        assert!(matches!(&health.report()[0].state, WorkerState::Paused(reason) if reason.contains("locked")));
        assert_eq!((metrics.snapshot()[0].outcomes[0], metrics.snapshot()[0].lag_records), (3, 9));
        observer.ready();
        assert!(health.is_ready());
    }
}
