//! I7: a full disk is an outage, not bad data. Nothing that was acknowledged is lost, nobody exits, and when there is
//! room again everything goes on. The disk is a tmpfs that only the process sees.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use embedded::appender::Appender;
use embedded::log::LogOptions;
use integration_tests::running::Running;
use integration_tests::wait::until;
use integration_tests::workload::Workload;
use integration_tests::{Sporelog, digests, run_async, say, text, topics};
use pipeline::{LogError, Publisher as _};
use std::path::PathBuf;
use std::process::{Command, Output};

/// Mounts, fills most of it, and becomes the command.
const SCRIPT: &str = r#"mount -t tmpfs -o size=256m tmpfs "$0" && head -c 244m /dev/zero > "$0/filler" && exec "$@""#;

/// `up` in a mount namespace of its own, and its folder as others reach it.
fn up_on_a_small_disk(folder: &Sporelog) -> (Running, PathBuf) {
    let up = folder.command(&["up"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", SCRIPT]).arg(folder.dir()).arg(up.get_program());
    command.args(up.get_args()).envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = Running::start(command);
    running.wait_line("sporelog is up");
    let seen = PathBuf::from(format!("/proc/{}/root{}", running.pid(), folder.dir().display()));
    (running, seen)
}

/// Runs a verb where the process sees its disk.
fn run(running: &Running, folder: &Sporelog, args: &[&str]) -> Output {
    let verb = folder.command(args);
    let mut command = Command::new("nsenter");
    command.args(["--target", &running.pid().to_string(), "--mount", "--user", "--preserve-credentials"]);
    command.arg(verb.get_program()).args(verb.get_args());
    command.envs(verb.get_envs().filter_map(|(name, value)| Some((name, value?)))).output().unwrap()
}

#[test]
fn a_full_disk_is_waited_out() {
    let workload = Workload::mixed(30_000, 5);
    let folder = Sporelog::new();
    let (mut running, seen) = up_on_a_small_disk(&folder);
    let mut refused = 0;
    run_async(async {
        let mut appender = Appender::connect(&seen, &topics(), LogOptions::default()).await.unwrap();
        for batch in workload.records.chunks(200) {
            while let Err(error) = appender.publish(batch.to_vec()).await {
                assert!(
                    matches!(&error.error, LogError::Unavailable(text) if text.contains("free disk space")),
                    "{error}"
                );
                refused += 1;
                if refused == 20 {
                    std::fs::remove_file(seen.join("filler")).unwrap();
                }
            }
        }
    });
    say!("{refused} appends were refused for want of room");
    assert!(refused >= 20, "the disk was never full");
    assert!(running.is_alive(), "{}", running.output());
    until("for everything to be applied", || run(&running, &folder, &["lag"]).status.success().then_some(()));
    let verified = run(&running, &folder, &["verify"]);
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));

    let undisturbed = Sporelog::new();
    undisturbed.append(workload.records);
    undisturbed.settle(&[]);
    assert_eq!(digests(&text(&verified.stdout)), undisturbed.digests());
    let letters = run(&running, &folder, &["deadletter", "list", "--format", "csv"]);
    assert_eq!(text(&letters.stdout).lines().count(), 1, "{}", text(&letters.stdout));
}
