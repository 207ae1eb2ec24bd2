//! The stage of the faults: engines of its own, a pipeline on them behind proxies, workers that come and go, and beside
//! it the same records on the embedded default, undisturbed.

use engines::proxy::Proxy;
use engines::{CassandraOptions, Engine, KafkaOptions, Set, SetOptions};
use integration_tests::cluster::{Addresses, Cluster, SESSION_MS};
use integration_tests::running::Running;
use integration_tests::wait::pause;
use integration_tests::workload::Workload;
use integration_tests::{Digests, Sporelog, run_async};
use log_kafka::KafkaPublisher;
use pipeline::{LogError, OutRecord, Publisher as _, Unpublished};
use std::collections::BTreeMap;
use std::time::Duration;

pub const ROLES: [&str; 3] = ["ingest", "projector", "aggregator"];

/// How long a worker must stand still to lose its partitions.
pub const STALL: Duration = Duration::from_millis(SESSION_MS + 2_500);

/// Small batches, so that there is much to be interrupted, and short waits, so that a round does not take long.
const CONFIG: &str = "[worker]\nbatch_max_records = 50\nbackoff_max_ms = 500\n";

/// Engines with a proxy before each.
pub struct Engines {
    pub set: Set,
    pub postgres: Proxy,
    pub cassandra: Proxy,
    pub registry: Proxy,
}

impl Engines {
    /// Starts them, with this many brokers.
    pub fn start(brokers: usize) -> Self {
        let set = Set::start(&SetOptions {
            kafka: Some(KafkaOptions { brokers, proxied: true, ..KafkaOptions::default() }),
            // A kill must not lose what was acknowledged, or the loss would be Cassandra's, not ours.
            cassandra: Some(CassandraOptions { durable: true, ..CassandraOptions::default() }),
            ..SetOptions::of(&[Engine::Postgres, Engine::Registry])
        });
        let set = set.unwrap();
        let before = |address| Proxy::start(address).unwrap();
        let postgres = before(set.postgres.as_ref().unwrap().address());
        let cassandra = before(set.cassandra.as_ref().unwrap().address());
        let registry = before(set.registry.as_ref().unwrap().address());
        Self { set, postgres, cassandra, registry }
    }

    fn addresses(&self) -> Addresses {
        let through = |url: String, proxy: &Proxy| {
            let (scheme, rest) = url.split_once("127.0.0.1:").unwrap();
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{scheme}{}{rest}", proxy.address())
        };
        Addresses {
            kafka: self.set.kafka.as_ref().unwrap().proxied_bootstrap(),
            cassandra: self.cassandra.address().to_string(),
            postgres: through(self.set.postgres.as_ref().unwrap().url(), &self.postgres),
            registry: Some(through(self.set.registry.as_ref().unwrap().url(), &self.registry)),
        }
    }
}

/// The stage.
pub struct Rig {
    pub engines: Engines,
    pub cluster: Cluster,
    pub workers: Vec<(&'static str, Running)>,
    pub random: oorandom::Rand32,
    /// How long an engine stands still that stands still.
    pub outage: Duration,
    reference: Sporelog,
    events: Workload,
    used: usize,
    /// How often each kind of fault was made.
    pub made: BTreeMap<&'static str, u32>,
}

impl Rig {
    /// Engines, pipeline and one worker of each role.
    pub fn new(brokers: usize, seed: u64, events: usize) -> Self {
        let engines = Engines::start(brokers);
        let cluster = Cluster::new(&engines.addresses(), CONFIG).kept();
        let workers = ROLES.iter().map(|role| (*role, cluster.start(role, &[]))).collect();
        Self {
            engines,
            cluster,
            workers,
            random: oorandom::Rand32::new(seed),
            outage: Duration::from_secs(8),
            reference: Sporelog::new(),
            events: Workload::mixed(events, seed),
            used: 0,
            made: BTreeMap::new(),
        }
    }

    /// A number below `n`.
    pub fn pick(&mut self, n: usize) -> usize {
        self.random.rand_range(0..n as u32) as usize
    }

    /// A moment within this many milliseconds.
    pub fn moment(&mut self, max_ms: u32) {
        pause(Duration::from_millis(self.random.rand_range(0..max_ms).into()));
    }

    /// The next records of the workload.
    pub fn records(&mut self, n: usize) -> Vec<OutRecord> {
        let left = self.events.records.len() - self.used;
        assert!(left > 0, "the workload is used up");
        let taken = self.events.records[self.used..][..n.min(left)].to_vec();
        self.used += taken.len();
        taken
    }

    /// Says what was hit, and counts it.
    pub fn hit(&mut self, kind: &'static str, what: &str) {
        *self.made.entry(kind).or_default() += 1;
        integration_tests::say!("  {kind}: {what}");
    }

    /// Publishes records while `fault` happens; when both are over and everything is applied, the stores must be as if
    /// there had been no fault.
    pub fn during(&mut self, records: Vec<OutRecord>, fault: impl FnOnce(&mut Rig)) {
        let kafka = self.cluster.kafka();
        let published = records.clone();
        std::thread::scope(|scope| {
            let producer = scope.spawn(move || run_async(publish(KafkaPublisher::new(&kafka).unwrap(), published)));
            fault(self);
            producer.join().unwrap();
        });
        self.check(records);
    }

    /// Everything is applied, and the same as undisturbed: digests, what was applied, and dead letters.
    fn check(&mut self, records: Vec<OutRecord>) {
        for (role, worker) in &mut self.workers {
            assert!(worker.is_alive(), "{role} has exited: {}", worker.output());
        }
        self.cluster.settle();
        self.reference.append(records);
        self.reference.settle(&[]);
        let expected: Digests = self.reference.digests();
        assert_eq!(self.cluster.digests(), expected);
        let applied = "SELECT sum(applied)::bigint FROM position WHERE projection = ";
        for projection in ["'views'", "'series'"] {
            let undisturbed = self.reference.number(&format!("{}{projection}", applied.replace("::bigint", "")));
            assert_eq!(self.cluster.number(&format!("{applied}{projection}")), undisturbed, "{projection}");
        }
        assert_eq!(self.cluster.number("SELECT coalesce(sum(abs(gap)), 0)::bigint FROM freshness"), 0, "I5");
        assert_eq!(self.cluster.dead_letters(), self.reference.dead_letters().len(), "no outage makes a dead letter");
    }

    /// The workers of a role.
    pub fn of(&self, role: &str) -> Vec<usize> {
        (0..self.workers.len()).filter(|ix| self.workers[*ix].0 == role).collect()
    }

    /// Starts one more worker of a role.
    pub fn join(&mut self, role: &'static str) {
        let worker = self.cluster.start(role, &[]);
        self.workers.push((role, worker));
    }
}

/// Publishes in small batches, each again until it is acknowledged, as a producer does that may not lose an event.
async fn publish(mut publisher: KafkaPublisher, records: Vec<OutRecord>) {
    for batch in records.chunks(20) {
        loop {
            match publisher.publish(batch.to_vec()).await {
                Ok(_) => break,
                Err(Unpublished { error: LogError::Unavailable(_), .. }) => {
                    tokio::time::sleep(Duration::from_millis(100)).await
                }
                Err(error) => panic!("{error}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
