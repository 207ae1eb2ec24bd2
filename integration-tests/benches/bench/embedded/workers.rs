//! The workers on the embedded log and store: each alone on a prepared log, and all of them while it is written.

use crate::input::Input;
use crate::measure::{Measured, Meter, Pids};
use crate::worker::runtime;
use domain::projection::PROJECTIONS;
use domain::topics::TopicSpec;
use domain::{Projection, Topic};
use embedded::log::Log;
use embedded::store::Store;
use pipeline::{Committed, Observer, OutRecord, SystemClock};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Partitions of every topic: as many as the profile `local` gives the largest ones.
pub const PARTITIONS: u32 = 10;
/// Records that a producer appends at once, and how many such requests it has under way.
const REQUEST: usize = 500;
const UNDER_WAY: usize = 8;

pub fn topics() -> Vec<TopicSpec> {
    let spec = |topic: &Topic| TopicSpec {
        topic: *topic,
        partitions: PARTITIONS,
        replication: 1,
        configs: BTreeMap::new(),
        events: Vec::new(),
    };
    Topic::ALL.iter().map(spec).collect()
}

/// A log that holds the whole input, and a second one that takes what workers publish, so that no run sees more.
pub struct Prepared {
    pub log: Log,
    pub sink: Log,
    pub dir: PathBuf,
}

impl Prepared {
    pub fn new(dir: &Path, input: &Input) -> Self {
        let open = |name: &str| {
            std::fs::create_dir(dir.join(name)).unwrap();
            Log::open(dir.join(name), &topics()).unwrap()
        };
        let (log, sink) = (open("log"), open("sink"));
        runtime().block_on(append(&log, &input.records));
        Self { log, sink, dir: dir.to_owned() }
    }

    /// A fresh store.
    pub fn store(&self, name: &str) -> Store {
        Store::open(self.dir.join(name)).unwrap()
    }
}

async fn append(log: &Log, records: &[OutRecord]) {
    let mut under_way = VecDeque::new();
    for chunk in records.chunks(REQUEST) {
        under_way.push_back(log.submit(chunk.to_vec()).await.unwrap());
        if under_way.len() >= UNDER_WAY {
            under_way.pop_front().unwrap().placed().await.unwrap();
        }
    }
    for pending in under_way {
        pending.placed().await.unwrap();
    }
}

/// Counts what a worker commits and tells when it is all.
pub struct Until {
    left: AtomicUsize,
    rows: Arc<AtomicUsize>,
    done: mpsc::Sender<()>,
}

impl Until {
    /// Tells after `count` records.
    pub fn new(count: usize) -> (Self, mpsc::Receiver<()>) {
        let (done, told) = mpsc::channel();
        (Self { left: AtomicUsize::new(count), rows: Arc::default(), done }, told)
    }
}

impl Observer for Until {
    fn committed(&self, committed: &Committed<'_>) {
        assert_eq!(committed.counts.dead, 0, "the input is valid");
        self.rows.fetch_add(committed.rows, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed).saturating_sub(committed.records);
        self.left.store(left, Ordering::Relaxed);
        if left == 0 {
            let _ = self.done.send(());
        }
    }
}

struct Started {
    done: mpsc::Receiver<()>,
    rows: Arc<AtomicUsize>,
    cancel: CancellationToken,
    thread: JoinHandle<()>,
}

impl Started {
    fn stop(self) {
        self.cancel.cancel();
        self.thread.join().unwrap();
    }
}

/// Starts a worker as `up` does: on a thread of its own. It is done after `count` records.
fn start(
    input: &Input,
    projection: &'static Projection,
    log: (&Log, &str),
    sink: &Log,
    store: Store,
    count: usize,
) -> Started {
    let (observer, done) = Until::new(count);
    let rows = observer.rows.clone();
    let cancel = CancellationToken::new();
    let source = log.0.join(log.1, projection.topics, "bench").unwrap();
    let (schemas, sink, token) = (input.schemas.clone(), sink.clone(), cancel.clone());
    let options = crate::worker::options();
    let work = move || {
        let ports = (source, sink, store);
        let clock = SystemClock::new();
        let ended = match projection.name {
            "records" => runtime().block_on(ingest::run(schemas, ports, clock, observer, options, token)),
            "views" => runtime().block_on(projector::run(schemas, ports, clock, observer, options, token)),
            _ => runtime().block_on(aggregator::run(schemas, ports, clock, observer, options, token)),
        };
        ended.unwrap();
    };
    Started { done, rows, cancel, thread: std::thread::spawn(work) }
}

/// One worker over the prepared log, into a fresh store.
pub fn alone(prepared: &Prepared, input: &Input, projection: &'static Projection) -> Measured {
    let count = input.of(projection);
    let file = format!("{}.db", projection.name);
    let store = prepared.store(&file);
    let meter = Meter::process(Pids::default());
    let started = start(input, projection, (&prepared.log, projection.name), &prepared.sink, store, count);
    started.done.recv().unwrap();
    let mut spent = meter.spent(count);
    spent.rows = started.rows.load(Ordering::Relaxed) as u64;
    started.stop();
    remove(&prepared.dir, &file);
    spent
}

/// All of `up` on a folder of its own: a producer and the three workers, until all is in the stores.
pub fn up(dir: &Path, input: &Input) -> Measured {
    let dir = dir.join("up");
    std::fs::create_dir(&dir).unwrap();
    let log = Log::open(&dir, &topics()).unwrap();
    let store = Store::open(dir.join("store.db")).unwrap();
    let meter = Meter::process(Pids::default());
    let begin = |projection: &'static Projection| {
        // The projector also reads what it derives itself.
        let count = input.of(projection) + if projection.derive.is_some() { input.derived() } else { 0 };
        start(input, projection, (&log, projection.name), &log, store.clone(), count)
    };
    let started: Vec<Started> = PROJECTIONS.iter().map(|projection| begin(projection)).collect();
    runtime().block_on(append(&log, &input.records));
    started.iter().for_each(|started| started.done.recv().unwrap());
    let mut spent = meter.spent(input.records.len());
    spent.rows = started.iter().map(|started| started.rows.load(Ordering::Relaxed) as u64).sum();
    started.into_iter().for_each(Started::stop);
    drop((log, store));
    std::fs::remove_dir_all(dir).unwrap();
    spent
}

pub fn remove(dir: &Path, file: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.join(format!("{file}{suffix}")));
    }
}
