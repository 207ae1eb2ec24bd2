//! Every measured piece of work runs in a process of its own: this program, started again with a [`Spec`].

use crate::measure::{Measured, Pids};
use crate::{consume, embedded, insert, latency, upsert, worker};
use serde::{Deserialize, Serialize};
use std::process::{Child, Command, Stdio};

/// The environment variable that makes this program a child.
const SPEC: &str = "SPORELOG_BENCH_SPEC";
/// Words to put before a child's command, as `perf record -g -o FILE --`.
const WRAP: &str = "SPORELOG_BENCH_WRAP";

/// What a child is to do, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    pub work: Work,
    /// Which of the projections, by name.
    pub projection: String,
    /// The child is done when so many events are.
    pub limit: u64,
    pub workers: u32,
    pub kafka: String,
    /// What goes before the names of the topics that are read, and of those that take what is published.
    pub topics: String,
    pub sink: String,
    pub database: String,
    pub cassandra: String,
    pub keyspace: String,
    pub pids: Pids,
    /// Names the run: groups are called after it.
    pub run: String,
}

/// The kinds of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    /// The bare client: poll, and count or decode.
    Consume { decode: bool },
    /// Workers as they run in production.
    Worker,
    /// The rows of a projector by a bare bulk upsert.
    Upsert { way: upsert::Way },
    /// The rows of ingest by a bare loop of prepared statements.
    Insert { in_flight: usize },
    /// Appends at a steady rate.
    Produce { rate: f64, agents: u64 },
    /// A worker beside which something appends; leaves the first seconds out.
    Latency { warm_up_s: f64 },
    /// All of the embedded suite, one round.
    Embedded,
}

/// A line of what a child measured; most have one, without a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub measured: Measured,
}

/// Does what this process was started for, if it was started as a child.
pub fn main() -> bool {
    let Ok(text) = std::env::var(SPEC) else { return false };
    let spec: Spec = serde_json::from_str(&text).unwrap();
    let one = |measured| vec![Line { name: String::new(), measured }];
    let lines = match &spec.work {
        Work::Consume { decode } => one(consume::run(&spec, *decode)),
        Work::Worker => one(worker::run(&spec)),
        Work::Upsert { way } => one(upsert::run(&spec, *way)),
        Work::Insert { in_flight } => one(insert::run(&spec, *in_flight)),
        Work::Produce { rate, agents } => one(latency::produce(&spec, *rate, *agents)),
        Work::Latency { warm_up_s } => one(latency::run(&spec, *warm_up_s)),
        Work::Embedded => embedded::run(spec.limit as usize),
    };
    println!("{}", serde_json::to_string(&lines).unwrap());
    true
}

/// A child that runs.
pub struct Running(Child);

/// Starts a child.
pub fn start(spec: &Spec) -> Running {
    let program = std::env::current_exe().unwrap();
    let wrap = std::env::var(WRAP).unwrap_or_default();
    let mut words = wrap.split_whitespace();
    let mut command = match words.next() {
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.env(SPEC, serde_json::to_string(spec).unwrap()).stdin(Stdio::null()).stdout(Stdio::piped());
    Running(command.spawn().unwrap())
}

impl Running {
    /// Waits for what it has measured.
    pub fn wait(self) -> Vec<Line> {
        let output = self.0.wait_with_output().unwrap();
        assert!(output.status.success(), "a child failed: {}", output.status);
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    /// Waits for the one line that it has measured.
    pub fn one(self) -> Measured {
        self.wait().remove(0).measured
    }
}

/// Runs a child to its end.
pub fn run(spec: &Spec) -> Measured {
    start(spec).one()
}
