//! The binary: a command with engines, and engines until they are killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use engines::{Engine, Set, SetOptions};
use std::fs;
use std::process::{Child, Command, Stdio};
use support::{alive, below, until};

fn engines() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engines"));
    for engine in Engine::ALL {
        command.env_remove(engine.variable());
    }
    command
}

/// `engines up`, once its engines serve, and the addresses that it wrote.
fn up(only: &str, env: &std::path::Path) -> (Child, String) {
    let mut command = engines();
    command.args(["up", "--only", only, "--env"]).arg(env).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    until("for the addresses", || {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        env.exists() && fs::read_to_string(env).unwrap().lines().count() == only.split(',').count()
    });
    let exports = fs::read_to_string(env).unwrap();
    (child, exports)
}

#[test]
fn a_command_gets_the_addresses_and_gives_its_status() {
    let script = "case $SPORELOG_TEST_REDIS in redis://127.0.0.1:*) exit 7;; esac";
    let status = engines().args(["run", "--only", "redis", "--", "sh", "-c", script]).status().unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
fn an_engine_whose_address_is_given_is_not_started() {
    let mut command = engines();
    command.env(Engine::Cassandra.variable(), "elsewhere:9042");
    let output = command.args(["run", "--only", "cassandra", "--", "sh", "-c", "echo $SPORELOG_TEST_CASSANDRA"]);
    let output = output.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "elsewhere:9042\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn what_does_not_exist_is_refused_with_what_does() {
    let output = engines().args(["up", "--only", "mysql"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("there is no mysql: there are kafka, cassandra, postgres, registry, redis"), "{printed}");
    assert!(
        String::from_utf8_lossy(&engines().arg("--help").output().unwrap().stdout).contains("engines run -- cargo")
    );
}

#[test]
fn up_ends_in_order_with_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let env = folder.path().join("env");
    let (mut child, exports) = up("redis,postgres", &env);
    assert!(exports.contains("export SPORELOG_TEST_POSTGRES='postgres://postgres@127.0.0.1:"), "{exports}");
    let pids = below(child.id());
    assert!(pids.len() > 2, "{pids:?}");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(child.wait().unwrap().success());
    assert!(!pids.iter().any(|pid| alive(*pid)) && !env.exists());
}

#[test]
fn engines_do_not_outlive_one_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _) = up("kafka,postgres,redis,registry", &folder.path().join("env"));
    let pids = below(child.id());
    assert!(pids.len() > 4, "{pids:?}");
    let homes: Vec<_> = pids.iter().filter_map(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    until("for the engines to end", || !pids.iter().any(|pid| alive(*pid)));
    // Their folders go when the next engine starts.
    until("for the folders to go", || {
        drop(Set::start(&SetOptions::of(&[Engine::Redis])).unwrap());
        !homes.iter().any(|home| home.exists())
    });
}
