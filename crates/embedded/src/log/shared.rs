//! What writer, readers and members of a log share in memory.

use super::LogOptions;
use super::assigner::Assigner;
use super::schema::Layout;
use domain::partitioner::partition_for;
use domain::{Topic, TopicPartition};
use pipeline::{Clock, LogError};
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The part of a clock that the log needs, as a trait object.
pub(super) trait Now: Send + Sync {
    /// Microseconds since 1970.
    fn wall_us(&self) -> i64;
    /// Microseconds that never go back.
    fn monotonic_us(&self) -> i64;
}

impl<C: Clock + Send + Sync> Now for C {
    fn wall_us(&self) -> i64 {
        self.now_us()
    }

    fn monotonic_us(&self) -> i64 {
        Clock::monotonic_us(self)
    }
}

pub(super) struct Shared {
    pub(super) layout: Layout,
    /// The next offset of each slot, as committed.
    pub(super) ends: Vec<AtomicI64>,
    pub(super) woken: watch::Sender<u64>,
    pub(super) clock: Box<dyn Now>,
    assigner: Mutex<Assigner>,
    /// Counts changes of assignment.
    generation: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(layout: Layout, ends: Vec<i64>, options: &LogOptions, clock: Box<dyn Now>) -> Self {
        let grace_us = i64::try_from(options.grace.as_micros()).unwrap_or(i64::MAX / 2);
        Self {
            assigner: Mutex::new(Assigner::new(layout.counts(), grace_us)),
            layout,
            ends: ends.into_iter().map(AtomicI64::new).collect(),
            woken: watch::Sender::new(0),
            clock,
            generation: AtomicU64::new(0),
        }
    }

    pub(super) fn end(&self, slot: u32) -> i64 {
        self.ends.get(slot as usize).map_or(0, |end| end.load(Ordering::Acquire))
    }

    /// The partition that a key goes to.
    pub(super) fn place(&self, topic: Topic, key: &[u8]) -> Result<TopicPartition, LogError> {
        let partitions = self.layout.partitions(topic).unwrap_or(0);
        let tp = TopicPartition::new(topic, partition_for(key, partitions));
        self.layout.slot(tp).map(|_| tp)
    }

    pub(super) fn assigner(&self) -> MutexGuard<'_, Assigner> {
        self.assigner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Says that an assignment may have changed.
    pub(super) fn reassigned(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    /// Wakes every member that waits.
    pub(super) fn wake(&self) {
        self.woken.send_modify(|count| *count = count.wrapping_add(1));
    }
}
