//! What is kept beside the rows: positions with their log, park notes, producers, dead records,
//! settings.

use super::*;
use pipeline::{
    Counts, DeadRow, DedupSettings, LastRecord, ParkNote, SequenceChange, SequenceHead, Silent, StoredSequence,
};

fn note(offset: i64) -> ParkNote {
    ParkNote { cause: "unreadable".into(), offset, text: "log.db is damaged".into(), since_us: 9 }
}

/// I2: a position names its log, and keeps the name whoever claims it.
#[tokio::test]
async fn position_keeps_the_log_it_was_made_in() {
    let (_held, mut store) = scratch();
    assert_eq!(claim(&mut store, &SUITE, tp(0), "one").await.log, log_of("one"));
    let claimed = claim(&mut store, &SUITE, tp(0), "two").await;
    assert_eq!(claimed.log, log_of("two"), "there was no position yet that could belong to another log");
    let nothing = Deltas::new(SUITE.tables);
    commit(&mut store, &SUITE, &[step(&claimed)], &nothing, &nothing_before_commit).await.unwrap();
    assert_eq!(claim(&mut store, &SUITE, tp(0), "three").await.log, log_of("two"));
    assert_eq!(store.reader().unwrap().positions(&SUITE).unwrap()[0].log, log_of("two"));
}

/// I2: records have no position in the store, so the store remembers the log that they come from.
#[test]
fn store_tells_when_its_records_come_from_another_log() {
    let (held, store) = scratch();
    let (one, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    assert_eq!(store.bind_log(one).unwrap(), None);
    drop(store);
    let store = Store::open(&held.path).unwrap();
    assert_eq!(store.bind_log(one).unwrap(), None);
    assert_eq!(store.bind_log(other).unwrap(), Some(one));
    assert_eq!(store.bind_log(other).unwrap(), Some(one), "asking again does not change it");
}

/// I5: every part of the account comes back, and the view sums what makes the whole.
#[tokio::test]
async fn account_and_last_record_come_back_to_the_last_field() {
    let (held, mut store) = scratch();
    let claimed = claim(&mut store, &SUITE, tp(0), "log").await;
    let counts = Counts { applied: 1, duplicate: 7, behind: 2, ignored: 9, unknown: 3, dead: 4, holes: 5, lost: 6 };
    let to = Position {
        next_offset: 40 + counts.total(),
        epoch: claimed.epoch,
        watermark_us: -5,
        max_append_us: 70,
        last: Some(LastRecord { offset: 71, append_us: 60, leader_epoch: -1 }),
        window_from: Some(44),
        counts,
        ..Position::start(tp(0), 40)
    };
    assert_eq!(to.gap(), 0);
    let nothing = Deltas::new(SUITE.tables);
    commit(&mut store, &SUITE, &[Advance { from: None, to }], &nothing, &nothing_before_commit).await.unwrap();
    assert_eq!(store.positions(&SUITE, &[tp(0)]).await.unwrap(), [to]);
    let connection = Connection::open(&held.path).unwrap();
    let row = connection.query_row("SELECT gap, lost, last_append_us FROM freshness", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    assert_eq!(row.unwrap(), (0, 6, 60));
}

/// I7: whoever looks from outside sees why a partition stands, until somebody takes it up again.
#[tokio::test]
async fn park_note_is_seen_until_the_next_claim() {
    let (_held, mut store) = scratch();
    store.note_parked(&SUITE, tp(3), &note(11)).await.unwrap();
    let claimed = claim(&mut store, &SUITE, tp(2), "log").await;
    let nothing = Deltas::new(SUITE.tables);
    commit(&mut store, &SUITE, &[step(&claimed)], &nothing, &nothing_before_commit).await.unwrap();
    store.note_parked(&SUITE, tp(2), &note(1)).await.unwrap();
    store.note_parked(&SUITE, tp(2), &note(1)).await.unwrap();
    let found = store.reader().unwrap().positions(&SUITE).unwrap();
    let seen: Vec<_> =
        found.iter().map(|held| (held.position.tp, held.position.next_offset, held.parked.clone())).collect();
    assert_eq!(seen, [(tp(2), 1, Some(note(1))), (tp(3), 11, Some(note(11)))], "also one that was never claimed");
    let first = claim(&mut store, &SUITE, tp(3), "log").await;
    assert_eq!((first.epoch, first.position, first.log), (1, None, log_of("log")));
    claim(&mut store, &SUITE, tp(2), "log").await;
    let found = store.reader().unwrap().positions(&SUITE).unwrap();
    assert_eq!(found.iter().map(|held| held.parked.clone()).collect::<Vec<_>>(), [None]);
}

#[tokio::test]
async fn settings_are_those_of_the_first_run_of_a_version() {
    let (_held, mut store) = scratch();
    assert_eq!(store.reader().unwrap().settings(&SUITE).unwrap(), None);
    let first = DedupSettings { window_ms: 120_000, max_records: 57_000 };
    let other = DedupSettings { window_ms: 1, max_records: 2 };
    assert_eq!(store.settings(&SUITE, first).await.unwrap(), first);
    assert_eq!(store.settings(&SUITE, other).await.unwrap(), first);
    assert_eq!(store.reader().unwrap().settings(&SUITE).unwrap(), Some(first));
    let next = Projection { version: SUITE.version + 1, ..SUITE };
    assert_eq!(store.settings(&next, other).await.unwrap(), other);
}

fn change(partition: u32, producer_id: &str, last_append_us: i64) -> SequenceChange {
    let head = SequenceHead { floor: i64::MIN, largest: 300, minted_us: i64::MIN, last_append_us };
    let blocks = vec![(-1, 1 << 127), (0, u128::MAX), (2, 1 << 44)];
    SequenceChange {
        tp: tp(partition),
        tenant: "t".into(),
        producer_id: producer_id.into(),
        head,
        blocks,
        first_block: -1,
    }
}

/// Commits changes of sequences and dead rows with the next position of their partition.
async fn write(store: &mut Store, partition: u32, sequences: &[SequenceChange], dead: &[DeadRow]) {
    let claimed = claim(store, &SUITE, tp(partition), "log").await;
    let rows = Deltas::new(SUITE.tables);
    let advances = [step(&claimed)];
    let before_commit = &nothing_before_commit;
    let flush = Flush { projection: &SUITE, advances: &advances, sequences, dead, rows: &rows, before_commit };
    store.commit(&flush).await.unwrap();
}

async fn sequences(store: &mut Store, partition: u32, producers: &[&str]) -> Vec<Option<StoredSequence>> {
    let asked: Vec<_> = producers.iter().map(|producer| ("t", *producer)).collect();
    store.sequences(&SUITE, tp(partition), &asked).await.unwrap()
}

#[tokio::test]
async fn sequence_is_stored_by_touched_blocks_and_those_let_go_are_gone() {
    let (_held, mut store) = scratch();
    let first = change(0, "p", 5);
    write(&mut store, 0, std::slice::from_ref(&first), &[]).await;
    let stored = StoredSequence { head: first.head, blocks: first.blocks.clone() };
    assert_eq!(sequences(&mut store, 0, &["q", "p"]).await, [None, Some(stored)]);
    assert_eq!(sequences(&mut store, 1, &["p"]).await, [None], "of another partition");
    assert_eq!(store.sequences(&SUITE, tp(0), &[("other", "p")]).await.unwrap(), [None], "of another tenant");
    let head = SequenceHead { floor: 127, largest: 400, ..first.head };
    let second = SequenceChange { head, blocks: vec![(2, 3), (3, 1 << 16)], first_block: 2, ..first };
    write(&mut store, 0, &[second], &[]).await;
    let expected = StoredSequence { head, blocks: vec![(2, 3), (3, 1 << 16)] };
    assert_eq!(sequences(&mut store, 0, &["p"]).await, [Some(expected)]);
}

/// I8: what is kept of producers is bounded by what the topic keeps.
#[tokio::test]
async fn silent_producers_shrink_to_their_floor_and_are_dropped_with_the_topics_records() {
    let (_held, mut store) = scratch();
    write(&mut store, 0, &[change(0, "long", 10), change(0, "silent", 20), change(0, "talks", 30)], &[]).await;
    write(&mut store, 1, &[change(1, "long", 10)], &[]).await;
    let all = ["long", "silent", "talks"];
    let silent = Silent { sets_before_us: 30, floors_before_us: Some(20) };
    store.forget_producers(&SUITE, tp(0), silent).await.unwrap();
    let found = sequences(&mut store, 0, &all).await;
    assert_eq!(found[0], None);
    let head = SequenceHead { floor: 300, ..change(0, "silent", 20).head };
    assert_eq!(found[1], Some(StoredSequence { head, blocks: Vec::new() }));
    assert_eq!(found[2].as_ref().map(|stored| stored.blocks.len()), Some(3));
    assert!(sequences(&mut store, 1, &all).await[0].is_some(), "another partition is left alone");
    let silent = Silent { sets_before_us: i64::MIN, floors_before_us: Some(31) };
    store.forget_producers(&SUITE, tp(0), silent).await.unwrap();
    assert_eq!(sequences(&mut store, 0, &all).await, [None, None, None]);
    let sql = "SELECT (SELECT count(*) FROM producer), (SELECT count(*) FROM producer_block)";
    let left = store.reader().unwrap().connection().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(left.unwrap(), (1_i64, 3_i64), "no block outlives its producer");
}

#[tokio::test]
async fn dead_records_are_remembered_with_the_position_and_come_back_by_offset() {
    let (_held, mut store) = scratch();
    let dead = |partition, offset, id_hash| DeadRow {
        tp: tp(partition),
        offset,
        append_us: 8,
        reason: "invalid: energy".into(),
        value_hash: i64::MIN,
        id_hash,
    };
    write(&mut store, 1, &[], &[dead(1, 5, None), dead(1, 9, Some(-7))]).await;
    write(&mut store, 0, &[], &[dead(0, 6, None)]).await;
    assert_eq!(store.dead(&SUITE, tp(1), 5..9).await.unwrap(), [5]);
    assert_eq!(store.dead(&SUITE, tp(1), 0..i64::MAX).await.unwrap(), [5, 9]);
    let other = Projection { version: SUITE.version + 1, ..SUITE };
    assert_eq!(store.dead(&other, tp(1), 0..10).await.unwrap(), [] as [i64; 0]);
    let mut found = Vec::new();
    let keep = |row| {
        found.push(row);
        Ok(())
    };
    store.reader().unwrap().dead_rows(&SUITE, keep).unwrap();
    assert_eq!(found, [dead(0, 6, None), dead(1, 5, None), dead(1, 9, Some(-7))]);
}
