//! The conformance suite of [`RowStore`] and [`RecordStore`]: every adapter passes it.
//!
//! The adapter creates the tables of [`tables::SUITE`] and hands in a store. Each check works on a partition and a
//! tenant of its own, so one store serves them all. A check fails by panicking.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod memory;
pub mod merges;
pub mod tables;

use domain::cell::Cell;
use domain::delta::Deltas;
use domain::digest::{LogicalRow, Merger};
use domain::table::Table;
use domain::{Projection, Topic, TopicPartition};
use pipeline::{
    Advance, Claim, Claimed, DeadRow, Flush, LastRecord, LogIdentity, Position, RecordStore, RowStore, SequenceChange,
    StoreError, nothing_before_commit,
};
use tables::{FACTS, NUMBERS, SUITE};
use uuid::Uuid;

/// Runs every check of a store with transactions.
pub async fn row_store<S: RowStore>(store: &mut S) {
    claims_raise_epochs(store).await;
    a_commit_moves_the_position(store).await;
    a_fenced_commit_writes_nothing(store).await;
    an_old_offset_is_refused(store).await;
    a_refused_row_leaves_nothing(store).await;
    rows_come_back_in_the_order_asked(store).await;
    memory::what_is_remembered(store).await;
}

/// A partition of the suite.
#[must_use]
pub const fn partition(partition: u32) -> TopicPartition {
    TopicPartition::new(Topic::SacredMessages, partition)
}

/// The log of the suite.
#[must_use]
pub fn log() -> LogIdentity {
    LogIdentity { cluster_id: "suite".to_owned(), topic_id: "first".to_owned(), partitions: 1_000 }
}

/// What a commit remembers beside rows and positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) sequences: Vec<SequenceChange>,
    pub(crate) dead: Vec<DeadRow>,
}

impl Remembered {
    /// One number of one producer.
    pub(crate) fn number(tp: TopicPartition, producer_id: &str) -> Self {
        let sequences = vec![memory::change(tp, ("t", producer_id), &[(0, 1)], 0)];
        Self { sequences, dead: vec![memory::dead(tp, 7)] }
    }
}

/// Writes rows under a fresh claim of a partition, as one more applied record does; calls `hook` before COMMIT.
///
/// # Errors
/// Those of the store.
pub async fn put<S: RowStore>(
    store: &mut S,
    (projection, tp): (&Projection, TopicPartition),
    rows: &Deltas,
    hook: &dyn Fn(),
) -> Result<(), StoreError> {
    let claimed = store.claim(projection, &[Claim { tp, log: log() }]).await?.remove(0);
    let from = claimed.position.map(|position| position.next_offset);
    let mut to = Position { epoch: claimed.epoch, ..claimed.position.unwrap_or(Position::start(tp, 0)) };
    to.next_offset += 1;
    to.counts.applied += 1;
    let advances = [Advance { from, to }];
    let before_commit = || {
        hook();
        nothing_before_commit()
    };
    let flush =
        Flush { projection, advances: &advances, sequences: &[], dead: &[], rows, before_commit: &before_commit };
    store.commit(&flush).await
}

/// Rows of `numbers` for one tenant.
fn numbers(tenant: &str, rows: &[(&str, i64)]) -> Deltas {
    let mut deltas = Deltas::new(SUITE.tables);
    for (key, value) in rows {
        let mut row = deltas.row(&NUMBERS, |writer| {
            writer.text(tenant).text(key);
        });
        row.add("total", *value);
    }
    deltas
}

fn number_key(tenant: &str, key: &str) -> Vec<u8> {
    [tenant.as_bytes(), b"\0", key.as_bytes(), b"\0"].concat()
}

async fn total<S: RowStore>(store: &mut S, tenant: &str, key: &str) -> Option<i64> {
    let key = number_key(tenant, key);
    let row = store.load(&SUITE, &NUMBERS, &[&key]).await.unwrap().remove(0)?;
    match row[0] {
        Cell::Int(total) => Some(total),
        _ => None,
    }
}

/// A position `read` offsets behind the last one, all of them applied.
pub(crate) fn advance(from: Option<Position>, tp: TopicPartition, epoch: i64, read: i64) -> Advance {
    let mut to = from.unwrap_or(Position::start(tp, 100));
    to.epoch = epoch;
    to.next_offset += read;
    to.counts.applied += read;
    to.watermark_us = to.next_offset * 1_000;
    to.max_append_us = to.next_offset * 1_001;
    let append_us = to.next_offset * 1_001 - 5;
    to.last = Some(LastRecord { offset: to.next_offset - 1, append_us, leader_epoch: 3 });
    to.window_from = Some(101);
    Advance { from: from.map(|from| from.next_offset), to }
}

pub(crate) async fn commit<S: RowStore>(
    store: &mut S,
    advances: &[Advance],
    remembered: &Remembered,
    rows: &Deltas,
) -> Result<(), StoreError> {
    let Remembered { sequences, dead } = remembered;
    let before_commit = &nothing_before_commit;
    store.commit(&Flush { projection: &SUITE, advances, sequences, dead, rows, before_commit }).await
}

pub(crate) async fn claim<S: RowStore>(store: &mut S, tp: TopicPartition) -> (i64, Option<Position>) {
    let claimed = claim_in(store, tp, log()).await;
    (claimed.epoch, claimed.position)
}

pub(crate) async fn claim_in<S: RowStore>(store: &mut S, tp: TopicPartition, log: LogIdentity) -> Claimed {
    let claimed = store.claim(&SUITE, &[Claim { tp, log }]).await.unwrap().remove(0);
    assert_eq!(claimed.tp, tp);
    claimed
}

/// Every claim gets an epoch of its own; a partition that was never read has no position.
pub async fn claims_raise_epochs<S: RowStore>(store: &mut S) {
    let both = [partition(1), partition(2)];
    let claims = both.map(|tp| Claim { tp, log: log() });
    let first = store.claim(&SUITE, &claims).await.unwrap();
    assert_eq!(first.iter().map(|claimed| claimed.tp).collect::<Vec<_>>(), both);
    let (epoch, position) = claim(store, partition(2)).await;
    assert_eq!(epoch, first[1].epoch + 1);
    assert_eq!((first[0].position, position), (None, None));
    assert_eq!(store.positions(&SUITE, &both).await.unwrap(), []);
    let other = Projection { version: 2, ..SUITE };
    assert_eq!(
        store.claim(&other, &claims).await.unwrap()[1].epoch,
        first[1].epoch,
        "versions do not fence each other"
    );
}

/// What was committed is what the next claim goes on from, to the last field.
pub async fn a_commit_moves_the_position<S: RowStore>(store: &mut S) {
    let tp = partition(3);
    let (epoch, _) = claim(store, tp).await;
    let untouched = Position { epoch, ..Position::start(tp, 100) };
    let nothing = Deltas::new(SUITE.tables);
    commit(store, &[Advance { from: None, to: untouched }], &Remembered::default(), &nothing).await.unwrap();
    assert_eq!(store.positions(&SUITE, &[tp]).await.unwrap(), [untouched], "before the first record");
    let moved = advance(Some(untouched), tp, epoch, 7);
    commit(store, &[moved], &Remembered::default(), &numbers("moves", &[("a", 7)])).await.unwrap();
    assert_eq!(store.positions(&SUITE, &[partition(999), tp]).await.unwrap(), [moved.to]);
    let (next, position) = claim(store, tp).await;
    assert_eq!((next, position.map(|held| held.next_offset)), (epoch + 1, Some(107)));
    assert_eq!(position.map(|held| Position { epoch, ..held }), Some(moved.to));
    assert_eq!(total(store, "moves", "a").await, Some(7));
}

/// A worker that was fenced from one partition writes nothing at all, and is told which partition it lost (I3).
pub async fn a_fenced_commit_writes_nothing<S: RowStore>(store: &mut S) {
    let (kept, lost) = (partition(4), partition(5));
    let (kept_epoch, _) = claim(store, kept).await;
    let (zombie, _) = claim(store, lost).await;
    let (owner, _) = claim(store, lost).await;
    let advances = [advance(None, kept, kept_epoch, 1), advance(None, lost, zombie, 1)];
    let refused = commit(store, &advances, &Remembered::number(kept, "p"), &numbers("fenced", &[("a", 1)])).await;
    assert!(matches!(&refused, Err(StoreError::Fenced(tps)) if *tps == [lost]), "{refused:?}");
    assert_eq!(total(store, "fenced", "a").await, None);
    assert_eq!(store.sequences(&SUITE, kept, &[("t", "p")]).await.unwrap(), [None]);
    assert_eq!(store.dead(&SUITE, kept, 0..100).await.unwrap(), [] as [i64; 0]);
    assert_eq!(store.positions(&SUITE, &[kept, lost]).await.unwrap(), []);
    let advances = [advance(None, kept, kept_epoch, 1), advance(None, lost, owner, 1)];
    commit(store, &advances, &Remembered::default(), &numbers("fenced", &[("a", 1)])).await.unwrap();
    assert_eq!(total(store, "fenced", "a").await, Some(1));
}

/// A flush that does not start where the last one ended is refused, also under the right epoch: nothing counts twice.
pub async fn an_old_offset_is_refused<S: RowStore>(store: &mut S) {
    let tp = partition(6);
    let (epoch, _) = claim(store, tp).await;
    let first = advance(None, tp, epoch, 5);
    commit(store, &[first], &Remembered::default(), &numbers("old", &[("a", 5)])).await.unwrap();
    for again in [first, advance(Some(Position { next_offset: 104, ..first.to }), tp, epoch, 5)] {
        let refused = commit(store, &[again], &Remembered::default(), &numbers("old", &[("a", 5)])).await;
        assert!(matches!(&refused, Err(StoreError::Fenced(tps)) if *tps == [tp]), "{refused:?}");
    }
    assert_eq!(total(store, "old", "a").await, Some(5));
    assert_eq!(store.positions(&SUITE, &[tp]).await.unwrap(), [first.to]);
}

/// Rows, sequences, dead rows and positions commit together or not at all (I2).
pub async fn a_refused_row_leaves_nothing<S: RowStore>(store: &mut S) {
    let tp = partition(7);
    let (epoch, _) = claim(store, tp).await;
    let mut rows = numbers("refused", &[("a", 1), ("c", 1)]);
    rows.row(&NUMBERS, |writer| {
        writer.text("refused").text("b");
    })
    .merge("total", Cell::Text("not a number".into()));
    let remembered = Remembered::number(tp, "p");
    let refused = commit(store, &[advance(None, tp, epoch, 3)], &remembered, &rows).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    for key in ["a", "b", "c"] {
        assert_eq!(total(store, "refused", key).await, None, "{key}");
    }
    assert_eq!(store.sequences(&SUITE, tp, &[("t", "p")]).await.unwrap(), [None]);
    assert_eq!(store.dead(&SUITE, tp, 0..100).await.unwrap(), [] as [i64; 0]);
    assert_eq!(store.positions(&SUITE, &[tp]).await.unwrap(), []);
    let good = numbers("refused", &[("a", 1), ("c", 1)]);
    commit(store, &[advance(None, tp, epoch, 2)], &remembered, &good).await.unwrap();
    assert!(store.sequences(&SUITE, tp, &[("t", "p")]).await.unwrap()[0].is_some());
    assert_eq!(store.dead(&SUITE, tp, 0..100).await.unwrap(), [7]);
}

/// Rows come back in the order asked, none where there is none, for any number of keys.
pub async fn rows_come_back_in_the_order_asked<S: RowStore>(store: &mut S) {
    let tp = partition(8);
    let (epoch, _) = claim(store, tp).await;
    let names: Vec<String> = (0..2_500).map(|ix| format!("k{ix}")).collect();
    let rows: Vec<(&str, i64)> = names.iter().map(String::as_str).zip(0..).collect();
    commit(store, &[advance(None, tp, epoch, 1)], &Remembered::default(), &numbers("order", &rows)).await.unwrap();
    let asked: Vec<usize> = (0..2_600).rev().collect();
    let keys: Vec<Vec<u8>> = asked.iter().map(|ix| number_key("order", &format!("k{ix}"))).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let found = store.load(&SUITE, &NUMBERS, &keys).await.unwrap();
    assert_eq!(found.len(), asked.len());
    for (ix, row) in asked.iter().zip(found) {
        let expected = (*ix < 2_500).then(|| vec![Cell::Int(*ix as i64)]);
        assert_eq!(row, expected, "k{ix}");
    }
    assert_eq!(store.load(&SUITE, &NUMBERS, &[]).await.unwrap(), Vec::<Option<Vec<Cell>>>::new());
}

/// Checks a store without transactions: any write may be repeated, in any grouping, and the rows are those of the
/// deltas (I4). `read` gives all rows of a table, with their declared keys.
pub async fn record_store<S: RecordStore>(store: &mut S, read: impl AsyncFn(&'static Table) -> Vec<LogicalRow>) {
    let facts = |ids: std::ops::Range<u128>| {
        let mut deltas = Deltas::new(SUITE.tables);
        for id in ids {
            let mut row = deltas.row(&FACTS, |writer| {
                writer.text("records").uuid(Uuid::from_u128(id)).int(-(id as i64));
            });
            let text = (id % 3 != 0).then(|| format!("fact {id}"));
            row.merge("text", Cell::text(text.as_deref())).merge("double", Cell::Double(id as f64 / 8.0));
            row.merge("bytes", Cell::Bytes(vec![0, id as u8])).merge("at", Cell::Int(id as i64 * 1_000));
        }
        deltas
    };
    for part in [0..40, 40..100, 20..60, 0..0, 0..100] {
        store.write(&facts(part)).await.unwrap();
    }
    assert_eq!(read(&FACTS).await, logical(&facts(0..100), &FACTS));
}

/// The logical rows that deltas alone make of a table.
#[must_use]
pub fn logical(deltas: &Deltas, table: &'static Table) -> Vec<LogicalRow> {
    let delta = &deltas.tables()[table.ix];
    let mut merger = Merger::new(table);
    let mut rows = Vec::new();
    for ix in delta.sorted() {
        let mut rest = delta.key(ix);
        for column in table.key {
            domain::cell::take_key_part(column.ty, &mut rest).expect("a key of the declared form");
        }
        let declared = &delta.key(ix)[..delta.key(ix).len() - rest.len()];
        rows.extend(merger.push(declared, delta.cells(ix).to_vec()));
    }
    rows.extend(merger.finish());
    rows
}
