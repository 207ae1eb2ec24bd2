//! What is wrong with topics as a cluster has them: what changes what is stored, or loses records in silence. Pure.

use domain::Topic;
use domain::topics::{ActualTopic, TopicSpec};

/// The remedy that most of them have.
const APPLY: &str = "`sporelog topics apply` sets it";

/// What is wrong with each topic, with what it does and the remedy; `largest_batch_bytes` is what our producers may make.
pub(crate) fn problems(specs: &[TopicSpec], found: &[ActualTopic], largest_batch_bytes: usize) -> Vec<(Topic, String)> {
    let mut problems = Vec::new();
    for spec in specs {
        match found.iter().find(|found| found.name == spec.topic.name()) {
            None => problems.push((spec.topic, "the topic is not there: `sporelog topics apply` makes it".to_owned())),
            Some(found) => {
                let all = shape(spec, found).into_iter().chain(configs(spec, found, largest_batch_bytes));
                problems.extend(all.map(|problem| (spec.topic, problem)));
            }
        }
    }
    problems
}

/// Partitions and copies: what no command of ours changes.
fn shape(spec: &TopicSpec, found: &ActualTopic) -> Vec<String> {
    let mut problems = Vec::new();
    let (wanted, has) = (spec.partitions, found.partitions);
    if has != wanted {
        problems.push(format!(
            "it has {has} partitions, {wanted} are wanted: keys lie elsewhere under another number. Set {has} in topics.yaml \
             where it was made so, or give it back the partitions it had"
        ));
    }
    let (wanted, has) = (spec.replication, found.replication);
    if has < wanted {
        problems.push(format!(
            "it has {has} copies of each partition, {wanted} are wanted: reassign its replicas with the cluster's tools"
        ));
    }
    problems
}

fn configs(spec: &TopicSpec, found: &ActualTopic, largest_batch_bytes: usize) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, has) in &found.configs {
        let wanted = spec.configs.get(name).map(String::as_str);
        problems.extend(config(spec, found, name, has, wanted, largest_batch_bytes));
    }
    problems
}

fn config(
    spec: &TopicSpec,
    found: &ActualTopic,
    name: &str,
    has: &str,
    wanted: Option<&str>,
    largest_batch_bytes: usize,
) -> Option<String> {
    let number = has.parse::<i64>().ok();
    let compacts = |policy: &str| policy.split(',').any(|part| part.trim() == "compact");
    match name {
        "message.timestamp.type" if has != "LogAppendTime" => Some(format!(
            "{name} is {has}: a producer's clock rules the window of duplicates and what is valid; its partitions are \
             parked until it is LogAppendTime. {APPLY}"
        )),
        "cleanup.policy" if compacts(has) && !wanted.is_some_and(compacts) => Some(format!(
            "{name} is {has}: of each key only the last record is kept, so that whatever is rebuilt misses the others. \
             {APPLY} to delete"
        )),
        "retention.ms" if wanted.is_some_and(|wanted| is_shorter(has, wanted)) => Some(format!(
            "{name} is {has}, {} is wanted: records are deleted earlier, also ahead of a worker that is behind. {APPLY}",
            wanted.unwrap_or_default()
        )),
        "retention.bytes" if wanted.is_none() && number.is_some_and(|bytes| bytes >= 0) => Some(format!(
            "{name} is {has}: records are deleted by size, whatever their age, also ahead of a worker that is behind. Set \
             it to -1 with the cluster's tools"
        )),
        "max.message.bytes" if number.is_some_and(|bytes| bytes < largest_batch_bytes as i64) => Some(format!(
            "{name} is {has}: a record of the size that log.max_record_bytes allows, or its dead letter, may be refused, which \
             needs {largest_batch_bytes}. Set that in topics.yaml, then `sporelog topics apply`, or lower log.max_record_bytes"
        )),
        "min.insync.replicas" if number.is_some_and(|replicas| replicas > i64::from(found.replication)) => {
            Some(format!(
                "{name} is {has}, and there are {} copies of each partition: nothing can be appended. {APPLY}",
                found.replication
            ))
        }
        "min.insync.replicas" if is_less(has, wanted) => Some(format!(
            "{name} is {has}, {} is wanted: a record that was acknowledged can be lost with one broker. {APPLY}",
            wanted.unwrap_or_default()
        )),
        "unclean.leader.election.enable" if has == "true" && spec.replication > 1 => Some(format!(
            "{name} is {has}: a broker that lacks acknowledged records can become the leader, and they are gone. {APPLY}"
        )),
        // Those above are as good as wanted, or better.
        "retention.ms" | "max.message.bytes" | "min.insync.replicas" | "unclean.leader.election.enable" => None,
        _ => {
            wanted.filter(|wanted| *wanted != has).map(|wanted| format!("{name} is {has}, {wanted} is wanted. {APPLY}"))
        }
    }
}

fn is_less(has: &str, wanted: Option<&str>) -> bool {
    let (has, wanted) = (has.parse::<i64>().ok(), wanted.and_then(|wanted| wanted.parse::<i64>().ok()));
    has.zip(wanted).is_some_and(|(has, wanted)| has < wanted)
}

/// Whether a retention is shorter; -1 is without end.
fn is_shorter(has: &str, wanted: &str) -> bool {
    let ms = |text: &str| text.parse::<i64>().ok().map(|ms| if ms < 0 { i64::MAX } else { ms });
    ms(has).zip(ms(wanted)).is_some_and(|(has, wanted)| has < wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LARGEST: usize = 9 << 20;

    fn configs_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn wanted() -> TopicSpec {
        let configs = configs_of(&[
            ("message.timestamp.type", "LogAppendTime"),
            ("cleanup.policy", "delete"),
            ("retention.ms", "604800000"),
            ("min.insync.replicas", "2"),
            ("max.message.bytes", "9437184"),
            ("unclean.leader.election.enable", "false"),
            ("segment.ms", "3600000"),
        ]);
        TopicSpec { topic: Topic::AgentState, partitions: 6, replication: 3, configs, events: Vec::new() }
    }

    fn found(changed: &[(&str, &str)]) -> ActualTopic {
        let mut configs = wanted().configs;
        configs.extend(configs_of(changed));
        ActualTopic { name: Topic::AgentState.name().to_owned(), partitions: 6, replication: 3, configs }
    }

    fn told(found: ActualTopic) -> Vec<String> {
        problems(&[wanted()], &[found], LARGEST).into_iter().map(|(_, problem)| problem).collect()
    }

    #[test]
    fn topic_as_wanted_or_better_has_no_problem() {
        assert_eq!(told(found(&[])), [] as [String; 0]);
        let better = [("retention.ms", "-1"), ("max.message.bytes", "20000000"), ("min.insync.replicas", "3")];
        assert_eq!(told(found(&better)), [] as [String; 0]);
        assert_eq!(told(found(&[("compression.type", "gzip"), ("retention.bytes", "-1")])), [] as [String; 0]);
    }

    #[test]
    fn setting_that_loses_or_changes_records_is_named_with_its_effect() {
        let cases = [
            ("message.timestamp.type", "CreateTime", "parked"),
            ("cleanup.policy", "compact", "only the last record"),
            ("cleanup.policy", "compact,delete", "only the last record"),
            ("retention.ms", "3600000", "deleted earlier"),
            ("retention.bytes", "1000000", "by size"),
            ("max.message.bytes", "1048588", "9437184"),
            ("min.insync.replicas", "1", "can be lost"),
            ("min.insync.replicas", "4", "nothing can be appended"),
            ("unclean.leader.election.enable", "true", "are gone"),
            ("segment.ms", "1", "is wanted"),
        ];
        for (name, value, effect) in cases {
            let told = told(found(&[(name, value)]));
            assert_eq!(told.len(), 1, "{name}: {told:?}");
            assert!(told[0].contains(name) && told[0].contains(value) && told[0].contains(effect), "{}", told[0]);
        }
    }

    #[test]
    fn missing_topic_and_other_shape_are_named() {
        assert!(problems(&[wanted()], &[], LARGEST)[0].1.contains("topics apply"));
        let told = told(ActualTopic { partitions: 7, replication: 1, ..found(&[("min.insync.replicas", "1")]) });
        assert!(told[0].contains("7 partitions") && told[1].contains("1 copies"), "{told:?}");
    }
}
