//! The worker loop against scripted faults: nothing lost, nothing doubled, every offset accounted for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::Topic;
use domain::fold::records::RECORDS;
use domain::fold::views::VIEWS;
use pipeline::{LogError, Observer, Step, StoreError, WorkerError};
use std::cell::{Cell as StdCell, RefCell};
use std::rc::Rc;
use support::{Running, Stage, local, sent};
use testkit::events::{Events, START_US};

/// I7: a store that refuses one record in ten thousand costs one dead letter, and nothing else.
#[test]
fn a_refused_batch_is_halved_down_to_the_bad_record() {
    local(async {
        let mut stage = Stage::new(1);
        for id in 0..10_000_u128 {
            let peer = if id == 6_789 { "bad" } else { "good" };
            let record = stage.events.interaction(Events::meta(id, START_US, None), "a", peer);
            stage.log.append(record);
        }
        stage.store.script(|rows| {
            let contact = &rows.tables()[2];
            let bad = (0..contact.len()).any(|ix| contact.key(ix).ends_with(b"bad\0"));
            bad.then(|| StoreError::Refused("the peer is bad".to_owned()))
        });
        let worker = stage.start(&VIEWS);
        stage.assign_all(&worker, &VIEWS);
        stage.until_accounted(10_000).await;
        worker.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((counts.applied, counts.dead), (9_999, 1));
        let letters = stage.log.records(Topic::DeadLetter);
        let letter = pipeline::deadletter::DeadLetter::parse(letters[0].headers.as_bytes()).unwrap();
        assert_eq!((letters.len(), letter.offset), (1, 6_789));
        assert!(letter.reason.contains("the peer is bad"), "{}", letter.reason);
        assert!(stage.store.positions_held().iter().all(|position| position.gap() == 0));
    });
}

/// I7: a minute's outage loses nothing, kills nobody and makes no dead letter.
#[test]
fn an_outage_is_waited_out() {
    local(async {
        let mut stage = Stage::new(2);
        stage.interactions(0, 500);
        let (clock, tries) = (stage.clock.clone(), Rc::new(StdCell::new(0)));
        let (until, counted) = (START_US + 60_000_000, tries.clone());
        stage.store.script(move |_| {
            counted.set(counted.get() + 1);
            let down = pipeline::Clock::now_us(&clock) < until;
            down.then(|| StoreError::Unavailable("connection refused".to_owned()))
        });
        let worker = stage.start(&VIEWS);
        stage.assign_all(&worker, &VIEWS);
        stage.until_accounted(500).await;
        worker.stop().await.unwrap();
        assert_eq!(stage.store.counts().applied, 500);
        assert!(stage.log.records(Topic::DeadLetter).is_empty());
        assert!((10..200).contains(&tries.get()), "backs off, up to a bound: {} tries", tries.get());
    });
}

/// A stage whose next seeks fail, and a worker of either loop that is given everything.
fn seeking(ingest: bool, faults: impl IntoIterator<Item = LogError>) -> (Stage, Running) {
    let mut stage = Stage::new(1);
    stage.interactions(0, 50);
    faults.into_iter().for_each(|error| stage.log.fail_seek(error));
    let worker = if ingest { stage.start_ingest(stage.store.clone()) } else { stage.start(&VIEWS) };
    stage.assign_all(&worker, if ingest { &RECORDS } else { &VIEWS });
    (stage, worker)
}

/// I7: a log that is away between an assignment and the first fetch is waited for, by either loop.
#[test]
fn a_seek_is_tried_again_while_the_log_is_away() {
    local(async {
        for ingest in [false, true] {
            let away = |_| LogError::Unavailable("no coordinator".to_owned());
            let (stage, worker) = seeking(ingest, (0..20).map(away));
            let ended = || worker.task.is_finished();
            stage.until(|| ended() || if ingest { written(&stage) } else { stage.store.counts().total() == 50 }).await;
            worker.stop().await.unwrap();
        }
    });
}

/// Whether ingest has written the interactions, each from both sides.
fn written(stage: &Stage) -> bool {
    stage.store.rows("interactions") == 2 * 50
}

/// A partition that went elsewhere meanwhile is left alone; an error that waiting cannot mend ends either loop.
#[test]
fn a_seek_that_cannot_help_is_not_tried_again() {
    local(async {
        for ingest in [false, true] {
            let topics = if ingest { RECORDS.topics } else { VIEWS.topics };
            let tps = testkit::MemLog::new(testkit::ManualClock::new(START_US), 1).partitions(topics);
            let (stage, worker) = seeking(ingest, tps.iter().map(|tp| LogError::NotOwner(*tp)));
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            worker.stop().await.unwrap();
            assert!(stage.store.counts().total() == 0 && !written(&stage));

            let (_stage, worker) = seeking(ingest, [LogError::Fatal("the offset is gone".to_owned())]);
            let error = worker.task.await.unwrap().unwrap_err();
            assert!(matches!(&error, WorkerError::Log(text) if text == "the offset is gone"), "{error}");
        }
    });
}

/// I3: a commit whose reply was lost is settled by the position; it is not written again.
#[test]
fn a_lost_reply_is_settled_by_the_position() {
    local(async {
        let mut stage = Stage::new(1);
        stage.interactions(0, 50);
        stage.store.lose_next_reply();
        let worker = stage.start(&VIEWS);
        stage.assign_all(&worker, &VIEWS);
        stage.until_accounted(50).await;
        stage.interactions(50, 50);
        stage.until_accounted(100).await;
        worker.stop().await.unwrap();
        assert_eq!(stage.store.counts().applied, 100);
        assert_eq!(sent(&stage), 100);
    });
}

/// Stops a worker just before its commit, as SIGSTOP would, by letting others run first.
struct Stall {
    at: StdCell<bool>,
    meanwhile: RefCell<Box<dyn FnMut()>>,
}

struct Stalled(Rc<Stall>);

impl Observer for Stalled {
    fn step(&self, step: Step) {
        if step == Step::Store && self.0.at.replace(false) {
            (self.0.meanwhile.borrow_mut())();
        }
    }
}

/// A zombie holds a batch at its commit while another worker takes the partition and applies the same records.
async fn zombie(fence: bool) -> (i64, i64) {
    let mut stage = Stage::new(1);
    stage.interactions(0, 300);
    let tps = stage.log.partitions(VIEWS.topics);
    let stall = Rc::new(Stall { at: StdCell::new(true), meanwhile: RefCell::new(Box::new(|| {})) });
    let zombie = stage.start_observed(&VIEWS, Stalled(stall.clone()));
    if !fence {
        stage.store.without_fence();
    }
    let (store, log, id) = (stage.store.clone(), stage.log.clone(), zombie.id);
    let taken = tps.clone();
    *stall.meanwhile.borrow_mut() = Box::new(move || {
        // What the next owner would have done in the meantime: claim, apply, commit.
        log.revoke(id, &taken, false);
        take_over(store.clone(), &taken);
    });
    stage.log.assign(zombie.id, &tps);
    let successor = stage.start(&VIEWS);
    stage.until(|| !stall.at.get()).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    stage.log.assign(successor.id, &tps);
    stage.until_accounted(300).await;
    zombie.stop().await.unwrap();
    successor.stop().await.unwrap();
    (sent(&stage), stage.store.counts().applied)
}

/// The log of the stages, of topics that were made once.
fn log_of(tp: domain::TopicPartition) -> pipeline::LogIdentity {
    pipeline::LogIdentity { cluster_id: "memory".to_owned(), topic_id: format!("{}-0", tp.topic), partitions: 1 }
}

/// Claims the partitions and commits the first hundred interactions, by hand.
fn take_over(mut store: testkit::MemStore, tps: &[domain::TopicPartition]) {
    use pipeline::{Advance, Claim, Flush, Position, RowStore};
    let work = async {
        let claims: Vec<Claim> = tps.iter().map(|tp| Claim { tp: *tp, log: log_of(*tp) }).collect();
        let claims = store.claim(&VIEWS, &claims).await.unwrap();
        let claim = claims.iter().find(|claim| claim.tp.topic == Topic::SacredMessages).unwrap();
        let mut to = Position { epoch: claim.epoch, next_offset: 100, ..Position::start(claim.tp, 0) };
        to.counts.applied = 100;
        let mut rows = domain::delta::Deltas::new(VIEWS.tables);
        rows.row(VIEWS.tables[2], |key| {
            key.text("t").text("a").text("b");
        })
        .add("interactions", 100);
        let advances = [Advance { from: None, to }];
        let flush = Flush {
            projection: &VIEWS,
            advances: &advances,
            sequences: &[],
            dead: &[],
            rows: &rows,
            before_commit: &pipeline::nothing_before_commit,
        };
        store.commit(&flush).await.unwrap();
    };
    futures_util::FutureExt::now_or_never(work).unwrap();
}

/// I3: a zombie that wakes after its partition was taken cannot write; without the epoch check it would.
#[test]
fn a_zombie_cannot_write() {
    local(async {
        assert_eq!(zombie(true).await, (300, 300));
        assert_ne!(zombie(false).await.0, 300, "without the fence the zombie's batch counts on top");
    });
}

/// The window of duplicates moves with the partition: the new owner reads it back from the log.
#[test]
fn an_unsequenced_repeat_is_dropped_after_the_partition_moved() {
    local(async {
        let mut stage = Stage::new(1);
        stage.interactions(7, 1);
        let first = stage.start(&VIEWS);
        let tps = stage.assign_all(&first, &VIEWS);
        stage.until_accounted(1).await;
        stage.log.revoke(first.id, &tps, true);
        let second = stage.start(&VIEWS);
        stage.log.assign(second.id, &tps);
        stage.interactions(7, 1);
        stage.until_accounted(2).await;
        first.stop().await.unwrap();
        second.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((sent(&stage), counts.applied, counts.duplicate), (1, 1, 1));
    });
}

/// A sequenced producer is exact for ever: also long after the window, also for a new owner.
#[test]
fn a_sequenced_repeat_is_dropped_for_ever() {
    local(async {
        let mut stage = Stage::new(1);
        let repeat = |stage: &mut Stage| {
            for seq in 1..=3 {
                let meta = Events::meta(seq, START_US, Some(seq as i64));
                let record = stage.events.interaction(meta, "a", "b");
                stage.log.append(record);
            }
        };
        repeat(&mut stage);
        let first = stage.start(&VIEWS);
        let tps = stage.assign_all(&first, &VIEWS);
        stage.until_accounted(3).await;
        stage.log.revoke(first.id, &tps, true);
        stage.clock.advance(std::time::Duration::from_secs(86_400));
        repeat(&mut stage);
        let second = stage.start(&VIEWS);
        stage.log.assign(second.id, &tps);
        stage.until_accounted(6).await;
        first.stop().await.unwrap();
        second.stop().await.unwrap();
        assert_eq!((sent(&stage), stage.store.counts().duplicate), (3, 3));
    });
}

/// I5, I6: junk goes to the dead-letter topic with its bytes; holes are counted; the account closes.
#[test]
fn junk_and_holes_are_accounted_for() {
    local(async {
        let mut stage = Stage::new(1);
        stage.interactions(0, 10);
        let mut junk = stage.events.interaction(Events::meta(99, START_US, None), "a", "b");
        junk.value = b"not an event".to_vec();
        let (tp, offset) = stage.log.append(junk);
        stage.interactions(10, 10);
        stage.log.punch(tp, 3);
        let worker = stage.start(&VIEWS);
        stage.assign_all(&worker, &VIEWS);
        stage.until_accounted(21).await;
        worker.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((counts.applied, counts.dead, counts.holes), (19, 1, 1));
        let letters = stage.log.records(Topic::DeadLetter);
        assert_eq!(letters[0].value, b"not an event");
        let letter = pipeline::deadletter::DeadLetter::parse(letters[0].headers.as_bytes()).unwrap();
        assert_eq!((letter.tp, letter.offset, letter.projection.as_str()), (tp, offset, "views"));
    });
}

/// Notes whether COMMIT came near before the dead letter was in the log.
struct Early(testkit::MemLog, Rc<StdCell<bool>>);

impl Observer for Early {
    fn step(&self, step: Step) {
        let is_near = matches!(step, Step::BeforeCommit | Step::AfterCommit);
        if is_near && self.0.records(Topic::DeadLetter).is_empty() {
            self.1.set(true);
        }
    }
}

/// I6: the dead letter is there before the position passes its record.
#[test]
fn the_position_waits_for_the_dead_letter() {
    local(async {
        let mut stage = Stage::new(1);
        let mut junk = stage.events.interaction(Events::meta(99, START_US, None), "a", "b");
        junk.value = b"junk".to_vec();
        stage.log.append(junk);
        for _ in 0..5 {
            stage.log.fail_publish(pipeline::LogError::Unavailable("no leader".to_owned()));
        }
        let early = Rc::new(StdCell::new(false));
        let worker = stage.start_observed(&VIEWS, Early(stage.log.clone(), early.clone()));
        stage.assign_all(&worker, &VIEWS);
        stage.until_accounted(1).await;
        worker.stop().await.unwrap();
        assert!(!early.get(), "a commit came before its dead letter");
        assert_eq!(stage.store.counts().dead, 1);
    });
}
