//! Topics of a live cluster: described, planned, applied.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::Topic;
use domain::topics::{Change, Desired, Refusal, plan};
use log_kafka::KafkaAdmin;
use pipeline::LogError;
use support::{Rig, spec};

#[tokio::test]
async fn a_plan_brings_the_cluster_to_what_is_wanted() {
    let compacted = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
    let wanted =
        vec![spec(Topic::AgentState, 3, &[("retention.ms", "3600000")]), spec(Topic::LoopLifecycle, 1, &compacted)];
    let config = support::config();
    let admin = KafkaAdmin::new(&config).unwrap();
    assert_eq!(admin.describe().await.unwrap().topics, []);

    let rig = Rig::with(config, wanted.clone()).await;
    let actual = rig.admin.describe().await.unwrap();
    let mut desired = Desired { cluster_id: Some(actual.cluster_id.clone()), topics: wanted };
    assert!(plan(&desired, &actual).is_empty(), "{:?}", plan(&desired, &actual));

    desired.topics[0].configs.insert("retention.ms".to_owned(), "7200000".to_owned());
    desired.topics[0].configs.insert("min.insync.replicas".to_owned(), "1".to_owned());
    let change = plan(&desired, &actual);
    assert_eq!(change.changes.len(), 1, "min.insync.replicas is in force by default: {change:?}");
    rig.admin.apply(&change).await.unwrap();
    let actual = rig.admin.describe().await.unwrap();
    assert!(plan(&desired, &actual).is_empty(), "what was not changed stays: {:?}", plan(&desired, &actual));

    desired.topics[0].partitions = 4;
    let refused = plan(&desired, &actual);
    assert!(matches!(refused.refusals[..], [Refusal::Grow { from: 3, to: 4, .. }]));
    assert!(matches!(rig.admin.apply(&refused).await, Err(LogError::Fatal(text)) if text.contains("growth in place")));
    desired.cluster_id = Some("another".to_owned());
    assert!(matches!(plan(&desired, &actual).refusals[..], [Refusal::WrongCluster { .. }]));
    rig.end().await;
}

#[tokio::test]
async fn what_the_brokers_refuse_is_named() {
    let rig = Rig::with(support::config(), vec![spec(Topic::AgentState, 1, &[])]).await;
    let again = Change::Create(spec(Topic::AgentState, 1, &[]));
    let error =
        rig.admin.apply(&domain::topics::Plan { changes: vec![again], refusals: Vec::new() }).await.unwrap_err();
    assert!(error.to_string().contains("agent.state"), "{error}");
    let copies = Change::Create(domain::topics::TopicSpec { replication: 9, ..spec(Topic::SporeCreated, 1, &[]) });
    let error =
        rig.admin.apply(&domain::topics::Plan { changes: vec![copies], refusals: Vec::new() }).await.unwrap_err();
    assert!(error.to_string().contains("spore.created"), "{error}");
    rig.end().await;
}
