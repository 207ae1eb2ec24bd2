//! Lag and latency at a steady rate, from the workers' own metrics: real engines, a process of each role, a simulated
//! population. Prints a table; nothing fails where a figure is high.
//!
//! `make steady`; SPORELOG_STEADY_RATE events a second (2,000), for SPORELOG_STEADY_S seconds (60) after 15 that do not
//! count. The quantiles are those of `sporelog_end_to_end_latency_seconds`, interpolated within its buckets as Prometheus
//! does; lag in seconds is the lag in records over the rate, the highest of all scrapes, one a second.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark stops at the first surprise")]

use engines::{Engine, Set, SetOptions};
use integration_tests::cluster::{Addresses, Cluster};
use integration_tests::running::{Running, get};
use integration_tests::wait::{pause, until};
use std::net::SocketAddr;
use std::time::Duration;

/// Each role, and the latency at the 99th percentile that it is to stay below, in seconds (design, section 9).
const ROLES: [(&str, f64); 3] = [("ingest", 0.1), ("projector", 0.5), ("aggregator", 1.0)];
const WARM_UP_S: u64 = 15;
const LATENCY: &str = "sporelog_end_to_end_latency_seconds_bucket";

struct Worker {
    role: &'static str,
    aim_s: f64,
    http: SocketAddr,
    /// The cumulative counts of the histogram at the end of the warm-up.
    warm: Vec<(f64, f64)>,
    lag_records: f64,
    _process: Running,
}

impl Worker {
    fn start(cluster: &Cluster, (role, aim_s): (&'static str, f64)) -> Self {
        let mut process = cluster.start(role, &[]);
        let http = process.http();
        Self { role, aim_s, http, warm: Vec::new(), lag_records: 0.0, _process: process }
    }

    fn lag(&self) -> f64 {
        let (_, text) = get(self.http, "/metrics");
        text.lines().filter(|line| line.starts_with("sporelog_lag_records{")).map(value).sum()
    }

    /// The histogram: upper bounds in seconds, cumulative counts.
    fn latency(&self) -> Vec<(f64, f64)> {
        let (_, text) = get(self.http, "/metrics");
        let bucket = |line: &str| {
            // The last label: `role="` ends like it.
            let bound = line.rsplit_once("le=\"")?.1.split('"').next()?;
            Some((bound.parse().unwrap_or(f64::INFINITY), value(line)))
        };
        text.lines().filter(|line| line.starts_with(LATENCY)).filter_map(bucket).collect()
    }

    fn since_warm(&self) -> Vec<(f64, f64)> {
        let before = |bound: f64| self.warm.iter().find(|(held, _)| *held == bound).map_or(0.0, |(_, count)| *count);
        self.latency().into_iter().map(|(bound, count)| (bound, count - before(bound))).collect()
    }
}

fn value(line: &str) -> f64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A quantile of cumulative buckets, linear within one.
fn quantile(buckets: &[(f64, f64)], q: f64) -> f64 {
    let rank = buckets.last().map_or(0.0, |(_, count)| *count) * q;
    let (mut from, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank {
            let share = (rank - below) / (count - below).max(1.0);
            return if bound.is_finite() { from + (bound - from) * share } else { from };
        }
        (from, below) = (*bound, *count);
    }
    from
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let (rate, seconds) = (number("SPORELOG_STEADY_RATE", 2_000), number("SPORELOG_STEADY_S", 60));
    let set = Set::start(&SetOptions::of(&[Engine::Kafka, Engine::Cassandra, Engine::Postgres])).unwrap();
    let addresses = Addresses {
        kafka: set.kafka.as_ref().unwrap().bootstrap(),
        cassandra: set.cassandra.as_ref().unwrap().address().to_string(),
        postgres: set.postgres.as_ref().unwrap().url(),
        registry: None,
    };
    let cluster = Cluster::new(&addresses, "").kept();
    let mut workers = ROLES.map(|role| Worker::start(&cluster, role));
    until("for the workers to be ready", || {
        workers.iter().all(|worker| get(worker.http, "/readyz").0 == 200).then_some(())
    });
    let mut producer = cluster.command(&["simulate", "--agents", "5000", "--rate", &rate.to_string()]);
    let mut producer = producer.stderr(std::process::Stdio::null()).spawn().unwrap();
    pause(Duration::from_secs(WARM_UP_S));
    workers.iter_mut().for_each(|worker| worker.warm = worker.latency());
    for _ in 0..seconds {
        pause(Duration::from_secs(1));
        workers.iter_mut().for_each(|worker| worker.lag_records = worker.lag_records.max(worker.lag()));
    }
    let measured: Vec<_> = workers.iter().map(Worker::since_warm).collect();
    producer.kill().unwrap();
    producer.wait().unwrap();

    println!(
        "{rate} events a second for {seconds} s; latency from append to commit, oldest and newest of each batch\n"
    );
    println!("| role | p50 ms | p90 ms | p99 ms | aim p99 ms | within the aim | highest lag, records | s |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for (worker, buckets) in workers.iter().zip(&measured) {
        let all = buckets.last().unwrap().1;
        let within = buckets.iter().find(|(bound, _)| *bound == worker.aim_s).unwrap().1 / all * 100.0;
        let ms = |q| quantile(buckets, q) * 1e3;
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {within:.2} % | {:.0} | {:.2} |",
            worker.role,
            ms(0.5),
            ms(0.9),
            ms(0.99),
            worker.aim_s * 1e3,
            worker.lag_records,
            worker.lag_records / rate as f64
        );
    }
}
