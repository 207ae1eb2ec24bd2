//! The tables and the JSON.

use crate::measure::Measured;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a line is compared with.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub job: String,
    pub what: String,
    /// The line of the same job that is its floor; several where the best of them is.
    pub floors: Vec<String>,
    /// All rounds.
    pub rounds: Vec<Measured>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub head: Vec<String>,
    pub rows: Vec<Row>,
}

impl Report {
    /// Adds a round to a line.
    pub fn add(&mut self, job: &str, what: &str, floors: &[&str], measured: Measured) {
        let cpu = measured.cpu_s;
        eprintln!("  {job}: {what}: {} events in {:.2} s, {cpu:.2} CPU-s", measured.events, measured.wall_s);
        let known = self.rows.iter_mut().find(|row| row.job == job && row.what == what);
        match known {
            Some(row) => row.rounds.push(measured),
            None => self.rows.push(Row {
                job: job.to_owned(),
                what: what.to_owned(),
                floors: floors.iter().map(|floor| (*floor).to_owned()).collect(),
                rounds: vec![measured],
            }),
        }
    }

    /// The round with the median wall time of a line.
    pub fn median(&self, job: &str, what: &str) -> Option<&Measured> {
        self.rows.iter().find(|row| row.job == job && row.what == what).map(Row::median)
    }

    /// Prints the tables, and writes them and the JSON to `target/bench/`.
    pub fn publish(&self) {
        let text = self.text();
        println!("{text}");
        let folder = folder();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("bench.md"), &text).unwrap();
        std::fs::write(folder.join("bench.json"), serde_json::to_string_pretty(self).unwrap()).unwrap();
        eprintln!("written to {}", folder.display());
    }

    fn text(&self) -> String {
        let mut text = self.head.join("  \n") + "\n\n";
        text += "| job | what | events/s | events per CPU-second | rows/s | rows a batch | wall s | CPU s | broker CPU s \
                 | store CPU s | peak MiB | of the floor (wall) | (CPU) |\n\
                 |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for row in self.rows.iter().filter(|row| row.median().latency.is_empty()) {
            self.line(&mut text, row);
        }
        let latencies = || self.rows.iter().filter(|row| !row.median().latency.is_empty());
        if latencies().next().is_some() {
            text += "\n| worker, load | latency from | events | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms |\n\
                     |---|---|--:|--:|--:|--:|--:|--:|\n";
        }
        for (row, of) in latencies().flat_map(|row| row.median().latency.iter().map(move |of| (row, of))) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
                row.what, of.from, of.count, of.p50, of.p90, of.p99, of.p999, of.max
            );
        }
        text
    }

    fn line(&self, text: &mut String, row: &Row) {
        let of = row.median();
        let floors = || row.floors.iter().filter_map(|floor| self.median(&row.job, floor));
        // A floor that writes rows may have seen a batch more or less than the worker: what counts is the rate.
        let by_rows = of.rows > 0 && floors().all(|floor| floor.rows > 0);
        let amount = |of: &Measured| if by_rows { of.rows as f64 } else { of.events as f64 };
        let best = |time: fn(&Measured) -> f64| {
            let rates = floors().map(|floor| amount(floor) / time(floor));
            let best = rates.fold(0.0, f64::max);
            if best > 0.0 { format!("{:.2}", amount(of) / time(of) / best) } else { String::new() }
        };
        let some = |value: f64, text: String| if value > 0.0 { text } else { String::new() };
        let (events, rows, batches) = (of.events as f64, of.rows as f64, of.batches as f64);
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} | {} | {} | {:.2} | {:.2} | {} | {} | {:.0} | {} | {} |",
            row.job,
            row.what,
            events / of.wall_s,
            events / of.cpu_s,
            some(rows, format!("{:.0}", rows / of.wall_s)),
            some(batches, format!("{:.0}", rows / batches)),
            of.wall_s,
            of.cpu_s,
            some(of.broker_cpu_s, format!("{:.2}", of.broker_cpu_s)),
            some(of.store_cpu_s, format!("{:.2}", of.store_cpu_s)),
            of.peak_mib,
            best(|of| of.wall_s),
            best(|of| of.cpu_s),
        );
    }
}

impl Row {
    fn median(&self) -> &Measured {
        let mut rounds: Vec<&Measured> = self.rounds.iter().collect();
        rounds.sort_by(|a, b| a.wall_s.total_cmp(&b.wall_s));
        rounds[rounds.len() / 2]
    }
}

/// Where the results go.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench")
}

/// The machine, in one line.
pub fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("Machine: {cores} cores, {}, load at the start {load}.", model.trim_start_matches(['\t', ' ', ':']))
}
