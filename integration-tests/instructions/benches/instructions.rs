//! How many instructions the hot paths take, counted by valgrind: the same on any day, however busy the machine.
//!
//! `make instructions` compares with the baselines below and fails where one is exceeded by more than the tolerance. A
//! change that is meant to cost more, or saves more than the tolerance, changes its baseline in the same commit.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

#[expect(dead_code, reason = "shared with the other benchmark, which uses all of it")]
#[path = "../../benches/bench/input.rs"]
mod input;

use codec::{Encoder, Schemas};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::event::{Event, EventKind};
use domain::fold::{records::RECORDS, series::SERIES, views::VIEWS};
use domain::{Projection, TopicPartition};
use gungraun::{Callgrind, EventKind as Counted, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group};
use pipeline::dedup::Dedup;
use pipeline::folder::{Folder, Tally};
use pipeline::row_cache::RowCache;
use pipeline::{Page, Position, WorkerOptions};
use std::hint::black_box;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events or rows of each benchmark.
const COUNT: usize = 1_000;
/// What may be added to a baseline, in percent: as much as another version of the compiler moves it.
const TOLERANCE_PERCENT: u64 = 5;

/// At most this baseline, in thousands of instructions, and the tolerance.
fn at_most(thousands: u64) -> LibraryBenchmarkConfig {
    let limit = thousands * 10 * (100 + TOLERANCE_PERCENT);
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(Counted::Ir, limit)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

struct Values {
    schemas: Arc<Schemas>,
    values: Vec<Vec<u8>>,
}

fn values() -> Values {
    let schemas = Schemas::embedded().unwrap();
    for kind in EventKind::ALL {
        schemas.learn(input::id(*kind), codec::embedded().unwrap().text(*kind)).unwrap();
    }
    let schemas = Arc::new(schemas);
    let values = input::Input::new(schemas.clone(), COUNT).records.into_iter().map(|record| record.value);
    let values: Vec<Vec<u8>> = values.collect();
    // What is prepared at its first use is no part of the cost of an event.
    for value in &values {
        black_box(schemas.decode(value).unwrap());
    }
    Values { schemas, values }
}

#[library_benchmark(config = at_most(2_735))]
#[bench::events(values())]
fn decode(given: Values) -> Values {
    for value in &given.values {
        black_box(given.schemas.decode(value).unwrap());
    }
    given
}

fn decoded() -> (&'static [Event<'static>], Encoder) {
    // Events borrow from what they were decoded from, which lives as long as the process.
    let given: &'static Values = Box::leak(Box::new(values()));
    let events: Vec<Event<'static>> = given.values.iter().map(|value| given.schemas.decode(value).unwrap()).collect();
    let mut encoder = Encoder::new(given.schemas.clone());
    events.iter().for_each(|event| encoder.encode(event, &mut Vec::new()).unwrap());
    (Box::leak(events.into_boxed_slice()), encoder)
}

#[library_benchmark(config = at_most(6_590))]
#[bench::events(decoded())]
fn encode((events, mut encoder): (&'static [Event<'static>], Encoder)) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 * COUNT);
    for event in events {
        encoder.encode(event, &mut out).unwrap();
    }
    out
}

/// Decoded events into rows, and the rows into the order in which they are written.
fn fold(events: &[Event<'_>], projection: &Projection) -> Deltas {
    let mut deltas = Deltas::new(projection.tables);
    for event in events {
        deltas.set_scope(TopicPartition::new(event.kind().topic(), 0));
        black_box((projection.fold)(event, &mut deltas));
    }
    deltas.roll_up();
    deltas.tables().iter().for_each(|table| drop(black_box(table.sorted())));
    deltas
}

#[library_benchmark(config = at_most(7_865))]
#[bench::events(decoded())]
fn fold_records((events, _): (&'static [Event<'static>], Encoder)) -> Deltas {
    fold(events, &RECORDS)
}

#[library_benchmark(config = at_most(3_535))]
#[bench::events(decoded())]
fn fold_views((events, _): (&'static [Event<'static>], Encoder)) -> Deltas {
    fold(events, &VIEWS)
}

#[library_benchmark(config = at_most(1_855))]
#[bench::events(decoded())]
fn fold_series((events, _): (&'static [Event<'static>], Encoder)) -> Deltas {
    fold(events, &SERIES)
}

fn folder() -> (Folder, Vec<Page>, Tally) {
    let schemas = values().schemas;
    let options = WorkerOptions::default();
    let (mut pages, mut tally) = (Vec::<Page>::new(), Tally::default());
    for record in input::Input::new(schemas.clone(), COUNT).records {
        let tp = TopicPartition::new(record.topic, 0);
        let at = pages.iter().position(|page| page.tp() == tp).unwrap_or_else(|| {
            pages.push(Page::new(tp));
            pages.len() - 1
        });
        let offset = pages[at].len() as i64;
        let appended_us = testkit::events::START_US + 86_400_000_000;
        pages[at].push(offset, appended_us, &record.key, &record.value, &[]);
        tally.positions.entry(tp).or_insert(Position::start(tp, 0));
    }
    let mut folder = Folder::new(&SERIES, schemas.into(), Some(Dedup::new(options.dedup())), &options);
    // Records are placed and looked at, as on a log.
    tally.positions.keys().for_each(|tp| folder.set_partitions(tp.topic, 1));
    (folder, pages, tally)
}

// All that a worker does with a record between the log and the store: decode, validity, duplicates, fold, account.
#[library_benchmark(config = at_most(6_015))]
#[bench::events(folder())]
fn worker((mut folder, pages, mut tally): (Folder, Vec<Page>, Tally)) -> (Folder, Vec<Page>, Tally) {
    for record in pages.iter().flat_map(Page::records) {
        folder.fold(&record, None, &mut tally).unwrap();
    }
    (folder, pages, tally)
}

fn cache() -> (RowCache, Vec<Vec<u8>>) {
    let mut cache = RowCache::new(64 << 20);
    let keys: Vec<Vec<u8>> = (0..COUNT).map(|ix| format!("default\0agent-{ix:06}\0").into_bytes()).collect();
    keys.iter().for_each(|key| cache.put(0, key, vec![Cell::Int(1); 8]));
    (cache, keys)
}

#[library_benchmark(config = at_most(721))]
#[bench::rows(cache())]
fn row_cache_hit((mut cache, keys): (RowCache, Vec<Vec<u8>>)) -> (RowCache, Vec<Vec<u8>>) {
    for key in &keys {
        let row = cache.take(0, key).unwrap();
        cache.put(0, key, row);
    }
    (cache, keys)
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [decode, encode, fold_records, fold_views, fold_series, worker, row_cache_hit]
);

gungraun::main!(library_benchmark_groups = hot_paths);
