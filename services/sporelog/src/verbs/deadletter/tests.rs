//! Against a log file with a few dead letters.

use super::*;
use domain::topics::TopicSpec;
use embedded::log::Log;
use pipeline::deadletter::dead_letter;
use pipeline::{DeadKind, DeadReason, Record};

async fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let topic = Topic::DeadLetter;
    let (configs, events) = Default::default();
    let topics = [TopicSpec { topic, partitions: 2, replication: 1, configs, events }];
    let log = Log::open(dir.path(), &topics).unwrap();
    let letter = |topic, offset, projection| {
        let tp = TopicPartition::new(topic, 3);
        let append_time_us = 1_085_616_000_000_000;
        let record = Record { tp, offset, append_time_us, key: b"t|k", value: b"junk\x00\xff", headers: b"" };
        let reason = DeadReason { kind: DeadKind::Undecodable, text: "wrong magic".to_owned() };
        dead_letter(&record, projection, &reason)
    };
    for (topic, offset, projection) in [
        (Topic::AgentState, 12, "views"),
        (Topic::AgentState, 12, "views"),
        (Topic::AgentState, 12, "records"),
        (Topic::SporeCreated, 5, "views"),
    ] {
        log.append(vec![letter(topic, offset, projection)]).await.unwrap();
    }
    dir
}

async fn listed(dir: &tempfile::TempDir, wanted: &Wanted, limit: usize) -> String {
    let mut out = Vec::new();
    list(&collect(&Folder::new(dir.path().to_owned()).unwrap(), wanted, limit).await.unwrap(), Format::Csv, &mut out)
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn a_letter_written_twice_is_listed_once() {
    let dir = folder().await;
    let text = listed(&dir, &Wanted::default(), 10).await;
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("agent.state/3/12,views,2004-05-27T00:00:00Z,6,junk..,undecodable: wrong magic"), "{text}");
}

#[tokio::test]
async fn filters_and_limit_hold() {
    let dir = folder().await;
    let views = Wanted { projection: Some("views".to_owned()), ..Wanted::default() };
    assert_eq!(listed(&dir, &views, 10).await.lines().count(), 3);
    let spores = Wanted { topic: Some(Topic::SporeCreated), ..Wanted::default() };
    assert_eq!(listed(&dir, &spores, 10).await.lines().count(), 2);
    let newest = listed(&dir, &Wanted::default(), 1).await;
    assert!(newest.lines().count() == 2 && newest.contains("spore.created/3/5"), "{newest}");
}

#[tokio::test]
async fn show_gives_every_reason_and_the_bytes() {
    let dir = folder().await;
    let wanted = Wanted { record: Some(coordinates("agent.state/3/12").unwrap()), ..Wanted::default() };
    let letters = collect(&Folder::new(dir.path().to_owned()).unwrap(), &wanted, usize::MAX).await.unwrap();
    let mut out = Vec::new();
    show::show(&letters, 5, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("(views)") && text.contains("(records)"), "{text}");
    assert!(text.contains("6a 75 6e 6b 00 ") && text.contains("|junk.|") && text.contains("... 1 more"), "{text}");
}

#[test]
fn malformed_coordinates_are_explained() {
    assert!(coordinates("agent.state/3").unwrap_err().contains("TOPIC/PARTITION/OFFSET"));
    assert!(coordinates("agent.stat/3/1").unwrap_err().contains("choose one of agent.presence"));
    assert!(coordinates("agent.state/x/1").is_err());
}
