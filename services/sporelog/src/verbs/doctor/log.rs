//! The log and its topics.

use super::finding::Finding;
use crate::backend::Cluster;
use crate::log_file::partitions;
use domain::Topic;
use domain::topics::{Change, Desired, Plan, Refusal, plan};
use log_kafka::KafkaAdmin;
use runtime::config::Config;

/// Topic settings that change what is stored, or which records the log takes: without them work
/// stands still.
const NEEDED: [&str; 3] = ["message.timestamp.type", "max.message.bytes", "cleanup.policy"];

/// Looks at the brokers and their topics; whether they answer.
pub async fn on_cluster(cluster: &Cluster, config: &Config, found: &mut Vec<Finding>) -> bool {
    let brokers = cluster.kafka().bootstrap.clone();
    let admin = match KafkaAdmin::new(cluster.kafka()) {
        Ok(admin) => admin,
        Err(error) => {
            found.push(Finding::problem("log", brokers, error.to_string()));
            return false;
        }
    };
    let actual = match admin.describe().await {
        Ok(actual) => actual,
        Err(error) => {
            let todo = "bring the brokers back, or correct kafka.bootstrap and kafka.properties";
            found.push(Finding::problem("log", brokers, format!("{error}: {todo}")));
            return false;
        }
    };
    found.push(Finding::ok("log", brokers, format!("answers, cluster {}", actual.cluster_id)));
    if let Some(mut desired) = desired(config, found) {
        desired.cluster_id = config.kafka.cluster_id.clone().or(desired.cluster_id);
        judge(&plan(&desired, &actual), desired.topics.len(), found);
    }
    true
}

/// Looks at the embedded log; whether there is one.
pub fn on_embedded(config: &Config, found: &mut Vec<Finding>) -> bool {
    let subject = config.data.dir.join("log.db").display().to_string();
    let counts = match partitions(&config.data.dir) {
        Ok(Some(counts)) => counts,
        Ok(None) => {
            found.push(Finding::warning("log", subject, "there is no log yet: `sporelog up` or an import makes it"));
            return false;
        }
        Err(error) => {
            found.push(Finding::problem("log", subject, format!("{error:#}")));
            return false;
        }
    };
    found.push(Finding::ok("log", subject, "can be read"));
    let Some(desired) = desired(config, found) else { return true };
    let before = found.len();
    for spec in &desired.topics {
        match counts.get(&spec.topic) {
            None => found.push(Finding::warning("topics", spec.topic.name(), "is made at the next start")),
            Some(held) if *held == spec.partitions => {}
            Some(held) => {
                found.push(Finding::problem("topics", spec.topic.name(), other_count(*held, spec.partitions)))
            }
        }
    }
    if found.len() == before {
        found.push(Finding::ok("topics", "all", format!("{} topics as wanted", desired.topics.len())));
    }
    true
}

fn other_count(held: u32, wanted: u32) -> String {
    format!(
        "has {held} partitions, and the topics file wants {wanted}: they never change in place, so `sporelog up` does not \
         start. Name a topics file with {held} (log.topics_file, log.profile), or another data folder"
    )
}

fn desired(config: &Config, found: &mut Vec<Finding>) -> Option<Desired> {
    match runtime::topics::desired(config.log.topics_file.as_deref(), &config.log.profile) {
        Ok(desired) => Some(desired),
        Err(error) => {
            found.push(Finding::problem("topics", "topics file", error.to_string()));
            None
        }
    }
}

/// A line for each difference, or one that there is none.
pub(super) fn judge(plan: &Plan, topics: usize, found: &mut Vec<Finding>) {
    for change in &plan.changes {
        found.push(match change {
            Change::Create(spec) => {
                Finding::problem("topics", spec.topic.name(), "is missing: `sporelog topics apply` makes it")
            }
            Change::Configure { topic, name, .. } => configured(*topic, name, change),
        });
    }
    for refusal in &plan.refusals {
        let subject = "cluster".to_owned();
        found.push(match refusal {
            Refusal::WrongCluster { .. } => Finding::problem("topics", subject, refusal.to_string()),
            Refusal::Shrink { topic, .. } | Refusal::Grow { topic, .. } => {
                Finding::problem("topics", topic.name(), refusal.to_string())
            }
            Refusal::Replication { topic, .. } => Finding::warning("topics", topic.name(), refusal.to_string()),
            Refusal::Delete(topic) => Finding::warning("topics", topic.name(), refusal.to_string()),
        });
    }
    if plan.is_empty() {
        found.push(Finding::ok("topics", "all", format!("{topics} topics as wanted")));
    }
}

fn configured(topic: Topic, name: &str, change: &Change) -> Finding {
    let text = format!("is not as wanted, `sporelog topics apply` would {change}");
    if NEEDED.contains(&name) {
        Finding::problem("topics", topic.name(), text)
    } else {
        Finding::warning("topics", topic.name(), text)
    }
}
