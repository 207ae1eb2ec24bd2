//! The sections of a cluster: Kafka, the schema registry, Postgres, and Cassandra or ScyllaDB.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The log on Kafka or Redpanda. Without `kafka.bootstrap` the log is the embedded one, and so are
/// the stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSection {
    /// Brokers to begin with, `host:port` separated by commas. Setting it chooses the cluster.
    pub bootstrap: Option<String>,
    /// The id of the cluster that is meant: `topics` refuses any other.
    pub cluster_id: Option<String>,
    /// Goes before the name of every topic and consumer group, so that several pipelines can share
    /// a cluster.
    pub topic_prefix: String,
    /// Properties of librdkafka, a `name=value` on each line, such as those of SASL and TLS.
    pub properties: String,
    /// A file with further such properties, for those that are secret.
    pub properties_file: Option<PathBuf>,
    /// A name of this process that stays the same over restarts (static membership), unlike that of
    /// any other process of the pipeline: its workers' partitions wait for it for a session
    /// timeout, also where it was stopped for good.
    pub group_instance_id: Option<String>,
    /// How long a worker may be silent before its partitions go to another one.
    #[schemars(range(min = 1000, max = 1_800_000))]
    pub session_timeout_ms: u64,
    /// The memory that each worker may hold in fetched records that it has not taken up yet.
    #[schemars(range(min = 65_536, max = 2_147_483_647_u64))]
    pub queue_bytes: u64,
    /// How long the brokers may take to acknowledge a record before the producer gives its batch
    /// back to be retried. Must be below `postgres.idle_in_transaction_timeout_ms`: derived events
    /// are published inside a transaction.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub delivery_timeout_ms: u64,
    /// How long nothing may come of a partition whose end is ahead before it is parked as stalled.
    #[schemars(range(min = 5000, max = 3_600_000))]
    pub stall_timeout_ms: u64,
}

impl Default for KafkaSection {
    fn default() -> Self {
        Self {
            bootstrap: None,
            cluster_id: None,
            topic_prefix: String::new(),
            properties: String::new(),
            properties_file: None,
            group_instance_id: None,
            session_timeout_ms: 45_000,
            queue_bytes: 12 << 20,
            delivery_timeout_ms: 15_000,
            stall_timeout_ms: 60_000,
        }
    }
}

/// The schema registry. Without `registry.url` events are framed by the fingerprint of their
/// schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrySection {
    /// The address under which `/subjects` lies.
    pub url: Option<String>,
    /// The user, where the registry wants one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// How long one request may take.
    #[schemars(range(min = 1))]
    pub timeout_ms: u64,
}

impl Default for RegistrySection {
    fn default() -> Self {
        Self { url: None, user: None, password: None, timeout_ms: 5_000 }
    }
}

/// Views and series in Postgres, with TimescaleDB and pgvector where they are there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSection {
    /// Where it answers: `postgres://user:password@host:5432/database?sslmode=require`.
    pub url: Option<String>,
    /// The most connections that one process opens.
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_max: u32,
    /// How long one statement may run; must be below `kafka.session_timeout_ms`.
    #[schemars(range(min = 1))]
    pub statement_timeout_ms: u64,
    /// How long a transaction may stand idle; must be below `kafka.session_timeout_ms` and above
    /// `kafka.delivery_timeout_ms`.
    #[schemars(range(min = 1))]
    pub idle_in_transaction_timeout_ms: u64,
    /// How long connecting, or waiting for a connection of the pool, may take.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
}

impl Default for PostgresSection {
    fn default() -> Self {
        Self {
            url: None,
            pool_max: 8,
            statement_timeout_ms: 30_000,
            idle_in_transaction_timeout_ms: 20_000,
            connect_timeout_ms: 5_000,
        }
    }
}

/// Records in Cassandra or ScyllaDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScyllaSection {
    /// Nodes to begin with, `host:port` separated by commas.
    pub nodes: Option<String>,
    /// The keyspace.
    pub keyspace: String,
    /// Copies of each row, as `migrate up` makes the keyspace: a number (`SimpleStrategy`, for one
    /// machine), or one for each datacenter, such as `dc1:3,dc2:3` (`NetworkTopologyStrategy`).
    pub replication: String,
    /// The datacenter whose nodes are asked first.
    pub local_dc: Option<String>,
    /// The user, where the nodes want one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// How many copies must answer: `one`, `local_one`, `quorum`, `local_quorum` or `all`.
    pub consistency: String,
    /// The most statements in flight, over all workers of the process.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_in_flight_statements: u32,
    /// The most memory of statements in flight, over all workers of the process.
    #[schemars(range(min = 65_536))]
    pub max_in_flight_bytes: u64,
    /// Connections to each node that has no shards (Cassandra); a ScyllaDB node gets one per shard.
    #[schemars(range(min = 1, max = 64))]
    pub connections_per_node: u32,
    /// How long one request may take.
    #[schemars(range(min = 1))]
    pub request_timeout_ms: u64,
}

impl Default for ScyllaSection {
    fn default() -> Self {
        Self {
            nodes: None,
            keyspace: "sporelog".to_owned(),
            replication: "1".to_owned(),
            local_dc: None,
            user: None,
            password: None,
            consistency: "local_quorum".to_owned(),
            max_in_flight_statements: 256,
            max_in_flight_bytes: 32 << 20,
            connections_per_node: 4,
            request_timeout_ms: 10_000,
        }
    }
}
