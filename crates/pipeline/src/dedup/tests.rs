//! What the rules say of records in a row, across batches that commit and fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

const TP: TopicPartition = TopicPartition::new(Topic::SacredMessages, 0);
const KEY: &[u8] = b"t|k";

fn meta(id: u128, number: Option<i64>) -> Meta<'static> {
    Meta {
        event_id: Uuid::from_u128(id),
        occurred_at: id as i64,
        tenant_id: "t",
        producer_id: "p",
        producer_seq: number,
        love_resonance: 0,
        base_version: None,
        trace_id: None,
        causation_id: None,
    }
}

fn dedup(window_us: i64, max_records: u32) -> Dedup {
    Dedup::new(DedupOptions {
        bounds: WindowBounds { window_us, max_records },
        max_producers: 10,
        forget_after_us: 1_000_000,
        retention_us: [i64::MAX; Topic::ALL.len()],
    })
}

/// Judges a record and notes it; gives the verdict.
fn take(dedup: &mut Dedup, meta: &Meta<'_>, append_us: i64) -> Verdict {
    let verdict = dedup.judge(TP, meta, KEY, append_us);
    match verdict {
        Verdict::New(identity) => dedup.note(TP, meta, Some(identity), append_us, true),
        Verdict::Duplicate(identity) => dedup.note(TP, meta, Some(identity), append_us, false),
        _ => {}
    }
    verdict
}

fn is_new(dedup: &mut Dedup, id: u128, append_us: i64) -> bool {
    matches!(take(dedup, &meta(id, None), append_us), Verdict::New(_))
}

fn commit(dedup: &mut Dedup) {
    dedup.seal();
    dedup.commit();
}

/// L8: the window counts from an id's last occurrence, applied or repeated.
#[test]
fn a_repeat_refreshes_the_window() {
    let mut dedup = dedup(120, 1_000);
    assert!(is_new(&mut dedup, 7, 0));
    commit(&mut dedup);
    assert!(!is_new(&mut dedup, 7, 119));
    commit(&mut dedup);
    assert!(!is_new(&mut dedup, 7, 200), "81 after its last occurrence");
    assert!(is_new(&mut dedup, 7, 321));
}

#[test]
fn the_cap_counts_valid_unsequenced_records_between_two_occurrences() {
    for (others, is_seen) in [(9, true), (10, false)] {
        let mut dedup = dedup(1_000_000, 10);
        assert!(is_new(&mut dedup, 500, 0));
        for id in 0..others {
            is_new(&mut dedup, id + 1, 0);
            commit(&mut dedup);
        }
        assert_eq!(!is_new(&mut dedup, 500, 0), is_seen, "{others} records between");
    }
}

/// A record of a kind that writes nothing takes a place, and has no id.
#[test]
fn an_ignored_record_takes_a_place() {
    let mut dedup = dedup(1_000_000, 2);
    assert!(is_new(&mut dedup, 1, 0));
    for id in 2..4 {
        let Verdict::New(_) = dedup.judge(TP, &meta(id, None), KEY, 0) else { panic!() };
        dedup.note(TP, &meta(id, None), None, 0, false);
    }
    assert!(is_new(&mut dedup, 1, 0), "two records lie between, which is one too many");
    let mut refilled = self::dedup(1_000_000, 2);
    refilled.refill(TP, &meta(1, None), KEY, 0, true);
    for id in 2..4 {
        refilled.refill(TP, &meta(id, None), KEY, 0, false);
    }
    assert!(is_new(&mut refilled, 1, 0));
}

#[test]
fn commit_keeps_only_the_sealed_batch_and_rollback_drops_both() {
    let mut dedup = dedup(100, 1_000);
    dedup.learn(TP, ("t", "p"), None);
    for (id, fails) in [(1, false), (3, true)] {
        take(&mut dedup, &meta(id, None), 1);
        take(&mut dedup, &meta(100 + id, Some(id as i64)), 1);
        dedup.seal();
        take(&mut dedup, &meta(id + 1, None), 1);
        take(&mut dedup, &meta(101 + id, Some(id as i64 + 1)), 1);
        if !fails {
            dedup.commit();
            commit(&mut dedup);
        }
    }
    dedup.roll_back();
    assert!(!is_new(&mut dedup, 2, 1) && is_new(&mut dedup, 3, 1) && is_new(&mut dedup, 4, 1));
    let repeat = meta(102, Some(2));
    assert!(matches!(dedup.judge(TP, &repeat, KEY, 1), Verdict::Duplicate(_)));
    assert!(matches!(dedup.judge(TP, &meta(103, Some(3)), KEY, 1), Verdict::New(_)));
}

/// An id that was seen again by a batch that failed has its former place again.
#[test]
fn rollback_restores_the_former_occurrence() {
    let mut dedup = dedup(100, 1_000);
    assert!(is_new(&mut dedup, 1, 0));
    commit(&mut dedup);
    assert!(!is_new(&mut dedup, 1, 100));
    dedup.roll_back();
    assert!(is_new(&mut dedup, 1, 101), "its last occurrence is at 0 again");
}

#[test]
fn a_number_used_for_a_later_event_is_reused() {
    let mut dedup = dedup(100, 1_000);
    dedup.learn(TP, ("t", "p"), None);
    for number in 0..100 {
        assert!(matches!(take(&mut dedup, &meta(1_000 + number, Some(number as i64)), 1), Verdict::New(_)));
    }
    commit(&mut dedup);
    assert!(matches!(take(&mut dedup, &meta(1_005, Some(5)), 1), Verdict::Duplicate(_)));
    assert_eq!(take(&mut dedup, &meta(2_000, Some(5)), 1), Verdict::Reused);
    assert!(matches!(take(&mut dedup, &meta(2_001, Some(500)), 1), Verdict::New(_)));
}

#[test]
fn numbers_below_the_floor_are_behind_and_named_once() {
    let mut dedup = dedup(100, 1_000);
    dedup.learn(TP, ("t", "p"), None);
    for number in 1_000..2_100 {
        take(&mut dedup, &meta(number as u128 + 5_000, Some(number)), 1);
    }
    let late = meta(1, Some(3));
    assert_eq!(dedup.judge(TP, &late, KEY, 1), Verdict::Behind { is_first: true });
    assert_eq!(dedup.judge(TP, &late, KEY, 1), Verdict::Behind { is_first: false });
}

/// A producer that is silent for long keeps its floor; past the topic's retention nothing is kept.
#[test]
fn a_silent_producer_is_remembered_by_its_largest_number_alone() {
    let mut options = *dedup(100, 1_000).options();
    options.retention_us[TP.topic as usize] = 5_000_000;
    let mut dedup = Dedup::new(options);
    dedup.learn(TP, ("t", "p"), None);
    take(&mut dedup, &meta(10, Some(10)), 0);
    assert!(matches!(dedup.judge(TP, &meta(9, Some(9)), KEY, 1_000_000), Verdict::New(_)));
    assert!(matches!(dedup.judge(TP, &meta(9, Some(9)), KEY, 1_000_001), Verdict::Behind { .. }));
    assert!(matches!(dedup.judge(TP, &meta(9, Some(9)), KEY, 5_000_001), Verdict::New(_)));
    take(&mut dedup, &meta(11, Some(11)), 1_000_001);
    let change = dedup.staged_changes().remove(0);
    assert_eq!((change.head.floor, change.blocks), (10, vec![(0, 1 << 11)]));
}

/// L12, I8: producers that nothing was applied of are not kept for ever, and a refill stays within the cap.
#[test]
fn memory_is_bounded_by_the_caps() {
    let mut dedup = dedup(i64::MAX, 1_000);
    for batch in 0..100 {
        for n in 0..100 {
            let producer = format!("agent-{}", batch * 100 + n);
            let meta = Meta { producer_id: &producer, ..meta(1, Some(1)) };
            assert_eq!(dedup.judge(TP, &meta, KEY, 0), Verdict::SequenceNeeded);
            dedup.learn(TP, ("t", &producer), None);
            assert!(matches!(dedup.judge(TP, &meta, KEY, 0), Verdict::New(_)));
            dedup.note(TP, &meta, None, 0, false);
        }
        commit(&mut dedup);
        assert!(dedup.partitions[&TP].producers.len() <= 10);
    }
    for id in 0..100_000 {
        dedup.refill(TP, &meta(id + 1, None), KEY, 0, true);
    }
    assert_eq!(dedup.partitions[&TP].window.len(), 1_000);
}

#[test]
fn changes_come_sorted_and_once() {
    let mut dedup = dedup(100, 10);
    for producer in ["b", "a"] {
        dedup.learn(TP, ("t", producer), None);
        for number in [300, 1, 2] {
            let meta = Meta { producer_id: producer, ..meta(number as u128 + 1, Some(number)) };
            take(&mut dedup, &meta, 9);
        }
    }
    let changes = dedup.staged_changes();
    let names: Vec<&str> = changes.iter().map(|change| &*change.producer_id).collect();
    assert_eq!((names, changes[0].blocks.len()), (vec!["a", "b"], 2));
    commit(&mut dedup);
    assert!(dedup.staged_changes().is_empty());
}

/// A log of records: id, append time, whether their kind writes nothing.
type Log = [(u128, i64, bool)];

const WINDOW_US: i64 = 100;

/// What one that keeps everything says of record `upto`.
fn expected(log: &Log, upto: usize, max_records: u32) -> bool {
    let (id, now_us, _) = log[upto];
    let is_seen = |(ix, (other, at_us, ignored)): (usize, &(u128, i64, bool))| {
        *other == id && !ignored && upto - ix <= max_records as usize && now_us - at_us <= WINDOW_US
    };
    !log[..upto].iter().enumerate().any(is_seen)
}

/// Judges and notes one record of the log, as the fold does.
fn step(dedup: &mut Dedup, log: &Log, ix: usize, max_records: u32) -> Result<(), TestCaseError> {
    let (id, append_us, ignored) = log[ix];
    let meta = meta(id, None);
    let judged = dedup.judge(TP, &meta, KEY, append_us);
    let is_new = matches!(judged, Verdict::New(_));
    prop_assert_eq!(is_new, expected(log, ix, max_records), "record {} of {:?}", ix, log);
    let identity = match judged {
        Verdict::New(identity) | Verdict::Duplicate(identity) if !ignored => Some(identity),
        _ => None,
    };
    dedup.note(TP, &meta, identity, append_us, is_new && !ignored);
    Ok(())
}

/// What a new owner that goes on from `next` knows of the log.
fn refilled(log: &Log, next: usize, max_records: u32) -> Dedup {
    let mut dedup = dedup(WINDOW_US, max_records);
    let since_us = log[..next].last().map_or(0, |(_, at_us, _)| at_us - WINDOW_US);
    for (id, at_us, ignored) in log[..next].iter().skip_while(|(_, at_us, _)| *at_us < since_us) {
        dedup.refill(TP, &meta(*id, None), KEY, *at_us, !ignored);
    }
    dedup
}

proptest! {
    /// I10: whatever the batches, their failures and the take-overs, the verdicts are those of one that keeps everything.
    #[test]
    fn verdicts_are_a_function_of_the_log(
        records in proptest::collection::vec((1..12_u128, 0..40_i64), 1..200),
        events in proptest::collection::vec((0..9_usize, 0..4_u8), 1..60),
        max_records in 1..30_u32,
    ) {
        let mut at_us = 0;
        let log: Vec<(u128, i64, bool)> = records.into_iter().map(|(id, step_us)| {
            at_us += step_us;
            (id, at_us, id > 9)
        }).collect();
        let mut dedup = dedup(WINDOW_US, max_records);
        let mut next = 0;
        for (records, event) in events {
            let end = log.len().min(next + records);
            for ix in next..end {
                step(&mut dedup, &log, ix, max_records)?;
            }
            match event {
                // Another batch is folded behind the sealed one, and both fail.
                0 => {
                    dedup.seal();
                    for ix in end..log.len().min(end + 5) {
                        step(&mut dedup, &log, ix, max_records)?;
                    }
                    dedup.roll_back();
                }
                // The sealed one commits, the one behind it fails.
                1 => {
                    dedup.seal();
                    for ix in end..log.len().min(end + 5) {
                        step(&mut dedup, &log, ix, max_records)?;
                    }
                    dedup.commit();
                    dedup.roll_back();
                    next = end;
                }
                2 => dedup = refilled(&log, next, max_records),
                _ => {
                    commit(&mut dedup);
                    next = end;
                }
            }
        }
    }
}
