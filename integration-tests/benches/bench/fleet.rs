//! The engines, the topics that were prepared on them, and fresh stores for each run.

use crate::child::{Spec, Work};
use crate::input::{Held, Maker, Skew};
use crate::measure::Pids;
use crate::worker::{kafka, runtime, schemas};
use domain::topics::{Change, Plan};
use domain::{Projection, Topic};
use engines::{CassandraOptions, KafkaOptions, PostgresOptions, Set, SetOptions};
use futures_util::StreamExt as _;
use log_kafka::{KafkaAdmin, KafkaPublisher};
use pipeline::{OutRecord, Publisher as _};
use std::cell::Cell;
use store_postgres::PostgresConfig;
use store_scylla::ScyllaConfig;

/// Records that are appended at once, and how many such requests are under way.
const REQUEST: usize = 5_000;
const UNDER_WAY: usize = 4;
/// The migrated database that fresh ones are copied from.
const TEMPLATE: &str = "bench_template";

/// What differs from the engines' own defaults.
pub const SETTINGS: &str = "Kafka: one broker, heap 512 MiB. Postgres: shared_buffers 512 MB, max_wal_size 8 GB, fsync \
                            and synchronous_commit on. Cassandra: one node, heap 1 GiB, commit log synced every 10 s.";

/// Running engines; they end with it.
pub struct Fleet {
    set: Set,
    runs: Cell<u32>,
}

/// A stream on its topics.
pub struct Stream {
    pub prefix: String,
    pub held: Held,
}

impl Fleet {
    pub fn start() -> Self {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let postgres = pairs(&[("shared_buffers", "512MB"), ("max_wal_size", "8GB")]);
        // What is dropped after a run need not be kept.
        let cassandra = pairs(&[("auto_snapshot", "false")]);
        let set = Set::start(&SetOptions {
            kafka: Some(KafkaOptions::default()),
            cassandra: Some(CassandraOptions { settings: cassandra, ..CassandraOptions::default() }),
            postgres: Some(PostgresOptions { settings: postgres }),
            ..SetOptions::default()
        })
        .unwrap();
        let fleet = Self { set, runs: Cell::new(0) };
        fleet.sql(&format!("CREATE DATABASE {TEMPLATE}"));
        runtime().block_on(store_postgres::migrate::up(&PostgresConfig::new(fleet.database(TEMPLATE)))).unwrap();
        fleet.topics("sink.");
        fleet
    }

    /// What the engines call themselves.
    pub fn versions(&self) -> String {
        format!("{}, Kafka 4.1, Cassandra 5.0, librdkafka {}", self.sql("SHOW server_version"), librdkafka())
    }

    fn sql(&self, statement: &str) -> String {
        self.set.postgres.as_ref().unwrap().sql(statement).unwrap()
    }

    fn database(&self, name: &str) -> String {
        let url = self.set.postgres.as_ref().unwrap().url();
        format!("{}/{name}", url.rsplit_once('/').unwrap().0)
    }

    /// What a child is told in any case.
    pub fn spec(&self, work: Work, projection: &'static Projection, topics: &str, limit: u64) -> Spec {
        let number = self.runs.replace(self.runs.get() + 1);
        let cassandra = self.set.cassandra.as_ref().unwrap();
        let store = match projection.name {
            "records" => cassandra.pid(),
            _ => self.set.postgres.as_ref().unwrap().pid(),
        };
        Spec {
            work,
            projection: projection.name.to_owned(),
            limit,
            workers: 1,
            kafka: self.set.kafka.as_ref().unwrap().bootstrap(),
            topics: topics.to_owned(),
            sink: "sink.".to_owned(),
            database: self.database(&format!("run_{number}")),
            cassandra: cassandra.address().to_string(),
            keyspace: format!("run_{number}"),
            pids: Pids { broker: self.set.kafka.as_ref().unwrap().brokers()[0].pid(), store },
            run: format!("run-{number}"),
        }
    }

    /// Makes the stores of a run, does it, and drops them.
    pub fn on_fresh_stores<T>(&self, spec: &Spec, run: impl FnOnce() -> T) -> T {
        let nodes = ScyllaConfig { keyspace: spec.keyspace.clone(), ..ScyllaConfig::new([&spec.cassandra]) };
        let name = spec.database.rsplit_once('/').unwrap().1;
        let records = spec.projection == "records";
        if records {
            runtime().block_on(store_scylla::migrate::up(&nodes)).unwrap();
        } else {
            self.sql(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
            // So that none falls into a run.
            self.sql("CHECKPOINT");
        }
        let done = run();
        if records {
            runtime().block_on(store_scylla::migrate::drop_keyspace(&nodes)).unwrap();
        } else {
            self.sql(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
        done
    }

    /// Creates every topic behind a prefix, as the profile `local` has it.
    pub fn topics(&self, prefix: &str) {
        let specs = runtime::topics::load(None, "local").unwrap();
        let changes = specs.into_iter().map(Change::Create).collect();
        let admin = KafkaAdmin::new(&kafka(&self.any(), prefix)).unwrap();
        runtime().block_on(admin.apply(&Plan { changes, refusals: Vec::new() })).unwrap();
    }

    /// Deletes them.
    pub fn delete(&self, prefix: &str) {
        let admin = KafkaAdmin::new(&kafka(&self.any(), prefix)).unwrap();
        runtime().block_on(admin.delete(Topic::ALL)).unwrap();
    }

    fn any(&self) -> Spec {
        self.spec(Work::Worker, domain::projection::PROJECTIONS[0], "", 0)
    }

    /// Appends a stream to topics of its own, without holding it in memory.
    pub fn prepare(&self, prefix: &str, events: usize, agents: u64, skew: Skew) -> Stream {
        self.topics(prefix);
        let publisher = KafkaPublisher::new(&kafka(&self.any(), prefix)).unwrap();
        let (mut maker, mut held) = (Maker::new(schemas(), agents, skew, 7), Held::default());
        let requests = (0..events).step_by(REQUEST).map(|from| {
            let records: Vec<OutRecord> = (from..events.min(from + REQUEST)).map(|ix| maker.one(ix)).collect();
            records.iter().for_each(|record| held.count(record));
            let mut publisher = publisher.clone();
            async move { publisher.publish(records).await.unwrap() }
        });
        runtime().block_on(async {
            futures_util::stream::iter(requests).buffered(UNDER_WAY).for_each(|_| async {}).await;
        });
        Stream { prefix: prefix.to_owned(), held }
    }
}

impl Stream {
    /// How many events a projection reads, or `limit` where that is less.
    pub fn of(&self, projection: &Projection, limit: u64) -> u64 {
        (self.held.of(projection) as u64).min(limit)
    }
}

fn librdkafka() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// What the environment says, or that.
pub fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A list in the environment, with commas between, or that.
pub fn list_from_env(name: &str, default: &str) -> Vec<String> {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}
