//! The edges of the loop: what one record may do to the rest, in both loops.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::event::{Event, MemoryTiered, Meta};
use domain::fold::views::VIEWS;
use domain::{Topic, TopicPartition};
use pipeline::deadletter::DeadLetter;
use pipeline::{LogError, StoreError, WorkerError, WorkerOptions};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use support::both::{busiest, positions, start, turn, until_applied};
use support::{Stage, local, sent};
use testkit::events::{Events, START_US};

/// L2, I6: a dead letter of the largest record is cut to the log's limit: it always fits.
#[test]
fn a_letter_is_cut_to_what_the_log_takes() {
    local(async {
        for ingest in [false, true] {
            let mut stage = Stage::new(1);
            stage.options.max_record_bytes = 10_000;
            let mut junk = stage.events.interaction(Events::meta(1, START_US, None), "a", "b");
            junk.value = vec![b'j'; 9_999];
            stage.log.append(junk);
            stage.interactions(5, 3);
            stage.log.limit_records(Some(10_000));
            let (worker, _) = start(&stage, ingest);
            until_applied(&stage, ingest, 3).await;
            worker.stop().await.unwrap();
            let letter = &stage.log.records(Topic::DeadLetter)[0];
            let read = DeadLetter::parse(letter.headers.as_bytes()).unwrap();
            assert_eq!((read.offset, read.cut.map(|cut| cut[1])), (0, Some(9_999)));
        }
    });
}

/// L6, I9: a record that lies in another partition than its key's is dead with that reason; its repeat counts once.
#[test]
fn a_misplaced_record_is_dead_and_counts_once() {
    local(async {
        for ingest in [false, true] {
            let mut stage = Stage::new(7);
            let record = stage.events.interaction(Events::meta(1, START_US, None), "a", "b");
            let (home, _) = stage.log.append(record.clone());
            stage.log.append_to(TopicPartition::new(home.topic, (home.partition + 1) % 7), record);
            let (worker, _) = start(&stage, ingest);
            until_applied(&stage, ingest, 1).await;
            turn().await;
            worker.stop().await.unwrap();
            let letters = stage.log.records(Topic::DeadLetter);
            let letter = DeadLetter::parse(letters[0].headers.as_bytes()).unwrap();
            assert!(letters.len() == 1 && letter.reason.contains("murmur2"), "{}", letter.reason);
            assert!(ingest || sent(&stage) == 1);
        }
    });
}

/// L7: a publish that failed in part is published again as a whole: nothing is lost, nothing counts twice.
#[test]
fn numbers_out_of_order_are_all_applied() {
    local(async {
        let mut stage = Stage::new(1);
        for number in [2, 3, 1, 2, 3] {
            let meta = Meta { producer_id: "importer", ..Events::meta(number as u128, START_US, Some(number)) };
            let record = stage.events.interaction(meta, "a", "b");
            stage.log.append(record);
        }
        let (worker, _) = start(&stage, false);
        stage.until_accounted(5).await;
        worker.stop().await.unwrap();
        assert_eq!((sent(&stage), stage.store.counts().duplicate), (3, 2));
    });
}

/// L9: a producer that restarts its counter loses nothing in silence: events under numbers used before are dead with that
/// reason.
#[test]
fn a_number_used_again_is_a_dead_letter() {
    local(async {
        let mut stage = Stage::new(1);
        let numbers = (0..100).chain(0..50).enumerate();
        for (ix, number) in numbers {
            let meta = Events::meta(ix as u128, START_US + ix as i64, Some(number));
            let record = stage.events.interaction(meta, "a", "b");
            stage.log.append(record);
        }
        let (worker, _) = start(&stage, false);
        stage.until_accounted(150).await;
        worker.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((counts.applied, counts.duplicate, counts.dead), (100, 0, 50));
        let letters = stage.log.records(Topic::DeadLetter);
        let letter = DeadLetter::parse(letters[0].headers.as_bytes()).unwrap();
        assert!(letter.reason.starts_with("reused: "), "{}", letter.reason);
    });
}

/// L8: one event at 0, 119 and 200 s of append time.
async fn three_times(take_over: bool) -> (i64, i64, i64) {
    let mut stage = Stage::new(1);
    stage.options.idle_wait_ms = 0;
    stage.options.batch_linger_ms = 0;
    let mut worker = stage.start(&VIEWS);
    let tps = stage.assign_all(&worker, &VIEWS);
    for (n, (at_s, id)) in [(0, 7), (119, 7), (121, 8), (200, 7)].into_iter().enumerate() {
        let left_us = START_US + at_s * 1_000_000 - pipeline::Clock::now_us(&stage.clock);
        stage.clock.advance(Duration::from_micros(left_us.max(0).unsigned_abs()));
        if take_over && n == 3 {
            stage.log.revoke(worker.id, &tps, true);
            let second = stage.start(&VIEWS);
            turn().await;
            stage.log.assign(second.id, &tps);
            turn().await;
            worker.stop().await.unwrap();
            worker = second;
        }
        stage.interactions(id, 1);
        stage.until_accounted(n as i64 + 1).await;
    }
    worker.stop().await.unwrap();
    let counts = stage.store.counts();
    (sent(&stage), counts.applied, counts.duplicate)
}

/// L8, I10: the window of duplicates is a function of the log: a take-over changes nothing.
#[test]
fn a_take_over_does_not_change_what_is_a_duplicate() {
    local(async {
        assert_eq!(three_times(false).await, (2, 2, 2));
        assert_eq!(three_times(true).await, (2, 2, 2));
    });
}

/// L10, I5: a marker at the end is passed, and counted as a hole: nothing is left to apply.
#[test]
fn a_marker_at_the_end_is_passed() {
    local(async {
        for ingest in [false, true] {
            let mut stage = Stage::new(1);
            stage.interactions(0, 3);
            let (tp, _) = busiest(&stage);
            stage.log.append_marker(tp);
            let (worker, _) = start(&stage, ingest);
            for _ in 0..200_000 {
                tokio::task::yield_now().await;
                let held = positions(&stage, ingest).await;
                if held.iter().any(|held| held.tp == tp && held.next_offset == 4) {
                    break;
                }
            }
            let held = positions(&stage, ingest).await;
            let held = held.iter().find(|held| held.tp == tp).unwrap();
            assert_eq!((held.next_offset, held.counts.holes, held.gap()), (4, 1, 0));
            worker.stop().await.unwrap();
        }
    });
}

/// L12, I8: producers whose events the projection ignores cost no more memory than its cap.
#[test]
fn producers_of_ignored_events_are_applied_within_bounds() {
    local(async {
        let mut stage = Stage::new(1);
        stage.options.max_producers = 16;
        for n in 0..5_000_u128 {
            let producer = format!("producer-{n:08}");
            let meta = Meta { producer_id: &producer, ..Events::meta(n, START_US, Some(1)) };
            let (from, to, reason, spore_id) = ("WORKING", "EPISODIC", "r", uuid::Uuid::from_u128(9));
            let event =
                MemoryTiered { meta, agent_id: "a", spore_id, from, to, reason, compressed: false, compression: None };
            let record = stage.events.record(&Event::MemoryTiered(event));
            stage.log.append(record);
        }
        let (worker, _) = start(&stage, false);
        stage.until_accounted(5_000).await;
        worker.stop().await.unwrap();
        assert_eq!(stage.store.counts().ignored, 5_000);
    });
}

/// L13: a tombstone of a compacted topic is a hole; null elsewhere, and an empty value anywhere, is a dead letter.
#[test]
fn a_tombstone_is_a_hole_and_null_is_told_from_empty() {
    local(async {
        let stage = Stage::new(1);
        let mut null = pipeline::Headers::default();
        null.push(pipeline::NULL_VALUE, b"");
        let record = |topic, headers: &pipeline::Headers| pipeline::OutRecord {
            topic,
            key: b"t|k".to_vec(),
            value: Vec::new(),
            headers: headers.clone(),
        };
        stage.log.append(record(Topic::FieldCoherence, &null));
        stage.log.append(record(Topic::FieldCoherence, &Default::default()));
        stage.log.append(record(Topic::SacredMessages, &null));
        let (worker, _) = start(&stage, false);
        stage.until_accounted(3).await;
        worker.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((counts.holes, counts.dead), (1, 2));
        let reasons: Vec<String> = stage
            .log
            .records(Topic::DeadLetter)
            .iter()
            .map(|letter| DeadLetter::parse(letter.headers.as_bytes()).unwrap().reason)
            .collect();
        assert!(reasons.iter().any(|reason| reason.contains("null")), "{reasons:?}");
    });
}

/// S2, I7: a refusal that passes when it is tried again costs no dead letter, in either loop.
#[test]
fn a_refusal_that_passes_is_no_dead_letter() {
    local(async {
        for ingest in [false, true] {
            let mut stage = Stage::new(1);
            for id in 0..5 {
                let record = stage.events.interaction(Events::meta(id, START_US, None), "a", &format!("b{id}"));
                stage.log.append(record);
            }
            // Each row is refused until it was refused alone once: a partition was being attached.
            let mut refused = std::collections::BTreeSet::new();
            stage.store.script(move |rows| {
                let delta = rows.tables().iter().max_by_key(|delta| delta.len())?;
                let keys: Vec<Vec<u8>> = (0..delta.len()).map(|ix| delta.key(ix).to_vec()).collect();
                let is_new = keys.iter().any(|key| !refused.contains(key));
                if keys.len() <= 2 {
                    refused.extend(keys);
                }
                is_new.then(|| StoreError::Refused("being attached".to_owned()))
            });
            let (worker, _) = start(&stage, ingest);
            until_applied(&stage, ingest, 5).await;
            worker.stop().await.unwrap();
            assert!(stage.log.records(Topic::DeadLetter).is_empty());
        }
    });
}

/// S3, I7: a store that refuses the commit of a dead record too has a trouble of its own: an outage, waited out.
#[test]
fn a_store_that_refuses_everything_is_an_outage() {
    local(async {
        let mut stage = Stage::new(1);
        stage.interactions(0, 4);
        let (clock, tries) = (stage.clock.clone(), Rc::new(Cell::new(0)));
        let counted = tries.clone();
        let until_us = pipeline::Clock::now_us(&clock) + 60_000_000;
        stage.store.script(move |_| {
            counted.set(counted.get() + 1);
            let refuses = pipeline::Clock::now_us(&clock) < until_us;
            refuses.then(|| StoreError::Refused("the position row violates a constraint".to_owned()))
        });
        let (worker, _) = start(&stage, false);
        stage.until_accounted(4).await;
        worker.stop().await.unwrap();
        let letters = stage.log.records(Topic::DeadLetter).len();
        assert!(tries.get() < 200 && letters <= 4, "{} tries, {letters} letters", tries.get());
    });
}

/// S4, I6: 101 dead among 10,000 records cost 101 letters and 101 rows, and a cause that died has derived nothing.
#[test]
fn each_dead_record_has_one_letter_and_derives_nothing() {
    local(async {
        let mut stage = Stage::new(1);
        for id in 0..10_000_u128 {
            let peer = if id == 6_789 { "bad" } else { "good" };
            let mut record = stage.events.interaction(Events::meta(id, START_US, None), "a", peer);
            if id % 100 == 50 {
                record.value = b"junk".to_vec();
            }
            stage.log.append(record);
        }
        let spore = stage.events.spore(Events::meta(20_000, START_US, None), "a", "hello", 3.0);
        stage.log.append(spore);
        stage.store.script(|rows| {
            let contact = &rows.tables()[2];
            let bad = (0..contact.len()).any(|ix| contact.key(ix).ends_with(b"bad\0"));
            (bad || !rows.tables()[0].is_empty()).then(|| StoreError::Refused("the row is bad".to_owned()))
        });
        let (worker, _) = start(&stage, false);
        stage.until_accounted(10_001).await;
        worker.stop().await.unwrap();
        assert_eq!(stage.log.records(Topic::DeadLetter).len(), 102);
        let rows = stage.store.dead_rows();
        assert_eq!(rows.len(), 102);
        assert!(
            rows.iter()
                .any(|row| row.offset == 6_789 && row.reason.contains("the row is bad") && row.id_hash.is_some())
        );
        assert_eq!((stage.store.rows("spore"), stage.log.records(Topic::WisdomInsights).len()), (0, 0));
    });
}

/// The letter is published before COMMIT, and behind the statements: a log that is down rolls back and commits nothing.
#[test]
fn nothing_commits_while_the_log_does_not_take_what_is_derived() {
    local(async {
        let mut stage = Stage::new(1);
        let spore = stage.events.spore(Events::meta(1, START_US, None), "a", "hello", 3.0);
        stage.log.append(spore);
        (0..5).for_each(|_| stage.log.fail_publish(LogError::Unavailable("no leader".to_owned())));
        let (log, early) = (stage.log.clone(), Rc::new(Cell::new(false)));
        let seen = early.clone();
        // The script runs with the statements: what is derived must not be in the log by then.
        stage.store.script(move |rows| {
            let is_cause = !rows.tables()[0].is_empty();
            seen.set(seen.get() || is_cause && !log.records(Topic::WisdomInsights).is_empty());
            None
        });
        let (worker, _) = start(&stage, false);
        stage.until_accounted(1).await;
        worker.stop().await.unwrap();
        assert!(!early.get(), "published before the statements");
        assert_eq!((stage.store.rows("spore"), stage.log.records(Topic::WisdomInsights).len()), (1, 1));
    });
}

/// The rules of deduplication stay those with which the rows were made.
#[test]
fn a_changed_window_is_refused_and_names_the_stored_one() {
    local(async {
        let mut stage = Stage::new(1);
        stage.interactions(0, 3);
        let (worker, _) = start(&stage, false);
        stage.until_accounted(3).await;
        worker.stop().await.unwrap();
        stage.options.dedup_window_ms = 60_000;
        let (worker, _) = start(&stage, false);
        let error = worker.task.await.unwrap().unwrap_err();
        assert!(matches!(error, WorkerError::DedupChanged { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("120000") && text.contains("60000") && text.contains("views"), "{text}");
        assert_eq!(stage.options.dedup_max_records, WorkerOptions::default().dedup_max_records);
    });
}

/// A record that is dead by the store's rows never enters the window again: a new owner takes it from there.
#[test]
fn a_refill_leaves_out_what_is_dead() {
    local(async {
        let mut stage = Stage::new(1);
        stage.interactions(7, 1);
        let refuses = Rc::new(Cell::new(true));
        let script = refuses.clone();
        stage.store.script(move |rows| {
            (script.get() && !rows.tables()[2].is_empty()).then(|| StoreError::Refused("not today".to_owned()))
        });
        let first = stage.start(&VIEWS);
        let tps = stage.assign_all(&first, &VIEWS);
        stage.until_accounted(1).await;
        refuses.set(false);
        stage.log.revoke(first.id, &tps, true);
        let second = stage.start(&VIEWS);
        stage.log.assign(second.id, &tps);
        stage.interactions(7, 1);
        stage.until_accounted(2).await;
        first.stop().await.unwrap();
        second.stop().await.unwrap();
        let counts = stage.store.counts();
        assert_eq!((counts.dead, counts.applied, counts.duplicate), (1, 1, 0));
    });
}
