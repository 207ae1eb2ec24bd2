//! An acknowledged record is on disk: after a kill it is there, and the sync comes before the acknowledgement.
//!
//! The appending process is this test binary again, started with an environment variable; it prints a line per
//! acknowledgement. Needs `strace` (a Debian package of that name); without it the test fails, it does not skip.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use domain::topics::TopicSpec;
use domain::{Topic, TopicPartition};
use embedded::log::{Log, PageLimit};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::log_suite::record;

const TOPIC: Topic = Topic::AgentState;
const FOLDER: &str = "SPORELOG_TEST_FOLDER";
const COUNT: &str = "SPORELOG_TEST_COUNT";

fn topics() -> Vec<TopicSpec> {
    vec![TopicSpec { topic: TOPIC, partitions: 1, replication: 1, configs: BTreeMap::new(), events: Vec::new() }]
}

/// The child process of the tests below; without their environment variable there is nothing to do.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let count: u32 = std::env::var(COUNT).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = Log::open(folder, &topics()).unwrap();
    for n in 0..count {
        let placed = runtime.block_on(log.append(vec![record(TOPIC, "k", n.to_be_bytes())])).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {}", placed[0].offset).unwrap();
        out.flush().unwrap();
    }
}

fn child_command(program: &str, before: &[&str], folder: &Path, count: u32) -> Command {
    let mut command = Command::new(program);
    command.args(before);
    if program == "strace" {
        command.arg(std::env::current_exe().unwrap());
    }
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(COUNT, count.to_string()).stdout(Stdio::piped());
    command
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let temp = tempfile::tempdir().unwrap();
    let mut acknowledged = 0_i64;
    for _ in 0..3 {
        let this = std::env::current_exe().unwrap();
        let mut child = child_command(this.to_str().unwrap(), &[], temp.path(), 1_000_000).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok).filter(|line| line.starts_with("ack ")).take(50) {
            acknowledged = line["ack ".len()..].parse::<i64>().unwrap() + 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let log = Log::open(temp.path(), &topics()).unwrap();
        let tp = TopicPartition::new(TOPIC, 0);
        let end = log.end(tp).unwrap();
        assert!(end >= acknowledged, "{acknowledged} were acknowledged, {end} are there");
        let page = log.reader().unwrap().page(tp, 0, PageLimit { bytes: 1 << 30, records: 1 << 30 }).unwrap();
        assert!(page.records().map(|record| record.offset).eq(0..end), "no gap");
        acknowledged = end;
    }
    assert!(acknowledged >= 150);
}

#[test]
fn the_sync_comes_before_the_acknowledgement() {
    const ACKS: u32 = 20;
    let temp = tempfile::tempdir().unwrap();
    let trace = temp.path().join("trace");
    let data = temp.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let options = ["-f", "-y", "-s", "64", "-e", "trace=fsync,fdatasync,pwrite64,write", "-o", trace.to_str().unwrap()];
    let output = child_command("strace", &options, &data, ACKS).output();
    let output = output.expect("strace is needed for this test: install the package `strace`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = std::fs::read_to_string(&trace).unwrap();
    let mut seen = Trace::default();
    trace.lines().for_each(|line| seen.line(line));
    assert_eq!(seen.acks, ACKS, "acknowledgements in the trace");
}

/// Follows the system calls of all threads, in the order in which they were seen.
#[derive(Default)]
struct Trace<'a> {
    /// A write to the log since the last complete sync of it.
    unsynced: bool,
    /// Whether anything was written to the log since the last acknowledgement.
    written: bool,
    /// Syncs that have begun but not ended, by thread.
    syncing: BTreeMap<&'a str, ()>,
    acks: u32,
}

impl<'a> Trace<'a> {
    fn line(&mut self, line: &'a str) {
        let Some((thread, call)) = line.split_once(' ') else { return };
        let call = call.trim_start();
        let (on_log, is_sync) =
            (call.contains("log.db-wal>"), call.starts_with("fdatasync(") || call.starts_with("fsync("));
        if call.starts_with("pwrite64(") && on_log {
            (self.unsynced, self.written) = (true, true);
        } else if is_sync && on_log && call.contains("<unfinished") {
            self.syncing.insert(thread, ());
        } else if (is_sync && on_log) || (call.contains("sync resumed>") && self.syncing.remove(thread).is_some()) {
            assert!(call.ends_with("= 0"), "{line}");
            self.unsynced = false;
        } else if call.starts_with("write(1<") && call.contains("ack ") {
            assert!(self.written, "acknowledged without a write to the log: {line}");
            assert!(!self.unsynced, "acknowledged before the sync: {line}");
            self.acks += 1;
            self.written = false;
        }
    }
}
