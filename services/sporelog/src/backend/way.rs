//! The way of a producer to the log: the embedded one of a data folder, or a cluster's.

use super::{Backend as _, Cluster, settings};
use anyhow::{Context as _, Result, bail};
use codec::Schemas;
use embedded::appender::Appender;
use log_kafka::{KafkaAdmin, KafkaPublisher};
use pipeline::{OutRecord, Placed, Publisher, Unpublished};
use runtime::config::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The wait before the registry is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A producer's way to the log.
#[derive(Debug)]
pub struct Way {
    log: Log,
    /// The schemas to encode with: where there is a registry, they know its ids.
    pub schemas: Arc<Schemas>,
    /// Names the log, so that what is kept about one is not taken for another; none for that of the data folder.
    pub name: Option<String>,
}

#[derive(Debug)]
enum Log {
    Embedded(Box<Appender>),
    Kafka(KafkaPublisher),
}

impl Way {
    /// Finds the way to the log of the configuration.
    pub async fn find(config: &Config, stop: &CancellationToken) -> Result<Self> {
        if let Some(cluster) = Cluster::configured(config)? {
            return Self::to_cluster(&cluster, stop).await;
        }
        let topics = runtime::topics::load(config.log.topics_file.as_deref(), &config.log.profile)?;
        let appender = Appender::connect(&config.data.dir, &topics, settings::log(config))
            .await
            .with_context(|| format!("no way to the log in {}", config.data.dir.display()))?;
        Ok(Self { log: Log::Embedded(Box::new(appender)), schemas: Arc::new(Schemas::embedded()?), name: None })
    }

    async fn to_cluster(cluster: &Cluster, stop: &CancellationToken) -> Result<Self> {
        let actual = KafkaAdmin::new(cluster.kafka())?.describe().await.context("the cluster cannot be described")?;
        let prefix = &cluster.kafka().topic_prefix;
        if actual.topics.is_empty() {
            bail!("the cluster has none of our topics (prefix {prefix:?}): create them with `sporelog topics apply`");
        }
        // Whoever publishes with a registry must be readable with it: nothing is written before it has the schemas.
        while let Err(error) = cluster.register().await {
            eprintln!("waiting for the schema registry: {error:#}");
            tokio::select! {
                () = stop.cancelled() => bail!("stopped before the schema registry had answered"),
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
        let log = Log::Kafka(cluster.publisher().map_err(|error| anyhow::anyhow!(error))?);
        let name = Some(format!("{}{prefix}", actual.cluster_id));
        Ok(Self { log, schemas: cluster.schema_ids(), name })
    }
}

impl Publisher for Way {
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        match &mut self.log {
            Log::Embedded(appender) => appender.publish(records).await,
            Log::Kafka(publisher) => publisher.publish(records).await,
        }
    }
}
