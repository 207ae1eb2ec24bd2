//! I10: random logs under random schedules: refusing stores, lost replies, outages, zombies, take-overs, partial publishes;
//! unsequenced, sequenced, restarted and out-of-order producers; a window that records leave, and a cap that binds. One
//! digest, one account, the same dead records, the same derived events.
//!
//! `SPORELOG_TEST_SEEDS` sets how many seeds (200), `SPORELOG_TEST_FIRST_SEED` the first one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::delta::Deltas;
use domain::digest::Digest;
use domain::event::Meta;
use domain::fold::{records::RECORDS, series::SERIES, views::VIEWS};
use domain::{Projection, Topic, TopicPartition};
use futures_util::FutureExt as _;
use pipeline::{Claim, Counts, GroupPosition, LogError, OutRecord, Position, RowStore as _, Source as _, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use support::{Running, Stage, local};
use testkit::events::{Events, START_US};

/// A generator that clones share; xorshift64 (Marsaglia 2003).
#[derive(Clone)]
struct Rng(Rc<std::cell::Cell<u64>>);

impl Rng {
    fn new(seed: u64) -> Self {
        Self(Rc::new(std::cell::Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)))
    }

    fn below(&self, n: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        (x >> 11) % n
    }

    fn happens(&self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// The numbers of one sequenced producer: in order, with restarts, or shuffled.
#[derive(Default)]
struct Counter {
    next: i64,
    held_back: Vec<i64>,
}

impl Counter {
    fn number(&mut self, producer: u64, rng: &Rng) -> i64 {
        match producer {
            // A counter that is not kept over restarts.
            3 if rng.happens(25) => self.next = 0,
            // Records overtake one another.
            4 if rng.happens(3) => {
                self.held_back.push(self.next);
                self.next += 1;
            }
            4 if rng.happens(2) && !self.held_back.is_empty() => {
                return self.held_back.swap_remove(rng.below(self.held_back.len() as u64) as usize);
            }
            _ => {}
        }
        self.next += 1;
        self.next - 1
    }
}

/// A log: records and their append times.
fn make_log(stage: &mut Stage, seed: u64, records: usize) -> Vec<(OutRecord, i64)> {
    let rng = Rng::new(seed);
    let mut counters: BTreeMap<u64, Counter> = BTreeMap::new();
    let mut log: Vec<(OutRecord, i64)> = Vec::new();
    let mut append_us = START_US;
    for ix in 0..records {
        append_us += rng.below(9_000_000) as i64;
        if ix % 5 == 4 {
            // A repeat, of something recent or of anything.
            let back = 1 + rng.below(if rng.happens(2) { 12 } else { log.len() as u64 });
            let again = log[log.len().saturating_sub(back as usize)].0.clone();
            log.push((again, append_us));
            continue;
        }
        let producer = rng.below(5);
        let name = format!("p{producer}");
        let number = (producer > 1).then(|| counters.entry(producer).or_default().number(producer, &rng));
        let occurred_at = append_us - rng.below(4_000) as i64 * 60_000_000;
        // For ids that are no UUIDv7, the time stands in for when they were minted: it must not go back.
        let occurred_at = if number.is_some() { append_us } else { occurred_at };
        let meta = Meta { producer_id: &name, ..Events::meta(ix as u128 + 1, occurred_at, number) };
        let (from, to) = (format!("a{}", rng.below(7)), format!("a{}", rng.below(7)));
        let to = if rng.happens(30) { "bad".to_owned() } else { to };
        let mut record = match rng.below(6) {
            0 | 1 => stage.events.interaction(meta, &from, &to),
            2 => stage.events.spore(meta, &from, "hello", 3.0),
            3 => stage.events.state_change(meta, &from, "glad", 5.0),
            4 => stage.events.propagation(meta, uuid::Uuid::from_u128(u128::from(rng.below(9)) + 1), &from, &to),
            _ => stage.events.heartbeat(meta, &from, &to, 50.0),
        };
        if rng.happens(40) {
            record.value = b"junk".to_vec();
        }
        log.push((record, append_us));
    }
    log
}

/// What a store refuses whatever the schedule: rows that name a bad agent.
fn is_bad(rows: &Deltas) -> bool {
    let names_it = |key: &[u8]| key.split(|byte| *byte == 0).any(|part| part == b"bad");
    rows.tables().iter().any(|delta| (0..delta.len()).any(|ix| names_it(delta.key(ix))))
}

/// Everything by which two runs are compared.
#[derive(Debug, PartialEq)]
struct Result {
    digests: Vec<(&'static str, Digest)>,
    account: Vec<(TopicPartition, i64, Counts)>,
    dead: BTreeSet<(TopicPartition, i64)>,
    derived: BTreeSet<(String, i64, uuid::Uuid)>,
}

/// How a run differs from the plain one.
struct Wild {
    rng: Rng,
    owner: Vec<usize>,
    /// Members that lost a partition without having been told.
    untold: BTreeSet<(usize, usize)>,
}

impl Wild {
    fn options(&self, stage: &mut Stage) {
        stage.options.batch_max_records = [1, 7, 64, 10_000][self.rng.below(4) as usize];
        stage.options.max_producers = 1;
        stage.options.row_cache_bytes = [0, 2_000, 1 << 20][self.rng.below(3) as usize];
        stage.store.slow_down();
    }

    /// A store that refuses, fails, loses replies, and lets others claim.
    fn script(&self, stage: &Stage, projection: &'static Projection, tps: &[TopicPartition]) {
        let (store, rng) = (stage.store.clone(), self.rng.clone());
        let mut claims = Vec::new();
        let mut log = stage.log.join("nobody");
        for tp in tps {
            claims.push(Claim { tp: *tp, log: log.identity(*tp).now_or_never().unwrap().unwrap() });
        }
        let is_ingest = projection.name == RECORDS.name;
        stage.store.script(move |rows| match rng.below(100) {
            _ if is_bad(rows) => Some(StoreError::Refused("the agent is bad".to_owned())),
            0..6 => Some(StoreError::Unavailable("down".to_owned())),
            6..10 if !is_ingest => Some(StoreError::Unknown("not committed".to_owned())),
            10..15 if !is_ingest => {
                store.lose_next_reply();
                None
            }
            15..18 if !is_ingest => {
                store.clone().claim(projection, &claims).now_or_never().unwrap().unwrap();
                None
            }
            18..30 if rows.rows() > 16 => Some(StoreError::Refused("now and then".to_owned())),
            _ => None,
        });
    }

    /// Faults of the log, and partitions that move.
    async fn disturb(&mut self, stage: &Stage, workers: &[Running], tps: &[TopicPartition]) {
        let rng = self.rng.clone();
        for _ in 0..rng.below(4) {
            tokio::task::yield_now().await;
        }
        if rng.happens(20) {
            stage.log.fail_publish_behind(rng.below(3) as usize, LogError::Unavailable("no leader".to_owned()));
        }
        if rng.happens(40) {
            stage.log.fail_poll(LogError::Unavailable("no broker".to_owned()));
        }
        if !rng.happens(20) {
            return;
        }
        for (ix, tp) in tps.iter().enumerate() {
            let next = rng.below(3) as usize;
            if next == self.owner[ix] || rng.happens(2) {
                continue;
            }
            let tell = !rng.happens(3);
            stage.log.revoke(workers[self.owner[ix]].id, &[*tp], tell);
            if !tell {
                self.untold.insert((self.owner[ix], ix));
            }
            // A member that gets a partition back learns first that it was gone.
            if self.untold.remove(&(next, ix)) {
                stage.log.revoke(workers[next].id, &[*tp], true);
            }
            stage.log.assign(workers[next].id, &[*tp]);
            self.owner[ix] = next;
        }
    }
}

async fn positions(stage: &Stage, projection: &Projection) -> Vec<Position> {
    if projection.name != RECORDS.name {
        return stage.store.positions_held();
    }
    let tps = stage.log.partitions(projection.topics);
    let offsets = stage.log.join(projection.name).committed(&tps).await.unwrap();
    offsets.iter().map(|offset| GroupPosition::from_offset(offset).unwrap().position).collect()
}

async fn until_all_is_passed(stage: &Stage, projection: &Projection, seed: u64) -> Vec<Position> {
    for _ in 0..400_000 {
        let held = positions(stage, projection).await;
        let next = |tp: TopicPartition| held.iter().find(|held| held.tp == tp).map_or(0, |held| held.next_offset);
        if stage.log.partitions(projection.topics).into_iter().all(|tp| next(tp) == stage.log.end_of(tp)) {
            return held;
        }
        tokio::task::yield_now().await;
    }
    panic!("seed {seed}: {} stands still at {:?}", projection.name, positions(stage, projection).await);
}

async fn run(projection: &'static Projection, seed: u64, records: usize, is_wild: bool) -> Result {
    const PARTITIONS: u32 = 3;
    let mut stage = Stage::new(PARTITIONS);
    stage.options.idle_wait_ms = 1;
    stage.options.dedup_max_records = 20;
    let is_ingest = projection.name == RECORDS.name;
    let log = make_log(&mut stage, seed, records);
    let tps = stage.log.partitions(projection.topics);
    let mut wild = Wild { rng: Rng::new(seed ^ 0xABCDEF), owner: vec![0; tps.len()], untold: BTreeSet::new() };
    if is_wild {
        wild.options(&mut stage);
        wild.script(&stage, projection, &tps);
    } else {
        stage.store.script(|rows| is_bad(rows).then(|| StoreError::Refused("the agent is bad".to_owned())));
    }
    let start = || if is_ingest { stage.start_ingest(stage.store.clone()) } else { stage.start(projection) };
    let workers: Vec<Running> = (0..if is_wild { 3 } else { 1 }).map(|_| start()).collect();
    stage.log.assign(workers[0].id, &tps);
    for (record, append_us) in log {
        stage.log.append_at(record, append_us);
        if is_wild {
            wild.disturb(&stage, &workers, &tps).await;
        }
    }
    let held = until_all_is_passed(&stage, projection, seed).await;
    for worker in workers {
        worker.stop().await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    for position in &held {
        assert_eq!((position.gap(), position.counts.holes, position.counts.lost), (0, 0, 0), "seed {seed}: I5");
    }
    result(&stage, projection, held)
}

fn result(stage: &Stage, projection: &Projection, held: Vec<Position>) -> Result {
    // What is derived is repeated by crashes: how often says nothing.
    let held = held.into_iter().filter(|held| held.tp.topic != Topic::WisdomInsights && held.next_offset > 0);
    let mut account: Vec<_> = held.map(|held| (held.tp, held.next_offset, held.counts)).collect();
    account.sort_by_key(|(tp, ..)| *tp);
    let letters = stage.log.records(Topic::DeadLetter);
    let read = |letter: &OutRecord| pipeline::deadletter::DeadLetter::parse(letter.headers.as_bytes()).unwrap();
    let dead = letters.iter().map(|letter| (read(letter).tp, read(letter).offset));
    let dead = dead.filter(|(tp, _)| tp.topic != Topic::WisdomInsights).collect();
    let derived = stage.log.records(Topic::WisdomInsights);
    let derived = derived.iter().map(|record| {
        let event = stage.schemas.decode(&record.value).unwrap();
        let meta = event.meta();
        (meta.producer_id.to_owned(), meta.producer_seq.unwrap(), meta.event_id)
    });
    Result { digests: stage.store.digests(projection), account, dead, derived: derived.collect() }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn whatever_happens(projection: &'static Projection) {
    let (first, seeds) = (number("SPORELOG_TEST_FIRST_SEED", 1), number("SPORELOG_TEST_SEEDS", 200));
    let mut total = Counts::default();
    for seed in first..first + seeds {
        local(async {
            let records = 60 + (seed as usize * 37) % 300;
            let plain = run(projection, seed, records, false).await;
            let wild = run(projection, seed, records, true).await;
            assert_eq!(wild, plain, "seed {seed} {}", projection.name);
            plain.account.iter().for_each(|(_, _, counts)| total.add(counts));
        });
    }
    assert!(total.applied > 0 && total.dead > 0, "{total:?}");
    assert!(projection.name == RECORDS.name || total.duplicate > 0, "{total:?}");
    println!("{}: {seeds} seeds from {first}: {total:?}", projection.name);
}

/// I10, I5, I6: views.
#[test]
fn views_are_one_whatever_happens() {
    whatever_happens(&VIEWS);
}

/// I10, I5, I6: series.
#[test]
fn series_are_one_whatever_happens() {
    whatever_happens(&SERIES);
}

/// I10, I4, I5, I6: records.
#[test]
fn records_are_one_whatever_happens() {
    whatever_happens(&RECORDS);
}
