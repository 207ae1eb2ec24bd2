//! A worker that finds an engine, a topic, a table or a right missing says so with what to do, waits, and goes on by
//! itself when it is there: alive all the time, ready from the first claim on (I7).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use engines::proxy::Proxy;
use integration_tests::cluster::{Addresses, Cluster};
use integration_tests::running::{Running, get};
use integration_tests::wait::until;
use std::net::{SocketAddr, ToSocketAddrs as _};

const ROLES: [&str; 3] = ["ingest", "projector", "aggregator"];

/// A role's process and where its probes answer.
struct Probed {
    role: &'static str,
    process: Running,
    http: SocketAddr,
}

impl Probed {
    fn start(cluster: &Cluster, role: &'static str, envs: &[(&str, &str)]) -> Self {
        let mut process = cluster.start(role, envs);
        let http = process.http();
        Self { role, http, process }
    }

    /// The status and the body that a path answers with.
    fn get(&self, path: &str) -> (u16, String) {
        get(self.http, path)
    }

    /// It says `sentence`, on standard error and to whoever asks whether it is ready, and stays alive.
    fn waits(&mut self, sentence: &str) {
        self.process.wait_line(sentence);
        until(&format!("for {sentence:?} in /readyz of {}", self.role), || {
            let (status, body) = self.get("/readyz");
            assert_eq!(status, 503, "{}: {body}", self.role);
            body.contains(sentence).then_some(())
        });
        assert_eq!(self.get("/healthz").0, 200, "{}", self.role);
    }

    /// It becomes ready, without anybody's doing.
    fn becomes_ready(&self) {
        until(&format!("for {} to be ready: {}", self.role, self.process.output()), || {
            assert_eq!(self.get("/healthz").0, 200, "{}", self.role);
            (self.get("/readyz").0 == 200).then_some(())
        });
    }
}

/// An address that nothing answers on, until it is let through to `upstream`.
fn closed(upstream: &str) -> Proxy {
    let upstream = upstream.to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::start(upstream).unwrap();
    proxy.refuse(true).unwrap();
    proxy
}

/// The host and port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let rest = rest.split('/').next().unwrap();
    rest.rsplit('@').next().unwrap()
}

#[test]
fn an_engine_that_does_not_answer_yet_is_waited_for() {
    let addresses = Addresses::shared();
    let cluster = Cluster::new(&addresses, "");
    let (kafka, cassandra) = (closed(&addresses.kafka), closed(&addresses.cassandra));
    let postgres = closed(host(&addresses.postgres));
    let url = cluster.database_url(&addresses);
    let url = url.replacen(host(&url), &postgres.address().to_string(), 1);
    let kafka_at = kafka.address().to_string();
    let brokers = [("SPORELOG__KAFKA__BOOTSTRAP", kafka_at.as_str())];
    let mut without_log = ROLES.map(|role| Probed::start(&cluster, role, &brokers));
    let cassandra_at = cassandra.address().to_string();
    let nodes = [("SPORELOG__SCYLLA__NODES", cassandra_at.as_str())];
    for probed in &mut without_log {
        probed.waits("check that the brokers of kafka.bootstrap are up");
    }
    let database = [("SPORELOG__POSTGRES__URL", url.as_str())];
    let mut without_nodes = Probed::start(&cluster, "ingest", &nodes);
    let mut without_database = ["projector", "aggregator"].map(|role| Probed::start(&cluster, role, &database));
    without_nodes.waits(&cassandra_at);
    without_database.iter_mut().for_each(|probed| probed.waits(&postgres.address().to_string()));
    cassandra.refuse(false).unwrap();
    postgres.refuse(false).unwrap();
    without_nodes.becomes_ready();
    without_database.iter().for_each(Probed::becomes_ready);
    kafka.refuse(false).unwrap();
    without_log.iter().for_each(Probed::becomes_ready);
}

#[test]
fn topics_and_tables_that_are_not_made_yet_are_waited_for() {
    let cluster = Cluster::bare(&Addresses::shared(), "");
    let mut workers = ROLES.map(|role| Probed::start(&cluster, role, &[]));
    for worker in &mut workers {
        worker.waits("create the topic with `sporelog topics apply`");
    }
    cluster.ok(&["topics", "apply"]);
    for worker in &mut workers {
        worker.waits("run `sporelog migrate up`");
    }
    cluster.ok(&["migrate", "up"]);
    workers.iter().for_each(Probed::becomes_ready);
}

#[test]
fn a_login_and_its_rights_are_waited_for() {
    let addresses = Addresses::shared();
    let cluster = Cluster::new(&addresses, "");
    let login = format!("{}_worker", cluster.name());
    let url = cluster.database_url(&addresses).replacen("://postgres@", &format!("://{login}@"), 1);
    assert!(url.contains(&login), "the address of Postgres names no user postgres: {url}");
    let envs = [("SPORELOG__POSTGRES__URL", url.as_str())];
    let mut workers = ["projector", "aggregator"].map(|role| Probed::start(&cluster, role, &envs));
    for worker in &mut workers {
        worker.waits("correct postgres.url or pg_hba.conf");
    }
    cluster.execute(&format!("CREATE ROLE {login} LOGIN"));
    for worker in &mut workers {
        worker.waits("GRANT sporelog_worker TO it");
    }
    cluster.execute(&format!("GRANT sporelog_worker TO {login}"));
    workers.iter().for_each(Probed::becomes_ready);
    drop(workers);
    cluster.execute(&format!("DROP ROLE {login}"));
}

#[test]
fn a_registry_that_does_not_answer_yet_is_waited_for() {
    let addresses = Addresses::shared();
    let registry = addresses.registry.clone().unwrap();
    let cluster = Cluster::new(&addresses, "");
    // Framed with ids that only the registry knows.
    cluster.ok(&["simulate", "--events", "300", "--rate", "3000"]);
    let proxy = closed(host(&registry));
    let url = registry.replacen(host(&registry), &proxy.address().to_string(), 1);
    let envs = [("SPORELOG__REGISTRY__URL", url.as_str())];
    let mut workers = ROLES.map(|role| Probed::start(&cluster, role, &envs));
    for worker in &mut workers {
        worker.waits(&proxy.address().to_string());
    }
    proxy.refuse(false).unwrap();
    workers.iter().for_each(Probed::becomes_ready);
    cluster.settle();
    assert_eq!(cluster.dead_letters(), 0, "an outage is not bad data");
}
