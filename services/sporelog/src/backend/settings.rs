//! The settings of the adapters, from the configuration.

use anyhow::{Context as _, Result};
use embedded::log::{LogOptions, PageLimit};
use log_kafka::KafkaConfig;
use registry::RegistryConfig;
use runtime::config::Config;
use std::collections::BTreeMap;
use store_postgres::PostgresConfig;
use store_scylla::ScyllaConfig;

/// As much of a size as this machine can address.
pub fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The embedded log.
pub fn log(config: &Config) -> LogOptions {
    let defaults = LogOptions::default();
    // A page goes whole into a batch, so a smaller batch needs smaller pages.
    let page = PageLimit {
        bytes: defaults.page.bytes.min(size(config.worker.batch_max_bytes)),
        records: defaults.page.records.min(size(config.worker.batch_max_records)),
    };
    LogOptions {
        page,
        queue_bytes: size(config.log.queue_bytes),
        max_record_bytes: size(config.log.max_record_bytes),
        ..defaults
    }
}

/// The cluster's log; none where the embedded one is meant.
pub fn kafka(config: &Config) -> Result<Option<KafkaConfig>> {
    let kafka = &config.kafka;
    let Some(bootstrap) = kafka.bootstrap.clone().filter(|bootstrap| !bootstrap.is_empty()) else { return Ok(None) };
    let mut properties = properties(&kafka.properties).context("kafka.properties")?;
    if let Some(path) = &kafka.properties_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        properties.extend(self::properties(&text).with_context(|| path.display().to_string())?);
    }
    Ok(Some(KafkaConfig {
        bootstrap,
        topic_prefix: kafka.topic_prefix.clone(),
        properties,
        group_instance_id: kafka.group_instance_id.clone().filter(|name| !name.is_empty()),
        session_timeout_ms: kafka.session_timeout_ms,
        queue_bytes: size(kafka.queue_bytes),
        max_record_bytes: size(config.log.max_record_bytes),
        delivery_timeout_ms: kafka.delivery_timeout_ms,
        stall_timeout_ms: kafka.stall_timeout_ms,
        ..KafkaConfig::default()
    }))
}

/// What one worker of the process sets of it: each has a name of its own, in the brokers' logs and in its group.
pub fn member(kafka: &KafkaConfig, member: &str) -> KafkaConfig {
    KafkaConfig {
        client_id: format!("sporelog-{member}"),
        group_instance_id: kafka.group_instance_id.as_ref().map(|process| format!("{process}-{member}")),
        ..kafka.clone()
    }
}

/// `name=value` lines; empty ones and those that begin with `#` are left out.
fn properties(text: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (ix, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .with_context(|| format!("line {}: there is no `=`: write a property as name=value", ix + 1))?;
        found.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(found)
}

/// The schema registry, if there is one.
pub fn registry(config: &Config) -> Option<RegistryConfig> {
    let section = &config.registry;
    let url = section.url.clone().filter(|url| !url.is_empty())?;
    Some(RegistryConfig {
        user: section.user.clone(),
        password: section.password.clone(),
        timeout_ms: section.timeout_ms,
        topic_prefix: config.kafka.topic_prefix.clone(),
        ..RegistryConfig::new(url)
    })
}

/// The database of views and series.
pub fn postgres(config: &Config) -> Result<PostgresConfig> {
    let section = &config.postgres;
    let url = section.url.clone().filter(|url| !url.is_empty());
    let url =
        url.context("postgres.url is not set: views and series need a database, such as postgres://user@host/db")?;
    Ok(PostgresConfig {
        pool_max: section.pool_max,
        statement_timeout_ms: section.statement_timeout_ms,
        idle_in_transaction_timeout_ms: section.idle_in_transaction_timeout_ms,
        lock_timeout_ms: section.statement_timeout_ms.min(PostgresConfig::new("").lock_timeout_ms),
        connect_timeout_ms: section.connect_timeout_ms,
        acquire_timeout_ms: section.connect_timeout_ms,
        ..PostgresConfig::new(url)
    })
}

/// The nodes of the records.
pub fn scylla(config: &Config) -> Result<ScyllaConfig> {
    let section = &config.scylla;
    let nodes = section.nodes.clone().filter(|nodes| !nodes.is_empty());
    let nodes = nodes.context("scylla.nodes is not set: records need nodes, such as host1:9042,host2:9042")?;
    Ok(ScyllaConfig {
        keyspace: section.keyspace.clone(),
        replication: section.replication.parse().context("scylla.replication")?,
        user: section.user.clone(),
        password: section.password.clone(),
        local_dc: section.local_dc.clone(),
        consistency: section.consistency.parse().context("scylla.consistency")?,
        max_in_flight_statements: section.max_in_flight_statements,
        max_in_flight_bytes: u32::try_from(section.max_in_flight_bytes).unwrap_or(u32::MAX),
        request_timeout_ms: section.request_timeout_ms,
        connections_per_node: section.connections_per_node,
        ..ScyllaConfig::new(nodes.split(',').map(str::trim))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_no_larger_than_a_batch() {
        let mut config = Config::default();
        let page = log(&config).page;
        assert!(page.records as u64 <= config.worker.batch_max_records, "{page:?}");
        (config.worker.batch_max_records, config.worker.batch_max_bytes) = (20, 4_096);
        let page = log(&config).page;
        assert_eq!((page.records, page.bytes), (20, 4_096));
    }

    #[test]
    fn properties_are_lines_of_name_and_value() {
        let found = properties("# secrets\n\n sasl.mechanism = PLAIN \nsasl.password=a=b\n").unwrap();
        assert_eq!(found["sasl.mechanism"], "PLAIN");
        assert_eq!(found["sasl.password"], "a=b");
        assert!(format!("{:#}", properties("a=b\nnothing").unwrap_err()).contains("line 2"));
    }

    #[test]
    fn without_brokers_the_embedded_log_is_meant() {
        assert!(kafka(&Config::default()).unwrap().is_none());
        let mut config = Config::default();
        config.kafka.bootstrap = Some("k:9092".to_owned());
        assert_eq!(kafka(&config).unwrap().unwrap().bootstrap, "k:9092");
        assert!(postgres(&config).unwrap_err().to_string().contains("postgres.url is not set"));
        assert!(scylla(&config).unwrap_err().to_string().contains("scylla.nodes is not set"));
    }

    #[test]
    fn every_worker_of_a_process_has_a_name_of_its_own() {
        let mut config = Config::default();
        config.kafka.bootstrap = Some("k:9092".to_owned());
        config.kafka.group_instance_id = Some("node7".to_owned());
        let process = kafka(&config).unwrap().unwrap();
        let names = ["projector-0", "projector-1"].map(|name| member(&process, name).group_instance_id.unwrap());
        assert_eq!(names, ["node7-projector-0", "node7-projector-1"]);
        config.kafka.group_instance_id = Some(String::new());
        assert_eq!(member(&kafka(&config).unwrap().unwrap(), "projector-0").group_instance_id, None);
    }

    #[test]
    fn the_example_is_a_configuration() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cluster.toml");
        let layers = runtime::config::Layers { file: Some(file.into()), ..Default::default() };
        let config = runtime::config::load(&layers).unwrap();
        kafka(&config).unwrap().unwrap().check().unwrap();
        registry(&config).unwrap();
        postgres(&config).unwrap();
        scylla(&config).unwrap().check().unwrap();
        let topics = runtime::topics::load(None, &config.log.profile).unwrap();
        assert!(topics.iter().all(|topic| topic.replication == 3));
    }
}
