//! The declared metrics: name, kind, labels and what each means. `docs/metrics.md` is made from this list.

use std::fmt::Write as _;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution over these upper bounds.
    Histogram(&'static [f64]),
}

/// One declared metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricDef {
    /// The name.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

const WORKER: &[&str] = &["role", "worker"];
const PARTITION: &[&str] = &["role", "worker", "topic", "partition"];
const PARKED_PARTITION: &[&str] = &["role", "worker", "topic", "partition", "cause"];
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];
const RECORDS: &[f64] = &[1.0, 10.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 25_000.0, 100_000.0];
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 5e5, 1e6, 2e6, 4e6, 8e6, 1.6e7, 3.2e7, 6.4e7];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, $labels:expr, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: MetricDef =
            MetricDef { name: $name, kind: $kind, labels: $labels, help: $help };)*

        /// Every declared metric, in the order of the documentation.
        pub const ALL: &[MetricDef] = &[$($constant,)*];
    };
}

metrics! {
    BUILD_INFO = "sporelog_build_info", Kind::Gauge, &["version"],
        "Always 1; the label is the running version.";
    LAG_RECORDS = "sporelog_lag_records", Kind::Gauge, PARTITION,
        "Records between the committed position and the end of the partition's log; absent while it is parked.";
    PARTITION_PARKED = "sporelog_partition_parked", Kind::Gauge, PARKED_PARTITION,
        "1 while the partition is parked: neither read nor committed, and tried again (I7); absent otherwise.";
    PARKED_OFFSET = "sporelog_partition_parked_offset", Kind::Gauge, PARTITION,
        "The offset at which the partition is parked; absent otherwise.";
    NEXT_OFFSET = "sporelog_position_next_offset", Kind::Gauge, PARTITION,
        "The next offset that the projection will read, as committed.";
    WATERMARK_AGE = "sporelog_watermark_age_seconds", Kind::Gauge, PARTITION,
        "The age of the partition's watermark at the scrape; absent before the first applied record.";
    ACCOUNTING_GAP = "sporelog_accounting_gap", Kind::Gauge, PARTITION,
        "Offsets passed but not accounted for; anything but 0 is a bug (I5).";
    LOST_RECORDS = "sporelog_position_lost_records", Kind::Gauge, PARTITION,
        "Offsets that `sporelog projection skip` has passed over, as committed with the position.";
    RECORDS_TOTAL = "sporelog_records_total", Kind::Counter, &["role", "worker", "outcome"],
        "Records committed, each under one outcome: applied, duplicate, behind (a duplicate by its producer's floor), ignored, unknown (ignored, since this binary does not know its kind), dead, holes.";
    DEAD_LETTERS_TOTAL = "sporelog_dead_letters_total", Kind::Counter, &["role", "worker", "reason"],
        "Records sent to the dead-letter topic, by kind of reason; a repeat after a crash counts again.";
    END_TO_END = "sporelog_end_to_end_latency_seconds", Kind::Histogram(SECONDS), WORKER,
        "From append to commit, for the oldest and the newest record of every batch.";
    BATCH_RECORDS = "sporelog_batch_records", Kind::Histogram(RECORDS), WORKER,
        "Records per committed batch.";
    BATCH_BYTES = "sporelog_batch_bytes", Kind::Histogram(BYTES), WORKER,
        "Bytes of records per committed batch.";
    COMMIT_SECONDS = "sporelog_commit_seconds", Kind::Histogram(SECONDS), WORKER,
        "The time the store takes for one commit.";
    ROWS_TOTAL = "sporelog_rows_written_total", Kind::Counter, WORKER,
        "Rows written, after the deltas of a batch were merged per key.";
    ROW_CACHE_HITS = "sporelog_row_cache_hits_total", Kind::Counter, WORKER,
        "Rows with state that were found in the worker's cache.";
    ROW_CACHE_MISSES = "sporelog_row_cache_misses_total", Kind::Counter, WORKER,
        "Rows with state that had to be loaded from the store.";
    IN_FLIGHT_BYTES = "sporelog_in_flight_bytes", Kind::Gauge, WORKER,
        "Bytes that the batch in the making holds.";
    FENCED_TOTAL = "sporelog_fenced_commits_total", Kind::Counter, WORKER,
        "Commits refused because another worker had claimed the partitions (I3).";
    PAUSED = "sporelog_paused", Kind::Gauge, &["role", "worker", "reason"],
        "1 while the worker waits, by reason: log, store, registry, dead_letter_flood.";
    POOL = "sporelog_store_pool", Kind::Gauge, &["store", "state"],
        "A store's client at the scrape: connections or statements in_use, idle, and callers that are waiting for one.";
    RETRIES_TOTAL = "sporelog_retries_total", Kind::Counter, WORKER,
        "Waits before trying a log or store again.";
}

/// `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(PREFACE);
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let _ = writeln!(out, "| `{}` | {kind} | {} | {} |", metric.name, metric.labels.join(", "), metric.help);
    }
    out
}

const PREFACE: &str = "# Metrics

<!-- Made from the code by `sporelog docs metrics`; a test holds this file equal to it. -->

`/metrics` on `http.listen` serves these in Prometheus' text form. `role` is ingest, projector or aggregator;
`worker` is the role with a number. Series of a partition vanish when the worker gives the partition up;
of a parked one, all but those that say so.

| name | kind | labels | meaning |
|---|---|---|---|
";
