//! I10, one digest, on the real log and store: whatever the batches, partitions, workers, take-overs, the order of
//! topics, and after the store was deleted. I3: whose partition was taken cannot write. I5: every account is closed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use domain::projection::PROJECTIONS;
use integration_tests::Sporelog;
use integration_tests::wait::until;
use integration_tests::workload::Workload;
use oorandom::Rand32;
use pipeline::{Observer, OutRecord, Step};
use stage::{Digests, Stage, Way};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

const EVENTS: usize = 600;
const PLAIN: Way = Way { partitions: 1, batch: 10_000, workers: 1 };

fn records() -> &'static [OutRecord] {
    static RECORDS: OnceLock<Vec<OutRecord>> = OnceLock::new();
    RECORDS.get_or_init(|| Workload::mixed(EVENTS, 11).records)
}

fn run(way: Way, records: &[OutRecord]) -> Digests {
    let stage = Stage::new(way);
    stage.append(records);
    let workers = stage.start();
    stage.finish(workers)
}

/// What every other way must come to.
fn plain() -> &'static Digests {
    static PLAIN_DIGESTS: OnceLock<Digests> = OnceLock::new();
    PLAIN_DIGESTS.get_or_init(|| {
        let digests = run(PLAIN, records());
        let empty: Vec<_> = digests.iter().filter(|(_, _, digest)| digest.rows == 0).collect();
        assert!(empty.is_empty(), "the input fills every table, but not {empty:?}");
        digests
    })
}

#[test]
fn batch_sizes_and_partitions_do_not_show() {
    for batch in [1, 64, 10_000] {
        for partitions in [1, 10] {
            let way = Way { partitions, batch, workers: 1 };
            assert_eq!(&run(way, records()), plain(), "{way:?}");
        }
    }
}

#[test]
fn workers_that_take_partitions_from_one_another_do_not_show() {
    let stage = Stage::new(Way { partitions: 10, batch: 16, workers: 3 });
    let mut workers = VecDeque::from(stage.start());
    for (round, chunk) in records().chunks(records().len() / 16).enumerate() {
        stage.append(chunk);
        PROJECTIONS.iter().for_each(|projection| stage.log.shuffle(projection.name));
        // Every fourth round a worker of each role leaves and another joins.
        if round % 4 == 3 {
            for projection in PROJECTIONS {
                workers.pop_front().unwrap().stop();
                workers.push_back(stage.start_one(projection));
            }
        }
    }
    // A few more while there is nothing new: zombies without work must not matter either.
    for _ in 0..200 {
        if stage.epoch_bumps() >= 50 && stage.seen.fenced.load(Ordering::Relaxed) > 0 {
            break;
        }
        PROJECTIONS.iter().for_each(|projection| stage.log.shuffle(projection.name));
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    assert_eq!(&stage.finish(workers.into()), plain());
    let (bumps, fenced) = (stage.epoch_bumps(), stage.seen.fenced.load(Ordering::Relaxed));
    integration_tests::say!("{bumps} epoch bumps, {fenced} fenced commits");
    assert!(bumps >= 50, "{bumps} epoch bumps");
    assert!(fenced > 0, "no commit was fenced");
}

#[test]
fn the_order_of_topics_does_not_show() {
    for seed in 0..12 {
        let mut random = Rand32::new(seed);
        let mut queues: Vec<VecDeque<&OutRecord>> = Vec::new();
        for record in records() {
            match queues.iter_mut().find(|queue| queue[0].topic == record.topic) {
                Some(queue) => queue.push_back(record),
                None => queues.push(VecDeque::from([record])),
            }
        }
        // The order within a topic stays: it is the producer's contract, and holds that of each key.
        let mut interleaved = Vec::new();
        while !queues.is_empty() {
            let at = random.rand_range(0..queues.len() as u32) as usize;
            let run = random.rand_range(1..60) as usize;
            let take = run.min(queues[at].len());
            interleaved.extend(queues[at].drain(..take).cloned());
            queues.retain(|queue| !queue.is_empty());
        }
        let batch = [7, 64, 10_000][seed as usize % 3];
        let way = Way { partitions: 1 + seed as u32 % 4, batch, workers: 1 + seed as usize % 2 };
        assert_eq!(&run(way, &interleaved), plain(), "seed {seed}, {way:?}");
    }
}

#[test]
fn a_deleted_store_is_rebuilt() {
    let stage = Stage::new(Way { partitions: 3, batch: 64, workers: 1 });
    stage.append(records());
    assert_eq!(&stage.finish(stage.start()), plain());
    assert!(stage.bind(), "the same store goes on where it was");
    let stage = stage.delete_store();
    assert!(!stage.bind(), "ingest starts anew for a new store");
    assert_eq!(&stage.finish(stage.start()), plain());
}

/// The same by the binary: what a user does who deletes store.db.
#[test]
fn the_binary_rebuilds_a_deleted_store() {
    let sporelog = Sporelog::new();
    sporelog.append(records().to_vec());
    sporelog.settle(&[]);
    let before = sporelog.digests();
    assert!(before.iter().any(|(projection, _, _)| projection == "records"), "{before:?}");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(sporelog.dir().join(format!("store.db{suffix}")));
    }
    sporelog.settle(&[]);
    assert_eq!(sporelog.digests(), before);
    assert_eq!(sporelog.gaps(), 0, "I5");
}

/// Holds the worker, once, when its rows are about to be written. In SQLite that is the last moment at which another
/// can claim: from then on the write lock is held, and a claim waits for the commit.
struct Held {
    at: mpsc::Sender<()>,
    release: Mutex<mpsc::Receiver<()>>,
    once: AtomicBool,
    fenced: Arc<AtomicUsize>,
}

impl Observer for Held {
    fn step(&self, step: Step) {
        if step == Step::Store && !self.once.swap(true, Ordering::Relaxed) {
            self.at.send(()).unwrap();
            self.release.lock().unwrap().recv().unwrap();
        }
    }

    fn fenced(&self) {
        self.fenced.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_zombie_cannot_write() {
    for projection in PROJECTIONS.iter().filter(|projection| projection.name != "records") {
        let stage = Stage::new(PLAIN);
        stage.append(records());
        let ((at, held), (go, release), fenced) = (mpsc::channel(), mpsc::channel(), Arc::new(AtomicUsize::new(0)));
        let once = AtomicBool::new(false);
        let observer = Held { at, release: Mutex::new(release), once, fenced: fenced.clone() };
        let zombie = stage.start_observed(projection, observer);
        held.recv().unwrap();
        // The zombie's rows are folded and not written. Its batch may hold any of its partitions, so the heir must have
        // claimed every one of them: what it has not claimed, the zombie may commit, and would never be fenced.
        let mut heirs = vec![stage.start_one(projection)];
        until("for the heir to claim all that the zombie holds", || {
            stage.log.shuffle(projection.name);
            (stage.lowest_epoch(projection) >= 2).then_some(())
        });
        go.send(()).unwrap();
        until("for the zombie to be fenced", || (fenced.load(Ordering::Relaxed) > 0).then_some(()));
        heirs.push(zombie);
        heirs.extend(
            PROJECTIONS.iter().filter(|other| other.name != projection.name).map(|other| stage.start_one(other)),
        );
        assert_eq!(&stage.finish(heirs), plain(), "{}: a zombie wrote", projection.name);
    }
}
