//! Stores in memory, with a script of faults.

use domain::cell::Cell;
use domain::delta::{Deltas, TableDelta};
use domain::digest::{Digest, Merger};
use domain::merge::merge_row;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use pipeline::{Advance, Claimed, Counts, Flush, Position, RecordStore, RowStore, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

type Rows = BTreeMap<Vec<u8>, Vec<Cell>>;

/// What a scripted store does instead of committing.
type Script = Box<dyn FnMut(&Deltas) -> Option<StoreError>>;

#[derive(Default)]
struct State {
    tables: BTreeMap<&'static str, Rows>,
    positions: BTreeMap<TopicPartition, (i64, Option<Position>)>,
    marks: BTreeMap<(TopicPartition, String), i64>,
    before: Option<Script>,
    lose_reply: bool,
    check_epoch: bool,
    /// The number of commits so far, where they take time.
    slow: Option<usize>,
}

/// A row store in memory; clones share it.
#[derive(Clone)]
pub struct MemStore(Rc<RefCell<State>>);

impl Default for MemStore {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(State { check_epoch: true, ..State::default() })))
    }
}

impl MemStore {
    /// Asks `script` before each commit or write: an error is returned instead.
    pub fn script(&self, script: impl FnMut(&Deltas) -> Option<StoreError> + 'static) {
        self.0.borrow_mut().before = Some(Box::new(script));
    }

    /// The next commit happens, but its reply is lost.
    pub fn lose_next_reply(&self) {
        self.0.borrow_mut().lose_reply = true;
    }

    /// From now on commits take time, now more and now less: a worker works ahead meanwhile.
    pub fn slow_down(&self) {
        self.0.borrow_mut().slow = Some(0);
    }

    /// Takes the fence away, to show that a test notices.
    pub fn without_fence(&self) {
        self.0.borrow_mut().check_epoch = false;
    }

    /// The committed positions.
    #[must_use]
    pub fn positions_held(&self) -> Vec<Position> {
        self.0.borrow().positions.values().filter_map(|(_, position)| *position).collect()
    }

    /// The sum of the accounts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.positions_held().iter().fold(Counts::default(), |sum, position| Counts {
            applied: sum.applied + position.counts.applied,
            duplicate: sum.duplicate + position.counts.duplicate,
            ignored: sum.ignored + position.counts.ignored,
            dead: sum.dead + position.counts.dead,
            holes: sum.holes + position.counts.holes,
        })
    }

    /// The digest of each table, over logical rows.
    #[must_use]
    pub fn digests(&self, projection: &Projection) -> Vec<(&'static str, Digest)> {
        let state = self.0.borrow();
        let digest = |table: &&'static Table| (table.name, table_digest(table, state.tables.get(table.name)));
        projection.tables.iter().map(digest).collect()
    }

    /// The number of stored rows of a table.
    #[must_use]
    pub fn rows(&self, table: &str) -> usize {
        self.0.borrow().tables.get(table).map_or(0, BTreeMap::len)
    }

    fn refusal(&self, rows: &Deltas) -> Option<StoreError> {
        let mut script = self.0.borrow_mut().before.take()?;
        let error = script(rows);
        self.0.borrow_mut().before = Some(script);
        error
    }
}

fn table_digest(table: &'static Table, rows: Option<&Rows>) -> Digest {
    let mut merger = Merger::new(table);
    let mut parts: BTreeMap<Vec<u8>, Vec<Vec<Cell>>> = BTreeMap::new();
    for (key, cells) in rows.into_iter().flatten() {
        parts.entry(logical_key(table, key).to_vec()).or_default().push(cells.clone());
    }
    let (mut digest, mut scratch) = (Digest::default(), Vec::new());
    let mut add = |row: domain::digest::LogicalRow| digest.add_row(table, &row, &mut scratch);
    for (key, parts) in parts {
        for cells in parts {
            merger.push(&key, cells).into_iter().for_each(&mut add);
        }
    }
    merger.finish().into_iter().for_each(&mut add);
    digest
}

fn logical_key<'k>(table: &Table, key: &'k [u8]) -> &'k [u8] {
    let mut rest = key;
    for column in table.key {
        domain::cell::take_key_part(column.ty, &mut rest);
    }
    &key[..key.len() - rest.len()]
}

impl State {
    /// How many turns of the other tasks the next commit takes.
    fn next_turns(&mut self) -> usize {
        let Some(commits) = &mut self.slow else { return 0 };
        *commits += 1;
        *commits * 7 % 5
    }

    fn is_fenced(&self, advance: &Advance) -> bool {
        let held = self.positions.get(&advance.to.tp);
        let same_epoch = held.is_some_and(|(epoch, _)| *epoch == advance.to.epoch);
        let same_offset = held.and_then(|(_, position)| *position).map(|position| position.next_offset) == advance.from;
        self.check_epoch && !(same_epoch && same_offset)
    }

    fn write(&mut self, delta: &TableDelta) {
        let rows = self.tables.entry(delta.table().name).or_default();
        for ix in delta.sorted() {
            let cells = delta.cells(ix).to_vec();
            match rows.get_mut(delta.key(ix)) {
                Some(row) if !delta.table().has_state() => merge_row(delta.slots(), row, cells),
                _ => {
                    rows.insert(delta.key(ix).to_vec(), cells);
                }
            }
        }
    }
}

impl RowStore for MemStore {
    async fn claim(&mut self, _: &Projection, tps: &[TopicPartition]) -> Result<Vec<Claimed>, StoreError> {
        let mut state = self.0.borrow_mut();
        let claim = |tp: &TopicPartition| {
            let held = state.positions.entry(*tp).or_default();
            held.0 += 1;
            Claimed { tp: *tp, epoch: held.0, position: held.1 }
        };
        Ok(tps.iter().map(claim).collect())
    }

    async fn positions(&mut self, _: &Projection, tps: &[TopicPartition]) -> Result<Vec<Position>, StoreError> {
        let state = self.0.borrow();
        Ok(tps.iter().filter_map(|tp| state.positions.get(tp)?.1).collect())
    }

    async fn marks(
        &mut self,
        _: &Projection,
        tp: TopicPartition,
        producers: &[&str],
    ) -> Result<Vec<Option<i64>>, StoreError> {
        let state = self.0.borrow();
        Ok(producers.iter().map(|producer| state.marks.get(&(tp, (*producer).to_owned())).copied()).collect())
    }

    async fn load(
        &mut self,
        _: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError> {
        let state = self.0.borrow();
        let rows = state.tables.get(table.name);
        Ok(keys.iter().map(|key| rows.and_then(|rows| rows.get(*key)).cloned()).collect())
    }

    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        (flush.before_commit)();
        let turns = self.0.borrow_mut().next_turns();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if let Some(error) = self.refusal(flush.rows) {
            return Err(error);
        }
        let mut state = self.0.borrow_mut();
        let fenced: Vec<_> = flush.advances.iter().filter(|advance| state.is_fenced(advance)).collect();
        if !fenced.is_empty() {
            return Err(StoreError::Fenced(fenced.iter().map(|advance| advance.to.tp).collect()));
        }
        for advance in flush.advances {
            state.positions.insert(advance.to.tp, (advance.to.epoch, Some(advance.to)));
        }
        for mark in flush.marks {
            state.marks.insert((mark.tp, mark.producer_id.clone()), mark.seq);
        }
        flush.rows.tables().iter().for_each(|delta| state.write(delta));
        if std::mem::take(&mut state.lose_reply) {
            return Err(StoreError::Unknown("the connection was cut".to_owned()));
        }
        Ok(())
    }
}

impl RecordStore for MemStore {
    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        if let Some(error) = self.refusal(rows) {
            return Err(error);
        }
        let mut state = self.0.borrow_mut();
        rows.tables().iter().for_each(|delta| state.write(delta));
        Ok(())
    }
}
