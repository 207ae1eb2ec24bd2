//! Three brokers: one may die. Its further listeners: SASL, and one behind proxies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use engines::{Kafka, KafkaOptions, SASL_PASSWORD, SASL_USER};
use std::process::Command;
use support::{consume, creating, kcat, produce, until};

/// The topics, listed by Kafka's own client: librdkafka before 2.6.1, as Debian has it, sends a nonce in SCRAM that
/// Kafka 4 rejects.
fn topics_by_scram(bootstrap: &str, mechanism: &str, password: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("client.properties");
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
    let login = format!("sasl.jaas.config={module} required username=\"{SASL_USER}\" password=\"{password}\";");
    std::fs::write(&config, format!("security.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\n{login}\n"))
        .unwrap();
    let mut list = Command::new("java");
    list.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"]);
    list.arg(engines::fetch(engines::Package::Kafka).unwrap().join("*")).arg("org.apache.kafka.tools.TopicCommand");
    let output =
        list.args(["--list", "--bootstrap-server", bootstrap, "--command-config"]).arg(config).output().unwrap();
    let printed = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(printed(output.stdout)) } else { Err(printed(output.stderr)) }
}

#[test]
fn a_cluster_of_three_survives_a_broker_and_serves_every_listener() {
    let kafka = Kafka::start(&KafkaOptions { sasl: true, proxied: true, heap_mb: 384, ..creating(3) }).unwrap();
    let bootstrap = kafka.bootstrap();
    produce(&bootstrap, "kept", "all up");
    let topic = kcat(&["-b", &bootstrap, "-L", "-t", "kept"], "");
    // `partition 0, leader 2, replicas: 2,3,1, isrs: 2,3,1`
    let replicas = topic.split("isrs: ").nth(1).map(|list| list.trim().split(',').count());
    assert_eq!((topic.contains("3 brokers"), replicas), (true, Some(3)), "{topic}");

    kafka.brokers()[0].kill().unwrap();
    produce(&bootstrap, "kept", "two up");
    kafka.brokers()[0].restart().unwrap();
    kafka.wait_gathered().unwrap();
    assert_eq!(consume(&bootstrap, "kept"), ["all up", "two up"]);

    let sasl = kafka.sasl_bootstrap();
    let options = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"].map(str::to_owned);
    let login = [format!("sasl.username={SASL_USER}"), format!("sasl.password={SASL_PASSWORD}")];
    let options: Vec<&str> = options.iter().chain(&login).flat_map(|option| ["-X", option.as_str()]).collect();
    let listed = kcat(&[&["-b", &sasl, "-L"], &options[..]].concat(), "");
    assert!(sasl.split(',').all(|broker| listed.contains(broker)), "{listed}");
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        assert_eq!(topics_by_scram(&sasl, mechanism, SASL_PASSWORD).unwrap(), "kept\n");
    }
    assert!(topics_by_scram(&sasl, "SCRAM-SHA-512", "wrong").unwrap_err().contains("invalid credentials"));

    let proxied = kafka.proxied_bootstrap();
    let listed = kcat(&["-b", &proxied, "-L"], "");
    assert!(proxied.split(',').all(|broker| listed.contains(broker)), "{listed}");
    produce(&proxied, "kept", "behind proxies");
    assert_eq!(consume(&proxied, "kept").len(), 3);
    until("for the connections to end", || kafka.proxies().iter().all(|proxy| proxy.connections().is_empty()));
}

#[test]
fn another_number_of_brokers_is_refused() {
    let error = Kafka::start(&KafkaOptions { brokers: 2, ..Default::default() }).unwrap_err();
    assert_eq!(error.to_string(), "a Kafka cluster has 1 or 3 brokers, not 2");
}
