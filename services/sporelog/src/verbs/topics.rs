//! `sporelog topics check|plan|apply`: what `topics.yaml` would create or change, and doing it.

use crate::backend::Cluster;
use crate::log_file::partitions;
use anyhow::{Context as _, Result, bail};
use domain::Topic;
use domain::topics::{Actual, ActualTopic, Desired, Plan, plan};
use log_kafka::KafkaAdmin;
use runtime::config::Config;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog topics check --config cluster.toml                     does the cluster fit? nothing is changed
  sporelog topics plan --config cluster.toml || echo 'not as wanted'
  sporelog topics apply --config cluster.toml                     create what is missing, set what differs
  sporelog --set log.topics_file=topics.yaml --set log.profile=local topics plan

Partitions are never added or taken away and topics never deleted: growth is a new generation of a topic. Where
kafka.cluster_id is set, or the profile has a cluster_id, any other cluster is refused. The embedded log makes missing topics by itself at the next
start.

Exit status of `check`: 0 where the topics are as wanted, else 1. Of `plan`: 0 where they are as wanted, 2 where there
are changes to make, 1 where something stands in the way that no plan mends. Of `apply`: 0 where they are as wanted now.";

/// The exit status where there are changes.
const CHANGES: u8 = 2;

/// What `topics` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
enum Verb {
    /// Say whether the topics are as the topics file wants them under the chosen profile.
    #[command(after_help = AFTER_HELP)]
    Check,
    /// Show what `apply` would do.
    #[command(after_help = AFTER_HELP)]
    Plan,
    /// Create missing topics and set their configuration.
    #[command(after_help = AFTER_HELP)]
    Apply,
}

/// Compares, prints, and where that is asked for applies the plan.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let mut desired = runtime::topics::desired(config.log.topics_file.as_deref(), &config.log.profile)
        .context("the topics cannot be planned")?;
    desired.cluster_id = config.kafka.cluster_id.clone().or(desired.cluster_id);
    match Cluster::configured(&config)? {
        Some(cluster) => on_cluster(args.verb, &desired, &KafkaAdmin::new(cluster.kafka())?).await,
        None => on_embedded(args.verb, desired, &config),
    }
}

async fn on_cluster(verb: Verb, desired: &Desired, admin: &KafkaAdmin) -> Result<ExitCode> {
    let actual = admin.describe().await.context("the cluster cannot be described")?;
    let found = plan(desired, &actual);
    let applies = verb == Verb::Apply && found.refusals.is_empty();
    print(&found, applies, &mut std::io::stdout().lock())?;
    if !applies {
        return Ok(status(verb, &found));
    }
    admin.apply(&found).await.context("the plan was not carried out in full: `sporelog topics plan` shows the rest")?;
    Ok(ExitCode::SUCCESS)
}

fn on_embedded(verb: Verb, desired: Desired, config: &Config) -> Result<ExitCode> {
    if verb == Verb::Apply {
        bail!("kafka.bootstrap is not set: the embedded log makes missing topics by itself at its next start");
    }
    let desired = Desired { cluster_id: None, ..desired };
    let actual = match partitions(&config.data.dir)? {
        Some(counts) => found(&desired, &counts),
        None => Actual::default(),
    };
    let plan = plan(&desired, &actual);
    print(&plan, false, &mut std::io::stdout().lock())?;
    Ok(status(verb, &plan))
}

/// The embedded log as a cluster: it has partitions, but neither copies nor broker configuration, so those are
/// taken as wanted.
fn found(desired: &Desired, counts: &BTreeMap<Topic, u32>) -> Actual {
    let topics = counts.iter().map(|(topic, partitions)| {
        let wanted = desired.topics.iter().find(|spec| spec.topic == *topic);
        let replication = wanted.map_or(1, |spec| spec.replication);
        let configs = wanted.map(|spec| spec.configs.clone()).unwrap_or_default();
        ActualTopic { name: topic.name().to_owned(), partitions: *partitions, replication, configs }
    });
    Actual { cluster_id: String::new(), topics: topics.collect() }
}

fn print(plan: &Plan, applies: bool, out: &mut impl Write) -> Result<()> {
    for change in &plan.changes {
        writeln!(out, "+ {change}")?;
    }
    for refusal in &plan.refusals {
        writeln!(out, "! {refusal}")?;
    }
    match (plan.changes.len(), plan.refusals.len()) {
        (0, 0) => writeln!(out, "the log is as wanted")?,
        (changes, _) if applies => writeln!(out, "{changes} changes are made")?,
        (changes, refusals) => writeln!(out, "{changes} changes, {refusals} refusals; nothing was done")?,
    }
    Ok(())
}

fn status(verb: Verb, plan: &Plan) -> ExitCode {
    match (plan.refusals.is_empty(), plan.is_empty()) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) if verb == Verb::Plan => ExitCode::from(CHANGES),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::topics::TopicSpec;

    fn desired() -> Desired {
        let spec = |topic, partitions| TopicSpec {
            topic,
            partitions,
            replication: 1,
            configs: [("retention.ms".to_owned(), "-1".to_owned())].into(),
            events: Vec::new(),
        };
        Desired { cluster_id: None, topics: vec![spec(Topic::AgentState, 10), spec(Topic::SporeCreated, 5)] }
    }

    fn planned(counts: &[(Topic, u32)]) -> (Plan, String) {
        let desired = desired();
        let plan = plan(&desired, &found(&desired, &counts.iter().copied().collect()));
        let mut out = Vec::new();
        print(&plan, false, &mut out).unwrap();
        (plan, String::from_utf8(out).unwrap())
    }

    #[test]
    fn missing_topics_are_changes() {
        let (plan, text) = planned(&[(Topic::AgentState, 10)]);
        assert!(text.contains("+ create spore.created with 5 partitions"), "{text}");
        assert_eq!(status(Verb::Plan, &plan), ExitCode::from(CHANGES));
    }

    #[test]
    fn another_number_of_partitions_stands_in_the_way() {
        let (plan, text) = planned(&[(Topic::AgentState, 12), (Topic::SporeCreated, 5)]);
        assert!(text.contains("! agent.state has 12 partitions, 10 are wanted"), "{text}");
        assert_eq!(status(Verb::Plan, &plan), ExitCode::FAILURE);
    }

    #[test]
    fn a_log_as_wanted_needs_nothing() {
        let (plan, text) = planned(&[(Topic::AgentState, 10), (Topic::SporeCreated, 5)]);
        assert_eq!(text, "the log is as wanted\n");
        assert_eq!(status(Verb::Plan, &plan), ExitCode::SUCCESS);
    }
}
