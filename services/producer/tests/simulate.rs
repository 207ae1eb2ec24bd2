//! The simulated population: valid, repeatable, bounded, and paced.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use codec::Schemas;
use common::{Kept, NOW_US, block_on};
use domain::event::{Event, EventKind};
use pipeline::{Clock, OutRecord};
use producer::simulate::{Options, Pace, Population, Progress, Simulation, Spread};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn records(options: &Options, count: i64, step_us: i64) -> Vec<OutRecord> {
    let mut population = Population::new(options).unwrap();
    (0..count).map(|at| population.next_record(NOW_US + at * step_us).unwrap()).collect()
}

#[test]
fn every_event_is_valid_and_every_kind_occurs() {
    let schemas = Schemas::embedded().unwrap();
    let mut kinds = HashMap::<EventKind, u32>::new();
    let mut ids = HashSet::new();
    let mut seqs = HashMap::new();
    for record in records(&Options::new(1, 500), 100_000, 5_000) {
        let event = schemas.decode(&record.value).unwrap();
        domain::validity::check(&event, &record.key, NOW_US + 100_000 * 5_000)
            .unwrap_or_else(|violation| panic!("{violation}: {event:?}"));
        assert_eq!(record.topic, event.kind().topic());
        *kinds.entry(event.kind()).or_default() += 1;
        let meta = event.meta();
        assert!(ids.insert(meta.event_id));
        assert!(meta.producer_id.starts_with("sim/1/0/1767225600000000."), "{}", meta.producer_id);
        let seq = seqs.entry(record.topic).or_insert(0);
        assert!(meta.producer_seq > Some(*seq));
        *seq = meta.producer_seq.unwrap();
    }
    let missing: Vec<_> = EventKind::ALL.iter().filter(|kind| !kind.derived() && !kinds.contains_key(*kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(!kinds.keys().any(|kind| kind.derived()));
    assert!(kinds[&EventKind::InteractionRecorded] > 20_000, "{kinds:?}");
}

#[test]
fn each_kind_can_be_had_alone() {
    let schemas = Schemas::embedded().unwrap();
    for kind in EventKind::ALL.iter().copied().filter(|kind| !kind.derived()) {
        let options = Options { only: vec![kind], ..Options::new(3, 50) };
        for record in records(&options, 500, 1_000) {
            let event = schemas.decode(&record.value).unwrap();
            assert_eq!(event.kind(), kind);
            domain::validity::check(&event, &record.key, NOW_US + 1_000_000).unwrap();
        }
    }
}

#[test]
fn the_same_seed_and_run_give_the_same_bytes() {
    let options = Options::new(7, 100);
    let first = records(&options, 5_000, 1_000);
    assert_eq!(first, records(&options, 5_000, 1_000));
    assert_ne!(first, records(&Options::new(8, 100), 5_000, 1_000));
    let other_run = records(&Options { run: "1".into(), ..options.clone() }, 5_000, 1_000);
    assert!(first.iter().zip(&other_run).all(|(a, b)| a.value != b.value));
    let schemas = Schemas::embedded().unwrap();
    let loose = records(&Options { sequenced: false, ..options }, 10, 1_000);
    assert!(loose.iter().all(|record| schemas.decode(&record.value).unwrap().meta().producer_seq.is_none()));
}

#[test]
fn activity_is_skewed_or_spread_as_told() {
    let busiest = |spread, agents| {
        let options = Options { only: vec![EventKind::InteractionRecorded], spread, ..Options::new(1, agents) };
        let mut counts = HashMap::<Vec<u8>, u32>::new();
        records(&options, 10_000, 1_000).into_iter().for_each(|record| *counts.entry(record.key).or_default() += 1);
        (counts.len(), counts.values().copied().max().unwrap())
    };
    assert_eq!(busiest(Spread::RoundRobin, 10_000), (10_000, 1));
    let (agents, most) = busiest(Spread::Uniform, 100);
    assert!(agents == 100 && most < 200, "{agents} {most}");
    let (agents, most) = busiest(Spread::Zipf, 100);
    assert!(agents > 50 && most > 500, "{agents} {most}");
}

#[test]
fn agents_are_profiled_before_they_act_and_beat_once_a_minute() {
    let schemas = Schemas::embedded().unwrap();
    let mut known = HashSet::new();
    let mut beats = HashMap::<String, Vec<i64>>::new();
    // An hour at 200 events a second.
    for record in records(&Options::new(1, 100), 720_000, 5_000) {
        match schemas.decode(&record.value).unwrap() {
            Event::AgentProfiled(event) => drop(known.insert(event.agent_id.to_owned())),
            Event::AgentHeartbeat(event) => {
                assert!(known.contains(event.agent_id));
                beats.entry(event.agent_id.to_owned()).or_default().push(event.meta.occurred_at);
            }
            _ => {}
        }
    }
    let early = beats.values().flat_map(|times| times.windows(2)).filter(|pair| pair[1] - pair[0] < 59_000_000).count();
    assert_eq!(early, 0);
    assert!(beats.len() > 80 && beats.values().map(Vec::len).max().unwrap() > 30);
}

/// A clock that moves when somebody waits on it.
struct Moving(Cell<i64>);

impl Clock for Moving {
    fn now_us(&self) -> i64 {
        NOW_US + self.0.get()
    }
    fn monotonic_us(&self) -> i64 {
        self.0.get()
    }
    async fn sleep(&self, wait: Duration) {
        self.0.set(self.0.get() + wait.as_micros() as i64);
    }
}

/// The producers and numbers of what a simulation publishes.
fn numbers(options: &Options, pace: Pace, began_us: i64) -> Vec<(String, i64)> {
    let mut kept = Kept::default();
    let population = Population::new(options).unwrap();
    let mut simulation = Simulation { population, pace, events: Some(300), length: None };
    let clock = Moving(Cell::new(began_us));
    block_on(simulation.run(&mut kept, &clock, &CancellationToken::new(), &mut |_| ())).unwrap();
    let number = |event: &serde_json::Value| {
        let meta = &event["meta"];
        (meta["producer_id"].as_str().unwrap().to_owned(), meta["producer_seq"].as_i64().unwrap())
    };
    kept.json().iter().map(number).collect()
}

/// Design 7, "a number used again": a population keeps its counters in memory only.
#[test]
fn restarted_population_gives_no_number_to_another_event() {
    let options = Options { run: "again".into(), ..Options::new(1, 50) };
    let producer = |options: &Options, pace, began_us| {
        let all: HashSet<_> = numbers(options, pace, began_us).into_iter().map(|(producer, _)| producer).collect();
        assert_eq!(all.len(), 1);
        all.into_iter().next().unwrap()
    };
    let live = |rate_per_s| Pace::Live { rate_per_s };
    let past = |start_us, end_us| Pace::History { start_us, end_us, rate_per_s: 1.0 };
    let others = [
        producer(&options, live(100.0), 0),
        producer(&options, live(100.0), 1_000),
        producer(&options, past(NOW_US, i64::MAX), 0),
        producer(&options, past(NOW_US + 1, i64::MAX), 0),
        producer(&options, Pace::History { start_us: NOW_US, end_us: i64::MAX, rate_per_s: 2.0 }, 0),
        producer(&Options { agents: 51, ..options.clone() }, past(NOW_US, i64::MAX), 0),
        producer(&Options { only: vec![EventKind::Blessed], ..options.clone() }, past(NOW_US, i64::MAX), 0),
    ];
    assert_eq!(others.iter().collect::<HashSet<_>>().len(), others.len(), "{others:?}");
    // The same stretch of the past told again, later, is the same: the workers drop it.
    assert_eq!(numbers(&options, past(NOW_US, i64::MAX), 0), numbers(&options, past(NOW_US, i64::MAX - 9), 5));
}

#[test]
fn population_asked_for_derived_events_publishes_none() {
    let schemas = Schemas::embedded().unwrap();
    let derived = EventKind::ALL.iter().copied().filter(|kind| kind.derived()).collect();
    let options = Options { only: derived, ..Options::new(1, 50) };
    for record in records(&options, 1_000, 1_000) {
        let event = schemas.decode(&record.value).unwrap();
        assert!(!event.kind().derived() && event.meta().producer_id.starts_with("sim/"), "{event:?}");
    }
}

fn simulate(pace: Pace, events: Option<u64>, length: Option<Duration>, kept: &mut Kept) -> Progress {
    let population = Population::new(&Options::new(1, 50)).unwrap();
    let mut simulation = Simulation { population, pace, events, length };
    let clock = Moving(Cell::new(0));
    block_on(simulation.run(kept, &clock, &CancellationToken::new(), &mut |_| ())).unwrap()
}

#[test]
fn a_live_population_keeps_its_rate_and_its_events_are_of_now() {
    for (rate, expected) in [(200.0, 2_000), (0.5, 5), (50_000.0, 500_000)] {
        let mut kept = Kept::default();
        let progress = simulate(Pace::Live { rate_per_s: rate }, None, Some(Duration::from_secs(10)), &mut kept);
        let off = progress.events.abs_diff(expected);
        assert!(off * 50 <= expected + 50, "{} at {rate}/s", progress.events);
    }
    let mut kept = Kept::default();
    let progress = simulate(Pace::Live { rate_per_s: 100.0 }, Some(250), None, &mut kept);
    assert_eq!((progress.events, kept.records.len()), (250, 250));
    let schemas = Schemas::embedded().unwrap();
    let times: Vec<_> =
        kept.records.iter().map(|record| schemas.decode(&record.value).unwrap().meta().occurred_at).collect();
    assert!(times.is_sorted() && times[0] >= NOW_US && times[249] <= NOW_US + 2_600_000);
}

#[test]
fn an_outage_does_not_end_a_live_population() {
    let mut kept = Kept { fail_after: Some(2), taken: 1, ..Kept::default() };
    let progress = simulate(Pace::Live { rate_per_s: 100.0 }, Some(100), None, &mut kept);
    assert!(progress.lost > 0 && progress.events + progress.lost == 100, "{progress:?}");
    // What the log took of a batch that failed is not lost.
    assert_eq!(progress.events, kept.records.len() as u64);
}

#[test]
fn history_has_nights() {
    let mut kept = Kept::default();
    let day = 86_400_000_000;
    let pace = Pace::History { start_us: NOW_US - day, end_us: NOW_US, rate_per_s: 1.0 };
    let progress = simulate(pace, None, None, &mut kept);
    assert!(progress.events > 20_000 && progress.events < 86_400, "{progress:?}");
    let schemas = Schemas::embedded().unwrap();
    let mut hours = [0_u32; 24];
    for record in &kept.records {
        let at = schemas.decode(&record.value).unwrap().meta().occurred_at;
        assert!(at <= NOW_US);
        hours[((at - (NOW_US - day)) / 3_600_000_000).min(23) as usize] += 1;
    }
    assert!(hours.iter().max().unwrap() > &(hours.iter().min().unwrap() * 3 / 2), "{hours:?}");
}
