//! The `server.properties` of a broker.

use super::Ports;
use crate::options::{KafkaOptions, Merged, SASL_PASSWORD, SASL_USER};
use crate::port::Port;
use std::net::SocketAddr;
use std::path::Path;

const MODULES: &str = "org.apache.kafka.common.security";

/// The id of a broker: they count from 1.
pub(super) fn node_id(ix: usize) -> String {
    (ix + 1).to_string()
}

/// The configuration of broker `ix`, of which `all` are the ports, and `proxy` is the address of its proxy.
pub(super) fn server(
    ix: usize,
    home: &Path,
    all: &[Ports],
    proxy: Option<SocketAddr>,
    options: &KafkaOptions,
) -> String {
    let voter = |(ix, ports): (usize, &Ports)| format!("{}@{}", node_id(ix), ports.controller.address());
    let voters: Vec<_> = all.iter().enumerate().map(voter).collect();
    let replicas = all.len();
    let in_sync = replicas.div_ceil(2);
    let (bound, advertised) = listeners(&all[ix], proxy);
    let mut ours = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", node_id(ix)),
        ("controller.quorum.voters", voters.join(",")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listeners", bound),
        ("advertised.listeners", advertised),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT".to_owned(),
        ),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("log.dirs", home.join("data").display().to_string()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("default.replication.factor", replicas.to_string()),
        ("min.insync.replicas", in_sync.to_string()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("offsets.topic.num.partitions", "5".to_owned()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", in_sync.to_string()),
        ("transaction.state.log.num.partitions", "5".to_owned()),
        ("share.coordinator.state.topic.replication.factor", replicas.to_string()),
        ("share.coordinator.state.topic.min.isr", in_sync.to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // Tests wait for a dead member no longer than they must, and for a dead broker neither.
        ("group.min.session.timeout.ms", "1000".to_owned()),
        ("broker.heartbeat.interval.ms", "1000".to_owned()),
        ("broker.session.timeout.ms", "5000".to_owned()),
        // By default a quarter of the heap.
        ("log.cleaner.dedupe.buffer.size", "16777216".to_owned()),
    ];
    if options.sasl {
        ours.extend(sasl());
    }
    Merged::new(ours.iter().map(|(name, value)| (*name, value.clone())), &options.settings).lines("=")
}

/// What it binds, and what it tells clients.
fn listeners(ports: &Ports, proxy: Option<SocketAddr>) -> (String, String) {
    let sasl = ports.sasl.as_ref().map(Port::address);
    let proxied = ports.proxied.as_ref().map(Port::address);
    let own = [("PLAINTEXT", Some(ports.plain.address())), ("SASL", sasl)];
    let list = |listeners: &[(&str, Option<SocketAddr>)]| {
        let url = |(name, address): &(&str, Option<SocketAddr>)| Some(format!("{name}://{}", (*address)?));
        listeners.iter().filter_map(url).collect::<Vec<_>>().join(",")
    };
    let controller = ("CONTROLLER", Some(ports.controller.address()));
    (list(&[own[0], own[1], ("PROXIED", proxied), controller]), list(&[own[0], own[1], ("PROXIED", proxy)]))
}

fn sasl() -> [(&'static str, String); 4] {
    let scram = format!("{MODULES}.scram.ScramLoginModule required;");
    let plain = format!("{MODULES}.plain.PlainLoginModule required user_{SASL_USER}=\"{SASL_PASSWORD}\";");
    [
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
        ("listener.name.sasl.plain.sasl.jaas.config", plain),
        ("listener.name.sasl.scram-sha-256.sasl.jaas.config", scram.clone()),
        ("listener.name.sasl.scram-sha-512.sasl.jaas.config", scram),
    ]
}
