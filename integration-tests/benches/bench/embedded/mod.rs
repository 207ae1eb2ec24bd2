//! The embedded log and stores: decoding, folding, each worker alone on a prepared log beside bare SQLite upserts of the
//! same rows, and all of `up` beside the upserts of all of them.

mod floor;
mod pure;
mod workers;

use crate::child::Line;
use crate::input::Input;
use crate::measure::Measured;
use codec::Schemas;
use domain::projection::PROJECTIONS;
use std::sync::Arc;

/// One round over so many events.
pub fn run(events: usize) -> Vec<Line> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Without a registry, as the embedded log is used.
    let input = Input::new(Arc::new(Schemas::embedded().unwrap()), events);
    let prepared = workers::Prepared::new(folder.path(), &input);
    let mut lines = Vec::new();
    let mut add = |what: &str, of: &str, measured: Measured| {
        // The input lies in the memory of this process: its peak says nothing about a worker's.
        let measured = Measured { peak_mib: 0.0, ..measured };
        lines.push(Line { name: format!("{what} {of}").trim_end().to_owned(), measured });
    };
    add("decode", "", pure::decode(&input));
    add("decode, bare", "", pure::bare_decode(&input));
    let mut all = Measured::default();
    for projection in PROJECTIONS {
        add("fold", projection.name, pure::fold(&input, projection));
        add("worker", projection.name, workers::alone(&prepared, &input, projection));
        let floor = floor::run(&prepared, &input, projection);
        all.add(&floor);
        add("bare upsert", projection.name, floor);
    }
    add("bare upserts of all rows", "", Measured { events: events as u64, ..all });
    // By events: the workers of `up` batch otherwise, and write a row more often or more seldom.
    add("up", "", Measured { rows: 0, ..workers::up(folder.path(), &input) });
    lines
}
