//! How a worker batches, waits and gives up.

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
    /// How long an event id without a sequence number is remembered, in append time.
    pub horizon_ms: u64,
    /// How many of them at most, per partition.
    pub horizon_max_entries: usize,
    /// How many producers' marks are kept in memory, per partition.
    pub max_marks: usize,
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
            horizon_ms: 120_000,
            // A set of 131,072 slots that is emptied as it is filled stays as large up to 57,344; a few more double it.
            horizon_max_entries: 57_000,
            max_marks: 16_384,
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
    /// The horizon in microseconds.
    #[must_use]
    pub fn horizon_us(&self) -> i64 {
        i64::try_from(self.horizon_ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// The largest age of a batch in microseconds.
    #[must_use]
    pub fn linger_us(&self) -> i64 {
        i64::try_from(self.batch_linger_ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }
}
