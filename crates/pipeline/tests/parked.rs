//! I7: trouble of one partition parks that partition, in both loops; the others go on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::delta::Deltas;
use domain::fold::views::VIEWS;
use domain::{Topic, TopicPartition};
use pipeline::{Advance, Claim, Counts, Flush, Position, RowStore as _, Source as _, nothing_before_commit};
use std::time::Duration;
use support::both::{Told, applied, busiest, populated, positions, start, turn, until_applied};
use support::{Running, Stage, local};
use testkit::events::{Events, START_US};

/// How one partition gets into trouble, how it is mended, and what is told.
struct Case {
    label: &'static str,
    words: &'static str,
    break_it: fn(&Stage, TopicPartition),
    mend_it: fn(&Stage, TopicPartition),
}

const CASES: &[Case] = &[
    Case {
        label: "unreadable",
        words: "the batch is damaged",
        break_it: |stage, tp| stage.log.damage(tp, 3, true),
        mend_it: |stage, tp| stage.log.damage(tp, 3, false),
    },
    Case {
        label: "setting",
        words: "topics apply",
        break_it: |stage, tp| stage.log.set_setting(tp.topic, Some("CreateTime: run `sporelog topics apply`")),
        mend_it: |stage, tp| stage.log.set_setting(tp.topic, None),
    },
];

/// I7: trouble of one partition parks it; the others apply everything; the cause mended, it goes on by itself.
#[test]
fn a_partition_in_trouble_is_parked_and_goes_on_when_it_is_mended() {
    local(async {
        for (case, ingest) in CASES.iter().flat_map(|case| [(case, false), (case, true)]) {
            let stage = populated(60, 2_000);
            let (tp, held) = busiest(&stage);
            (case.break_it)(&stage, tp);
            let (worker, told) = start(&stage, ingest);
            let others = if case.label == "setting" { 0 } else { 2_000 - held + 3 };
            until_applied(&stage, ingest, others).await;
            turn().await;
            assert_eq!(applied(&stage, ingest).await, others, "{}", case.label);
            assert!(told.says(&format!("parked {tp} {}", case.label)), "{:?}", told.0.borrow());
            assert!(told.says(case.words), "{:?}", told.0.borrow());
            (case.mend_it)(&stage, tp);
            until_applied(&stage, ingest, 2_000).await;
            assert!(told.says(&format!("unparked {tp}")), "{:?}", told.0.borrow());
            worker.stop().await.unwrap();
            assert!(stage.store.parked().is_empty() && positions(&stage, ingest).await.iter().all(|p| p.gap() == 0));
            assert!(stage.log.records(Topic::DeadLetter).is_empty());
        }
    });
}

/// I7, I5: an operator's skip leads over what cannot be read, and counts it as lost. The window of duplicates begins anew
/// behind it: refilling it from before would meet the damage again.
#[test]
fn a_skip_leads_over_what_cannot_be_read() {
    local(async {
        let stage = populated(60, 2_000);
        let (tp, held) = busiest(&stage);
        stage.log.damage(tp, 3, true);
        let (worker, told) = start(&stage, false);
        until_applied(&stage, false, 2_000 - held + 3).await;
        turn().await;
        assert!(told.says(&format!("parked {tp} unreadable")), "{:?}", told.0.borrow());
        let mut store = stage.store.clone();
        let log = stage.log.join("operator").identity(tp).await.unwrap();
        let claimed = store.claim(&VIEWS, &[Claim { tp, log }]).await.unwrap().remove(0);
        let from = claimed.position.unwrap();
        assert_eq!(from.next_offset, 3);
        let counts = Counts { lost: 1, ..from.counts };
        let (next_offset, epoch, window_from) = (4, claimed.epoch, Some(4));
        let to = Position { next_offset, epoch, counts, last: None, window_from, ..from };
        let (advances, rows) = ([Advance { from: Some(3), to }], Deltas::new(VIEWS.tables));
        let flush = Flush {
            projection: &VIEWS,
            advances: &advances,
            sequences: &[],
            dead: &[],
            rows: &rows,
            before_commit: &nothing_before_commit,
        };
        store.commit(&flush).await.unwrap();
        until_applied(&stage, false, 1_999).await;
        assert!(told.says(&format!("unparked {tp}")), "{:?}", told.0.borrow());
        worker.stop().await.unwrap();
        let position = stage.store.positions_held().into_iter().find(|position| position.tp == tp).unwrap();
        assert_eq!((position.counts.lost, position.gap(), position.next_offset), (1, 0, held));
    });
}

/// A stage whose worker has applied everything, then stopped; then something happens to the log.
async fn after(ingest: bool, happens: impl Fn(&Stage, TopicPartition)) -> (Stage, TopicPartition, Running, Told) {
    let mut stage = populated(10, 500);
    let (worker, _) = start(&stage, ingest);
    until_applied(&stage, ingest, 500).await;
    worker.stop().await.unwrap();
    let (tp, _) = busiest(&stage);
    happens(&stage, tp);
    for id in 500..1_000 {
        let from = format!("a{}", id % 97);
        let record = stage.events.interaction(Events::meta(id, START_US, None), &from, "b");
        stage.log.append(record);
    }
    let (worker, told) = start(&stage, ingest);
    turn().await;
    (stage, tp, worker, told)
}

/// L3, I2: records deleted ahead of the position park their partition, and say how to go on; the rest goes on.
#[test]
fn records_deleted_ahead_of_the_position_park_one_partition() {
    local(async {
        for ingest in [false, true] {
            let (stage, tp, worker, told) = after(ingest, |stage, tp| {
                let end = stage.log.end_of(tp);
                stage.log.append_marker(tp);
                stage.log.append_marker(tp);
                stage.log.expire(tp, end + 2);
            })
            .await;
            let fresh = stage.log.end_of(tp) - stage.log.start_of(tp);
            until_applied(&stage, ingest, 1_000 - fresh).await;
            assert!(told.says(&format!("parked {tp} out_of_range")), "{:?}", told.0.borrow());
            assert!(told.says("projection skip"), "{:?}", told.0.borrow());
            worker.stop().await.unwrap();
            if !ingest {
                assert_eq!(stage.store.parked()[&tp].cause, "out_of_range");
            }
        }
    });
}

/// L5, I2: a topic that was made again, or another cluster, is another log: nothing of it is applied.
#[test]
fn a_position_of_another_log_is_never_applied() {
    local(async {
        for ingest in [false, true] {
            let (stage, tp, worker, told) = after(ingest, |stage, tp| stage.log.make_again(tp.topic)).await;
            assert_eq!(applied(&stage, ingest).await, 500);
            assert!(told.says(&format!("parked {tp} another_log")), "{:?}", told.0.borrow());
            worker.stop().await.unwrap();
            let (stage, tp, worker, told) = after(ingest, |stage, _| stage.log.become_cluster("other")).await;
            assert_eq!(applied(&stage, ingest).await, 500);
            assert!(told.says(&format!("parked {tp} another_log")), "{:?}", told.0.borrow());
            stage.log.become_cluster("memory");
            until_applied(&stage, ingest, 1_000).await;
            worker.stop().await.unwrap();
        }
    });
}

/// L5, I2: where a log has no ids, the append time of the record before the position tells.
#[test]
fn another_record_before_the_position_is_another_log() {
    local(async {
        for ingest in [false, true] {
            let (stage, tp, worker, told) = after(ingest, |stage, tp| {
                let records: Vec<_> = stage.log.records_of(tp);
                stage.log.make_again(tp.topic);
                stage.log.forget_ids();
                stage.clock.advance(Duration::from_secs(3_600));
                for record in records {
                    stage.log.append_to(tp, record);
                }
            })
            .await;
            assert!(told.says(&format!("parked {tp} another_record")), "{:?}", told.0.borrow());
            let held = positions(&stage, ingest).await;
            let held = held.iter().find(|position| position.tp == tp).unwrap();
            assert!(held.next_offset <= stage.log.end_of(tp) && held.counts.total() == held.next_offset);
            worker.stop().await.unwrap();
        }
    });
}

/// I9: a topic with another number of partitions parks, and no record is judged misplaced by it.
#[test]
fn another_partition_count_parks_the_topic() {
    local(async {
        for ingest in [false, true] {
            let (stage, tp, worker, told) = after(ingest, |stage, tp| stage.log.set_partitions(tp.topic, 11)).await;
            for tp in [tp, TopicPartition::new(tp.topic, 10)] {
                assert!(told.says(&format!("parked {tp} partition_count")), "{:?}", told.0.borrow());
            }
            stage.clock.advance(Duration::from_secs(600));
            turn().await;
            assert_eq!(applied(&stage, ingest).await, 500, "nor is the new one read by a retry");
            assert!(stage.log.records(Topic::DeadLetter).is_empty());
            worker.stop().await.unwrap();
        }
    });
}

/// L2, I6: a log that refuses a dead letter parks that record's partition; the others go on, and so does it in the end.
#[test]
fn a_letter_that_is_refused_parks_its_partition() {
    local(async {
        for ingest in [false, true] {
            let mut stage = populated(10, 500);
            let mut junk = stage.events.interaction(Events::meta(900, START_US, None), "a1", "b");
            junk.value = vec![b'j'; 4_000];
            let (tp, offset) = stage.log.append(junk);
            stage.interactions(901, 20);
            stage.log.limit_records(Some(2_000));
            let (worker, told) = start(&stage, ingest);
            turn().await;
            assert!(told.says(&format!("parked {tp} letter_refused")), "{:?}", told.0.borrow());
            assert!(told.says(&format!("--to {}", offset + 1)), "{:?}", told.0.borrow());
            until_applied(&stage, ingest, 520 - stage.log.end_of(tp) + 1).await;
            stage.log.limit_records(None);
            until_applied(&stage, ingest, 520).await;
            worker.stop().await.unwrap();
            assert_eq!(stage.log.records(Topic::DeadLetter).len(), 1);
        }
    });
}
