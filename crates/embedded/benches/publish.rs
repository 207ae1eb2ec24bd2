//! What it costs that derived events are published inside the commit's transaction (design 2), on
//! the store with one writer: `cargo bench -p embedded --bench publish [-- ROUNDS]`. Three workers
//! write one store as the roles of `up` do, and the one of the views publishes derived events with
//! each batch: before the commit, or between its statements and COMMIT. Rounds are interleaved;
//! each line gives the medians and the ratio, of wall time and of CPU time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

use domain::delta::Deltas;
use domain::fold::{records::RECORDS, series::SERIES, views::VIEWS};
use domain::tables::{records::SPORES, series::AGENT_RATE, views::CONTACT};
use domain::topics::TopicSpec;
use domain::{Projection, Topic, TopicPartition};
use embedded::log::{Log, LogOptions};
use embedded::store::Store;
use pipeline::{
    Abort, Advance, Claim, Flush, Headers, LogIdentity, OutRecord, Position, RecordStore as _, RowStore as _,
    SystemClock, nothing_before_commit,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use uuid::Uuid;

/// What a worker writes per batch, and how often.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    batches: usize,
    rows: usize,
    derived: usize,
}

const LOADS: [Load; 3] = [
    Load { name: "backlog: 5,000 rows, 1,000 derived", batches: 25, rows: 5_000, derived: 1_000 },
    Load { name: "live: 100 rows, 20 derived", batches: 300, rows: 100, derived: 20 },
    Load { name: "few: 10 rows, 2 derived", batches: 500, rows: 10, derived: 2 },
];

fn main() {
    let rounds = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(5_usize);
    for load in LOADS {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (inside, times) in times.iter_mut().enumerate() {
                times.push(round(load, inside == 1));
            }
        }
        let median = |of: usize, what: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = times[of].iter().map(what).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (wall, cpu) = ([0, 1].map(|of| median(of, |time| time.0)), [0, 1].map(|of| median(of, |time| time.1)));
        println!(
            "{:40} before {:.2} s, inside {:.2} s: {:.3}; CPU {:.2} s, {:.2} s: {:.3}",
            load.name,
            wall[0],
            wall[1],
            wall[1] / wall[0],
            cpu[0],
            cpu[1],
            cpu[1] / cpu[0]
        );
    }
}

/// One run of all three workers; wall and CPU seconds.
fn round(load: Load, inside: bool) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.db")).unwrap();
    let topics = [TopicSpec {
        topic: Topic::WisdomInsights,
        partitions: 1,
        replication: 1,
        configs: BTreeMap::new(),
        events: Vec::new(),
    }];
    let log = Log::open_with(folder.path(), &topics, LogOptions::default(), SystemClock::new()).unwrap();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        let (facts, series) = (store.clone(), store.clone());
        scope.spawn(move || on_a_thread(async move { write_facts(facts, load).await }));
        scope.spawn(move || on_a_thread(async move { commit(series, None, &SERIES, load, false).await }));
        let views = store.clone();
        scope.spawn(move || on_a_thread(async move { commit(views, Some(log), &VIEWS, load, inside).await }));
    });
    (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
}

fn on_a_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

async fn write_facts(mut store: Store, load: Load) {
    for batch in 0..load.batches {
        let mut deltas = Deltas::new(RECORDS.tables);
        for ix in 0..load.rows {
            let mut row = deltas.row(&SPORES, |key| {
                key.text("t").uuid(Uuid::from_u128((batch * load.rows + ix) as u128));
            });
            row.merge("created_at", domain::cell::Cell::Int(ix as i64));
        }
        store.write(&deltas).await.unwrap();
    }
}

fn rows(projection: &Projection, batch: usize, load: Load) -> Deltas {
    let mut deltas = Deltas::new(projection.tables);
    for ix in 0..load.rows {
        let agent = format!("agent-{:06}", (batch * 7_919 + ix * 104_729) % 50_000);
        if projection.name == VIEWS.name {
            let mut row = deltas.row(&CONTACT, |key| {
                key.text("t").text(&agent).text("peer");
            });
            row.add("interactions", 1).add("affection_sum", 1).add("trust_sum", 1).add("field_impact_sum", 2);
        } else {
            let mut row = deltas.row(&AGENT_RATE, |key| {
                key.text("t").text("north").int(batch as i64 * 60_000_000).text(&agent);
            });
            row.add("interactions", 1).add("field_impact_sum", 1);
        }
    }
    deltas
}

async fn commit(mut store: Store, log: Option<Log>, projection: &'static Projection, load: Load, inside: bool) {
    let tp = TopicPartition::new(Topic::SacredMessages, 0);
    let claim = Claim { tp, log: LogIdentity::default() };
    let epoch = store.claim(projection, &[claim]).await.unwrap()[0].epoch;
    let mut held = Position { epoch, ..Position::start(tp, 0) };
    let mut from = None;
    for batch in 0..load.batches {
        let rows = rows(projection, batch, load);
        let to = Position { next_offset: held.next_offset + 1, ..held };
        let advances = [Advance { from, to }];
        let publish = || -> futures_util::future::LocalBoxFuture<'_, Result<(), Abort>> {
            let log = log.clone();
            Box::pin(async move {
                if let Some(log) = log {
                    log.append(derived(load.derived)).await.unwrap();
                }
                Ok(())
            })
        };
        let mut flush = Flush {
            projection,
            advances: &advances,
            sequences: &[],
            dead: &[],
            rows: &rows,
            before_commit: &nothing_before_commit,
        };
        if inside {
            flush.before_commit = &publish;
        } else {
            publish().await.unwrap();
        }
        store.commit(&flush).await.unwrap();
        (from, held) = (Some(to.next_offset), to);
    }
}

fn derived(records: usize) -> Vec<OutRecord> {
    let record = |ix: usize| OutRecord {
        topic: Topic::WisdomInsights,
        key: format!("t|{ix}").into_bytes(),
        value: vec![7; 600],
        headers: Headers::default(),
    };
    (0..records).map(record).collect()
}

/// CPU time of this process, all threads, from Linux's count of hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc/self/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
