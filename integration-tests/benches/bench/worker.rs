//! Workers on Kafka, Postgres and Cassandra, as the roles start them: each on a thread with a runtime of its own, and
//! the connections to Postgres on the process's.

use crate::child::Spec;
use crate::fleet::from_env;
use crate::marks::{Marked, Marks};
use crate::measure::Measured;
use codec::Schemas;
use domain::Projection;
use log_kafka::{KafkaConfig, KafkaPublisher, KafkaSource};
use pipeline::{SystemClock, WorkerOptions};
use std::sync::Arc;
use std::thread::JoinHandle;
use store_postgres::{Database, PostgresConfig, PostgresStore};
use store_scylla::{ScyllaConfig, ScyllaStore};
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// How workers batch: as by default, unless the environment says otherwise.
pub fn options() -> WorkerOptions {
    let mut options = WorkerOptions::default();
    options.batch_max_records = from_env("SPORELOG_BENCH_BATCH_RECORDS", options.batch_max_records);
    options.batch_max_bytes = from_env("SPORELOG_BENCH_BATCH_BYTES", options.batch_max_bytes);
    options
}

/// How clients of topics behind this prefix are set: as by default.
pub fn kafka(spec: &Spec, prefix: &str) -> KafkaConfig {
    KafkaConfig { bootstrap: spec.kafka.clone(), topic_prefix: prefix.to_owned(), ..KafkaConfig::default() }
}

/// The schemas under the ids that the input is written with.
pub fn schemas() -> Arc<Schemas> {
    let schemas = Schemas::embedded().unwrap();
    for kind in domain::event::EventKind::ALL {
        schemas.learn(crate::input::id(*kind), codec::embedded().unwrap().text(*kind)).unwrap();
    }
    Arc::new(schemas)
}

/// Runs the workers until `spec.limit` events are committed.
pub fn run(spec: &Spec) -> Measured {
    run_watched(spec, false).0
}

/// The same; gives the marks as well.
pub fn run_watched(spec: &Spec, keep_commits: bool) -> (Measured, Marks) {
    let runtime = runtime();
    let (told, mut done) = unbounded_channel();
    let marks = Marks::new(spec, keep_commits, told);
    let cancel = CancellationToken::new();
    let database = runtime.block_on(async { Database::new(PostgresConfig::new(&spec.database)).unwrap() });
    let nodes = ScyllaConfig { keyspace: spec.keyspace.clone(), ..ScyllaConfig::new([&spec.cassandra]) };
    let nodes = ScyllaStore::new(nodes);
    let start = |_| {
        let stores = (PostgresStore::new(database.clone()), nodes.sibling());
        start(spec.clone(), stores, marks.clone(), cancel.clone())
    };
    let threads: Vec<JoinHandle<()>> = (0..spec.workers).map(start).collect();
    let measured = runtime.block_on(done.recv()).unwrap();
    cancel.cancel();
    // The workers' last commits need the connections, which this runtime serves.
    runtime.block_on(async {
        let ended = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| thread.join().unwrap()));
        ended.await.unwrap();
    });
    (measured, marks)
}

fn start(
    spec: Spec,
    (rows, records): (PostgresStore, ScyllaStore),
    marks: Marks,
    cancel: CancellationToken,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let projection = Projection::named(&spec.projection).unwrap();
        let (clock, options) = (SystemClock::new(), options());
        runtime().block_on(async {
            let group = format!("{}-{}", projection.name, spec.run);
            let source = KafkaSource::join(&kafka(&spec, &spec.topics), &group, projection.topics).unwrap();
            let source = Marked(source, marks.clone());
            let publisher = KafkaPublisher::new(&kafka(&spec, &spec.sink)).unwrap();
            match projection.name {
                "records" => {
                    ingest::run(schemas(), (source, publisher, records), clock, marks, options, cancel).await.unwrap();
                }
                "views" => {
                    projector::run(schemas(), (source, publisher, rows), clock, marks, options, cancel).await.unwrap();
                }
                _ => {
                    aggregator::run(schemas(), (source, publisher, rows), clock, marks, options, cancel).await.unwrap();
                }
            }
        });
    })
}
