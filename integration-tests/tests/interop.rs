//! Strangers on the same log: Python's confluent-kafka with its own Avro serialiser writes what the pipeline applies, and
//! reads what the pipeline's own producers write.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engines::{Engine, address};
use integration_tests::{Sporelog, run_async, text, wait};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use tokio_postgres::{NoTls, SimpleQueryMessage};
use uuid::Uuid;

const EVENTS: i64 = 600;

/// A prefix on the shared engines with topics, subjects and a database under it; all dropped at the end.
struct Stage {
    sporelog: Sporelog,
    python: PathBuf,
    prefix: String,
    database: String,
}

impl Stage {
    fn new() -> Self {
        let name = format!("interop_{}", Uuid::now_v7().simple());
        let fetched = Command::new(folder().join("fetch.sh")).output().unwrap();
        assert!(fetched.status.success(), "{}", text(&fetched.stderr));
        let python = PathBuf::from(text(&fetched.stdout).trim());
        run_async(ask(&address(Engine::Postgres), &format!("CREATE DATABASE {name}")));
        let stage = Self { sporelog: Sporelog::new(), python, prefix: format!("{name}."), database: name };
        let config = format!(
            "[log]\nprofile = \"local\"\n[kafka]\nbootstrap = {:?}\ntopic_prefix = {:?}\n[registry]\nurl = {:?}\n\
             [postgres]\nurl = {:?}\n",
            address(Engine::Kafka),
            stage.prefix,
            address(Engine::Registry),
            stage.postgres(),
        );
        std::fs::write(stage.config(), config).unwrap();
        stage.ok(&["topics", "apply"]);
        stage.ok(&["migrate", "up", "--only", "postgres"]);
        stage
    }

    fn config(&self) -> String {
        self.sporelog.dir().join("cluster.toml").display().to_string()
    }

    /// The database of this test on the server that the environment names.
    fn postgres(&self) -> String {
        let server = address(Engine::Postgres);
        let (front, _) = server.rsplit_once('/').unwrap();
        format!("{front}/{}", self.database)
    }

    fn ok(&self, args: &[&str]) -> String {
        self.sporelog.ok(&[args, &["--config", &self.config()]].concat())
    }

    /// The one number that a statement answers with; 0 for null.
    fn number(&self, sql: &str) -> i64 {
        run_async(ask(&self.postgres(), sql)).first().and_then(|row| row[0].parse().ok()).unwrap_or(0)
    }

    /// Runs one of the Python programs; gives what it printed.
    fn stranger(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &self.python).env("PYTHONDONTWRITEBYTECODE", "1").arg(folder().join(program));
        command.args(["--bootstrap", &address(Engine::Kafka), "--registry", &address(Engine::Registry)]);
        let output = command.args(["--topic-prefix", &self.prefix]).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Waits until the views account for this many of the tenant's interactions, spores and heartbeats.
    fn until_applied(&self, tenant: &str, each: i64) {
        let sums = [("contact", "sum(interactions)"), ("spore", "count(*)"), ("agent_presence", "sum(heartbeats)")];
        for (table, sum) in sums {
            let sql = format!("SELECT {sum} FROM views_v1_{table} WHERE tenant = '{tenant}'");
            wait::until(&format!("for {each} in {table}"), || (self.number(&sql) >= each).then_some(()));
            assert_eq!(self.number(&sql), each, "{table}");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stranger("clean.py", &[]);
        }
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        run_async(ask(&address(Engine::Postgres), &drop));
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// The rows that a statement answers with.
async fn ask(url: &str, sql: &str) -> Vec<Vec<String>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|ix| row.get(ix).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    };
    client.simple_query(sql).await.unwrap().into_iter().filter_map(row).collect()
}

/// Who sent how many, as a run of the producer printed it.
fn sent(printed: &str) -> BTreeMap<String, i64> {
    let printed: Json = serde_json::from_str(printed).unwrap();
    printed["interactions_sent"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_i64().unwrap())).collect()
}

/// The events of a stranger are applied: of one who registers its schemas, of one who finds ours, and of one whose
/// schemas are newer than this build.
#[test]
fn a_foreign_producer_is_applied() {
    let stage = Stage::new();
    let _projector = stage.sporelog.start(&["projector", "--config", &stage.config()]);
    let runs: [&[&str]; 3] = [&["--seed", "1"], &["--seed", "2", "--newer"], &["--seed", "3", "--no-auto-register"]];
    let mut expected = BTreeMap::new();
    for args in runs {
        if args.contains(&"--no-auto-register") {
            // Our own producers register what they write: the stranger finds it under the same subjects.
            stage.ok(&["simulate", "--tenant", "ours", "--events", "1", "--rate", "1000"]);
        }
        for (agent, count) in sent(&stage.stranger("produce.py", args)) {
            *expected.entry(agent).or_insert(0) += count;
        }
    }
    stage.until_applied("interop", 300);
    let sql = "SELECT agent_id, sum(interactions) FROM views_v1_contact WHERE tenant = 'interop' GROUP BY agent_id";
    let found = run_async(ask(&stage.postgres(), sql));
    let found: BTreeMap<_, i64> = found.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    assert_eq!(found, expected);
    let contents = "SELECT count(*) FROM views_v1_spore WHERE content LIKE 'spore % of agent-%'";
    assert_eq!(stage.number(contents), 300);
    assert_eq!(stage.number("SELECT sum(dead + duplicate) FROM position"), 0);
}

/// A stranger reads everything that `simulate` wrote, and what the projector derived of it, by the registry alone.
#[test]
fn a_foreign_consumer_reads_us() {
    let stage = Stage::new();
    let _projector = stage.sporelog.start(&["projector", "--config", &stage.config()]);
    stage.ok(&["simulate", "--events", &EVENTS.to_string(), "--rate", "100000", "--tenant", "ours"]);
    let topics: Vec<_> = domain::Topic::ALL
        .iter()
        .filter(|topic| **topic != domain::Topic::DeadLetter)
        .map(|topic| topic.name())
        .collect();
    let read = || -> Vec<Json> {
        let printed = stage.stranger("consume.py", &["--topics", &topics.join(",")]);
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let count = |records: &[Json], event: &str| records.iter().filter(|record| record["event"] == event).count();
    let records = wait::until("for the derived events", || {
        let records = read();
        let (made, derived) = (count(&records, "io.sporelog.SporeCreated"), count(&records, "io.sporelog.Contributed"));
        (made > 0 && made == derived).then_some(records)
    });
    let derived = count(&records, "io.sporelog.Contributed");
    assert_eq!(records.len() - derived, EVENTS as usize);
    for record in &records {
        let (key, meta) = (record["key"].as_str().unwrap(), &record["value"]["meta"]);
        assert!(key.starts_with("ours|") && meta["tenant_id"] == "ours", "{record}");
        let kind = record["event"].as_str().unwrap().rsplit('.').next().unwrap();
        let kind = domain::event::EventKind::from_name(kind).unwrap();
        assert_eq!(record["topic"], format!("{}{}", stage.prefix, kind.topic()), "{record}");
    }
    let messages =
        records.iter().filter_map(|record| record["value"]["message"].as_str()).filter(|text| !text.is_empty());
    assert!(messages.count() > 0, "what was said is readable");
}
