//! What the process takes: of a core when idle, of time from append to visible and to stop, of memory over a long
//! backlog (I8). Figures are printed; the bounds that fail are generous, because machines differ.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use integration_tests::running::Running;
use integration_tests::wait::{pause, until};
use integration_tests::workload::{Workload, events};
use integration_tests::{Sporelog, run_async};
use pipeline::{Clock as _, SystemClock};
use rusqlite::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testkit::events::{Events, START_US};

/// One at a time: what one test measures, another would disturb.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Clock ticks a second, as /proc counts them on every Linux that Rust supports.
const TICKS_PER_S: f64 = 100.0;

fn reader(folder: &Sporelog) -> Connection {
    embedded::store::open_read_only(&folder.dir().join(embedded::store::STORE_FILE)).unwrap()
}

fn cpu_s(running: &Running) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap();
    // The name may hold spaces; fields are counted after its closing bracket.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks = |ix: usize| fields[ix].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_S
}

fn resident_mib(running: &Running) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[test]
fn idle_it_uses_under_one_percent_of_a_core() {
    let _alone = alone();
    let folder = Sporelog::new();
    folder.append(Workload::mixed(500, 1).records);
    folder.settle(&[]);
    let running = folder.up_ready(&[]);
    // Starting up is not idling.
    pause(Duration::from_secs(1));
    let (clock, before_s) = (SystemClock::new(), cpu_s(&running));
    let from_us = clock.monotonic_us();
    pause(Duration::from_secs(5));
    let took_s = (clock.monotonic_us() - from_us) as f64 / 1e6;
    let percent = 100.0 * (cpu_s(&running) - before_s) / took_s;
    integration_tests::say!("idle: {percent:.2} % of a core over {took_s:.1} s; starting took {before_s:.2} s of one");
    assert!(percent < 1.0, "{percent:.2} %");
}

#[test]
fn an_append_is_visible_within_milliseconds() {
    let _alone = alone();
    const APPENDS: u128 = 50;
    let folder = Sporelog::new();
    let _running = folder.up_ready(&[]);
    let (mut maker, clock, reader) = (events(), SystemClock::new(), reader(&folder));
    let mut question = reader.prepare("SELECT coalesce(sum(interactions), 0) FROM contact").unwrap();
    let mut took_ms: Vec<f64> = run_async(async {
        let appender = folder.appender().await;
        assert!(!appender.is_local().await, "appends go over the socket");
        let mut took_ms = Vec::new();
        for ix in 0..APPENDS {
            let record = maker.interaction(Events::meta(ix, START_US, None), "a", &format!("peer-{ix}"));
            let from_us = clock.monotonic_us();
            appender.append(vec![record]).await.unwrap();
            until("for the append to be visible", || {
                let seen: i64 = question.query_row([], |row| row.get(0)).unwrap();
                (seen > i64::try_from(ix).unwrap()).then_some(())
            });
            took_ms.push((clock.monotonic_us() - from_us) as f64 / 1e3);
        }
        took_ms
    });
    took_ms.sort_by(f64::total_cmp);
    let (median, p95) = (took_ms[took_ms.len() / 2], took_ms[took_ms.len() * 95 / 100]);
    integration_tests::say!("append to visible: median {median:.1} ms, p95 {p95:.1} ms (the aim is 50 ms)");
    assert!(p95 < 250.0, "p95 {p95:.1} ms");
}

#[test]
fn interrupted_under_load_it_drains_and_stops_within_five_seconds() {
    let _alone = alone();
    let folder = Sporelog::new();
    append_backlog(&folder, 50_000);
    let running = folder.up_ready(&[]);
    let store = reader(&folder);
    until("for the first commit", || (progress(&store) > 0).then_some(()));
    let clock = SystemClock::new();
    let from_us = clock.monotonic_us();
    running.interrupt();
    let status = running.wait();
    let took_s = (clock.monotonic_us() - from_us) as f64 / 1e6;
    let done = progress(&store);
    integration_tests::say!("interrupted after {done} of 100000 records of views and series: stopped in {took_s:.2} s");
    assert!(status.success(), "{status}");
    assert!(took_s < 5.0, "{took_s:.2} s");
    drop(store);
    // What it had drained is whole, and the rest follows.
    folder.settle(&[]);
    assert_eq!(folder.gaps(), 0);
    assert_eq!(folder.number("SELECT sum(interactions) FROM contact"), 50_000);
}

#[test]
fn memory_does_not_grow_with_the_backlog_nor_with_the_number_of_keys() {
    let _alone = alone();
    let asked = std::env::var("SPORELOG_BOUNDED_EVENTS").ok();
    let count: u64 = asked.as_ref().map_or(200_000, |text| text.parse().unwrap());
    // What is bounded is to be full by the first quarter. Of the full size the defaults are; of the small one, these.
    let small = ["--set", "worker.row_cache_bytes=4194304", "--set", "dedup.max_records=2048"];
    let settings: &[&str] = if asked.is_some() { &[] } else { &small };
    let folder = Sporelog::new();
    append_backlog(&folder, count);
    let running = folder.up_ready(settings);
    let store = reader(&folder);
    // Each interaction is read by views and by series.
    let all = i64::try_from(2 * count).unwrap();
    let quarters: Vec<f64> = (1..=4)
        .map(|quarter| {
            until(&format!("for quarter {quarter} of the backlog"), || {
                (progress(&store) >= all * quarter / 4).then_some(())
            });
            resident_mib(&running)
        })
        .collect();
    let mean = quarters.iter().sum::<f64>() / 4.0;
    let shown: Vec<String> = quarters.iter().map(|mib| format!("{mib:.0}")).collect();
    integration_tests::say!(
        "{count} events with as many keys: {} MiB resident at 25, 50, 75, 100 %; mean {mean:.0}",
        shown.join(", ")
    );
    for mib in quarters {
        assert!((mib / mean - 1.0).abs() <= 0.2, "{mib:.0} MiB against a mean of {mean:.0}");
    }
}

/// How many records views and series have passed, both together.
fn progress(store: &Connection) -> i64 {
    store.query_row("SELECT coalesce(sum(next_offset - first_offset), 0) FROM position", [], |row| row.get(0)).unwrap()
}

/// Interactions between ever new agents.
fn append_backlog(folder: &Sporelog, count: u64) {
    const REQUEST: u64 = 5_000;
    let mut maker = events();
    run_async(async {
        let appender = folder.appender().await;
        for from in (0..count).step_by(REQUEST as usize) {
            let numbers = from..count.min(from + REQUEST);
            let records = numbers.map(|ix| {
                let meta = Events::meta(u128::from(ix), START_US + ix as i64 * 1_000, None);
                maker.interaction(meta, &format!("agent-{ix}"), &format!("peer-{ix}"))
            });
            appender.append(records.collect()).await.unwrap();
        }
    });
}
