//! The real log and store in a folder of its own, and workers on threads of their own, as `up` runs them.

use domain::digest::Digest;
use domain::projection::PROJECTIONS;
use domain::topics::TopicSpec;
use domain::{Projection, Topic, TopicPartition};
use embedded::log::{Log, LogOptions, LogView, PageLimit};
use embedded::store::{STORE_FILE, Store, StoreConfig};
use integration_tests::run_async;
use integration_tests::wait::until;
use pipeline::{Observer, OutRecord, Position, Step, SystemClock, WorkerOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How records are run.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub partitions: u32,
    pub batch: usize,
    pub workers: usize,
}

/// The digest of every table of every projection.
pub type Digests = Vec<(&'static str, &'static str, Digest)>;

pub struct Stage {
    way: Way,
    pub log: Log,
    pub store: Store,
    pub seen: Arc<Seen>,
    dir: TempDir,
}

/// What all workers have told.
#[derive(Debug, Default)]
pub struct Seen {
    pub fenced: AtomicUsize,
    pauses: AtomicUsize,
}

/// Counts fences, and stops for a moment, now and then, when rows are about to be written: time for a take-over.
struct Slow(Arc<Seen>);

impl Observer for Slow {
    fn step(&self, step: Step) {
        if step == Step::Store && self.0.pauses.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            std::thread::park_timeout(Duration::from_millis(3));
        }
    }

    fn fenced(&self) {
        self.0.fenced.fetch_add(1, Ordering::Relaxed);
    }
}

pub struct Worker {
    cancel: CancellationToken,
    thread: JoinHandle<()>,
}

impl Worker {
    pub fn stop(self) {
        self.cancel.cancel();
        self.thread.join().unwrap();
    }
}

fn topics(partitions: u32) -> Vec<TopicSpec> {
    let spec = |topic: &Topic| TopicSpec {
        topic: *topic,
        partitions,
        replication: 1,
        configs: BTreeMap::new(),
        events: Vec::new(),
    };
    Topic::ALL.iter().map(spec).collect()
}

fn open_store(dir: &Path) -> Store {
    // What is shown here is not durability: commits need not wait for the disk.
    Store::open_with(StoreConfig::scratch(dir.join(STORE_FILE))).unwrap()
}

impl Stage {
    pub fn new(way: Way) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Without grace the former owner of a partition goes on as a zombie. A page goes whole into a batch.
        let page = PageLimit { records: way.batch, ..LogOptions::default().page };
        let options = LogOptions { grace: Duration::ZERO, page, ..LogOptions::default() };
        let log = Log::open_with(dir.path(), &topics(way.partitions), options, SystemClock::new()).unwrap();
        let store = open_store(dir.path());
        let stage = Self { way, log, store, seen: Arc::default(), dir };
        stage.bind();
        stage
    }

    /// As `up` does before any worker joins; whether ingest goes on where it was.
    pub fn bind(&self) -> bool {
        run_async(self.log.bind("records", self.store.id().unwrap())).unwrap()
    }

    pub fn append(&self, records: &[OutRecord]) {
        run_async(self.log.append(records.to_vec())).unwrap();
    }

    /// Starts the workers of every role.
    pub fn start(&self) -> Vec<Worker> {
        let roles = PROJECTIONS.iter().flat_map(|projection| (0..self.way.workers).map(move |_| *projection));
        roles.map(|projection| self.start_one(projection)).collect()
    }

    pub fn start_one(&self, projection: &'static Projection) -> Worker {
        self.start_observed(projection, Slow(self.seen.clone()))
    }

    pub fn start_observed(&self, projection: &'static Projection, observer: impl Observer + Send + 'static) -> Worker {
        let cancel = CancellationToken::new();
        let (log, store, token) = (self.log.clone(), self.store.clone(), cancel.clone());
        let options =
            WorkerOptions { batch_max_records: self.way.batch, batch_linger_ms: 1, ..WorkerOptions::default() };
        let thread = std::thread::spawn(move || {
            let schemas = Arc::new(codec::Schemas::embedded().unwrap());
            let ports = (log.join(projection.name, projection.topics, "worker").unwrap(), log, store);
            let clock = SystemClock::new();
            run_async(async move {
                match projection.name {
                    "records" => ingest::run(schemas, ports, clock, observer, options, token).await.unwrap(),
                    "views" => projector::run(schemas, ports, clock, observer, options, token).await.unwrap(),
                    _ => aggregator::run(schemas, ports, clock, observer, options, token).await.unwrap(),
                }
            });
        });
        Worker { cancel, thread }
    }

    fn partitions(&self, projection: &Projection) -> Vec<TopicPartition> {
        let of = |topic: &Topic| {
            (0..self.way.partitions).map(|partition| TopicPartition::new(*topic, partition)).collect::<Vec<_>>()
        };
        projection.topics.iter().flat_map(of).collect()
    }

    /// Where a projection stands, by its own store's account: ingest's lies in the log.
    pub fn positions(&self, projection: &Projection) -> Vec<Position> {
        if projection.name != "records" {
            let held = self.store.reader().unwrap().positions(projection).unwrap();
            return held.into_iter().map(|held| held.position).collect();
        }
        let offsets =
            LogView::open(self.dir.path()).unwrap().committed(projection.name, &self.partitions(projection)).unwrap();
        offsets.iter().map(|offset| pipeline::GroupPosition::from_offset(offset).unwrap().position).collect()
    }

    fn caught_up(&self, projection: &Projection) -> bool {
        let ends: i64 = self.partitions(projection).iter().map(|tp| self.log.end(*tp).unwrap()).sum();
        self.positions(projection).iter().map(|position| position.next_offset).sum::<i64>() == ends
    }

    /// Waits until every projection has caught up, stops the workers, and looks at what is stored.
    pub fn finish(&self, workers: Vec<Worker>) -> Digests {
        until("for every projection to catch up", || {
            PROJECTIONS.iter().all(|projection| self.caught_up(projection)).then_some(())
        });
        workers.into_iter().for_each(Worker::stop);
        for projection in PROJECTIONS {
            assert!(self.caught_up(projection), "{}: a worker that stops takes nothing back", projection.name);
            let positions = self.positions(projection);
            assert!(!positions.is_empty());
            for position in positions {
                assert_eq!(position.gap(), 0, "I5: {} {}", projection.name, position.tp);
                assert_eq!(position.counts.dead, 0, "{} {}", projection.name, position.tp);
            }
        }
        self.digests()
    }

    fn digests(&self) -> Digests {
        let snapshot = self.store.reader().unwrap();
        let digest = |projection: &'static Projection| {
            let of = |table: &&'static domain::table::Table| {
                (projection.name, table.name, snapshot.digest(projection, table).unwrap())
            };
            projection.tables.iter().map(of).collect::<Vec<_>>()
        };
        PROJECTIONS.iter().flat_map(|projection| digest(projection)).collect()
    }

    /// How often partitions were claimed beyond the first time, over all projections.
    pub fn epoch_bumps(&self) -> i64 {
        let connection = embedded::store::open_read_only(&self.dir.path().join(STORE_FILE)).unwrap();
        connection.query_row("SELECT sum(epoch - 1) FROM position", [], |row| row.get(0)).unwrap()
    }

    /// How often the partition that was claimed least was claimed.
    pub fn lowest_epoch(&self, projection: &Projection) -> i64 {
        let connection = embedded::store::open_read_only(&self.dir.path().join(STORE_FILE)).unwrap();
        let lowest = "SELECT min(epoch) FROM position WHERE projection = ?1";
        connection.query_row(lowest, [projection.name], |row| row.get(0)).unwrap()
    }

    /// Deletes the store's file, as a user may, and opens a new one.
    pub fn delete_store(self) -> Self {
        let Self { way, log, store, seen, dir } = self;
        drop(store);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(dir.path().join(format!("{STORE_FILE}{suffix}")));
        }
        let store = open_store(dir.path());
        Self { way, log, store, seen, dir }
    }
}
