//! Plans: what changes, what is refused, and what the file may not say.

use super::*;
use proptest::prelude::*;

fn file(partitions: u32) -> TopicsFile {
    let entry = || TopicEntry {
        key: "id".to_owned(),
        partitions,
        cleanup: Cleanup::Delete,
        retention: Retention::Days(7),
        configs: BTreeMap::from([("own".to_owned(), "topic".to_owned())]),
        events: vec!["Event".to_owned()],
    };
    let local = Profile {
        cluster_id: Some("here".to_owned()),
        replication: Some(1),
        partitions_divisor: Some(10),
        configs: BTreeMap::from([("shared".to_owned(), "profile".to_owned())]),
    };
    TopicsFile {
        replication: 3,
        configs: BTreeMap::from([("shared".to_owned(), "file".to_owned()), ("own".to_owned(), "file".to_owned())]),
        topics: Topic::ALL.iter().map(|topic| (topic.name().to_owned(), entry())).collect(),
        profiles: BTreeMap::from([("local".to_owned(), local)]),
    }
}

fn found(desired: &Desired) -> Actual {
    let topics = desired.topics.iter().map(|spec| ActualTopic {
        name: spec.topic.name().to_owned(),
        partitions: spec.partitions,
        replication: spec.replication,
        configs: spec.configs.clone(),
    });
    Actual { cluster_id: "here".to_owned(), topics: topics.collect() }
}

#[test]
fn the_nearest_configuration_wins_and_a_profile_scales_down_to_one() {
    let wide = file(100).desired(None).unwrap();
    assert_eq!((wide.topics[0].partitions, wide.topics[0].replication), (100, 3));
    assert_eq!(wide.topics[0].configs["own"], "topic");
    assert_eq!(wide.topics[0].configs["shared"], "file");
    assert_eq!(wide.topics[0].configs["retention.ms"], "604800000");
    let local = file(100).desired(Some("local")).unwrap();
    assert_eq!((local.topics[0].partitions, local.topics[0].replication), (10, 1));
    assert_eq!(local.topics[0].configs["shared"], "profile");
    assert_eq!(file(5).desired(Some("local")).unwrap().topics[0].partitions, 1);
}

#[test]
fn a_wrong_file_is_named() {
    let mut unknown = file(1);
    unknown.topics.insert("agent.absent".to_owned(), unknown.topics["agent.state"].clone());
    assert_eq!(unknown.desired(None), Err(TopicsError::Unknown("agent.absent".to_owned())));
    let mut missing = file(1);
    missing.topics.remove("agent.state");
    assert_eq!(missing.desired(None), Err(TopicsError::Missing(Topic::AgentState)));
    assert_eq!(file(0).desired(None), Err(TopicsError::NoPartitions(Topic::AgentPresence)));
    let error = file(1).desired(Some("moon")).unwrap_err().to_string();
    assert_eq!(error, "topics.yaml has no profile `moon`: choose one of local");
}

#[test]
fn an_empty_cluster_gets_every_topic_and_others_are_left_alone() {
    let desired = file(3).desired(Some("local")).unwrap();
    let mut actual = Actual { cluster_id: "here".to_owned(), topics: Vec::new() };
    actual.topics.push(ActualTopic {
        name: "of.others".to_owned(),
        partitions: 9,
        replication: 9,
        configs: BTreeMap::new(),
    });
    let plan = plan(&desired, &actual);
    assert_eq!(plan.changes.len(), Topic::ALL.len());
    assert!(plan.refusals.is_empty());
}

#[test]
fn what_would_lose_data_or_order_is_refused() {
    let desired = file(30).desired(Some("local")).unwrap();
    let mut actual = found(&desired);
    actual.topics[0].partitions = 4;
    actual.topics[1].partitions = 2;
    actual.topics[2].replication = 2;
    let (first, second, third) = (desired.topics[0].topic, desired.topics[1].topic, desired.topics[2].topic);
    let expected = vec![
        Refusal::Shrink { topic: first, from: 4, to: 3 },
        Refusal::Grow { topic: second, from: 2, to: 3 },
        Refusal::Replication { topic: third, from: 2, to: 1 },
    ];
    assert_eq!(plan(&desired, &actual), Plan { changes: Vec::new(), refusals: expected });
    let mut fewer = desired.clone();
    fewer.topics.remove(0);
    assert_eq!(plan(&fewer, &found(&desired)).refusals, vec![Refusal::Delete(first)]);
}

#[test]
fn the_wrong_cluster_gets_no_plan() {
    let desired = file(30).desired(Some("local")).unwrap();
    let actual = Actual { cluster_id: "elsewhere".to_owned(), topics: Vec::new() };
    let plan = plan(&desired, &actual);
    assert!(plan.changes.is_empty());
    let said = plan.refusals[0].to_string();
    assert!(said.starts_with("this cluster is `elsewhere`, the profile names `here`"), "{said}");
}

/// Applies the changes to a cluster, as `topics apply` would.
fn apply(mut actual: Actual, changes: Vec<Change>) -> Actual {
    for change in changes {
        match change {
            Change::Create(spec) => {
                let one = Desired { cluster_id: None, topics: vec![spec] };
                actual.topics.extend(found(&one).topics);
            }
            Change::Configure { topic, name, to, .. } => {
                let held = actual.topics.iter_mut().find(|held| held.name == topic.name()).unwrap();
                held.configs.insert(name, to);
            }
        }
    }
    actual
}

proptest! {
    #[test]
    fn a_plan_applied_leaves_nothing_to_plan(kept in prop::collection::vec(any::<bool>(), Topic::ALL.len()), value in "[a-c]") {
        let desired = file(30).desired(Some("local")).unwrap();
        let mut actual = found(&desired);
        for topic in &mut actual.topics {
            topic.configs.insert("own".to_owned(), value.clone());
        }
        let mut kept = kept.into_iter();
        actual.topics.retain(|_| kept.next().unwrap_or(true));
        let changes = plan(&desired, &actual).changes;
        prop_assert!(plan(&desired, &apply(actual, changes)).is_empty());
    }
}
