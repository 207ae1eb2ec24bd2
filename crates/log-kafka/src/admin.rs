//! The topics of a cluster: as they are, and the changes of a plan.

use crate::ask::blocking;
use crate::config::KafkaConfig;
use crate::error::{sort, sort_code};
use crate::names::Names;
use crate::settings;
use domain::Topic;
use domain::topics::{Actual, ActualTopic, Change, Plan, TopicSpec};
use pipeline::LogError;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before looking again whether a change is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Compares and changes the topics of a cluster.
pub struct KafkaAdmin {
    client: Arc<AdminClient<DefaultClientContext>>,
    names: Names,
    timeout: Duration,
    largest_batch_bytes: usize,
}

impl fmt::Debug for KafkaAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaAdmin").field("names", &self.names).finish_non_exhaustive()
    }
}

impl KafkaAdmin {
    /// A client; it connects by itself.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the configuration cannot be used.
    pub fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        let client = config.client()?.create().map_err(|error| sort(&error, "making an admin client"))?;
        let timeout = Duration::from_millis(config.request_timeout_ms);
        let names = Names::new(&config.topic_prefix);
        let largest_batch_bytes = config.largest_batch_bytes();
        Ok(Self { client: Arc::new(client), names, timeout, largest_batch_bytes })
    }

    /// The cluster's id, and our topics as they are, under their names without the prefix.
    ///
    /// # Errors
    /// Where the brokers do not answer, or this user may not describe the topics.
    pub async fn describe(&self) -> Result<Actual, LogError> {
        let mut actual = self.layout().await?;
        let topics: Vec<Topic> = actual.topics.iter().filter_map(|topic| Topic::from_name(&topic.name)).collect();
        let mut entries = self.entries(&topics).await?;
        configure(&mut actual, &mut entries);
        Ok(actual)
    }

    /// What is wrong with these topics as the cluster has them: what changes what is stored, or loses records in silence;
    /// each with its effect and a remedy. Where this user may not see settings, the topics are still compared in number of
    /// partitions and copies.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub async fn problems(&self, specs: &[TopicSpec]) -> Result<Vec<(Topic, String)>, LogError> {
        let mut actual = self.layout().await?;
        let found = |spec: &&TopicSpec| actual.topics.iter().any(|topic| topic.name == spec.topic.name());
        let topics: Vec<Topic> = specs.iter().filter(found).map(|spec| spec.topic).collect();
        match self.entries(&topics).await {
            Ok(mut entries) => configure(&mut actual, &mut entries),
            Err(error) => tracing::warn!(%error, "the settings of topics cannot be seen, and so not compared"),
        }
        Ok(settings::problems(specs, &actual.topics, self.largest_batch_bytes))
    }

    /// Carries out a plan: creates topics, and changes their configuration. Nothing is done where something is refused.
    ///
    /// # Errors
    /// Where the plan has refusals, or the brokers refuse a step: the steps before it are done, and a new plan shows
    /// what is left.
    pub async fn apply(&self, plan: &Plan) -> Result<(), LogError> {
        if let Some(refusal) = plan.refusals.first() {
            return Err(LogError::Fatal(format!("nothing was done: {refusal}")));
        }
        let mut created = Vec::new();
        let mut configs: BTreeMap<Topic, BTreeMap<&str, &str>> = BTreeMap::new();
        for change in &plan.changes {
            match change {
                Change::Create(spec) => created.push(spec),
                Change::Configure { topic, name, to, .. } => drop(configs.entry(*topic).or_default().insert(name, to)),
            }
        }
        self.create(&created).await?;
        self.configure(&configs).await?;
        self.until_seen(plan).await
    }

    /// Brokers show a change some time after they took it.
    async fn until_seen(&self, plan: &Plan) -> Result<(), LogError> {
        let seen = async {
            loop {
                let actual = self.describe().await?;
                if plan.changes.iter().all(|change| is_made(change, &actual)) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(self.timeout, seen).await.unwrap_or_else(|_| {
            let text = "the brokers took the changes but do not show them yet: plan again in a while";
            Err(LogError::Unavailable(text.to_owned()))
        })
    }

    /// Deletes topics with all their records: for tests, whose topics are their own.
    ///
    /// # Errors
    /// Where the brokers refuse.
    pub async fn delete(&self, topics: &[Topic]) -> Result<(), LogError> {
        let names: Vec<String> = topics.iter().map(|topic| self.names.topic(*topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let done = self.client.delete_topics(&names, &self.options()).await;
        for deleted in done.map_err(|error| sort(&error, "deleting topics"))? {
            deleted.map_err(|(name, code)| sort_code(code, format_args!("deleting {name}")))?;
        }
        Ok(())
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// Everything but the configuration.
    async fn layout(&self) -> Result<Actual, LogError> {
        let (client, names, timeout) = (self.client.clone(), self.names.clone(), self.timeout);
        blocking(move || {
            let metadata = client.inner().fetch_metadata(None, timeout);
            let metadata = metadata.map_err(|error| sort(&error, "describing the cluster"))?;
            let cluster_id = client.inner().fetch_cluster_id(timeout);
            let cluster_id =
                cluster_id.ok_or_else(|| LogError::Unavailable("the cluster does not tell its id".to_owned()))?;
            let ours = metadata.topics().iter().filter_map(|found| Some((names.parse(found.name())?, found)));
            let topics = ours.map(|(topic, found)| ActualTopic {
                name: topic.name().to_owned(),
                partitions: found.partitions().len() as u32,
                replication: found.partitions().first().map_or(0, |partition| partition.replicas().len() as u16),
                configs: BTreeMap::new(),
            });
            Ok(Actual { cluster_id, topics: topics.collect() })
        })
        .await
    }

    async fn entries(&self, topics: &[Topic]) -> Result<BTreeMap<Topic, Vec<ConfigEntry>>, LogError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        const DOING: &str = "describing the configuration of topics";
        let names: Vec<String> = topics.iter().map(|topic| self.names.topic(*topic)).collect();
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = self.client.describe_configs(&resources, &self.options()).await;
        let described = described.map_err(|error| sort(&error, DOING))?;
        // The answers come in the order of the questions.
        let pairs = topics.iter().zip(described).map(|(topic, found)| match found {
            Ok(found) => Ok((*topic, found.entries)),
            Err(code) => Err(sort_code(code, DOING)),
        });
        pairs.collect()
    }

    async fn create(&self, specs: &[&TopicSpec]) -> Result<(), LogError> {
        if specs.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = specs.iter().map(|spec| self.names.topic(spec.topic)).collect();
        let pairs = specs.iter().zip(&names);
        let topics: Vec<NewTopic<'_>> = pairs.map(|(spec, name)| new_topic(spec, name)).collect();
        let done = self.client.create_topics(&topics, &self.options()).await;
        for created in done.map_err(|error| sort(&error, "creating topics"))? {
            created.map_err(|(name, code)| sort_code(code, format_args!("creating {name}")))?;
        }
        Ok(())
    }

    /// Kafka replaces all of a topic's own configuration at once: what it had besides is given again.
    async fn configure(&self, changes: &BTreeMap<Topic, BTreeMap<&str, &str>>) -> Result<(), LogError> {
        let topics: Vec<Topic> = changes.keys().copied().collect();
        for (topic, held) in &self.entries(&topics).await? {
            let own = held.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
            let mut wanted: BTreeMap<&str, &str> = own.collect();
            wanted.extend(changes.get(topic).into_iter().flatten());
            let (name, doing) = (self.names.topic(*topic), format!("changing the configuration of {topic}"));
            let alter = AlterConfig::new(ResourceSpecifier::Topic(&name));
            let alter = wanted.into_iter().fold(alter, |alter, (name, value)| alter.set(name, value));
            let done = self.client.alter_configs([&alter], &self.options()).await;
            for altered in done.map_err(|error| sort(&error, &doing))? {
                altered.map_err(|(_, code)| sort_code(code, &doing))?;
            }
        }
        Ok(())
    }
}

/// Puts the settings found beside their topics.
fn configure(actual: &mut Actual, entries: &mut BTreeMap<Topic, Vec<ConfigEntry>>) {
    for topic in &mut actual.topics {
        let held = Topic::from_name(&topic.name).and_then(|known| entries.remove(&known)).unwrap_or_default();
        topic.configs = held.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
    }
}

fn is_made(change: &Change, actual: &Actual) -> bool {
    let find = |wanted: Topic| actual.topics.iter().find(|found| found.name == wanted.name());
    match change {
        Change::Create(spec) => find(spec.topic).is_some_and(|found| found.partitions == spec.partitions),
        Change::Configure { topic, name, to, .. } => {
            find(*topic).is_some_and(|found| found.configs.get(name) == Some(to))
        }
    }
}

fn new_topic<'a>(spec: &'a TopicSpec, name: &'a str) -> NewTopic<'a> {
    let topic = NewTopic::new(name, spec.partitions as i32, TopicReplication::Fixed(i32::from(spec.replication)));
    spec.configs.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
}
