//! How fast the pipeline is, beside what it stands on, in one run: `make bench`, or `cargo bench -p integration-tests`.
//!
//! | what | beside what |
//! |---|---|
//! | decode | the Avro decoder alone, on the same datums into the same structs |
//! | fold, per projection | - |
//! | each worker alone on a prepared log | a bare loop over prepared upserts of the same rows in the same transactions |
//! | all of `up`: append, and the three workers | the aim of 20,000 events/s |
//!
//! Every figure is the median of three rounds; the rounds alternate between all that is measured. The table goes to the
//! screen and to `target/bench/throughput.md`. `SPORELOG_BENCH_EVENTS` sets the number of events (500,000).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the system's clock")]

mod floor;
mod input;
mod measure;
mod pure;
mod report;
mod workers;

use domain::projection::PROJECTIONS;
use input::Input;
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;

fn main() {
    let events = std::env::var("SPORELOG_BENCH_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(500_000);
    let only = std::env::var("SPORELOG_BENCH_ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|only| only == name);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    eprintln!("preparing {events} events ...");
    let input = Input::new(events);
    let prepared = workers::Prepared::new(folder.path(), &input);
    let mut report = Report::new(&input);
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        if wanted("decode") {
            report.add("decode", "", pure::decode(&input));
            report.add("decode, bare", "", pure::bare_decode(&input));
        }
        for projection in PROJECTIONS.iter().filter(|projection| wanted(projection.name)) {
            if wanted("fold") {
                report.add("fold", projection.name, pure::fold(&input, projection));
            }
            report.add("worker", projection.name, workers::alone(&prepared, &input, projection, round));
            if wanted("floor") {
                report.add("bare upsert", projection.name, floor::run(&prepared, &input, projection, round));
            }
        }
        if wanted("up") {
            report.add("up", "", workers::up(folder.path(), &input, round));
        }
    }
    report.publish();
}
