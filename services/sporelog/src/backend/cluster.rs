//! A cluster: Kafka, Postgres, and Cassandra or ScyllaDB, with a schema registry where there is one.

use super::{Backend, Held, Identities, Look, Ranges, settings};
use anyhow::{Result, bail};
use codec::Schemas;
use domain::{Projection, Topic, TopicPartition};
use log_kafka::{KafkaConfig, KafkaPublisher, KafkaReplay, KafkaSource, KafkaView};
use pipeline::{DedupSettings, GroupOffset, GroupPosition, KnownDead, LogError, LogIdentity, SchemaBook};
use registry::Registry;
use runtime::config::Config;
use runtime::lifecycle::BoxError;
use runtime::metrics::{Metrics, PoolUse};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use store_postgres::{Database, PostgresConfig, PostgresStore, Reader};
use store_scylla::{ScyllaConfig, ScyllaStore};
use tokio_util::sync::CancellationToken;

/// A cluster, as configured. Nothing is connected before it is used.
#[derive(Clone, Debug)]
pub struct Cluster {
    kafka: KafkaConfig,
    schemas: SchemaBook,
    registry: Option<Arc<Registry>>,
    postgres: Option<Database>,
    scylla: Option<ScyllaStore>,
}

impl Cluster {
    /// The cluster of the configuration; none where the embedded log is meant. Must be called in the runtime that
    /// serves the connections to Postgres.
    pub fn configured(config: &Config) -> Result<Option<Self>> {
        let Some(kafka) = settings::kafka(config)? else { return Ok(None) };
        kafka.check()?;
        let schemas = Arc::new(Schemas::embedded()?);
        let registry = settings::registry(config).map(|registry| Registry::new(&registry)).transpose()?.map(Arc::new);
        let schemas = match registry.clone() {
            Some(registry) => SchemaBook::with_registry(schemas, registry),
            None => schemas.into(),
        };
        Ok(Some(Self { kafka, schemas, registry, postgres: None, scylla: None }))
    }

    /// The cluster of the configuration, for a verb that has no meaning on the embedded log.
    pub fn needed(config: &Config, verb: &str) -> Result<Self> {
        let Some(cluster) = Self::configured(config)? else {
            bail!(
                "`sporelog {verb}` works on a cluster, and kafka.bootstrap is not set: name the brokers in a file given \
                 with --config (docs/configuration.md), or run every role in one process with `sporelog up`"
            );
        };
        Ok(cluster)
    }

    /// With the database of views and series.
    pub fn with_postgres(mut self, config: &Config) -> Result<Self> {
        let postgres = settings::postgres(config)?;
        self.postgres = Some(Database::new(postgres)?);
        Ok(self)
    }

    /// With the nodes of the records.
    pub fn with_scylla(mut self, config: &Config) -> Result<Self> {
        let scylla = settings::scylla(config)?;
        scylla.check()?;
        self.scylla = Some(ScyllaStore::new(scylla));
        Ok(self)
    }

    /// With every store.
    pub fn with_stores(self, config: &Config) -> Result<Self> {
        self.with_postgres(config)?.with_scylla(config)
    }

    /// Registers the schema of every event, where there is a registry.
    pub async fn register(&self) -> Result<()> {
        match &self.registry {
            Some(registry) => Ok(registry::register_all(registry, self.schemas.schemas()).await?),
            None => Ok(()),
        }
    }

    /// The schemas, with the ids that the registry has given.
    pub fn schema_ids(&self) -> Arc<Schemas> {
        self.schemas.schemas().clone()
    }

    /// Commits offsets for the group of a projection, as no member of it: refused while it has members.
    pub async fn set_committed(&self, projection: &Projection, offsets: Vec<GroupOffset>) -> Result<()> {
        let group = projection.name;
        self.view(move |view| view.set_committed(group, &offsets)).await
    }

    /// The schema registry, if there is one.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.as_deref()
    }

    /// How the log is reached.
    pub fn kafka(&self) -> &KafkaConfig {
        &self.kafka
    }

    /// How the database is reached.
    pub fn postgres_config(&self) -> Result<&PostgresConfig> {
        Ok(self.database()?.config())
    }

    /// How the nodes are reached.
    pub fn scylla_config(&self) -> Result<&ScyllaConfig> {
        Ok(self.nodes()?.config())
    }

    /// Shows the clients of the stores in the metrics.
    pub fn measure(&self, metrics: &Metrics) {
        if let Some(database) = self.postgres.clone() {
            metrics.pool("postgres", move || {
                let status = database.status();
                let in_use = status.open.saturating_sub(status.available);
                PoolUse { in_use, idle: status.available, waiting: status.waiting }
            });
        }
        if let Some(nodes) = self.scylla.clone() {
            metrics.pool("scylla", move || {
                let (now, limit) = (nodes.in_flight(), nodes.config().max_in_flight_statements as usize);
                PoolUse { in_use: now.statements, idle: limit.saturating_sub(now.statements), waiting: 0 }
            });
        }
    }

    fn database(&self) -> Result<&Database> {
        self.postgres.as_ref().ok_or_else(|| anyhow::anyhow!("this process was started without Postgres"))
    }

    fn nodes(&self) -> Result<&ScyllaStore> {
        self.scylla.as_ref().ok_or_else(|| anyhow::anyhow!("this process was started without Cassandra"))
    }

    /// Calls a method of the view that blocks, on a thread where that hurts nobody.
    async fn view<T: Send + 'static>(
        &self,
        question: impl FnOnce(&KafkaView) -> Result<T, pipeline::LogError> + Send + 'static,
    ) -> Result<T> {
        let config = self.kafka.clone();
        Ok(tokio::task::spawn_blocking(move || question(&KafkaView::open(&config)?)).await??)
    }
}

impl Backend for Cluster {
    type Source = KafkaSource;
    type Publisher = KafkaPublisher;
    type Records = ScyllaStore;
    type Rows = PostgresStore;

    fn schemas(&self) -> SchemaBook {
        self.schemas.clone()
    }

    fn source(&self, projection: &'static Projection, member: &str) -> Result<KafkaSource, BoxError> {
        Ok(KafkaSource::join(&settings::member(&self.kafka, member), projection.name, projection.topics)?)
    }

    fn publisher(&self) -> Result<KafkaPublisher, BoxError> {
        Ok(KafkaPublisher::new(&self.kafka)?)
    }

    fn records(&self) -> Result<ScyllaStore, BoxError> {
        Ok(self.nodes()?.sibling())
    }

    fn rows(&self) -> Result<PostgresStore, BoxError> {
        Ok(PostgresStore::new(self.database()?.clone()))
    }
}

impl Look for Cluster {
    type Replay = KafkaReplay;
    type Rows = Reader;
    type Records = ScyllaStore;

    fn schemas(&self) -> SchemaBook {
        self.schemas.clone()
    }

    async fn partitions(&self, topics: &[Topic]) -> Result<Vec<TopicPartition>> {
        let topics = topics.to_vec();
        self.view(move |view| view.partitions(&topics)).await
    }

    async fn ranges(&self, tps: &[TopicPartition]) -> Result<Ranges> {
        let tps = tps.to_vec();
        self.view(move |view| tps.into_iter().map(|tp| Ok((tp, view.range(tp)?))).collect()).await
    }

    async fn identities(&self, tps: &[TopicPartition]) -> Result<Identities> {
        let tps = tps.to_vec();
        // One question for each topic, not for each partition.
        let asked = move |view: &KafkaView| {
            let mut known: BTreeMap<Topic, Result<LogIdentity, String>> = BTreeMap::new();
            for tp in &tps {
                let Entry::Vacant(unknown) = known.entry(tp.topic) else { continue };
                unknown.insert(match view.identity(tp.topic) {
                    Ok(log) => Ok(log),
                    Err(LogError::Setting(text)) => Err(text),
                    Err(error) => return Err(error),
                });
            }
            Ok(tps.iter().filter_map(|tp| Some((*tp, known.get(&tp.topic)?.clone()))).collect())
        };
        self.view(asked).await
    }

    async fn committed(&self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>> {
        let (group, tps) = (projection.name, tps.to_vec());
        self.view(move |view| view.committed(group, &tps)).await
    }

    async fn replay(&self, ranges: Ranges, done: CancellationToken) -> Result<KafkaReplay> {
        let config = self.kafka.clone();
        Ok(tokio::task::spawn_blocking(move || KafkaReplay::new(KafkaView::open(&config)?, ranges, done)).await??)
    }

    async fn rows(&self) -> Result<Reader> {
        Ok(Reader::begin(self.database()?).await?)
    }

    async fn records(&self) -> Result<ScyllaStore> {
        Ok(self.nodes()?.sibling())
    }
}

impl Held for Reader {
    async fn positions(&self, projection: &Projection) -> Result<Vec<GroupPosition>> {
        Ok(Reader::positions(self, projection).await?)
    }

    async fn settings(&self, projection: &Projection) -> Result<Option<DedupSettings>> {
        Ok(Reader::settings(self, projection).await?)
    }

    async fn known_dead(&self, projection: &Projection) -> Result<KnownDead> {
        let mut known = KnownDead::new();
        self.dead(projection, &mut |dead| {
            known.entry(dead.tp).or_default().insert(dead.offset, dead.reason);
            Ok(())
        })
        .await?;
        Ok(known)
    }
}
