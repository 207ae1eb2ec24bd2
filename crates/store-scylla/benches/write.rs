//! Ways to write records, side by side in one run on a real engine: `SPORELOG_TEST_CASSANDRA=host:port cargo bench -p
//! store-scylla`. Each round writes fresh rows in every way, in turn; the table shows the medians, and each way as a
//! ratio of the first. CPU is this process's, and where the engine runs on this machine and `SPORELOG_BENCH_PID` names
//! its process, the engine's.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::records::RECORDS;
use domain::tables::records::{INTERACTIONS, SPORES, SPORES_BY_DAY};
use pipeline::{Clock, RecordStore, SystemClock};
use store_scylla::{ScyllaConfig, ScyllaStore, migrate};
use support::{Keyspace, config, runtime};
use uuid::Uuid;

const ROWS: u64 = 20_000;
const ROUNDS: u64 = 5;
const START_US: i64 = 1_767_225_600_000_000;

/// How to write.
struct Way {
    name: &'static str,
    partition: usize,
    spread: usize,
    in_flight: u32,
    chunks: u64,
}

const fn way(name: &'static str, partition: usize, spread: usize, in_flight: u32, chunks: u64) -> Way {
    Way { name, partition, spread, in_flight, chunks }
}

const WAYS: [Way; 8] = [
    way("a row a request, 64 in flight", 1, 1, 64, 1),
    way("a row a request", 1, 1, 256, 4),
    way("8 rows of a partition", 8, 1, 256, 4),
    way("64 rows of a partition", 64, 1, 256, 4),
    way("256 rows of a partition", 256, 1, 256, 4),
    way("64, and 8 of the same home", 64, 8, 256, 4),
    way("64 and 8, 32 in flight", 64, 8, 32, 4),
    way("64 and 8, one chunk", 64, 8, 256, 1),
];

/// What is written.
#[derive(Clone, Copy)]
enum Load {
    /// Spores: each alone in its partition.
    Spores,
    /// Spores by day: 16 partitions.
    ByDay,
    /// Interactions of 40 agents: both ends, few partitions.
    Busy,
    /// Interactions of 5,000 agents: both ends, many partitions.
    Wide,
}

fn rows(load: Load, round: u64, from: u64, to: u64) -> Deltas {
    let mut deltas = Deltas::new(RECORDS.tables);
    for number in from..to {
        let at = START_US + (number as i64) * 1_000;
        let id = Uuid::from_u128(u128::from(round) << 64 | u128::from(number) | (u128::from(number) * 7_919) << 96);
        let text = |text: &str| Cell::Text(text.to_owned());
        match load {
            Load::Spores => {
                let mut row = deltas.row(&SPORES, |key| {
                    key.text("bench").uuid(id);
                });
                row.merge("origin_agent", text("agent-0042")).merge("created_at", Cell::Int(at));
                row.merge("spore_type", text("whisper")).merge("content", text(&"a whispered thought ".repeat(6)));
                row.merge("content_hash", text("0123456789abcdef0123456789abcdef")).merge("tier", text("working"));
                row.merge("resonance_score", Cell::Double(0.5)).merge("love_resonance", Cell::Int(50));
            }
            Load::ByDay => {
                let mut row = deltas.row(&SPORES_BY_DAY, |key| {
                    key.text("bench").int(START_US + round as i64).int((number % 16) as i64).int(at).uuid(id);
                });
                row.merge("origin_agent", text("agent-0042")).merge("spore_type", text("whisper"));
                row.merge("resonance_score", Cell::Double(0.5));
            }
            Load::Busy | Load::Wide => {
                let agents = if matches!(load, Load::Busy) { 40 } else { 5_000 };
                for (end, direction) in [(number * 31 % agents, "out"), (number * 17 % agents, "in")] {
                    let mut row = deltas.row(&INTERACTIONS, |key| {
                        key.text("bench").text(&format!("agent-{end}")).int(START_US + round as i64).int(at);
                        key.text("agent-peer").uuid(id);
                    });
                    row.merge("direction", text(direction)).merge("interaction_type", text("message"));
                    row.merge("context", text("{}")).merge("field_impact", Cell::Double(0.25));
                    row.merge("affection_delta", Cell::Double(1.0)).merge("trust_delta", Cell::Double(0.5));
                    row.merge("region_id", text("north")).merge("love_resonance", Cell::Int(50));
                }
            }
        }
    }
    deltas
}

/// The CPU time of a process in clock ticks of 10 ms.
fn cpu_ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Rows per second, and CPU microseconds a row: of this process, and of the engine.
type Measured = (f64, f64, f64);

fn measure((config, clock): (&ScyllaConfig, &SystemClock), way: &Way, load: Load, round: u64) -> Measured {
    let engine = std::env::var("SPORELOG_BENCH_PID").unwrap_or_default();
    let in_flight = ScyllaConfig { max_in_flight_statements: way.in_flight, ..config.clone() };
    let store =
        ScyllaStore::new(ScyllaConfig { batch_max_rows: way.partition, spread_max_rows: way.spread, ..in_flight });
    runtime().block_on(async {
        let mut first = store.clone();
        first.write(&rows(load, round + 1_000_000, 0, 1)).await.unwrap();
        let step = ROWS / way.chunks;
        let chunks: Vec<Deltas> = (0..way.chunks).map(|ix| rows(load, round, ix * step, (ix + 1) * step)).collect();
        let written: usize = chunks.iter().map(Deltas::rows).sum();
        let (started, own, its) = (clock.monotonic_us(), cpu_ticks("self"), cpu_ticks(&engine));
        let writes = chunks.iter().map(|rows| {
            let mut store = store.clone();
            async move { store.write(rows).await.unwrap() }
        });
        futures_util::future::join_all(writes).await;
        let took = (clock.monotonic_us() - started) as f64;
        let per_row = |ticks: u64| ticks as f64 * 10_000.0 / written as f64;
        (written as f64 * 1e6 / took, per_row(cpu_ticks("self") - own), per_row(cpu_ticks(&engine) - its))
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let (keyspace, clock) = (Keyspace(config()), SystemClock::new());
    runtime().block_on(migrate::up(&keyspace.0)).unwrap();
    let loads = [
        ("spores", Load::Spores),
        ("spores_by_day, 16 partitions", Load::ByDay),
        ("interactions, 40 agents", Load::Busy),
        ("interactions, 5,000 agents", Load::Wide),
    ];
    for (title, load) in loads {
        let mut seen: Vec<Vec<Measured>> = WAYS.iter().map(|_| Vec::new()).collect();
        for round in 0..=ROUNDS {
            for (ix, way) in WAYS.iter().enumerate() {
                let measured = measure((&keyspace.0, &clock), way, load, round * 100 + ix as u64);
                // The first round warms the engine up.
                if round > 0 {
                    seen[ix].push(measured);
                }
            }
        }
        println!(
            "\n{title}\n{:<34}{:>10}{:>8}{:>16}{:>16}",
            "way", "rows/s", "ratio", "own CPU us/row", "engine us/row"
        );
        let base = median(seen[0].iter().map(|measured| measured.0).collect());
        for (way, seen) in WAYS.iter().zip(&seen) {
            let of = |pick: fn(&Measured) -> f64| median(seen.iter().map(pick).collect());
            let (rate, own, engine) = (of(|m| m.0), of(|m| m.1), of(|m| m.2));
            println!("{:<34}{rate:>10.0}{:>8.2}{own:>16.1}{engine:>16.1}", way.name, rate / base);
        }
    }
}
