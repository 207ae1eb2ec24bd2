//! The live lines of `up`: where the data lies, what to try, and how each worker is doing.

use embedded::log::Log;
use pipeline::{Clock, SystemClock};
use runtime::metrics::{Metrics, WorkerSnapshot};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the first lines say.
pub struct Shown {
    /// The data folder.
    pub dir: PathBuf,
    /// Where the probes and metrics are served, if they are.
    pub address: Option<SocketAddr>,
    /// Whether nothing is to be printed.
    pub quiet: bool,
}

const EVERY: Duration = Duration::from_secs(1);
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// Prints until stopped; where `until_idle` is given, stops the process once every worker has
/// caught up.
pub async fn show(
    shown: Shown,
    metrics: Arc<Metrics>,
    clock: SystemClock,
    stop: CancellationToken,
    until_idle: Option<Log>,
) {
    if !shown.quiet {
        print_start(&shown);
    }
    let terminal = std::io::stderr().is_terminal();
    let mut before: Vec<WorkerSnapshot> = Vec::new();
    let (mut printed_us, mut lines) = (clock.monotonic_us(), 0);
    while !stop.is_cancelled() {
        let wait = if until_idle.is_some() { IDLE_LOOK } else { EVERY };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        let now = metrics.snapshot();
        if until_idle.as_ref().is_some_and(|log| is_idle(&now, log)) {
            stop.cancel();
        }
        let elapsed_us = clock.monotonic_us() - printed_us;
        let due = elapsed_us >= EVERY.as_micros() as i64;
        if shown.quiet || !due {
            continue;
        }
        let rewind = if terminal && lines > 0 { format!("\x1b[{lines}A") } else { String::new() };
        // Off a terminal a line every ten seconds is enough.
        if terminal || elapsed_us >= 10_000_000 || before.is_empty() {
            let text = table(&now, &before, elapsed_us, terminal);
            let _ = write!(std::io::stderr(), "{rewind}{text}");
            lines = text.lines().count();
            (before, printed_us) = (now, clock.monotonic_us());
        }
    }
    if !shown.quiet {
        eprintln!("stopped; the data stays in {}", shown.dir.display());
    }
}

fn print_start(shown: &Shown) {
    let dir = shown.dir.display();
    eprintln!("sporelog is up; its data lies in {dir}. Try, in another terminal:\n");
    eprintln!("  sporelog --data-dir {dir} sql --tables");
    eprintln!("  sporelog --data-dir {dir} sql 'SELECT * FROM tie ORDER BY affection DESC LIMIT 10'");
    match shown.address {
        Some(address) => eprintln!("  curl http://{address}/metrics"),
        None => eprintln!("  sporelog --data-dir {dir} deadletter list"),
    }
    eprintln!("\nCtrl-C drains and stops.\n");
}

fn table(now: &[WorkerSnapshot], before: &[WorkerSnapshot], elapsed_us: i64, terminal: bool) -> String {
    let end = if terminal { "\x1b[K\n" } else { "\n" };
    let mut text = format!(
        "{:<14} {:>10} {:>8} {:>12} {:>10} {:>10} {:>6} {:>6}{end}",
        "worker", "records/s", "lag", "applied", "duplicate", "ignored", "dead", "parked"
    );
    for worker in now {
        let total = |snapshot: &WorkerSnapshot| snapshot.outcomes.iter().sum::<u64>();
        let earlier = before.iter().find(|earlier| earlier.worker == worker.worker).map_or(0, total);
        let rate = (total(worker) - earlier) as f64 / (elapsed_us.max(1) as f64 / 1e6);
        let [applied, duplicate, behind, ignored, unknown, dead, _] = worker.outcomes;
        let (repeats, ignored) = (duplicate + behind, ignored + unknown);
        text += &format!(
            "{:<14} {rate:>10.0} {:>8} {applied:>12} {repeats:>10} {ignored:>10} {dead:>6} {:>6}{end}",
            worker.worker, worker.lag_records, worker.parked
        );
    }
    text
}

/// Whether the workers of every role together own every partition of their topics, without lag. A
/// parked one can only be waited for in vain: the rest is done without it.
fn is_idle(now: &[WorkerSnapshot], log: &Log) -> bool {
    ["records", "views", "series"].iter().zip(["ingest", "projector", "aggregator"]).all(|(projection, role)| {
        let Some(projection) = domain::Projection::named(projection) else { return true };
        let wanted: usize =
            projection.topics.iter().filter_map(|topic| log.partitions(*topic)).map(|n| n as usize).sum();
        let of_role = || now.iter().filter(|worker| worker.role == role);
        let owned: usize = of_role().map(|worker| worker.partitions + worker.parked).sum();
        of_role().count() == 0 || (owned == wanted && of_role().all(|worker| worker.lag_records == 0))
    })
}
