//! Wall and CPU time of a piece of work.

use std::time::{Duration, Instant};

/// What a piece of work took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// The events that it worked on.
    pub events: usize,
    /// The rows that it wrote, where it writes rows.
    pub rows: usize,
    /// Wall time.
    pub wall: Duration,
    /// Processor time of the whole process, or of the thread where only that works.
    pub cpu: Duration,
}

/// Measures from its making to [`Clock::spent`].
pub struct Clock {
    start: Instant,
    cpu: Duration,
    thread: bool,
}

impl Clock {
    /// Counts the processor time of every thread of the process.
    pub fn process() -> Self {
        Self { cpu: process_cpu(), start: Instant::now(), thread: false }
    }

    /// Counts the processor time of this thread.
    pub fn thread() -> Self {
        Self { cpu: thread_cpu(), start: Instant::now(), thread: true }
    }

    /// What it took until now.
    pub fn spent(&self, events: usize) -> Spent {
        let wall = self.start.elapsed();
        let cpu = if self.thread { thread_cpu() } else { process_cpu() };
        Spent { events, rows: 0, wall, cpu: cpu - self.cpu }
    }
}

/// User and system time, from /proc/self/stat, in ticks of 10 ms.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

/// Time on a processor, from /proc/thread-self/schedstat, in ns.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
