//! A pipeline of its own on a cluster: topics under a prefix, a database, a keyspace, a configuration file, and the
//! binary's verbs and roles on them.

use crate::running::Running;
use crate::{Digests, binary, digests, printed, run_async};
use engines::{Engine, address};
use log_kafka::{KafkaConfig, KafkaPublisher};
use pipeline::{OutRecord, Publisher as _};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Where the engines of a pipeline answer.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Brokers.
    pub kafka: String,
    /// Nodes.
    pub cassandra: String,
    /// A URL of a role that may create databases.
    pub postgres: String,
    /// The registry, if it is to be used.
    pub registry: Option<String>,
}

impl Addresses {
    /// Those of the environment, which the whole test run shares.
    #[must_use]
    pub fn shared() -> Self {
        Self {
            kafka: address(Engine::Kafka),
            cassandra: address(Engine::Cassandra),
            postgres: address(Engine::Postgres),
            registry: Some(address(Engine::Registry)),
        }
    }
}

/// A role's session timeout in these tests: short, so that a silent worker loses its partitions soon.
pub const SESSION_MS: u64 = 6_000;

/// A pipeline on a cluster. Its database and its keyspace are dropped with it.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    name: String,
    profile: &'static str,
    addresses: Addresses,
    keep: bool,
}

impl Cluster {
    /// A new pipeline, with topics and tables made by the binary's own verbs. `more` is added to the configuration.
    #[must_use]
    pub fn new(addresses: &Addresses, more: &str) -> Self {
        let cluster = Self::bare(addresses, more);
        cluster.ok(&["topics", "apply"]);
        cluster.ok(&["migrate", "up"]);
        cluster
    }

    /// A new pipeline whose topics have as many partitions as those of a laptop: 59 that workers read.
    #[must_use]
    pub fn wide(addresses: &Addresses, more: &str) -> Self {
        let cluster = Self::of_profile(addresses, more, "wide");
        cluster.ok(&["topics", "apply"]);
        cluster.ok(&["migrate", "up"]);
        cluster
    }

    /// A new pipeline with an empty database, and neither topics nor tables.
    #[must_use]
    pub fn bare(addresses: &Addresses, more: &str) -> Self {
        Self::of_profile(addresses, more, "test")
    }

    fn of_profile(addresses: &Addresses, more: &str, profile: &'static str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("it_{}_{number}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let cluster = Self { dir, name, profile, addresses: addresses.clone(), keep: false };
        cluster.configure(addresses, more);
        run_async(cluster.admin(&format!("CREATE DATABASE {}", cluster.name)));
        cluster
    }

    /// Writes the configuration file again, as for engines that answer elsewhere.
    pub fn configure(&self, addresses: &Addresses, more: &str) {
        std::fs::write(self.dir.path().join("topics.yaml"), topics_file()).unwrap();
        let mut config = String::new();
        let _ = write!(
            config,
            "[log]\ntopics_file = {:?}\nprofile = {:?}\n[data]\ndir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [kafka]\nbootstrap = {:?}\ntopic_prefix = \"{}.\"\nsession_timeout_ms = {SESSION_MS}\n\
             delivery_timeout_ms = 3000\n\
             [postgres]\nurl = {:?}\nstatement_timeout_ms = 5000\nidle_in_transaction_timeout_ms = 4000\n\
             [scylla]\nnodes = {:?}\nkeyspace = {:?}\n[telemetry]\nlog_level = \"info,scylla=error\"\n{more}\n",
            self.dir.path().join("topics.yaml"),
            self.profile,
            self.dir.path().join("data"),
            addresses.kafka,
            self.name,
            self.database_url(addresses),
            addresses.cassandra,
            self.name,
        );
        if let Some(registry) = &addresses.registry {
            let _ = write!(config, "[registry]\nurl = {registry:?}\n");
        }
        std::fs::write(self.config(), config).unwrap();
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("cluster.toml")
    }

    /// A folder of this pipeline's own.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What goes before its topics, and names its database and keyspace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The binary on this pipeline, with these arguments.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.config()).args(args);
        command
    }

    /// Starts the workers of a role in a process of its own.
    #[must_use]
    pub fn start(&self, role: &str, envs: &[(&str, &str)]) -> Running {
        let mut command = self.command(&[role]);
        command.envs(envs.iter().copied());
        Running::start(command)
    }

    /// Runs a verb to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a verb that must succeed; gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        printed(args, &self.run(args))
    }

    /// Waits until all that is in the log now is applied by every projection.
    pub fn settle(&self) {
        self.ok(&["lag", "--wait", "120"]);
    }

    /// Runs `verify`, which must find everything equal; gives the digests of the tables.
    #[must_use]
    pub fn digests(&self) -> Digests {
        digests(&self.ok(&["verify"]))
    }

    /// The one number that a statement to Postgres answers with.
    #[must_use]
    pub fn number(&self, statement: &str) -> i64 {
        run_async(async {
            let client = connect(&self.database_url(&self.addresses)).await;
            client.query_one(statement, &[]).await.unwrap().get(0)
        })
    }

    /// Runs statements in this pipeline's database.
    pub fn execute(&self, statements: &str) {
        run_async(async {
            connect(&self.database_url(&self.addresses)).await.batch_execute(statements).await.unwrap();
        });
    }

    /// How many dead letters there are.
    #[must_use]
    pub fn dead_letters(&self) -> usize {
        self.ok(&["deadletter", "list", "--format", "csv", "--limit", "100000"]).lines().count() - 1
    }

    /// The configuration of clients of this pipeline's topics.
    #[must_use]
    pub fn kafka(&self) -> KafkaConfig {
        KafkaConfig {
            bootstrap: self.addresses.kafka.clone(),
            topic_prefix: format!("{}.", self.name),
            delivery_timeout_ms: 10_000,
            ..KafkaConfig::default()
        }
    }

    /// Appends records, as a producer does that waits for the acknowledgement.
    pub fn append(&self, records: Vec<OutRecord>) {
        run_async(async {
            let mut publisher = KafkaPublisher::new(&self.kafka()).unwrap();
            publisher.publish(records).await.unwrap();
        });
    }

    /// The URL of its database on these engines.
    #[must_use]
    pub fn database_url(&self, addresses: &Addresses) -> String {
        let (server, _) = addresses.postgres.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    async fn admin(&self, statement: &str) {
        connect(&self.addresses.postgres).await.batch_execute(statement).await.unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // After a failure everything stays, to be looked at; so it does where the engines are gone with the test.
        if std::thread::panicking() || self.keep {
            return;
        }
        let scylla = store_scylla::ScyllaConfig {
            keyspace: self.name.clone(),
            ..store_scylla::ScyllaConfig::new([self.addresses.cassandra.clone()])
        };
        let admin = log_kafka::KafkaAdmin::new(&self.kafka()).unwrap();
        run_async(async {
            self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
            store_scylla::migrate::drop_keyspace(&scylla).await.unwrap();
            admin.delete(domain::Topic::ALL).await.unwrap();
        });
    }
}

impl Cluster {
    /// Leaves database, keyspace and topics where they are: their engines end with the test.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.keep = true;
        self
    }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The topics of the project, with few partitions: profiles beside those of the file.
fn topics_file() -> String {
    let text = include_str!("../../topics.yaml").trim_end();
    let profile = |name: &str, divisor: u32| {
        format!(
            "  {name}:\n    replication: 1\n    partitions_divisor: {divisor}\n    configs:\n      \
             min.insync.replicas: \"1\"\n"
        )
    };
    format!("{text}\n{}{}", profile("test", 25), profile("wide", 10))
}
