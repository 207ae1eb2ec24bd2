//! Both loops and a schema registry that is down, slow, or says no: it is waited for, and only its no is a dead letter.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use codec::Schemas;
use domain::Topic;
use domain::event::EventKind;
use domain::fold::records::RECORDS;
use domain::fold::views::VIEWS;
use pipeline::deadletter::DeadLetter;
use pipeline::schemas::Answer;
use pipeline::{
    Clock, GroupPosition, Observer, OutRecord, Paused, Position, Resolve, ResolveError, SchemaBook, Source, StoreError,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{Running, Stage, local};
use testkit::ManualClock;
use testkit::events::{Events, START_US};

/// A registry with a script: down until a time, or silent for ever.
#[derive(Debug)]
struct Scripted {
    clock: ManualClock,
    up_from_us: i64,
    is_silent: bool,
    ids: BTreeMap<u32, Arc<str>>,
    asked: AtomicUsize,
    registered: Mutex<Vec<EventKind>>,
}

impl Scripted {
    /// Knows the current schema of interactions as 7, and something foreign as 8.
    fn new(clock: &ManualClock) -> Self {
        let ids = [(7, text(EventKind::InteractionRecorded)), (8, r#"{"type":"record","name":"Alien","fields":[]}"#)];
        Self {
            clock: clock.clone(),
            up_from_us: i64::MIN,
            is_silent: false,
            ids: ids.map(|(id, text)| (id, Arc::from(text))).into(),
            asked: AtomicUsize::new(0),
            registered: Mutex::default(),
        }
    }

    async fn up(&self) -> Result<(), ResolveError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        let is_up = self.clock.now_us() >= self.up_from_us;
        is_up.then_some(()).ok_or_else(|| ResolveError("connection refused".to_owned()))
    }
}

impl Resolve for Scripted {
    fn schema(&self, id: u32) -> Answer<'_, Option<Arc<str>>> {
        Box::pin(async move { self.up().await.map(|()| self.ids.get(&id).cloned()) })
    }

    fn register<'a>(&'a self, kind: EventKind, given: &'a str) -> Answer<'a, u32> {
        Box::pin(async move {
            self.up().await?;
            assert_eq!(given, text(kind));
            self.registered.lock().unwrap().push(kind);
            Ok(100 + kind as u32)
        })
    }
}

fn text(kind: EventKind) -> &'static str {
    codec::embedded().unwrap().text(kind)
}

/// What a worker said, without repeats: what it waits for, or `ready`.
#[derive(Clone, Default)]
struct Said(Rc<RefCell<Vec<&'static str>>>);

impl Said {
    fn say(&self, word: &'static str) {
        let mut said = self.0.borrow_mut();
        if said.last() != Some(&word) {
            said.push(word);
        }
    }
}

impl Observer for Said {
    fn paused(&self, cause: Paused, _: &str) {
        self.say(cause.label());
    }

    fn ready(&self) {
        self.say("ready");
    }

    fn in_flight(&self, bytes: usize) {
        if bytes > 0 {
            self.0.borrow_mut().insert(0, "in flight");
        }
    }
}

/// The same event as another producer frames it: under an id of the registry.
fn framed(mut record: OutRecord, id: u32) -> OutRecord {
    let mut value = vec![0];
    value.extend(id.to_be_bytes());
    value.extend(&record.value[10..]);
    record.value = value;
    record
}

impl Stage {
    /// Appends interactions under a registry's id.
    fn framed_interactions(&mut self, first: u128, n: u128, id: u32) {
        for event_id in first..first + n {
            let record = self.events.interaction(Events::meta(event_id, START_US, None), "a", "b");
            self.log.append(framed(record, id));
        }
    }

    /// Gives the workers that start from now on schemas of their own, and this registry.
    fn ask(&mut self, registry: Scripted) -> Arc<Scripted> {
        let registry = Arc::new(registry);
        self.book = SchemaBook::with_registry(Arc::new(Schemas::embedded().unwrap()), registry.clone());
        registry
    }

    /// Ingest's committed position of the partition with interactions.
    async fn ingested(&self) -> Position {
        let tps = self.log.partitions(&[Topic::SacredMessages]);
        let mut reader = self.log.join(RECORDS.name);
        let offset = reader.committed(&tps).await.unwrap().remove(0);
        GroupPosition::from_offset(&offset).unwrap().position
    }

    /// Starts a worker of the loop and waits until it has committed this much of the topic.
    async fn until_committed(&self, worker: &Running, ingest: bool, next_offset: i64) {
        self.assign_all(worker, if ingest { &RECORDS } else { &VIEWS });
        for _ in 0..200_000 {
            tokio::task::yield_now().await;
            let tps = self.log.partitions(&[Topic::SacredMessages]);
            let held = if ingest {
                let offsets = self.log.join(RECORDS.name).committed(&tps).await.unwrap();
                offsets.first().map_or(0, |offset| offset.next_offset)
            } else {
                let held = self.store.positions_held();
                held.iter().find(|held| held.tp == tps[0]).map_or(0, |held| held.next_offset)
            };
            if held >= next_offset {
                return;
            }
        }
        panic!("not committed");
    }

    fn start_either(&self, ingest: bool, said: &Said) -> Running {
        if ingest {
            self.start_ingest_observed(self.store.clone(), said.clone())
        } else {
            self.start_observed(&VIEWS, said.clone())
        }
    }

    /// Applied and dead so far.
    async fn outcomes(&self, ingest: bool) -> (i64, i64) {
        let counts = if ingest { self.ingested().await.counts } else { self.store.counts() };
        (counts.applied, counts.dead)
    }
}

/// I7: a minute without the registry makes both loops wait, not ready; then everything is applied.
#[test]
fn an_outage_of_the_registry_is_waited_out() {
    for ingest in [false, true] {
        local(async {
            let mut stage = Stage::new(1);
            let up_from_us = START_US + 60_000_000;
            let registry = stage.ask(Scripted { up_from_us, ..Scripted::new(&stage.clock) });
            stage.interactions(0, 10);
            stage.framed_interactions(10, 100, 7);
            let said = Said::default();
            let worker = stage.start_either(ingest, &said);
            stage.until_committed(&worker, ingest, 110).await;
            worker.stop().await.unwrap();
            assert_eq!(stage.outcomes(ingest).await, (110, 0));
            assert!(stage.log.records(Topic::DeadLetter).is_empty());
            assert!(said.0.borrow().ends_with(&["registry", "ready"]), "{:?}", said.0.borrow());
            let asked = registry.asked.load(Ordering::Relaxed);
            assert!((10..200).contains(&asked), "backs off, and asks once for a hundred records: {asked}");
        });
    }
}

/// I6: an id that the registry does not have, or that it has for something else, is a dead letter with the reason.
#[test]
fn the_registrys_no_is_a_dead_letter() {
    for ingest in [false, true] {
        local(async {
            let mut stage = Stage::new(1);
            let registry = stage.ask(Scripted::new(&stage.clock));
            for (first, id) in [(0, 7), (1, 99), (2, 8), (3, 7), (4, 99)] {
                stage.framed_interactions(first, 1, id);
            }
            let worker = stage.start_either(ingest, &Said::default());
            stage.until_committed(&worker, ingest, 5).await;
            worker.stop().await.unwrap();
            assert_eq!(stage.outcomes(ingest).await, (2, 3));
            let letters = stage.log.records(Topic::DeadLetter);
            let letters: Vec<_> =
                letters.iter().map(|letter| DeadLetter::parse(letter.headers.as_bytes()).unwrap()).collect();
            assert_eq!(letters.iter().map(|letter| letter.offset).collect::<Vec<_>>(), [1, 2, 4]);
            let reasons = ["schema id 99 is unknown", "schema Alien is none of our events", "schema id 99 is unknown"];
            for (letter, reason) in letters.iter().zip(reasons) {
                assert!(letter.reason.starts_with("undecodable") && letter.reason.contains(reason), "{letter:?}");
            }
            assert!(registry.asked.load(Ordering::Relaxed) <= 4);
        });
    }
}

/// Without a registry nobody can be asked: an id is a dead letter at once.
#[test]
fn without_a_registry_an_id_is_a_dead_letter() {
    for ingest in [false, true] {
        local(async {
            let mut stage = Stage::new(1);
            stage.framed_interactions(0, 1, 7);
            stage.interactions(1, 1);
            let worker = stage.start_either(ingest, &Said::default());
            stage.until_committed(&worker, ingest, 2).await;
            worker.stop().await.unwrap();
            assert_eq!(stage.outcomes(ingest).await, (1, 1));
        });
    }
}

/// A batch that is in flight when the worker is told to stop is committed, though its schema is met there for the
/// first time: a replay ends just so.
#[test]
fn what_is_drained_still_learns_its_schema() {
    local(async {
        let mut stage = Stage::new(1);
        stage.ask(Scripted::new(&stage.clock));
        stage.options.batch_linger_ms = 1 << 40;
        stage.framed_interactions(0, 3, 7);
        let said = Said::default();
        let worker = stage.start_either(false, &said);
        stage.assign_all(&worker, &VIEWS);
        stage.until(|| said.0.borrow().contains(&"in flight")).await;
        assert_eq!(stage.store.counts().total(), 0);
        worker.stop().await.unwrap();
        assert_eq!(stage.outcomes(false).await, (3, 0));
    });
}

/// A registry that never answers holds no worker when it is to stop, and nothing is committed past the record.
#[test]
fn a_silent_registry_does_not_hold_the_worker() {
    for ingest in [false, true] {
        local(async {
            let mut stage = Stage::new(1);
            stage.options.drain_deadline_ms = 50;
            let registry = stage.ask(Scripted { is_silent: true, ..Scripted::new(&stage.clock) });
            stage.framed_interactions(0, 1, 7);
            let worker = stage.start_either(ingest, &Said::default());
            stage.assign_all(&worker, if ingest { &RECORDS } else { &VIEWS });
            stage.until(|| registry.asked.load(Ordering::Relaxed) == 1).await;
            worker.stop().await.unwrap();
            assert!(stage.log.records(Topic::DeadLetter).is_empty());
            assert_eq!(stage.store.counts().total(), 0);
            assert_eq!((stage.store.rows("interactions"), stage.store.rows("contact")), (0, 0));
        });
    }
}

/// A worker that waited for its log is ready as soon as the log answers, though nothing new comes; one that has never
/// held a partition is not.
#[test]
fn a_log_that_answers_again_makes_ready_whoever_holds_partitions() {
    for ingest in [false, true] {
        local(async {
            let stage = Stage::new(1);
            let fail = || stage.log.fail_poll(pipeline::LogError::Unavailable("no broker".to_owned()));
            let said = Said::default();
            fail();
            let worker = stage.start_either(ingest, &said);
            stage.until(|| said.0.borrow().contains(&"log")).await;
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            assert_eq!(*said.0.borrow(), ["log"], "not ready before the first claim");
            stage.assign_all(&worker, if ingest { &RECORDS } else { &VIEWS });
            stage.until(|| said.0.borrow().last() == Some(&"ready")).await;
            fail();
            stage.until(|| said.0.borrow().last() == Some(&"log")).await;
            stage.until(|| said.0.borrow().last() == Some(&"ready")).await;
            worker.stop().await.unwrap();
        });
    }
}

/// The event ids of the window come back for a new owner who meets their schema for the first time.
#[test]
fn the_window_is_refilled_through_the_registry() {
    local(async {
        let mut stage = Stage::new(1);
        // Idle workers advance the clock: the window must outlast them.
        stage.options.dedup_window_ms = 86_400_000;
        stage.ask(Scripted::new(&stage.clock));
        stage.framed_interactions(7, 1, 7);
        let first = stage.start(&VIEWS);
        let tps = stage.assign_all(&first, &VIEWS);
        stage.until_accounted(1).await;
        first.stop().await.unwrap();
        // Another process: it knows no ids yet, and its registry is down for a while.
        let up_from_us = stage.clock.now_us() + 5_000_000;
        let registry = stage.ask(Scripted { up_from_us, ..Scripted::new(&stage.clock) });
        let said = Said::default();
        let second = stage.start_observed(&VIEWS, said.clone());
        stage.log.assign(second.id, &tps);
        stage.until(|| registry.asked.load(Ordering::Relaxed) > 1 && said.0.borrow().ends_with(&["ready"])).await;
        stage.interactions(7, 1);
        stage.until_accounted(2).await;
        second.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((counts.applied, counts.duplicate, counts.dead), (1, 1, 0));
    });
}

/// A worker registers what it derives when it first has something to publish, waits for that, and writes the id.
#[test]
fn derived_events_wait_for_their_registration() {
    local(async {
        let mut stage = Stage::new(1);
        let up_from_us = START_US + 60_000_000;
        let registry = stage.ask(Scripted { up_from_us, ..Scripted::new(&stage.clock) });
        stage.interactions(0, 5);
        let said = Said::default();
        let worker = stage.start_observed(&VIEWS, said.clone());
        stage.assign_all(&worker, &VIEWS);
        stage.until_accounted(5).await;
        assert_eq!(registry.asked.load(Ordering::Relaxed), 0, "there was nothing to publish");
        let spore = stage.events.spore(Events::meta(50, START_US, None), "a", "hello", 1.0);
        stage.log.append(spore);
        stage.until_accounted(6).await;
        worker.stop().await.unwrap();
        assert_eq!(*registry.registered.lock().unwrap(), [EventKind::Contributed]);
        assert!(said.0.borrow().contains(&"registry"));
        let derived = stage.log.records(Topic::WisdomInsights);
        assert_eq!((derived.len(), &derived[0].value[..5]), (1, &[0, 0, 0, 0, 100 + EventKind::Contributed as u8][..]));
        assert!(stage.log.records(Topic::DeadLetter).is_empty());
    });
}

/// I5: a chunk with a record that the store refuses is folded again; what the registry denied stays dead, once.
#[test]
fn a_refused_chunk_keeps_the_registrys_no() {
    local(async {
        let mut stage = Stage::new(1);
        stage.ask(Scripted::new(&stage.clock));
        stage.framed_interactions(0, 20, 7);
        stage.framed_interactions(20, 1, 99);
        let bad = stage.events.interaction(Events::meta(21, START_US, None), "a", "bad");
        stage.log.append(framed(bad, 7));
        stage.store.script(|rows| {
            let interactions = &rows.tables()[3];
            let bad = (0..interactions.len()).any(|ix| interactions.key(ix).windows(4).any(|part| part == b"bad\0"));
            bad.then(|| StoreError::Refused("the peer is bad".to_owned()))
        });
        let worker = stage.start_either(true, &Said::default());
        stage.until_committed(&worker, true, 22).await;
        worker.stop().await.unwrap();
        let position = stage.ingested().await;
        assert_eq!((position.counts.applied, position.counts.dead, position.gap()), (20, 2, 0));
        assert_eq!(stage.log.records(Topic::DeadLetter).len(), 2);
    });
}
