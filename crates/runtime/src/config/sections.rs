//! The tree of options. Doc comments and ranges here are what the documentation prints and the
//! loader checks.

use super::cluster::{KafkaSection, PostgresSection, RegistrySection, ScyllaSection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// All options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where data lies.
    pub data: DataSection,
    /// The embedded log.
    pub log: LogSection,
    /// The log on Kafka or Redpanda. Without `kafka.bootstrap` the log is the embedded one, and so
    /// are the stores.
    pub kafka: KafkaSection,
    /// The schema registry. Without `registry.url` events are framed by the fingerprint of their
    /// schema.
    pub registry: RegistrySection,
    /// Views and series in Postgres, with TimescaleDB and pgvector where they are there.
    pub postgres: PostgresSection,
    /// Records in Cassandra or ScyllaDB.
    pub scylla: ScyllaSection,
    /// The loop that all workers share.
    pub worker: WorkerSection,
    /// How repeated events are told from new ones.
    pub dedup: DedupSection,
    /// How many workers of each role run.
    pub roles: RolesSection,
    /// The HTTP server for health and metrics.
    pub http: HttpSection,
    /// What the process says about itself.
    pub telemetry: TelemetrySection,
    /// The simulated population.
    pub simulate: SimulateSection,
}

/// Where data lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// The folder that holds the embedded log (`log.db`) and stores (`store.db`).
    pub dir: PathBuf,
}

impl Default for DataSection {
    fn default() -> Self {
        Self { dir: PathBuf::from("data") }
    }
}

/// The embedded log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// The file that declares topics, partitions and retention; without one, the copy built into
    /// the binary.
    pub topics_file: Option<PathBuf>,
    /// The profile of the topics file: partitions and replicas are taken from it.
    pub profile: String,
    /// The largest record (key, value and headers together) that the log takes.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_record_bytes: u64,
    /// Records that wait for their fsync may hold this much together; producers wait above that.
    #[schemars(range(min = 1024, max = 4_294_967_296_u64))]
    pub queue_bytes: u64,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { topics_file: None, profile: "local".to_owned(), max_record_bytes: 8 << 20, queue_bytes: 64 << 20 }
    }
}

/// The loop that all workers share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSection {
    /// A batch is closed when its records hold this much.
    #[schemars(range(min = 1024))]
    pub batch_max_bytes: u64,
    /// A batch is closed when it has this many records.
    #[schemars(range(min = 1))]
    pub batch_max_records: u64,
    /// A batch is closed this long after its first record.
    #[schemars(range(max = 60_000))]
    pub batch_linger_ms: u64,
    /// The memory that each worker may hold in cached rows.
    pub row_cache_bytes: u64,
    /// How long a worker may take to finish its batch on shutdown.
    #[schemars(range(min = 1))]
    pub drain_deadline_ms: u64,
    /// The wait before the first retry while a log or store is down.
    #[schemars(range(min = 1))]
    pub backoff_initial_ms: u64,
    /// The longest wait between retries.
    #[schemars(range(min = 1))]
    pub backoff_max_ms: u64,
    /// A worker pauses and is not ready from this many dead letters among its last 10,000 records
    /// on.
    #[schemars(range(min = 1, max = 10_000))]
    pub dead_letter_flood_limit: u64,
    /// How long each such pause lasts.
    #[schemars(range(min = 1))]
    pub dead_letter_flood_pause_ms: u64,
    /// The wait before a parked partition is tried again for the first time.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub park_retry_ms: u64,
    /// The longest wait between two tries of a parked partition.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub park_retry_max_ms: u64,
}

impl Default for WorkerSection {
    fn default() -> Self {
        Self {
            batch_max_bytes: 8 << 20,
            batch_max_records: 10_000,
            batch_linger_ms: 10,
            row_cache_bytes: 32 << 20,
            drain_deadline_ms: 4_000,
            backoff_initial_ms: 50,
            backoff_max_ms: 5_000,
            dead_letter_flood_limit: 5_000,
            dead_letter_flood_pause_ms: 10_000,
            park_retry_ms: 5_000,
            park_retry_max_ms: 60_000,
        }
    }
}

impl WorkerSection {
    /// How long a worker may take to finish its batch on shutdown.
    #[must_use]
    pub const fn drain_deadline(&self) -> Duration {
        Duration::from_millis(self.drain_deadline_ms)
    }
}

/// How repeated events are told from new ones. Window and cap are stored with the rows that they
/// helped to make: another value is refused, since it would make other rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DedupSection {
    /// How long, in append time since its last occurrence, the id of an event without
    /// `producer_seq` is remembered.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub window_ms: u64,
    /// How many valid events without `producer_seq` may lie between two occurrences of an id in a
    /// partition. Each takes about 16 bytes of memory, in each partition.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_records: u64,
    /// A producer that was silent for this long, in append time, is remembered by its largest
    /// `producer_seq` alone: what it sends below that then counts as a repeat.
    #[schemars(range(min = 60_000, max = 315_360_000_000_u64))]
    pub forget_after_ms: u64,
}

impl Default for DedupSection {
    fn default() -> Self {
        Self { window_ms: 120_000, max_records: 57_000, forget_after_ms: 30 * 86_400_000 }
    }
}

/// How many workers of each role run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RolesSection {
    /// Workers that write records; 0 runs none.
    #[schemars(range(max = 64))]
    pub ingest_workers: u32,
    /// Workers that write views; 0 runs none.
    #[schemars(range(max = 64))]
    pub projector_workers: u32,
    /// Workers that write series; 0 runs none.
    #[schemars(range(max = 64))]
    pub aggregator_workers: u32,
}

impl Default for RolesSection {
    fn default() -> Self {
        Self { ingest_workers: 1, projector_workers: 1, aggregator_workers: 1 }
    }
}

/// The HTTP server for health and metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Whether to serve `/healthz`, `/readyz` and `/metrics`.
    pub enabled: bool,
    /// The address and port to listen on; port 0 takes any free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 8787)) }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line to read.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What the process says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySection {
    /// The form of log lines, which go to standard error.
    pub log_format: LogFormat,
    /// The least severe level that is logged (`error`, `warn`, `info`, `debug`, `trace`), or
    /// directives by module, such as `info,embedded=debug`. A plain `error`, `warn` or `info`
    /// leaves out what the clients of Kafka and Cassandra repeat while an engine is down: the
    /// workers say it themselves.
    pub log_level: String,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self { log_format: LogFormat::Human, log_level: "info".to_owned() }
    }
}

/// The simulated population.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimulateSection {
    /// Events published per second, over all agents.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate_per_s: u32,
    /// The size of the population.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub agents: u32,
    /// The seed: the same seed gives the same population and the same events.
    pub seed: u64,
}

impl Default for SimulateSection {
    fn default() -> Self {
        Self { rate_per_s: 50, agents: 200, seed: 42 }
    }
}
