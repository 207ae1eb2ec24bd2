//! Against a log file with a few dead letters.

use super::*;
use pipeline::deadletter::dead_letter;
use pipeline::{DeadKind, DeadReason, Record};
use rusqlite::{Connection, params};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = Connection::open(dir.path().join("log.db")).unwrap();
    log.execute_batch(
        "CREATE TABLE topic (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, first_slot INTEGER NOT NULL) STRICT;
         CREATE TABLE record (id INTEGER PRIMARY KEY, append_us INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, headers BLOB NOT NULL) STRICT;
         INSERT INTO topic VALUES ('sporelog.deadletter', 2, 7);",
    )
    .unwrap();
    let mut append_us = 0;
    let mut put = |slot: i64, at: i64, topic: Topic, offset: i64, projection: &str| {
        let tp = TopicPartition::new(topic, 3);
        let record = Record {
            tp,
            offset,
            append_time_us: 1_085_616_000_000_000,
            key: b"t|k",
            value: b"junk\x00\xff",
            headers: b"",
        };
        let reason = DeadReason { kind: DeadKind::Undecodable, text: "wrong magic".to_owned() };
        let letter = dead_letter(&record, projection, &reason);
        append_us += 1;
        let row = params![slot << 40 | at, append_us, letter.key, letter.value, letter.headers.as_bytes()];
        log.execute("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5)", row).unwrap();
    };
    put(7, 0, Topic::AgentState, 12, "views");
    put(7, 1, Topic::AgentState, 12, "views");
    put(8, 0, Topic::AgentState, 12, "records");
    put(8, 1, Topic::SporeCreated, 5, "views");
    dir
}

fn listed(dir: &tempfile::TempDir, wanted: &Wanted, limit: usize) -> String {
    let mut out = Vec::new();
    let letters = collect(&LogFile::open(dir.path()).unwrap(), wanted, limit).unwrap();
    list(&letters, Format::Csv, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_letter_written_twice_is_listed_once() {
    let dir = folder();
    let text = listed(&dir, &Wanted::default(), 10);
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("agent.state/3/12,views,2004-05-27T00:00:00Z,6,junk..,undecodable: wrong magic"), "{text}");
}

#[test]
fn filters_and_limit_hold() {
    let dir = folder();
    let views = Wanted { projection: Some("views".to_owned()), ..Wanted::default() };
    assert_eq!(listed(&dir, &views, 10).lines().count(), 3);
    let spores = Wanted { topic: Some(Topic::SporeCreated), ..Wanted::default() };
    assert_eq!(listed(&dir, &spores, 10).lines().count(), 2);
    let newest = listed(&dir, &Wanted::default(), 1);
    assert!(newest.lines().count() == 2 && newest.contains("spore.created/3/5"), "{newest}");
}

#[test]
fn show_gives_every_reason_and_the_bytes() {
    let dir = folder();
    let wanted = Wanted { record: Some(coordinates("agent.state/3/12").unwrap()), ..Wanted::default() };
    let letters = collect(&LogFile::open(dir.path()).unwrap(), &wanted, usize::MAX).unwrap();
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
