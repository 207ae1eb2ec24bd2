//! Where a worker's measure begins and ends: from the first partition that it starts to read, to the commit after which
//! so many events are done. Joining the group, which a worker does once in its life, is not in it.

use crate::child::Spec;
use crate::measure::{Measured, Meter, Point, memory_mib};
use domain::TopicPartition;
use pipeline::{Committed, GroupOffset, LogError, LogIdentity, LogRange, Observer, Polled, Source};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// A commit: partition, next offset, when (us).
pub type Commit = (TopicPartition, i64, i64);

/// The marks of all workers of a process.
#[derive(Clone)]
pub struct Marks(Arc<Mutex<State>>);

struct State {
    spec: Spec,
    meter: Option<Meter>,
    so_far: Measured,
    keep_commits: bool,
    commits: Vec<Commit>,
    done: Option<UnboundedSender<Measured>>,
}

impl Marks {
    /// Marks that tell when `spec.limit` events are done; with `keep_commits` every commit is remembered.
    pub fn new(spec: &Spec, keep_commits: bool, done: UnboundedSender<Measured>) -> Self {
        let (spec, so_far) = (spec.clone(), Measured::default());
        Self(Arc::new(Mutex::new(State {
            spec,
            meter: None,
            so_far,
            keep_commits,
            commits: Vec::new(),
            done: Some(done),
        })))
    }

    fn begin(&self) {
        let mut state = self.0.lock().unwrap();
        let pids = state.spec.pids;
        state.meter.get_or_insert_with(|| Meter::process(pids));
    }

    /// Every commit so far.
    pub fn commits(&self) -> Vec<Commit> {
        self.0.lock().unwrap().commits.clone()
    }
}

impl Observer for Marks {
    fn committed(&self, committed: &Committed<'_>) {
        assert_eq!(committed.counts.dead, 0, "the input is valid");
        let state = &mut *self.0.lock().unwrap();
        if state.keep_commits {
            let commit = |position: &pipeline::Position| (position.tp, position.next_offset, committed.now_us);
            state.commits.extend(committed.positions.iter().map(commit));
        }
        let Some(meter) = state.meter else { return };
        let (so_far, limit) = (&mut state.so_far, state.spec.limit);
        let eighth = |events: u64| events * 8 / limit.max(1);
        let before = eighth(so_far.events);
        so_far.events += committed.records as u64;
        so_far.rows += committed.rows as u64;
        so_far.batches += 1;
        if eighth(so_far.events) > before {
            let (wall_s, resident_mib) = (meter.elapsed_s(), memory_mib("VmRSS:"));
            so_far.timeline.push(Point { events: so_far.events, wall_s, resident_mib });
        }
        if so_far.events >= limit
            && let Some(done) = state.done.take()
        {
            let Measured { events, rows, batches, timeline, .. } = so_far.clone();
            let _ = done.send(Measured { rows, batches, timeline, ..meter.spent(events as usize) });
        }
    }

    fn paused(&self, cause: pipeline::Paused, reason: &str) {
        eprintln!("paused: {}: {reason}", cause.label());
    }
}

/// A source that marks the beginning.
pub struct Marked<S>(pub S, pub Marks);

impl<S: Source> Source for Marked<S> {
    async fn next(&mut self, wait: Duration) -> Result<Polled, LogError> {
        self.0.next(wait).await
    }

    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        self.0.identity(tp).await
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.0.range(tp).await
    }

    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        self.0.offset_at(tp, append_time_us).await
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        self.1.begin();
        self.0.seek(tp, offset).await
    }

    fn halt(&mut self, tp: TopicPartition) {
        self.0.halt(tp);
    }

    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        self.0.assignment().await
    }

    async fn release(&mut self, tps: &[TopicPartition]) -> Result<(), LogError> {
        self.0.release(tps).await
    }

    async fn committed(&mut self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        self.0.committed(tps).await
    }

    async fn commit(&mut self, offsets: &[GroupOffset]) -> Result<(), LogError> {
        self.0.commit(offsets).await
    }

    fn mirror(&mut self, positions: &[(TopicPartition, i64)]) {
        self.0.mirror(positions);
    }
}
