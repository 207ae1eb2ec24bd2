//! The rows that a worker writes, taken down for a bare client to write again.
//!
//! The worker runs over the real topics into a store that keeps its rows; every fifty thousand rows it stands still
//! while the main thread writes them. Only that writing is measured, on the main thread: consuming, decoding and folding
//! are not in the floor.

use crate::child::Spec;
use crate::marks::{Marked, Marks};
use crate::worker::{kafka, runtime, schemas};
use domain::cell::{Cell, KeyPart, take_key_part};
use domain::delta::{Deltas, TableDelta};
use domain::table::Table;
use domain::{Projection, TopicPartition};
use log_kafka::{KafkaPublisher, KafkaSource};
use pipeline::{
    Claim, Claimed, DedupSettings, Flush, ParkNote, Position, RecordStore, RowStore, Silent, StoreError,
    StoredSequence, SystemClock, WorkerOptions,
};
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

const PLAY_AT: usize = 50_000;
/// How often the main thread looks whether all is done.
const LOOK: Duration = Duration::from_millis(20);
/// Batches close by size, as they do where a store takes its time.
const LINGER_MS: u64 = 2_000;

/// One transaction.
#[derive(Default)]
pub struct Transaction {
    /// Per table its rows, one after another in key order, key columns first.
    pub tables: Vec<(&'static Table, Vec<Cell>)>,
    /// Topic, partition and next offset.
    pub offsets: Vec<(String, i64, i64)>,
}

struct Held {
    taken: Vec<Transaction>,
    rows: usize,
    /// Enough is taken: what comes now is dropped.
    closed: bool,
    out: Sender<Vec<Transaction>>,
    back: Receiver<()>,
}

/// A store that keeps what it is given.
#[derive(Clone)]
struct Taker(Arc<Mutex<Held>>);

impl Taker {
    fn take(&self, rows: &Deltas, offsets: Vec<(String, i64, i64)>) {
        let held = &mut *self.0.lock().unwrap();
        if held.closed {
            return;
        }
        let written = rows.tables().iter().filter(|delta| !delta.is_empty());
        let tables = written.map(|delta| (delta.table(), flat(delta))).collect();
        held.taken.push(Transaction { tables, offsets });
        held.rows += rows.rows();
        if held.rows >= PLAY_AT {
            held.play();
        }
    }
}

impl Held {
    fn play(&mut self) {
        self.rows = 0;
        self.out.send(std::mem::take(&mut self.taken)).unwrap();
        self.back.recv().unwrap();
    }
}

/// The rows in the order in which stores write them.
pub fn flat(delta: &TableDelta) -> Vec<Cell> {
    let mut cells = Vec::new();
    for ix in delta.sorted() {
        let mut key = delta.key(ix);
        for column in delta.table().stored_key() {
            cells.push(match take_key_part(column.ty, &mut key).unwrap() {
                KeyPart::Text(text) => Cell::Text(text.to_owned()),
                KeyPart::Int(value) => Cell::Int(value),
                KeyPart::Uuid(uuid) => Cell::Uuid(uuid),
            });
        }
        cells.extend_from_slice(delta.cells(ix));
    }
    cells
}

impl RowStore for Taker {
    async fn settings(&mut self, _: &Projection, wanted: DedupSettings) -> Result<DedupSettings, StoreError> {
        Ok(wanted)
    }

    async fn claim(&mut self, _: &Projection, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        let claim = |claim: &Claim| Claimed { tp: claim.tp, epoch: 1, position: None, log: claim.log.clone() };
        Ok(claims.iter().map(claim).collect())
    }

    async fn note_parked(&mut self, _: &Projection, tp: TopicPartition, note: &ParkNote) -> Result<(), StoreError> {
        panic!("{tp} is parked: {}", note.text);
    }

    async fn positions(&mut self, _: &Projection, _: &[TopicPartition]) -> Result<Vec<Position>, StoreError> {
        Ok(Vec::new())
    }

    async fn sequences(
        &mut self,
        _: &Projection,
        _: TopicPartition,
        producers: &[(&str, &str)],
    ) -> Result<Vec<Option<StoredSequence>>, StoreError> {
        Ok(vec![None; producers.len()])
    }

    async fn forget_producers(&mut self, _: &Projection, _: TopicPartition, _: Silent) -> Result<(), StoreError> {
        Ok(())
    }

    async fn dead(&mut self, _: &Projection, _: TopicPartition, _: Range<i64>) -> Result<Vec<i64>, StoreError> {
        Ok(Vec::new())
    }

    async fn load(
        &mut self,
        _: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError> {
        assert!(keys.is_empty(), "{} has state: a floor without reading would be no floor", table.name);
        Ok(Vec::new())
    }

    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        let offset = |advance: &pipeline::Advance| {
            let tp = advance.to.tp;
            (tp.topic.name().to_owned(), i64::from(tp.partition), advance.to.next_offset)
        };
        self.take(flush.rows, flush.advances.iter().map(offset).collect());
        (flush.before_commit)().await.map_err(|_| StoreError::Aborted)
    }
}

impl RecordStore for Taker {
    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        self.take(rows, Vec::new());
        Ok(())
    }
}

/// Runs one worker until `spec.limit` events are done; gives what it writes to `play`. Returns the number of events.
pub fn run(spec: &Spec, mut play: impl FnMut(&[Transaction])) -> u64 {
    let (out, taken) = channel();
    let (done_playing, back) = channel();
    let taker = Taker(Arc::new(Mutex::new(Held { taken: Vec::new(), rows: 0, closed: false, out, back })));
    let (told, mut done) = unbounded_channel();
    let marks = Marks::new(spec, false, told);
    let (cancel, ports) = (CancellationToken::new(), taker.clone());
    let (spec, token) = (spec.clone(), cancel.clone());
    let thread = std::thread::spawn(move || {
        let projection = Projection::named(&spec.projection).unwrap();
        let options = WorkerOptions { batch_linger_ms: LINGER_MS, ..crate::worker::options() };
        runtime().block_on(async {
            let group = format!("{}-{}", projection.name, spec.run);
            let source = KafkaSource::join(&kafka(&spec, &spec.topics), &group, projection.topics).unwrap();
            let publisher = KafkaPublisher::new(&kafka(&spec, &spec.sink)).unwrap();
            let (ports, clock) = ((Marked(source, marks.clone()), publisher, ports), SystemClock::new());
            if projection.name == "records" {
                ingest::run(schemas(), ports, clock, marks, options, token).await.unwrap();
            } else {
                let worker = pipeline::Worker::new(projection, schemas(), ports, clock, marks, options, token);
                worker.run().await.unwrap();
            }
        });
    });
    let events = loop {
        if let Ok(transactions) = taken.recv_timeout(LOOK) {
            play(&transactions);
            done_playing.send(()).unwrap();
        } else if let Ok(measured) = done.try_recv() {
            break measured.events;
        }
    };
    cancel.cancel();
    // It may stand still once more, holding the lock, with rows behind the last commit that counts.
    loop {
        if let Ok(mut held) = taker.0.try_lock() {
            held.closed = true;
            break;
        }
        if let Ok(transactions) = taken.recv_timeout(LOOK) {
            play(&transactions);
            done_playing.send(()).unwrap();
        }
    }
    thread.join().unwrap();
    let rest = std::mem::take(&mut taker.0.lock().unwrap().taken);
    play(&rest);
    events
}
