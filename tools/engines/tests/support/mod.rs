//! What the tests of engines share: waiting, and looking at processes.

#![allow(clippy::unwrap_used, dead_code, reason = "a test fails by panicking; each test uses a part")]

pub mod cql;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::Instant;

/// Looks again and again until it is so.
pub fn until(what: &str, mut look: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !look() {
        assert!(Instant::now() < end, "gave up waiting: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// True while a process runs.
pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The processes below one, of any depth.
pub fn below(root: u32) -> BTreeSet<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let all: Vec<u32> =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect();
    let below = |pid: u32| std::iter::successors(parent(pid), |pid| parent(*pid)).any(|above| above == root);
    all.into_iter().filter(|pid| below(*pid)).collect()
}

/// Runs kcat, gives it lines, and returns what it prints.
pub fn kcat(args: &[&str], input: &str) -> String {
    let mut command = engines::kcat().unwrap();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    // It may wait for ever by itself. What it prints here fits into its pipes.
    let end = Instant::now() + Duration::from_secs(90);
    while child.try_wait().unwrap().is_none() && Instant::now() < end {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // Fails where it has ended.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "kcat {args:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// Appends a line to a topic, acknowledged by every replica in sync.
pub fn produce(bootstrap: &str, topic: &str, line: &str) {
    let args = ["-b", bootstrap, "-P", "-t", topic, "-X", "acks=all", "-X", "message.timeout.ms=60000"];
    kcat(&args, &format!("{line}\n"));
}

/// Every line of a topic.
pub fn consume(bootstrap: &str, topic: &str) -> Vec<String> {
    let lines = kcat(&["-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q"], "");
    lines.lines().map(str::to_owned).collect()
}

/// The options of a cluster on which a topic is there once something is appended to it.
pub fn creating(brokers: usize) -> engines::KafkaOptions {
    let settings = vec![("auto.create.topics.enable".to_owned(), "true".to_owned())];
    engines::KafkaOptions { brokers, settings, ..Default::default() }
}
