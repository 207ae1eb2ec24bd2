//! Kafka: one broker, or a cluster of three, each of them a controller as well.

mod config;

use crate::command::java;
use crate::fetch::{Package, fetch};
use crate::folder::Folder;
use crate::node::Node;
use crate::options::{KafkaOptions, SASL_PASSWORD, SASL_USER};
use crate::port::Port;
use crate::probe;
use crate::process::Launch;
use crate::proxy::Proxy;
use crate::wait::until;
use anyhow::{Context as _, Result, ensure};
use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long brokers that all answer may take to find each other.
const GATHER: Duration = Duration::from_secs(60);

/// The ports of a broker.
#[derive(Debug)]
struct Ports {
    plain: Port,
    controller: Port,
    sasl: Option<Port>,
    proxied: Option<Port>,
}

/// A running cluster. Stopped when dropped.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Node>,
    proxies: Vec<Proxy>,
    ports: Vec<Ports>,
    _folder: Folder,
}

impl Kafka {
    /// Starts a cluster and waits until every broker serves and knows every other.
    ///
    /// # Errors
    /// Where it cannot be fetched or does not serve, or is to have neither one nor three brokers.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        ensure!(matches!(options.brokers, 1 | 3), "a Kafka cluster has 1 or 3 brokers, not {}", options.brokers);
        let jars = fetch(Package::Kafka)?;
        let folder = Folder::create()?;
        let ports: Vec<Ports> = (0..options.brokers).map(|_| Ports::take(options)).collect::<Result<_>>()?;
        let proxied = ports.iter().filter_map(|ports| ports.proxied.as_ref());
        let proxies: Vec<Proxy> = proxied.map(|port| Proxy::start(port.address())).collect::<Result<_>>()?;
        let mut homes = Vec::new();
        for (ix, _) in ports.iter().enumerate() {
            let home = folder.make(&format!("broker-{ix}"))?;
            let text = config::server(ix, &home, &ports, proxies.get(ix).map(Proxy::address), options);
            folder.write(&format!("broker-{ix}/server.properties"), &text)?;
            homes.push(home);
        }
        format(&jars, &homes, options)?;
        let node = |(home, (ix, ports)): (PathBuf, (usize, &Ports))| node(&jars, home, ix, ports, options);
        let brokers: Vec<Node> = homes.into_iter().zip(ports.iter().enumerate()).map(node).collect::<Result<_>>()?;
        let kafka = Self { brokers, proxies, ports, _folder: folder };
        kafka.brokers.iter().try_for_each(Node::spawn)?;
        kafka.brokers.iter().try_for_each(Node::wait_ready)?;
        kafka.wait_gathered()?;
        Ok(kafka)
    }

    /// Where its brokers listen: `host:port`, by comma.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        join(self.ports.iter().map(|ports| ports.plain.address()))
    }

    /// Where its brokers listen for SASL; empty where that was not asked for.
    #[must_use]
    pub fn sasl_bootstrap(&self) -> String {
        join(self.ports.iter().filter_map(|ports| ports.sasl.as_ref()).map(Port::address))
    }

    /// Where its brokers are reached through their proxies; empty where that was not asked for.
    #[must_use]
    pub fn proxied_bootstrap(&self) -> String {
        join(self.proxies.iter().map(Proxy::address))
    }

    /// The proxy before each broker; none where that was not asked for.
    #[must_use]
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// The brokers, each of which can be killed, stopped, paused and started again.
    #[must_use]
    pub fn brokers(&self) -> &[Node] {
        &self.brokers
    }

    /// Waits until every broker believes that every broker is up, as after restarts.
    ///
    /// # Errors
    /// Where that takes more than a minute.
    pub fn wait_gathered(&self) -> Result<()> {
        let all = self.brokers.len();
        let believed = || self.ports.iter().map(|ports| probe::kafka_brokers(ports.plain.address()));
        let gathered = |known: Option<Vec<i32>>| known.is_some_and(|known| known.len() == all);
        until(GATHER, || believed().all(gathered).then_some(())).with_context(|| {
            let believed: Vec<_> = believed().collect();
            format!("the {all} brokers of Kafka do not know each other after {GATHER:?}: each knows {believed:?}")
        })
    }
}

impl Ports {
    fn take(options: &KafkaOptions) -> Result<Self> {
        let optional = |wanted: bool| wanted.then(Port::take).transpose();
        Ok(Self {
            plain: Port::take()?,
            controller: Port::take()?,
            sasl: optional(options.sasl)?,
            proxied: optional(options.proxied)?,
        })
    }
}

fn join(addresses: impl Iterator<Item = SocketAddr>) -> String {
    addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(",")
}

/// Prepares the data folders of a new cluster, all at once.
fn format(jars: &Path, homes: &[PathBuf], options: &KafkaOptions) -> Result<()> {
    let id = cluster_id();
    let one = |home: &Path| -> Result<()> {
        let mut args: Vec<OsString> = vec!["-XX:TieredStopAtLevel=1".into(), "-XX:-UsePerfData".into(), "-cp".into()];
        args.push(format!("{}/*", jars.display()).into());
        args.extend(["kafka.tools.StorageTool", "format", "--cluster-id", &id, "--config"].map(OsString::from));
        args.push(home.join("server.properties").into());
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"].into_iter().filter(|_| options.sasl) {
            args.push("--add-scram".into());
            args.push(format!("{mechanism}=[name={SASL_USER},password={SASL_PASSWORD}]").into());
        }
        Launch::new(java()?, home).args(args).run().context("cannot prepare the data folder of a Kafka broker")
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = homes.iter().map(|home| scope.spawn(|| one(home))).collect();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// A cluster's id is 16 bytes in Base64, that is 22 digits, of which the last holds only two bits.
fn cluster_id() -> String {
    let random = || RandomState::new().hash_one(());
    let digits = format!("{:016x}{:016x}", random(), random());
    format!("{}A", &digits[..21])
}

fn node(jars: &Path, home: PathBuf, ix: usize, ports: &Ports, options: &KafkaOptions) -> Result<Node> {
    let launch = Launch::new(java()?, &home).args([
        format!("-Xmx{}m", options.heap_mb),
        "-XX:-UsePerfData".to_owned(),
        format!("-Djava.io.tmpdir={}", home.display()),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned(),
        "-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned(),
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS".to_owned(),
        "-cp".to_owned(),
        format!("{}/*", jars.display()),
        "kafka.Kafka".to_owned(),
        home.join("server.properties").display().to_string(),
    ]);
    let address = ports.plain.address();
    let id = config::node_id(ix);
    let ready = move || {
        let known = probe::kafka_brokers(address);
        known.is_some_and(|known| known.iter().any(|broker| broker.to_string() == id))
    };
    Ok(Node::new(format!("{}, broker {ix}", Package::Kafka.title()), launch, ready))
}
