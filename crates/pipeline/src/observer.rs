//! What a worker tells the outside while it runs: metrics, health and, in tests, the steps at which to fail.

use crate::outcome::DeadKind;
use crate::park::Parked;
use crate::position::{Counts, Position};
use domain::TopicPartition;

/// The named steps of the loop, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A page was fetched.
    Fetch,
    /// A batch was decoded, admitted and folded.
    Fold,
    /// The rows with state were loaded and merged.
    Load,
    /// The store is about to be written.
    Store,
    /// Every statement was answered, and dead letters and derived events were published.
    Publish,
    /// The transaction is about to commit.
    BeforeCommit,
    /// The transaction has committed.
    AfterCommit,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Step; 7] =
        [Step::Fetch, Step::Fold, Step::Load, Step::Store, Step::Publish, Step::BeforeCommit, Step::AfterCommit];

    /// The step's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Step::Fetch => "fetch",
            Step::Fold => "fold",
            Step::Load => "load",
            Step::Publish => "publish",
            Step::Store => "store",
            Step::BeforeCommit => "before-commit",
            Step::AfterCommit => "after-commit",
        }
    }

    /// The step of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Step> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

/// What a worker waits for: a closed set, since it is a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// The log is down, or slow.
    Log,
    /// The store is down, or slow.
    Store,
    /// The schema registry is down, or slow, or refuses a schema.
    Registry,
    /// Too many of the last records were dead.
    DeadLetterFlood,
}

impl Paused {
    /// The label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Paused::Log => "log",
            Paused::Store => "store",
            Paused::Registry => "registry",
            Paused::DeadLetterFlood => "dead_letter_flood",
        }
    }
}

/// A commit that succeeded.
#[derive(Clone, Copy, Debug)]
pub struct Committed<'a> {
    /// What happened to the records of the batch, in all partitions.
    pub counts: Counts,
    /// The number of records.
    pub records: usize,
    /// Their size in memory, in bytes.
    pub bytes: usize,
    /// The rows written.
    pub rows: usize,
    /// From the fold's start to the commit, in microseconds.
    pub took_us: i64,
    /// The store's part of it, in microseconds.
    pub commit_us: i64,
    /// The wall time now, in us; minus a record's append time it is the end-to-end latency.
    pub now_us: i64,
    /// The positions as committed.
    pub positions: &'a [Position],
    /// The append times in the batch, in us: of the oldest and the newest record.
    pub append_us: (i64, i64),
}

/// Receives what a worker has to tell. Every method does nothing unless overridden.
pub trait Observer {
    /// A step was reached.
    fn step(&self, step: Step) {
        let _ = step;
    }
    /// A batch was committed.
    fn committed(&self, committed: &Committed<'_>) {
        let _ = committed;
    }
    /// How far the partition's end is ahead of what is committed, in records.
    fn lag(&self, tp: TopicPartition, records: i64) {
        let _ = (tp, records);
    }
    /// These partitions are owned now.
    fn owned(&self, tps: &[TopicPartition]) {
        let _ = tps;
    }
    /// A record went to the dead-letter topic.
    fn dead(&self, kind: DeadKind) {
        let _ = kind;
    }
    /// Row-cache look-ups of a batch.
    fn row_cache(&self, hits: usize, misses: usize) {
        let _ = (hits, misses);
    }
    /// Bytes held by the batch in the making.
    fn in_flight(&self, bytes: usize) {
        let _ = bytes;
    }
    /// A commit was fenced: another worker holds the partitions.
    fn fenced(&self) {}
    /// A partition is parked, or was tried again in vain (I7).
    fn parked(&self, parked: &Parked) {
        let _ = parked;
    }
    /// A partition is parked no longer: it is read again, or has gone elsewhere.
    fn unparked(&self, tp: TopicPartition) {
        let _ = tp;
    }
    /// The worker waits, for this reason; it is not ready.
    fn paused(&self, cause: Paused, reason: &str) {
        let _ = (cause, reason);
    }
    /// The worker works.
    fn ready(&self) {}
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
