//! What the workers cost beside the bare clients that they stand on, in one run on real engines: `make bench`.
//!
//! | job | beside what |
//! |---|---|
//! | decode: bare consume, and decode | bare consume, and count |
//! | aggregator into Postgres | bare consume, and decode |
//! | projector into Postgres | a bare bulk upsert of the same rows, offsets in the same transaction |
//! | ingest into Cassandra | a bare loop of the same prepared statements |
//! | embedded: all of `up` | bare SQLite upserts of the same rows |
//! | latency: from append to commit at 10, 50 and 80 % of the capacity | - |
//! | scale: workers, backlog, keys | one worker |
//!
//! Each measured piece of work is a process of its own; rounds alternate between all of them; figures are medians. How to
//! read and repeat them: `docs/benchmarks.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the system's clock")]

mod capture;
mod child;
mod consume;
mod embedded;
mod fleet;
mod input;
mod insert;
mod jobs;
mod latency;
mod marks;
mod measure;
mod report;
mod upsert;
mod worker;

use fleet::Fleet;
use input::{AGENTS, Skew};
use jobs::{Bench, Plan};
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if child::main() {
        return;
    }
    let plan = Plan::from_env();
    let mut report = Report::default();
    report.head.push(report::machine());
    if plan.needs_engines() {
        let fleet = Fleet::start();
        eprintln!("preparing {} events ...", plan.events);
        let stream = fleet.prepare("bench.", plan.events, AGENTS, Skew::Zipf);
        report.head.push(format!("Versions: sporelog {}, Postgres {}.", env!("CARGO_PKG_VERSION"), fleet.versions()));
        report.head.push(fleet::SETTINGS.to_owned());
        let options = worker::options();
        report.head.push(format!(
            "Input: {} events, {} bytes a value, {AGENTS} agents by Zipf's law, {} events a second of event time, the \
             partitions of the profile `local`; batches of at most {} records. Median of {} rounds.",
            plan.events,
            stream.held.mean_bytes(),
            input::event_rate(),
            options.batch_max_records,
            plan.rounds
        ));
        Bench { plan: &plan, fleet: &fleet, stream: &stream, report: &mut report }.run();
    }
    if jobs::wants_embedded(&plan) {
        jobs::embedded(&plan, &mut report);
    }
    report.publish();
}
