//! The table.

use crate::input::Input;
use crate::measure::Spent;
use crate::workers::PARTITIONS;
use domain::projection::PROJECTIONS;
use pipeline::WorkerOptions;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What was measured, by (what, of which projection).
pub struct Report {
    head: String,
    measured: BTreeMap<(&'static str, &'static str), Vec<Spent>>,
}

impl Report {
    pub fn new(input: &Input) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let options = WorkerOptions::default();
        let head = format!(
            "Machine: {cores} cores, {}. sporelog {}, SQLite {}.\n\
             Input: {} events, {} bytes a value, {PARTITIONS} partitions a topic, batches of at most {} records.\n\
             Log and stores: WAL, synchronous=FULL. Median of {} rounds.\n",
            model.trim_start_matches(['\t', ' ', ':']),
            env!("CARGO_PKG_VERSION"),
            rusqlite::version(),
            input.records.len(),
            input.mean_bytes(),
            options.batch_max_records,
            crate::ROUNDS,
        );
        Self { head, measured: BTreeMap::new() }
    }

    pub fn add(&mut self, what: &'static str, of: &'static str, spent: Spent) {
        self.measured.entry((what, of)).or_default().push(spent);
    }

    /// The round with the median wall time.
    fn median(&self, what: &'static str, of: &'static str) -> Option<Spent> {
        let mut rounds = self.measured.get(&(what, of))?.clone();
        rounds.sort_unstable_by_key(|spent| spent.wall);
        Some(rounds[rounds.len() / 2])
    }

    /// Prints the table, and writes it to `target/bench/throughput.md`.
    pub fn publish(&self) {
        let mut text = self.head.clone();
        text +=
            "\n| what | events/s | events per CPU-second | rows/s | wall s | CPU s | of the floor (wall) | (CPU) |\n";
        text += "|---|--:|--:|--:|--:|--:|--:|--:|\n";
        let mut line = |what: &'static str, of: &'static str, floor: &'static str| {
            let Some(spent) = self.median(what, of) else { return };
            let (wall, cpu) = (spent.wall.as_secs_f64(), spent.cpu.as_secs_f64());
            let (events, rows) = (spent.events as f64, spent.rows as f64);
            let ratio = |spent: f64, floor: f64| format!("{:.2}", floor / spent);
            let floor = self.median(floor, of);
            let of_wall = floor.map_or(String::new(), |floor| ratio(wall, floor.wall.as_secs_f64()));
            let of_cpu = floor.map_or(String::new(), |floor| ratio(cpu, floor.cpu.as_secs_f64()));
            let rows = if spent.rows > 0 { format!("{:.0}", rows / wall) } else { String::new() };
            let name = format!("{what} {of}");
            let name = name.trim_end();
            let _ = writeln!(
                text,
                "| {name} | {:.0} | {:.0} | {rows} | {wall:.2} | {cpu:.2} | {of_wall} | {of_cpu} |",
                events / wall,
                events / cpu,
            );
        };
        line("decode", "", "decode, bare");
        line("decode, bare", "", "");
        let names = || PROJECTIONS.iter().map(|projection| projection.name);
        names().for_each(|name| line("fold", name, ""));
        for name in names() {
            line("worker", name, "bare upsert");
            line("bare upsert", name, "");
        }
        line("up", "", "");
        println!("{text}");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        std::fs::create_dir_all(&target).unwrap();
        std::fs::write(target.join("throughput.md"), text).unwrap();
    }
}
