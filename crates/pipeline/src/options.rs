//! How a worker batches, waits and gives up.

use crate::dedup::{DedupOptions, WindowBounds};
use crate::ports::DedupSettings;
use domain::{Topic, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The reasons of dead records, by partition and offset.
pub type KnownDead = BTreeMap<TopicPartition, BTreeMap<i64, String>>;

/// The options of a worker. Units are in the names.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// A batch closes at this many records.
    pub batch_max_records: usize,
    /// A batch closes at this much memory.
    pub batch_max_bytes: usize,
    /// A batch closes at this age.
    pub batch_linger_ms: u64,
    /// How long a worker with nothing to do waits before it looks around.
    pub idle_wait_ms: u64,
    /// The memory for committed rows with state.
    pub row_cache_bytes: usize,
    /// How long the id of an event without a sequence number counts as seen since its last occurrence, in append time.
    pub dedup_window_ms: u64,
    /// How many valid records without a sequence number may lie between two occurrences of an id, per partition.
    pub dedup_max_records: u32,
    /// A producer silent for longer than this, in append time, is remembered by its largest number alone.
    pub dedup_forget_after_ms: u64,
    /// How many producers' sequences are kept in memory, per partition.
    pub max_producers: usize,
    /// How long each topic keeps its records, in us: nothing older is remembered of a producer.
    pub retention_us: [i64; Topic::ALL.len()],
    /// The largest record that the log takes, in bytes of key, value and headers: a dead letter is cut to it.
    pub max_record_bytes: usize,
    /// The first wait before a parked partition is tried again.
    pub park_retry_ms: u64,
    /// The longest one.
    pub park_retry_max_ms: u64,
    /// Records that are dead whatever today's rules say: those of the store that is verified.
    pub known_dead: Option<Arc<KnownDead>>,
    /// The first wait after a failure.
    pub backoff_initial_ms: u64,
    /// The longest wait after failures.
    pub backoff_max_ms: u64,
    /// How long the last commit may take at shutdown.
    pub drain_deadline_ms: u64,
    /// A batch in a flood of dead letters waits this long before they are published.
    pub flood_pause_ms: u64,
    /// It is a flood from this many dead letters in the last ten thousand records on.
    pub flood_dead_letters: usize,
    /// Whether derived events are published; a rebuild publishes nothing.
    pub derives: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            batch_max_records: 10_000,
            batch_max_bytes: 8 << 20,
            batch_linger_ms: 10,
            idle_wait_ms: 5_000,
            row_cache_bytes: 32 << 20,
            dedup_window_ms: 120_000,
            // A table of 131,072 slots that is emptied as it is filled stays as large up to 57,344; a few more double it.
            dedup_max_records: 57_000,
            dedup_forget_after_ms: 30 * 86_400_000,
            max_producers: 16_384,
            retention_us: [i64::MAX; Topic::ALL.len()],
            max_record_bytes: 8 << 20,
            park_retry_ms: 5_000,
            park_retry_max_ms: 60_000,
            known_dead: None,
            backoff_initial_ms: 50,
            backoff_max_ms: 5_000,
            drain_deadline_ms: 4_000,
            flood_pause_ms: 10_000,
            flood_dead_letters: 5_000,
            derives: true,
        }
    }
}

impl WorkerOptions {
    /// What is stored with a projection's version.
    #[must_use]
    pub fn dedup_settings(&self) -> DedupSettings {
        let window_ms = i64::try_from(self.dedup_window_ms).unwrap_or(i64::MAX);
        DedupSettings { window_ms, max_records: self.dedup_max_records.into() }
    }

    /// The rules of deduplication.
    #[must_use]
    pub fn dedup(&self) -> DedupOptions {
        DedupOptions {
            bounds: WindowBounds { window_us: micros(self.dedup_window_ms), max_records: self.dedup_max_records },
            max_producers: self.max_producers.max(1),
            forget_after_us: micros(self.dedup_forget_after_ms),
            retention_us: self.retention_us,
        }
    }

    /// The largest age of a batch in microseconds.
    #[must_use]
    pub fn linger_us(&self) -> i64 {
        micros(self.batch_linger_ms)
    }
}

fn micros(ms: u64) -> i64 {
    i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
}
