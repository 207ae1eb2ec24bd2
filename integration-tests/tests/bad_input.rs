//! Bad records straight in the log: each is one dead letter of every projection that reads its topic, with bytes,
//! coordinates and reason; the good ones around it are applied, and the account closes (I5, I6).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use domain::event::Event;
use domain::projection::PROJECTIONS;
use domain::{Topic, TopicPartition};
use integration_tests::Sporelog;
use integration_tests::workload::events;
use pipeline::{Headers, OutRecord};
use testkit::events::{Events, START_US};

/// 2099-01-01T00:00:00Z.
const YEAR_2099_US: i64 = 4_070_908_800_000_000;

struct Bad {
    record: OutRecord,
    /// What the reason says.
    reason: &'static str,
}

fn raw(topic: Topic, key: &str, value: &[u8]) -> OutRecord {
    OutRecord { topic, key: key.as_bytes().to_vec(), value: value.to_vec(), headers: Headers::default() }
}

fn bad_records(maker: &mut Events) -> Vec<Bad> {
    let mut number = 1_000;
    let mut meta = || {
        number += 1;
        Events::meta(number, START_US, None)
    };
    let interaction = maker.interaction(meta(), "a", "b");
    let changed = |change: &dyn Fn(&mut OutRecord)| {
        let mut record = interaction.clone();
        change(&mut record);
        record
    };
    let mut ahead = meta();
    ahead.occurred_at = YEAR_2099_US;
    let bad = |record, reason| Bad { record, reason };
    vec![
        bad(raw(Topic::SacredMessages, "t|a", b"junk \xff\xfe bytes"), "undecodable"),
        bad(raw(Topic::AgentPresence, "t|a", b""), "empty"),
        bad(changed(&|record| record.value[0] = 0x7b), "magic"),
        bad(changed(&|record| record.value[3] ^= 0xff), "fingerprint"),
        bad(raw(Topic::SacredMessages, "t|a", b"\x00\x00\x00\x00\x2adatum"), "42"),
        bad(changed(&|record| record.value.truncate(record.value.len() / 2)), "undecodable"),
        bad(changed(&|record| record.value.push(0)), "1 bytes follow the datum"),
        bad(maker.spore(meta(), "a", "too important", 11.0), "importance: 11 is outside 0..=10"),
        bad(maker.spore(meta(), "a", "a NUL \0 inside", 5.0), "content: contains NUL"),
        bad(maker.heartbeat(meta(), "a", "north", f64::NAN), "coherence_level: not a finite number"),
        bad(maker.interaction(ahead, "a", "b"), "meta.occurred_at"),
        bad(changed(&|record| record.key = b"t|somebody else".to_vec()), "key: the event wants"),
        bad(changed(&|record| record.topic = Topic::AgentState), "belongs to sacred.messages"),
    ]
}

/// How many projections read a topic.
fn readers(topic: Topic) -> usize {
    PROJECTIONS.iter().filter(|projection| projection.topics.contains(&topic)).count()
}

fn good_records(maker: &mut Events, count: u128) -> Vec<OutRecord> {
    (0..count)
        .flat_map(|ix| {
            let meta = |more: u128| Events::meta(ix * 4 + more, START_US, None);
            let spore = maker.spore(meta(1), "a", "good", 5.0);
            [maker.interaction(meta(0), "a", "b"), spore, maker.heartbeat(meta(2), "a", "north", 50.0)]
        })
        .collect()
}

#[test]
fn each_bad_record_is_a_dead_letter_and_the_good_ones_around_it_are_applied() {
    let folder = Sporelog::new();
    let mut maker = events();
    let good = good_records(&mut maker, 100);
    let bad = bad_records(&mut maker);
    let (before, after) = good.split_at(good.len() / 2);
    folder.append(before.to_vec());
    let placed = folder.append(bad.iter().map(|bad| bad.record.clone()).collect());
    folder.append(after.to_vec());
    folder.settle(&[]);

    let letters = folder.dead_letters();
    for (bad, place) in bad.iter().zip(&placed) {
        shown(&folder, &letters, bad, (place.tp, place.offset));
    }
    let expected: usize = bad.iter().map(|bad| readers(bad.record.topic)).sum();
    assert_eq!(letters.len(), expected, "each once per projection: {letters:#?}");
    integration_tests::say!("{} bad records: {expected} dead letters", bad.len());

    assert_eq!(folder.number("SELECT count(DISTINCT interaction_id) FROM interactions"), 100);
    assert_eq!(folder.number("SELECT sum(interactions) FROM contact"), 100);
    assert_eq!(folder.number("SELECT count(*) FROM spore"), 100);
    assert_eq!(folder.number("SELECT sum(heartbeats) FROM field_coherence_1d"), 100);
    assert_eq!(folder.gaps(), 0);
    let dead: usize =
        bad.iter().map(|bad| readers(bad.record.topic) - usize::from(reads_records(bad.record.topic))).sum();
    assert_eq!(folder.number("SELECT sum(dead) FROM freshness"), i64::try_from(dead).unwrap());
    assert!(!folder.digests().is_empty(), "verify finds the same dead letters again");

    // Started again, they are not reported again.
    folder.settle(&[]);
    assert_eq!(folder.dead_letters().len(), expected);
}

/// Whether ingest reads the topic: its account lies in the log, not in `freshness`.
fn reads_records(topic: Topic) -> bool {
    PROJECTIONS.iter().any(|projection| projection.name == "records" && projection.topics.contains(&topic))
}

/// `list` has the record once per projection; `show` gives bytes, coordinates and reason.
fn shown(folder: &Sporelog, letters: &[Vec<String>], bad: &Bad, (tp, offset): (TopicPartition, i64)) {
    let coordinates = format!("{tp}/{offset}");
    let of_record: Vec<_> = letters.iter().filter(|letter| letter[0] == coordinates).collect();
    assert_eq!(of_record.len(), readers(bad.record.topic), "{coordinates}: {letters:#?}");
    for letter in &of_record {
        assert!(letter[5].contains(bad.reason), "{:?} is not in {:?}", bad.reason, letter[5]);
        assert_eq!(letter[3], bad.record.value.len().to_string());
    }
    let text = folder.ok(&["deadletter", "show", &coordinates]);
    let hex: Vec<_> = bad.record.value.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    for part in [coordinates, hex.join(" "), bad.reason.to_owned(), format!("bytes     {}", bad.record.value.len())] {
        assert!(text.contains(&part), "{part:?} is not in {text}");
    }
}

/// A dead letter is in the log before the position can pass its record, and a crash between the two, which writes it
/// again, shows it once.
#[test]
fn killed_between_dead_letter_and_commit_it_is_shown_once() {
    let prepared = Sporelog::new();
    let bad = bad_records(&mut events());
    prepared.append(bad.iter().map(|bad| bad.record.clone()).collect());
    let expected: usize = bad.iter().map(|bad| readers(bad.record.topic)).sum();
    for (role, projection) in [("ingest", "records"), ("projector", "views"), ("aggregator", "series")] {
        let folder = prepared.copy();
        for step in ["publish", "before-commit"] {
            let mut running = folder.up(&[], &[("SPORELOG_TEST_HOLD_AT", &format!("{role}:{step}:1"))]);
            running.wait_line(&format!("held at {step}"));
            running.kill9();
            let written = folder.dead_letters().iter().any(|letter| letter[1] == projection);
            assert!(written, "{role} was killed at {step}, behind its dead letters");
        }
        folder.settle(&[]);
        assert_eq!(folder.dead_letters().len(), expected, "{role}");
        let letters = folder.number("SELECT count(*) FROM log.record") - i64::try_from(bad.len()).unwrap();
        assert!(usize::try_from(letters).unwrap() > expected, "some were written again");
        integration_tests::say!("{role} killed before its commit: {letters} dead letters in the log, {expected} shown");
        assert_eq!(folder.gaps(), 0);
        assert!(!folder.digests().is_empty());
    }
}

#[test]
fn events_of_the_test_are_valid_but_for_what_is_wrong_with_them() {
    let mut maker = events();
    let schemas = codec::Schemas::embedded().unwrap();
    for record in good_records(&mut maker, 3) {
        let event: Event<'_> = schemas.decode(&record.value).unwrap();
        assert_eq!(domain::validity::check(&event, &record.key, START_US), Ok(()));
    }
}
