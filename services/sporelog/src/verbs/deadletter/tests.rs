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
        dead_letter(&record, projection, &reason, 8 << 20)
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

const ALL: Keep = Keep { letters: 10, value_bytes: BEGINNING };

async fn collected(dir: &tempfile::TempDir, wanted: &Wanted, keep: Keep) -> Vec<Letter> {
    collect(&Folder::new(dir.path().to_owned()).unwrap(), wanted, keep).await.unwrap().0
}

async fn listed(dir: &tempfile::TempDir, wanted: &Wanted, letters: usize) -> String {
    let mut out = Vec::new();
    list(&collected(dir, wanted, Keep { letters, ..ALL }).await, Format::Csv, &mut out).unwrap();
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
    let letters = collected(&dir, &wanted, Keep { value_bytes: 5, ..ALL }).await;
    let mut out = Vec::new();
    show::show(&letters, &mut out).unwrap();
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

/// I8: of a letter only what is shown is kept, however large it is.
#[tokio::test]
async fn a_large_letter_costs_what_is_shown_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (configs, events) = Default::default();
    let topics = [TopicSpec { topic: Topic::DeadLetter, partitions: 1, replication: 1, configs, events }];
    let log = Log::open(dir.path(), &topics).unwrap();
    let tp = TopicPartition::new(Topic::AgentState, 3);
    let (key, value) = (vec![b'k'; 5_000], vec![b'v'; 300_000]);
    let record = Record { tp, offset: 7, append_time_us: 1, key: &key, value: &value, headers: b"" };
    let reason = DeadReason { kind: DeadKind::Undecodable, text: "junk".to_owned() };
    log.append(vec![dead_letter(&record, "views", &reason, 8 << 20)]).await.unwrap();
    let cut = Record { offset: 8, ..record };
    log.append(vec![dead_letter(&cut, "views", &reason, 100_000)]).await.unwrap();
    let letters = collected(&dir, &Wanted::default(), ALL).await;
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        assert_eq!(letter.sizes(), [5_000, 300_000]);
        assert!(letter.key.capacity() <= 1_024 && letter.value.capacity() == BEGINNING);
    }
    let mut out = Vec::new();
    show::show(&letters[1..], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("bytes     300000") && text.contains("... (5000 bytes)"), "{text}");
    assert!(text.contains("are whole at agent.state/3/8"), "{text}");
    let all = listed(&dir, &Wanted::default(), 10).await;
    assert!(all.lines().skip(1).all(|line| line.contains(",300000,")), "{all}");
}

#[test]
fn an_unknown_projection_is_refused_with_the_names() {
    use clap::Parser as _;
    let parse = |name| crate::cli::Cli::try_parse_from(["sporelog", "deadletter", "list", "--projection", name]);
    let refused = parse("foo").unwrap_err().to_string();
    assert!(["records", "views", "series"].iter().all(|name| refused.contains(name)), "{refused}");
    assert!(parse("views").is_ok());
}
