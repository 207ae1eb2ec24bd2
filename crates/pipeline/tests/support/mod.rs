//! A stage for the loops: a log and a store in memory, workers as local tasks, a clock moved by hand.

pub mod both;

use codec::Schemas;
use domain::cell::Cell;
use domain::fold::views::VIEWS;
use domain::{Projection, TopicPartition};
use pipeline::{Observer, RecordStore, SchemaBook, Unobserved, Worker, WorkerError, WorkerOptions};
use std::sync::Arc;
use testkit::events::{Events, START_US};
use testkit::{ManualClock, MemLog, MemStore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Stage {
    pub clock: ManualClock,
    pub log: MemLog,
    pub store: MemStore,
    pub schemas: Arc<Schemas>,
    /// What workers read with; without a registry unless a test gives it one.
    pub book: SchemaBook,
    pub events: Events,
    pub options: WorkerOptions,
}

pub struct Running {
    pub id: u64,
    pub cancel: CancellationToken,
    pub task: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub async fn stop(self) -> Result<(), WorkerError> {
        self.cancel.cancel();
        self.task.await.unwrap()
    }
}

impl Stage {
    pub fn new(partitions: u32) -> Self {
        let clock = ManualClock::new(START_US);
        let schemas = Arc::new(Schemas::embedded().unwrap());
        Self {
            log: MemLog::new(clock.clone(), partitions),
            store: MemStore::default(),
            events: Events::new(schemas.clone()),
            options: WorkerOptions { flood_dead_letters: 20_000, park_retry_ms: 100, ..WorkerOptions::default() },
            book: schemas.clone().into(),
            schemas,
            clock,
        }
    }

    /// Publishes `n` interactions of two agents, unsequenced, ids from `first` on.
    pub fn interactions(&mut self, first: u128, n: u128) {
        for id in first..first + n {
            let record = self.events.interaction(Events::meta(id, START_US, None), "a", "b");
            self.log.append(record);
        }
    }

    pub fn start(&self, projection: &'static Projection) -> Running {
        self.start_observed(projection, Unobserved)
    }

    pub fn start_observed(&self, projection: &'static Projection, observer: impl Observer + 'static) -> Running {
        let source = self.log.join(projection.name);
        let (id, cancel) = (source.id, CancellationToken::new());
        let ports = (source, self.log.clone(), self.store.clone());
        let (clock, options) = (self.clock.clone(), self.options.clone());
        let worker = Worker::new(projection, self.book.clone(), ports, clock, observer, options, cancel.clone());
        Running { id, cancel, task: tokio::task::spawn_local(worker.run()) }
    }

    pub fn start_ingest(&self, store: impl RecordStore + Clone + 'static) -> Running {
        self.start_ingest_observed(store, Unobserved)
    }

    pub fn start_ingest_observed(
        &self,
        store: impl RecordStore + Clone + 'static,
        observer: impl Observer + 'static,
    ) -> Running {
        let projection = &domain::fold::records::RECORDS;
        let source = self.log.join(projection.name);
        let (id, cancel) = (source.id, CancellationToken::new());
        let ports = (source, self.log.clone(), store);
        let (clock, options) = (self.clock.clone(), self.options.clone());
        let (book, token) = (self.book.clone(), cancel.clone());
        let ingest = pipeline::ingest::Ingest::new(projection, book, ports, clock, observer, options, token);
        Running { id, cancel, task: tokio::task::spawn_local(ingest.run()) }
    }

    pub fn assign_all(&self, worker: &Running, projection: &Projection) -> Vec<TopicPartition> {
        let tps = self.log.partitions(projection.topics);
        self.log.assign(worker.id, &tps);
        tps
    }

    /// Lets the tasks run until the store accounts for this many records.
    pub async fn until_accounted(&self, records: i64) {
        self.until(|| self.store.counts().total() >= records).await;
    }

    pub async fn until(&self, condition: impl Fn() -> bool) {
        for _ in 0..200_000 {
            if condition() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the condition did not come to hold; counts {:?}", self.store.counts());
    }
}

/// Runs a test on one thread, with local tasks.
pub fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// The interactions of the one contact.
pub fn sent(stage: &Stage) -> i64 {
    use pipeline::RowStore;
    let mut key = Vec::new();
    domain::cell::KeyWriter::new(&mut key).text("t").text("a").text("b");
    let mut store = stage.store.clone();
    let table = VIEWS.tables[2];
    let load = async { store.load(&VIEWS, table, &[&key]).await.unwrap().remove(0) };
    let row = futures_util::FutureExt::now_or_never(load).unwrap();
    match row.unwrap()[0] {
        Cell::Int(sent) => sent,
        ref other => panic!("{other:?}"),
    }
}
