//! A worker and the real registry, with a log and a store in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use codec::Schemas;
use domain::Topic;
use domain::event::EventKind;
use domain::fold::views::VIEWS;
use pipeline::deadletter::DeadLetter;
use pipeline::{Observer, OutRecord, Paused, SchemaBook, Worker, WorkerError, WorkerOptions};
use registry::{Registry, RegistryConfig, register_all};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use support::{Front, Mode, newer};
use testkit::events::{Events, START_US};
use testkit::{ManualClock, MemLog, MemStore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Counts how often the worker had to wait for the registry, and whether it works.
#[derive(Clone, Default)]
struct Pauses {
    registry: Rc<Cell<usize>>,
    is_ready: Rc<Cell<bool>>,
}

impl Observer for Pauses {
    fn paused(&self, cause: Paused, _: &str) {
        assert_eq!(cause, Paused::Registry);
        self.registry.set(self.registry.get() + 1);
        self.is_ready.set(false);
    }

    fn ready(&self) {
        self.is_ready.set(true);
    }
}

struct Stage {
    front: Front,
    log: MemLog,
    store: MemStore,
    events: Events,
    pauses: Pauses,
    cancel: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl Stage {
    /// A projector that reads through the front.
    async fn start() -> Self {
        let front = Front::start().await;
        let config = RegistryConfig { timeout_ms: 200, absent_ttl_ms: 60_000, ..front.config() };
        let registry = Registry::new(&config).unwrap();
        let clock = ManualClock::new(START_US);
        let (log, store, pauses) = (MemLog::new(clock.clone(), 1), MemStore::default(), Pauses::default());
        let (source, cancel) = (log.join(VIEWS.name), CancellationToken::new());
        log.assign(source.id, &log.partitions(VIEWS.topics));
        let book = SchemaBook::with_registry(Arc::new(Schemas::embedded().unwrap()), Arc::new(registry));
        let (ports, options) = ((source, log.clone(), store.clone()), WorkerOptions::default());
        let worker = Worker::new(&VIEWS, book, ports, clock, pauses.clone(), options, cancel.clone());
        let worker = tokio::task::spawn_local(worker.run());
        let events = Events::new(Arc::new(Schemas::embedded().unwrap()));
        Self { front, log, store, events, pauses, cancel, worker }
    }

    fn interaction(&mut self, event_id: u128) -> OutRecord {
        self.events.interaction(Events::meta(event_id, START_US, None), "a", "b")
    }

    async fn until(&self, condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(waited.is_ok(), "the condition did not come to hold; counts {:?}", self.store.counts());
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.worker.await.unwrap().unwrap();
        self.front.clean().await;
    }
}

/// The same datum in Confluent framing, with what a newer writer puts at its end.
fn framed(mut record: OutRecord, id: u32, more: &[u8]) -> OutRecord {
    record.value = [&[0][..], &id.to_be_bytes(), &record.value[10..], more].concat();
    record
}

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// The Avro of a union's second branch, the string "new".
const NOVELTY: &[u8] = &[2, 6, b'n', b'e', b'w'];

/// A schema that somebody registered by hand, newer than this build, is met in the log.
#[test]
fn a_newer_schema_is_decoded() {
    local(async {
        let mut stage = Stage::start().await;
        let registry = stage.front.registry();
        let kind = EventKind::InteractionRecorded;
        let id = registry.register(&registry.subject(kind), &newer(kind)).await.unwrap();
        for event_id in 0..100 {
            let record = stage.interaction(event_id);
            stage.log.append(framed(record, id, NOVELTY));
        }
        stage.until(|| stage.store.counts().total() == 100).await;
        assert_eq!((stage.store.counts().applied, stage.pauses.registry.get()), (100, 0));
        stage.stop().await;
    });
}

/// I7: a registry that hangs, fails, or is not there makes the worker wait; then it goes on, without a dead letter.
#[test]
fn a_dead_or_slow_registry_is_waited_for() {
    local(async {
        let mut stage = Stage::start().await;
        let registry = stage.front.registry();
        let kind = EventKind::InteractionRecorded;
        let id = registry.register(&registry.subject(kind), &newer(kind)).await.unwrap();
        stage.until(|| stage.pauses.is_ready.get()).await;
        stage.front.set(Mode::Hang);
        let record = stage.interaction(1);
        stage.log.append(framed(record, id, NOVELTY));
        for mode in [Mode::Hang, Mode::Say(503, "starting"), Mode::Say(404, "<html/>")] {
            stage.front.set(mode);
            // Requests on their way are answered as before.
            let before = stage.pauses.registry.get() + 1;
            stage.until(|| stage.pauses.registry.get() > before).await;
            assert!(!stage.pauses.is_ready.get());
        }
        assert_eq!(stage.store.counts().total(), 0);
        stage.front.set(Mode::Pass);
        stage.until(|| stage.store.counts().total() == 1).await;
        assert!(stage.pauses.is_ready.get());
        assert_eq!(stage.store.counts().applied, 1);
        assert!(stage.log.records(Topic::DeadLetter).is_empty());
        stage.stop().await;
    });
}

/// I6: only the registry's own no is a dead letter; 500 such records ask it once.
#[test]
fn an_id_that_the_registry_lacks_is_a_dead_letter() {
    local(async {
        let mut stage = Stage::start().await;
        for event_id in 0..500 {
            let record = stage.interaction(event_id);
            stage.log.append(framed(record, 2_000_000_001, &[]));
        }
        let good = stage.interaction(5_000);
        stage.log.append(good);
        stage.until(|| stage.store.counts().total() == 501).await;
        assert_eq!((stage.store.counts().applied, stage.store.counts().dead), (1, 500));
        let letter = DeadLetter::parse(stage.log.records(Topic::DeadLetter)[0].headers.as_bytes()).unwrap();
        assert!(letter.reason.contains("schema id 2000000001 is unknown"), "{}", letter.reason);
        assert_eq!(stage.front.requests(), 1);
        stage.stop().await;
    });
}

/// What a producer writes after registering is read by a worker that starts knowing nothing, also what it derives.
#[test]
fn registered_events_are_applied_and_derived() {
    local(async {
        let stage = Stage::start().await;
        let schemas = Arc::new(Schemas::embedded().unwrap());
        register_all(&stage.front.registry(), &schemas).await.unwrap();
        let spore = Events::new(schemas.clone()).spore(Events::meta(1, START_US, None), "a", "hello", 1.0);
        assert_eq!(spore.value[0], 0, "Confluent framing");
        stage.log.append(spore);
        stage.until(|| !stage.log.records(Topic::WisdomInsights).is_empty()).await;
        let derived = stage.log.records(Topic::WisdomInsights).remove(0);
        assert_eq!(derived.value[0], 0, "Confluent framing");
        assert_eq!(schemas.kind(&derived.value).unwrap(), EventKind::Contributed);
        stage.until(|| stage.store.counts().applied >= 1).await;
        stage.stop().await;
    });
}
