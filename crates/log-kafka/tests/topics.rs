//! Topics of a live cluster: described, planned, applied.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::topics::{Change, Desired, Refusal, plan};
use domain::{Topic, TopicPartition};
use log_kafka::{KafkaAdmin, KafkaView};
use pipeline::{LogError, Source as _};
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

/// I2: which log a topic is: another one of the same name is another log.
#[tokio::test]
async fn topic_that_is_made_again_is_another_log() {
    let rig = Rig::with(support::config(), vec![spec(Topic::AgentState, 3, &[])]).await;
    let identity = || KafkaView::open(&rig.config).unwrap().identity(Topic::AgentState).unwrap();
    let first = identity();
    assert!(!first.topic_id.is_empty() && first.partitions == 3, "{first:?}");
    assert_eq!(first.cluster_id, rig.admin.describe().await.unwrap().cluster_id);
    assert_eq!(identity(), first);
    rig.admin.delete(&[Topic::AgentState]).await.unwrap();
    let again = Change::Create(spec(Topic::AgentState, 3, &[]));
    let made = async {
        let plan = domain::topics::Plan { changes: vec![again], refusals: Vec::new() };
        // The old one may still be on its way out.
        while rig.admin.apply(&plan).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(support::DEADLINE, made).await.unwrap();
    let second = identity();
    assert_eq!((&second.cluster_id, second.partitions), (&first.cluster_id, 3));
    assert_ne!(second.topic_id, first.topic_id);
    rig.end().await;
}

/// A topic whose records a producer's clock stamps is not read until it is mended; then it is.
#[tokio::test]
async fn create_time_is_a_wrong_setting_until_it_is_mended() {
    let create_time = spec(Topic::AgentState, 2, &[("message.timestamp.type", "CreateTime")]);
    let rig = Rig::with(support::config(), vec![create_time, spec(Topic::LoopLifecycle, 2, &[])]).await;
    let mut source = rig.source("settings");
    let bad = TopicPartition::new(Topic::AgentState, 1);
    let refused = source.identity(bad).await;
    let Err(LogError::Setting(text)) = &refused else { panic!("{refused:?}") };
    assert!(text.contains("CreateTime") && text.contains("`sporelog topics apply`"), "{text}");
    assert_eq!(source.identity(TopicPartition::new(Topic::LoopLifecycle, 1)).await.unwrap().partitions, 2);
    let wanted =
        Desired { cluster_id: None, topics: vec![spec(Topic::AgentState, 2, &[]), spec(Topic::LoopLifecycle, 2, &[])] };
    let mend = plan(&wanted, &rig.admin.describe().await.unwrap());
    rig.admin.apply(&mend).await.unwrap();
    let mended = async {
        while source.identity(bad).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(support::DEADLINE, mended).await.expect("mended");
    drop(source);
    rig.end().await;
}

#[tokio::test]
async fn problems_of_live_topics_are_told() {
    let wrong =
        spec(Topic::AgentState, 2, &[("message.timestamp.type", "CreateTime"), ("max.message.bytes", "1000000")]);
    let rig = Rig::with(support::config(), vec![wrong]).await;
    let wanted = [spec(Topic::AgentState, 3, &[]), spec(Topic::LoopLifecycle, 2, &[])];
    let told = rig.admin.problems(&wanted).await.unwrap();
    let has = |topic: Topic, words: &str| told.iter().any(|(of, problem)| *of == topic && problem.contains(words));
    assert!(has(Topic::AgentState, "message.timestamp.type is CreateTime"), "{told:?}");
    assert!(has(Topic::AgentState, "max.message.bytes is 1000000"), "{told:?}");
    assert!(has(Topic::AgentState, "2 partitions, 3 are wanted"), "{told:?}");
    assert!(has(Topic::LoopLifecycle, "not there"), "{told:?}");
    assert_eq!(told.len(), 4, "{told:?}");
    rig.end().await;
}
