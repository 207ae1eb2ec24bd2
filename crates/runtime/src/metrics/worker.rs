//! The handles of one worker: taken once, then written without look-ups by label.

use super::families::Families;
use pipeline::Paused;
use prometheus::{Histogram, IntCounter, IntGauge};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can become of a record, as labels: each record has one of them.
pub const OUTCOMES: [&str; 7] = ["applied", "duplicate", "behind", "ignored", "unknown", "dead", "holes"];

/// Numbers of records, in the order of [`OUTCOMES`].
pub type Outcomes = [u64; OUTCOMES.len()];

/// A committed batch, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Records by outcome.
    pub outcomes: Outcomes,
    /// The number of records.
    pub records: usize,
    /// Their size, in bytes.
    pub bytes: usize,
    /// The rows written.
    pub rows: usize,
    /// The time of the store's commit, in microseconds.
    pub commit_us: i64,
    /// From append to commit, in microseconds: of the oldest and the newest record.
    pub latency_us: [i64; 2],
}

/// What a worker has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSnapshot {
    /// The role.
    pub role: &'static str,
    /// The worker.
    pub worker: String,
    /// Records by outcome.
    pub outcomes: Outcomes,
    /// Records not yet committed, over all partitions that are read.
    pub lag_records: i64,
    /// The partitions that are read.
    pub partitions: usize,
    /// The partitions that are parked.
    pub parked: usize,
}

/// A partition's committed position, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommittedPosition {
    /// The next offset to read.
    pub next_offset: i64,
    /// The watermark in us, if there is one yet.
    pub watermark_us: Option<i64>,
    /// What its account leaves open (I5).
    pub gap: i64,
    /// What an operator has passed over.
    pub lost: i64,
}

/// The metrics of one worker. Clones share them.
#[derive(Clone, Debug)]
pub struct WorkerMetrics(Arc<Held>);

#[derive(Debug)]
struct Held {
    families: Arc<Families>,
    role: &'static str,
    worker: String,
    outcomes: [IntCounter; OUTCOMES.len()],
    end_to_end: Histogram,
    batch_records: Histogram,
    batch_bytes: Histogram,
    commit_seconds: Histogram,
    rows: IntCounter,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    in_flight: IntGauge,
    fenced: IntCounter,
    retries: IntCounter,
    paused: Mutex<Option<Paused>>,
    partitions: Mutex<BTreeMap<(&'static str, u32), Partition>>,
    /// The parked partitions, with the label of each one's cause.
    parked: Mutex<BTreeMap<(&'static str, u32), &'static str>>,
}

#[derive(Debug)]
struct Partition {
    number: String,
    lag: IntGauge,
    next_offset: IntGauge,
    gap: IntGauge,
    lost: IntGauge,
    watermark_us: Option<i64>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_cause<'a>([role, worker, topic, partition]: [&'a str; 4], cause: &'a str) -> [&'a str; 5] {
    [role, worker, topic, partition, cause]
}

fn seconds(us: i64) -> f64 {
    us.max(0) as f64 / 1e6
}

impl WorkerMetrics {
    pub(super) fn new(families: Arc<Families>, role: &'static str, worker: &str) -> Self {
        let labels = &[role, worker];
        Self(Arc::new(Held {
            role,
            worker: worker.to_owned(),
            outcomes: OUTCOMES.map(|outcome| families.records.with_label_values(&[role, worker, outcome])),
            end_to_end: families.end_to_end.with_label_values(labels),
            batch_records: families.batch_records.with_label_values(labels),
            batch_bytes: families.batch_bytes.with_label_values(labels),
            commit_seconds: families.commit_seconds.with_label_values(labels),
            rows: families.rows.with_label_values(labels),
            cache_hits: families.cache_hits.with_label_values(labels),
            cache_misses: families.cache_misses.with_label_values(labels),
            in_flight: families.in_flight.with_label_values(labels),
            fenced: families.fenced.with_label_values(labels),
            retries: families.retries.with_label_values(labels),
            paused: Mutex::new(None),
            partitions: Mutex::new(BTreeMap::new()),
            parked: Mutex::new(BTreeMap::new()),
            families,
        }))
    }

    /// A batch was committed.
    pub fn committed(&self, commit: &Commit) {
        for (counter, count) in self.0.outcomes.iter().zip(commit.outcomes) {
            counter.inc_by(count);
        }
        self.0.batch_records.observe(commit.records as f64);
        self.0.batch_bytes.observe(commit.bytes as f64);
        self.0.rows.inc_by(commit.rows as u64);
        self.0.commit_seconds.observe(seconds(commit.commit_us));
        for latency_us in commit.latency_us {
            self.0.end_to_end.observe(seconds(latency_us));
        }
    }

    /// A partition's committed position.
    pub fn position(&self, topic: &'static str, partition: u32, position: &CommittedPosition) {
        self.with_partition(topic, partition, |held| {
            held.next_offset.set(position.next_offset);
            held.gap.set(position.gap);
            held.lost.set(position.lost);
            held.watermark_us = position.watermark_us;
        });
    }

    /// A partition is parked at this offset. Called again where it is tried in vain, maybe for another cause.
    pub fn parked(&self, topic: &'static str, partition: u32, offset: i64, cause: &'static str) {
        let number = partition.to_string();
        let labels = [self.0.role, self.0.worker.as_str(), topic, number.as_str()];
        let families = &self.0.families;
        let mut parked = held(&self.0.parked);
        match parked.entry((topic, partition)) {
            Entry::Occupied(mut entry) => {
                let former = entry.insert(cause);
                if former != cause {
                    let _ = families.parked.remove_label_values(&with_cause(labels, former));
                }
            }
            Entry::Vacant(entry) => {
                entry.insert(cause);
            }
        }
        families.parked.with_label_values(&with_cause(labels, cause)).set(1);
        families.parked_offset.with_label_values(&labels).set(offset);
    }

    /// A partition is parked no longer.
    pub fn unparked(&self, topic: &'static str, partition: u32) {
        let Some(cause) = held(&self.0.parked).remove(&(topic, partition)) else { return };
        let number = partition.to_string();
        let labels = [self.0.role, self.0.worker.as_str(), topic, number.as_str()];
        let _ = self.0.families.parked.remove_label_values(&with_cause(labels, cause));
        let _ = self.0.families.parked_offset.remove_label_values(&labels);
    }

    /// How far a partition's end is ahead of what is committed.
    pub fn lag(&self, topic: &'static str, partition: u32, records: i64) {
        self.with_partition(topic, partition, |held| held.lag.set(records));
    }

    /// These are all the partitions owned now; series of others vanish.
    pub fn owned(&self, partitions: &[(&'static str, u32)]) {
        let mut kept = held(&self.0.partitions);
        let families = &self.0.families;
        kept.retain(|(topic, number), partition| {
            let owned = partitions.contains(&(topic, *number));
            if !owned {
                let labels = &[self.0.role, self.0.worker.as_str(), topic, partition.number.as_str()];
                for family in [&families.lag, &families.next_offset, &families.gap, &families.lost] {
                    let _ = family.remove_label_values(labels);
                }
                let _ = families.watermark_age.remove_label_values(labels);
            }
            owned
        });
    }

    /// A record went to the dead-letter topic, for a reason of this kind.
    pub fn dead(&self, reason: &'static str) {
        self.0.families.dead_letters.with_label_values(&[self.0.role, self.0.worker.as_str(), reason]).inc();
    }

    /// Look-ups of a batch in the row cache.
    pub fn row_cache(&self, hits: usize, misses: usize) {
        self.0.cache_hits.inc_by(hits as u64);
        self.0.cache_misses.inc_by(misses as u64);
    }

    /// Bytes that the batch in the making holds.
    pub fn in_flight(&self, bytes: usize) {
        self.0.in_flight.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A commit was fenced.
    pub fn fenced(&self) {
        self.0.fenced.inc();
    }

    /// The worker waits before it tries again.
    pub fn retried(&self) {
        self.0.retries.inc();
    }

    /// The worker waits, or (`None`) works.
    pub fn paused(&self, reason: Option<Paused>) {
        let mut current = held(&self.0.paused);
        if *current == reason {
            return;
        }
        let set = |reason: Option<Paused>, value| {
            let Some(reason) = reason else { return };
            self.0.families.paused.with_label_values(&[self.0.role, self.0.worker.as_str(), reason.label()]).set(value);
        };
        set(*current, 0);
        set(reason, 1);
        *current = reason;
    }

    /// What the worker has done so far.
    #[must_use]
    pub fn snapshot(&self) -> WorkerSnapshot {
        let partitions = held(&self.0.partitions);
        WorkerSnapshot {
            role: self.0.role,
            worker: self.0.worker.clone(),
            outcomes: std::array::from_fn(|ix| self.0.outcomes[ix].get()),
            lag_records: partitions.values().map(|partition| partition.lag.get()).sum(),
            partitions: partitions.len(),
            parked: held(&self.0.parked).len(),
        }
    }

    /// Writes the ages of watermarks as of `now_us`.
    pub(super) fn age(&self, now_us: i64) {
        for ((topic, _), partition) in held(&self.0.partitions).iter() {
            let Some(watermark_us) = partition.watermark_us else {
                continue;
            };
            let labels = &[self.0.role, self.0.worker.as_str(), topic, partition.number.as_str()];
            self.0.families.watermark_age.with_label_values(labels).set(seconds(now_us - watermark_us));
        }
    }

    fn with_partition(&self, topic: &'static str, partition: u32, write: impl FnOnce(&mut Partition)) {
        let mut partitions = held(&self.0.partitions);
        let handle = partitions.entry((topic, partition)).or_insert_with(|| {
            let number = partition.to_string();
            let families = &self.0.families;
            let labels = &[self.0.role, self.0.worker.as_str(), topic, number.as_str()];
            Partition {
                lag: families.lag.with_label_values(labels),
                next_offset: families.next_offset.with_label_values(labels),
                gap: families.gap.with_label_values(labels),
                lost: families.lost.with_label_values(labels),
                watermark_us: None,
                number,
            }
        });
        write(handle);
    }
}
