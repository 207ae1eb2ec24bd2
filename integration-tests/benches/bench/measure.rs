//! Wall time, processor time and memory: of this process, of one thread, of the engines beside it.

use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What a piece of work took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// The events that it worked on.
    pub events: u64,
    /// The rows that it wrote, where it writes rows.
    pub rows: u64,
    /// The transactions or flushes that it wrote them in.
    pub batches: u64,
    pub wall_s: f64,
    /// Processor time of the whole process, or of the thread where only that works.
    pub cpu_s: f64,
    pub broker_cpu_s: f64,
    pub store_cpu_s: f64,
    /// The largest resident memory of the process so far.
    pub peak_mib: f64,
    /// How it went on, at every eighth of the events.
    pub timeline: Vec<Point>,
    /// Quantiles, where latencies were measured.
    pub latency: Vec<Quantiles>,
}

/// A moment of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    pub events: u64,
    pub wall_s: f64,
    pub resident_mib: f64,
}

/// A distribution of latencies, in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quantiles {
    pub from: String,
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The processes of the engines, where they run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Pids {
    pub broker: Option<u32>,
    pub store: Option<u32>,
}

/// Measures from its making to [`Meter::spent`].
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    start: Instant,
    cpu: f64,
    thread: bool,
    pids: Pids,
    broker: f64,
    store: f64,
}

impl Meter {
    /// Counts the processor time of every thread of this process.
    pub fn process(pids: Pids) -> Self {
        Self::begin(pids, false)
    }

    /// Counts the processor time of this thread.
    pub fn thread(pids: Pids) -> Self {
        Self::begin(pids, true)
    }

    fn begin(pids: Pids, thread: bool) -> Self {
        let (broker, store) = (tree_cpu(pids.broker), tree_cpu(pids.store));
        Self { cpu: own_cpu(thread), start: Instant::now(), thread, pids, broker, store }
    }

    /// How long it is since.
    pub fn elapsed_s(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// What it took until now.
    pub fn spent(&self, events: usize) -> Measured {
        let wall_s = self.elapsed_s();
        Measured {
            events: events as u64,
            wall_s,
            cpu_s: own_cpu(self.thread) - self.cpu,
            broker_cpu_s: tree_cpu(self.pids.broker) - self.broker,
            store_cpu_s: tree_cpu(self.pids.store) - self.store,
            peak_mib: memory_mib("VmHWM:"),
            ..Measured::default()
        }
    }
}

impl Measured {
    /// Adds what another piece of the same work took.
    pub fn add(&mut self, other: &Measured) {
        self.events += other.events;
        self.rows += other.rows;
        self.batches += other.batches;
        self.wall_s += other.wall_s;
        self.cpu_s += other.cpu_s;
        self.broker_cpu_s += other.broker_cpu_s;
        self.store_cpu_s += other.store_cpu_s;
        self.peak_mib = self.peak_mib.max(other.peak_mib);
    }
}

/// A line of `/proc/self/status`, in MiB: `VmHWM:` is the peak, `VmRSS:` what is resident now.
pub fn memory_mib(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn own_cpu(thread: bool) -> f64 {
    // Nanoseconds on a processor of this thread, or of all threads: a thread's come from the scheduler, a process's in
    // ticks of 10 ms.
    if !thread {
        return ticks("self").map_or(0.0, |stat| stat.own);
    }
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

struct Ticks {
    parent: u32,
    own: f64,
    /// Of children that have ended.
    ended: f64,
}

/// User and system time of a process, in seconds.
fn ticks(pid: &str) -> Option<Ticks> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
    let seconds = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / 100.0);
    let (own, ended) = (seconds(11)? + seconds(12)?, seconds(13)? + seconds(14)?);
    Some(Ticks { parent: fields.get(1)?.parse().ok()?, own, ended })
}

/// The processor time of a process and its children, those that have ended included.
fn tree_cpu(pid: Option<u32>) -> f64 {
    let Some((pid, top)) = pid.and_then(|pid| Some((pid, ticks(&pid.to_string())?))) else { return 0.0 };
    let names = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let children = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter_map(|name| ticks(&name));
    top.own + top.ended + children.filter(|child| child.parent == pid).map(|child| child.own).sum::<f64>()
}
