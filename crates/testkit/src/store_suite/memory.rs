//! What a store remembers beside rows and positions: logs, sequences of producers, dead records, rules, and that nothing of
//! a transaction is there whose publishing failed.

use super::tables::SUITE;
use super::{Remembered, advance, claim, claim_in, commit, log, numbers, partition, total};
use domain::delta::Deltas;
use domain::{Projection, TopicPartition};
use futures_util::future::LocalBoxFuture;
use pipeline::{
    Abort, DeadRow, DedupSettings, Flush, LogIdentity, ParkNote, RowStore, SequenceChange, SequenceHead, Silent,
    StoreError, StoredSequence,
};
use std::cell::Cell;

/// Runs every check of what is remembered.
pub async fn what_is_remembered<S: RowStore>(store: &mut S) {
    a_position_keeps_the_log_of_its_first_claim(store).await;
    settings_are_those_of_the_first_asked(store).await;
    sequences_come_back_by_producer_and_block(store).await;
    silent_producers_keep_their_floor_alone(store).await;
    dead_records_are_found_by_offset(store).await;
    what_was_not_published_is_not_committed(store).await;
    a_fenced_commit_publishes_nothing(store).await;
}

/// A change of a producer's sequence.
pub(crate) fn change(
    tp: TopicPartition,
    (tenant, producer_id): (&str, &str),
    blocks: &[(i64, u128)],
    first_block: i64,
) -> SequenceChange {
    let largest = blocks.last().map_or(0, |(block, _)| block * 128 + 127);
    let head = SequenceHead { floor: i64::MIN, largest, minted_us: 11, last_append_us: 22 };
    SequenceChange {
        tp,
        tenant: tenant.into(),
        producer_id: producer_id.into(),
        head,
        blocks: blocks.into(),
        first_block,
    }
}

/// A dead record.
pub(crate) fn dead(tp: TopicPartition, offset: i64) -> DeadRow {
    let reason = "invalid: it says \"no\"".to_owned();
    DeadRow { tp, offset, append_us: 5, reason, value_hash: i64::MIN, id_hash: (offset % 2 == 0).then_some(-1) }
}

/// A position names its log (I2): another log does not replace it, unless nothing was committed yet.
pub async fn a_position_keeps_the_log_of_its_first_claim<S: RowStore>(store: &mut S) {
    let tp = partition(20);
    let other = |name: &str| LogIdentity { topic_id: name.to_owned(), partitions: 7, ..log() };
    assert_eq!(claim_in(store, tp, other("abandoned")).await.log, other("abandoned"));
    let claimed = claim_in(store, tp, log()).await;
    assert_eq!(claimed.log, log(), "nothing was committed in the log claimed before");
    let note = ParkNote { cause: "unreadable".into(), offset: 3, text: "damaged".into(), since_us: 9 };
    store.note_parked(&SUITE, tp, &note).await.unwrap();
    let nothing = Deltas::new(SUITE.tables);
    commit(store, &[advance(None, tp, claimed.epoch, 1)], &Remembered::default(), &nothing).await.unwrap();
    assert_eq!(claim_in(store, tp, other("another")).await.log, log());
}

/// The rules of deduplication stay those with which a version's rows are made.
pub async fn settings_are_those_of_the_first_asked<S: RowStore>(store: &mut S) {
    let first = DedupSettings { window_ms: 120_000, max_records: 57_000 };
    let other = DedupSettings { window_ms: 60_000, max_records: 10 };
    for wanted in [first, other, first] {
        assert_eq!(store.settings(&SUITE, wanted).await.unwrap(), first);
    }
    let version = Projection { version: 3, ..SUITE };
    assert_eq!(store.settings(&version, other).await.unwrap(), other);
    store.check(&SUITE).await.unwrap();
}

/// Sequences are kept by partition, tenant and producer; a commit replaces the blocks it touched and drops those below.
pub async fn sequences_come_back_by_producer_and_block<S: RowStore>(store: &mut S) {
    let (tp, elsewhere) = (partition(21), partition(22));
    let (epoch, _) = claim(store, tp).await;
    let nothing = Deltas::new(SUITE.tables);
    let first = advance(None, tp, epoch, 1);
    let (full, low) = (u128::MAX, 1_u128 << 5);
    let mut sequences =
        vec![change(tp, ("t", "é"), &[(-1, full), (0, low), (9, 1)], -1), change(tp, ("u", "é"), &[(4, 2)], 4)];
    let remembered = Remembered { sequences: sequences.clone(), dead: Vec::new() };
    commit(store, &[first], &remembered, &nothing).await.unwrap();
    let asked = [("u", "é"), ("t", "nobody"), ("t", "é")];
    let stored = |change: &SequenceChange| Some(StoredSequence { head: change.head, blocks: change.blocks.clone() });
    let found = store.sequences(&SUITE, tp, &asked).await.unwrap();
    assert_eq!(found, [stored(&sequences[1]), None, stored(&sequences[0])]);
    assert_eq!(store.sequences(&SUITE, elsewhere, &asked).await.unwrap(), [None, None, None]);
    sequences[0] = change(tp, ("t", "é"), &[(9, 3), (10, 1)], 0);
    sequences[0].head.floor = -1;
    let remembered = Remembered { sequences: sequences[..1].to_vec(), dead: Vec::new() };
    commit(store, &[advance(Some(first.to), tp, epoch, 1)], &remembered, &nothing).await.unwrap();
    sequences[0].blocks = vec![(0, low), (9, 3), (10, 1)];
    let found = store.sequences(&SUITE, tp, &asked).await.unwrap();
    assert_eq!(found, [stored(&sequences[1]), None, stored(&sequences[0])]);
}

/// What is left of a producer that is silent for long: its floor, then nothing (I8).
pub async fn silent_producers_keep_their_floor_alone<S: RowStore>(store: &mut S) {
    let (tp, elsewhere) = (partition(23), partition(24));
    let nothing = Deltas::new(SUITE.tables);
    for tp in [tp, elsewhere] {
        let (epoch, _) = claim(store, tp).await;
        let mut sequences = vec![
            change(tp, ("t", "gone"), &[(1, 1)], 1),
            change(tp, ("t", "old"), &[(1, 1), (2, 3)], 1),
            change(tp, ("t", "young"), &[(1, 1)], 1),
        ];
        for (change, at) in sequences.iter_mut().zip([10, 100, 1_000]) {
            change.head.last_append_us = at;
        }
        let remembered = Remembered { sequences, dead: Vec::new() };
        commit(store, &[advance(None, tp, epoch, 1)], &remembered, &nothing).await.unwrap();
    }
    let silent = Silent { sets_before_us: 500, floors_before_us: Some(50) };
    store.forget_producers(&SUITE, tp, silent).await.unwrap();
    let asked = [("t", "gone"), ("t", "old"), ("t", "young")];
    let found = store.sequences(&SUITE, tp, &asked).await.unwrap();
    assert_eq!(found[0], None);
    let old = found[1].as_ref().unwrap();
    assert_eq!((old.head.floor, old.head.largest, old.blocks.len()), (383, 383, 0));
    let young = found[2].as_ref().unwrap();
    assert_eq!((young.head.floor, young.blocks.len()), (i64::MIN, 1));
    let kept = Silent { sets_before_us: 500, floors_before_us: None };
    store.forget_producers(&SUITE, elsewhere, kept).await.unwrap();
    assert!(store.sequences(&SUITE, elsewhere, &asked).await.unwrap()[0].is_some(), "its topic keeps its records");
}

/// Dead records are found again by partition and offset.
pub async fn dead_records_are_found_by_offset<S: RowStore>(store: &mut S) {
    let (tp, elsewhere) = (partition(25), partition(26));
    let (epoch, _) = claim(store, tp).await;
    let remembered = Remembered { sequences: Vec::new(), dead: [1, 2, 5, 9].map(|offset| dead(tp, offset)).into() };
    let nothing = Deltas::new(SUITE.tables);
    commit(store, &[advance(None, tp, epoch, 10)], &remembered, &nothing).await.unwrap();
    assert_eq!(store.dead(&SUITE, tp, 2..9).await.unwrap(), [2, 5]);
    assert_eq!(store.dead(&SUITE, tp, 3..3).await.unwrap(), [] as [i64; 0]);
    assert_eq!(store.dead(&SUITE, elsewhere, 0..100).await.unwrap(), [] as [i64; 0]);
}

/// What is to be published goes before COMMIT: where it fails, the transaction leaves nothing, and the store goes on.
pub async fn what_was_not_published_is_not_committed<S: RowStore>(store: &mut S) {
    let tp = partition(27);
    let (epoch, _) = claim(store, tp).await;
    let (advances, rows) = ([advance(None, tp, epoch, 1)], numbers("aborted", &[("a", 1)]));
    let Remembered { sequences, dead } = Remembered::number(tp, "p");
    let asked = Cell::new(0);
    let abort = || -> LocalBoxFuture<'_, Result<(), Abort>> {
        asked.set(asked.get() + 1);
        Box::pin(async {
            tokio::task::yield_now().await;
            Err(Abort)
        })
    };
    let flush = Flush {
        projection: &SUITE,
        advances: &advances,
        sequences: &sequences,
        dead: &dead,
        rows: &rows,
        before_commit: &abort,
    };
    let aborted = store.commit(&flush).await;
    assert!(matches!(aborted, Err(StoreError::Aborted)), "{aborted:?}");
    assert_eq!((asked.get(), total(store, "aborted", "a").await), (1, None));
    assert_eq!(store.positions(&SUITE, &[tp]).await.unwrap(), []);
    assert_eq!(store.sequences(&SUITE, tp, &[("t", "p")]).await.unwrap(), [None]);
    commit(store, &advances, &Remembered { sequences, dead }, &rows).await.unwrap();
    assert_eq!(total(store, "aborted", "a").await, Some(1));
}

/// Who was fenced publishes nothing (I3): its successor does.
pub async fn a_fenced_commit_publishes_nothing<S: RowStore>(store: &mut S) {
    let tp = partition(28);
    let (zombie, _) = claim(store, tp).await;
    claim(store, tp).await;
    let (advances, rows) = ([advance(None, tp, zombie, 1)], Deltas::new(SUITE.tables));
    let is_asked = Cell::new(false);
    let before_commit = || -> LocalBoxFuture<'_, Result<(), Abort>> {
        is_asked.set(true);
        pipeline::nothing_before_commit()
    };
    let flush = Flush {
        projection: &SUITE,
        advances: &advances,
        sequences: &[],
        dead: &[],
        rows: &rows,
        before_commit: &before_commit,
    };
    let fenced = store.commit(&flush).await;
    assert!(matches!(fenced, Err(StoreError::Fenced(_))) && !is_asked.get(), "{fenced:?}");
}
