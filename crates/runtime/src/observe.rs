//! What a worker tells, as metrics and health.

use crate::health::{ParkedReport, WorkerHealth};
use crate::metrics::{Commit, CommittedPosition, Outcomes, WorkerMetrics};
use domain::TopicPartition;
use pipeline::{Committed, Counts, DeadKind, Observer, Parked, Paused};

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

/// Each record under one outcome: what was counted apart is taken out of the count that includes
/// it.
fn outcomes(counts: &Counts) -> Outcomes {
    let Counts { applied, duplicate, behind, ignored, unknown, dead, holes, lost: _ } = *counts;
    [applied, duplicate - behind, behind, ignored - unknown, unknown, dead, holes]
        .map(|count| u64::try_from(count).unwrap_or_default())
}

impl Observer for WorkerObserver {
    fn committed(&self, committed: &Committed<'_>) {
        let (oldest, newest) = committed.append_us;
        self.metrics.committed(&Commit {
            outcomes: outcomes(&committed.counts),
            records: committed.records,
            bytes: committed.bytes,
            rows: committed.rows,
            commit_us: committed.commit_us,
            latency_us: [committed.now_us.saturating_sub(oldest), committed.now_us.saturating_sub(newest)],
        });
        for position in committed.positions {
            let watermark_us = (position.watermark_us != i64::MIN).then_some(position.watermark_us);
            let (next_offset, gap, lost) = (position.next_offset, position.gap(), position.counts.lost);
            let committed = CommittedPosition { next_offset, watermark_us, gap, lost };
            self.metrics.position(position.tp.topic.name(), position.tp.partition, &committed);
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

    fn parked(&self, parked: &Parked) {
        let Parked { tp, offset, since_us, .. } = *parked;
        let (topic, partition, cause) = (tp.topic.name(), tp.partition, parked.cause.label());
        self.metrics.parked(topic, partition, offset, cause);
        self.health.parked(ParkedReport { topic, partition, offset, cause, since_us, text: parked.to_string() });
    }

    fn unparked(&self, tp: TopicPartition) {
        self.metrics.unparked(tp.topic.name(), tp.partition);
        self.health.unparked(tp.topic.name(), tp.partition);
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
    use pipeline::{Counts, ParkCause, Position};

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

    /// I5: the outcomes of a scrape add up to the offsets passed, without those that an operator
    /// passed over.
    #[test]
    fn each_record_has_one_outcome() {
        let counts =
            Counts { applied: 1, duplicate: 6, behind: 2, ignored: 12, unknown: 4, dead: 8, holes: 16, lost: 32 };
        assert_eq!(outcomes(&counts), [1, 4, 2, 8, 4, 8, 16]);
        assert_eq!(outcomes(&counts).iter().sum::<u64>(), (counts.total() - counts.lost) as u64);
    }

    /// I7: a parked partition is told with cause and offset, and is left out of the lag that
    /// scaling reads.
    #[test]
    fn a_parked_partition_reaches_metrics_and_health_and_leaves_the_lag() {
        let (metrics, health) = (Metrics::new().unwrap(), Health::new());
        let observer = WorkerObserver::new(metrics.worker("projector", "projector-0"), health.register("projector-0"));
        let [tp, other] = [1, 2].map(|partition| TopicPartition::new(Topic::SporeCreated, partition));
        observer.ready();
        observer.owned(&[tp, other]);
        observer.lag(tp, 900);
        observer.lag(other, 3);
        observer.owned(&[other]);
        let cause = ParkCause::Unreadable("a damaged batch".to_owned());
        let parked = Parked { projection: "views", tp, offset: 7, cause, since_us: 1 };
        observer.parked(&parked);
        let labels = r#"partition="1",role="projector",topic="spore.created",worker="projector-0""#;
        let text = metrics.render(0);
        let gauge = format!(r#"sporelog_partition_parked{{cause="unreadable",{labels}}} 1"#);
        assert!(text.contains(&gauge), "{text}");
        assert!(text.contains(&format!("sporelog_partition_parked_offset{{{labels}}} 7")), "{text}");
        assert_eq!((metrics.snapshot()[0].lag_records, metrics.snapshot()[0].parked), (3, 1));
        assert!(!text.contains(&format!("sporelog_lag_records{{{labels}}}")), "{text}");
        assert!(health.is_ready(), "the worker goes on");
        assert!(health.report()[0].parked[0].text.contains("spore.created/1 is parked at offset 7: a damaged batch"));

        let cause = ParkCause::OutOfRange { start: 9, end: 12 };
        observer.parked(&Parked { cause, ..parked });
        let text = metrics.render(0);
        assert!(!text.contains(&gauge), "one cause at a time: {text}");
        assert!(text.contains(&format!(r#"sporelog_partition_parked{{cause="out_of_range",{labels}}} 1"#)), "{text}");
        observer.unparked(tp);
        assert!(!metrics.render(0).contains("sporelog_partition_parked{"));
        assert!(!metrics.render(0).contains("sporelog_partition_parked_offset{"));
        assert_eq!((metrics.snapshot()[0].parked, health.report()[0].parked.len()), (0, 0));
    }
}
