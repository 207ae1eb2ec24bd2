//! `sporelog topics plan`: what `topics.yaml` would create or change, without doing it.

use crate::log_file::partitions;
use anyhow::{Context as _, Result};
use domain::Topic;
use domain::topics::{Actual, ActualTopic, Desired, Plan, plan};
use runtime::config::Config;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog topics plan
  sporelog --set log.topics_file=topics.yaml --set log.profile=local topics plan
  sporelog topics plan || echo 'not as wanted'

Exit status: 0 where the log is as wanted, 2 where there are changes to make, 1 where something stands in the
way that no plan mends. The embedded log makes missing topics by itself at the next start.";

/// The exit status where there are changes.
const CHANGES: u8 = 2;

/// What `topics` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Compare the log with the topics file under the chosen profile.
    #[command(after_help = AFTER_HELP)]
    Plan,
}

/// Prints the plan.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let Verb::Plan = args.verb;
    let topics = runtime::topics::load(config.log.topics_file.as_deref(), &config.log.profile)
        .context("the topics cannot be planned")?;
    let desired = Desired { cluster_id: None, topics };
    let actual = match partitions(&config.data.dir)? {
        Some(counts) => found(&desired, &counts),
        None => Actual::default(),
    };
    let plan = plan(&desired, &actual);
    print(&plan, &mut std::io::stdout().lock())?;
    Ok(status(&plan))
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

fn print(plan: &Plan, out: &mut impl Write) -> Result<()> {
    for change in &plan.changes {
        writeln!(out, "+ {change}")?;
    }
    for refusal in &plan.refusals {
        writeln!(out, "! {refusal}")?;
    }
    match (plan.changes.len(), plan.refusals.len()) {
        (0, 0) => writeln!(out, "the log is as wanted")?,
        (changes, refusals) => writeln!(out, "{changes} changes, {refusals} refusals; nothing was done")?,
    }
    Ok(())
}

fn status(plan: &Plan) -> ExitCode {
    match (plan.refusals.is_empty(), plan.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(CHANGES),
        (true, true) => ExitCode::SUCCESS,
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
        print(&plan, &mut out).unwrap();
        (plan, String::from_utf8(out).unwrap())
    }

    #[test]
    fn missing_topics_are_changes() {
        let (plan, text) = planned(&[(Topic::AgentState, 10)]);
        assert!(text.contains("+ create spore.created with 5 partitions"), "{text}");
        assert_eq!(status(&plan), ExitCode::from(CHANGES));
    }

    #[test]
    fn another_number_of_partitions_stands_in_the_way() {
        let (plan, text) = planned(&[(Topic::AgentState, 12), (Topic::SporeCreated, 5)]);
        assert!(text.contains("! agent.state has 12 partitions, 10 are wanted"), "{text}");
        assert_eq!(status(&plan), ExitCode::FAILURE);
    }

    #[test]
    fn a_log_as_wanted_needs_nothing() {
        let (plan, text) = planned(&[(Topic::AgentState, 10), (Topic::SporeCreated, 5)]);
        assert_eq!(text, "the log is as wanted\n");
        assert_eq!(status(&plan), ExitCode::SUCCESS);
    }
}
