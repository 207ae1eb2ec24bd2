//! Stores in memory, with a script of faults.

use domain::cell::Cell;
use domain::delta::{Deltas, TableDelta};
use domain::digest::{Digest, Merger};
use domain::merge::merge_row;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use pipeline::dedup::sequence::SequenceSet;
use pipeline::{
    Advance, Claim, Claimed, Counts, DeadRow, DedupSettings, Flush, LogIdentity, ParkNote, Position, RecordStore,
    RowStore, SequenceChange, SequenceHead, Silent, StoreError, StoredSequence,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// A producer of a partition: tenant and producer id.
type ProducerKey = (TopicPartition, String, String);
type Rows = BTreeMap<Vec<u8>, Vec<Cell>>;

/// What a scripted store does instead of committing.
type Script = Box<dyn FnMut(&Deltas) -> Option<StoreError>>;

#[derive(Default)]
struct State {
    tables: BTreeMap<&'static str, Rows>,
    positions: BTreeMap<TopicPartition, Claimed>,
    notes: BTreeMap<TopicPartition, ParkNote>,
    producers: BTreeMap<ProducerKey, (SequenceHead, BTreeMap<i64, u128>)>,
    dead: BTreeMap<(TopicPartition, i64), DeadRow>,
    settings: Option<DedupSettings>,
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
        self.0.borrow().positions.values().filter_map(|held| held.position).collect()
    }

    /// The partitions that are noted as parked.
    #[must_use]
    pub fn parked(&self) -> BTreeMap<TopicPartition, ParkNote> {
        self.0.borrow().notes.clone()
    }

    /// The dead records, by partition and offset.
    #[must_use]
    pub fn dead_rows(&self) -> Vec<DeadRow> {
        self.0.borrow().dead.values().cloned().collect()
    }

    /// The sum of the accounts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.positions_held().iter().for_each(|position| sum.add(&position.counts));
        sum
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
        let same_epoch = held.is_some_and(|held| held.epoch == advance.to.epoch);
        let same_offset = held.and_then(|held| held.position).map(|position| position.next_offset) == advance.from;
        self.check_epoch && !(same_epoch && same_offset)
    }

    fn change(&mut self, change: &SequenceChange) {
        let key = (change.tp, change.tenant.to_string(), change.producer_id.to_string());
        let (head, blocks) = self.producers.entry(key).or_insert_with(|| (change.head, BTreeMap::new()));
        *head = change.head;
        blocks.extend(change.blocks.iter().copied());
        blocks.retain(|block, _| *block >= change.first_block);
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
    async fn settings(&mut self, _: &Projection, wanted: DedupSettings) -> Result<DedupSettings, StoreError> {
        Ok(*self.0.borrow_mut().settings.get_or_insert(wanted))
    }

    async fn claim(&mut self, _: &Projection, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        let mut state = self.0.borrow_mut();
        let claim = |claim: &Claim| {
            state.notes.remove(&claim.tp);
            let Claim { tp, log } = claim.clone();
            let held = state.positions.entry(tp).or_insert_with(|| Claimed {
                tp,
                epoch: 0,
                position: None,
                log: LogIdentity::default(),
            });
            held.epoch += 1;
            if held.position.is_none() {
                held.log = log;
            }
            held.clone()
        };
        Ok(claims.iter().map(claim).collect())
    }

    async fn note_parked(&mut self, _: &Projection, tp: TopicPartition, note: &ParkNote) -> Result<(), StoreError> {
        self.0.borrow_mut().notes.insert(tp, note.clone());
        Ok(())
    }

    async fn positions(&mut self, _: &Projection, tps: &[TopicPartition]) -> Result<Vec<Position>, StoreError> {
        let state = self.0.borrow();
        Ok(tps.iter().filter_map(|tp| state.positions.get(tp)?.position).collect())
    }

    async fn sequences(
        &mut self,
        _: &Projection,
        tp: TopicPartition,
        producers: &[(&str, &str)],
    ) -> Result<Vec<Option<StoredSequence>>, StoreError> {
        let state = self.0.borrow();
        let find = |(tenant, producer): &(&str, &str)| {
            let (head, blocks) = state.producers.get(&(tp, (*tenant).to_owned(), (*producer).to_owned()))?;
            Some(StoredSequence { head: *head, blocks: blocks.iter().map(|(block, bits)| (*block, *bits)).collect() })
        };
        Ok(producers.iter().map(find).collect())
    }

    async fn forget_producers(&mut self, _: &Projection, tp: TopicPartition, silent: Silent) -> Result<(), StoreError> {
        let mut state = self.0.borrow_mut();
        let is_kept = |head: &SequenceHead| silent.floors_before_us.is_none_or(|us| head.last_append_us >= us);
        state.producers.retain(|key, (head, _)| key.0 != tp || is_kept(head));
        for (key, (head, blocks)) in &mut state.producers {
            if key.0 == tp && head.last_append_us < silent.sets_before_us {
                let stored = StoredSequence { head: *head, blocks: std::mem::take(blocks).into_iter().collect() };
                let mut set = SequenceSet::from(stored);
                set.shrink();
                *head = set.head();
            }
        }
        Ok(())
    }

    async fn dead(&mut self, _: &Projection, tp: TopicPartition, offsets: Range<i64>) -> Result<Vec<i64>, StoreError> {
        let state = self.0.borrow();
        Ok(state.dead.range((tp, offsets.start)..(tp, offsets.end)).map(|((_, offset), _)| *offset).collect())
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
        let turns = self.0.borrow_mut().next_turns();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if let Some(error) = self.refusal(flush.rows) {
            return Err(error);
        }
        let fenced = |state: &State| -> Vec<TopicPartition> {
            let fenced = flush.advances.iter().filter(|advance| state.is_fenced(advance));
            fenced.map(|advance| advance.to.tp).collect()
        };
        let lost = fenced(&self.0.borrow());
        if !lost.is_empty() {
            return Err(StoreError::Fenced(lost));
        }
        (flush.before_commit)().await.map_err(|_| StoreError::Aborted)?;
        // A real store holds its position rows from the first statement on: who claims meanwhile waits. Here the claim
        // came first, and the transaction fails as if it had begun behind it.
        let mut state = self.0.borrow_mut();
        let lost = fenced(&state);
        if !lost.is_empty() {
            return Err(StoreError::Fenced(lost));
        }
        for advance in flush.advances {
            if let Some(held) = state.positions.get_mut(&advance.to.tp) {
                (held.epoch, held.position) = (advance.to.epoch, Some(advance.to));
            }
        }
        flush.sequences.iter().for_each(|change| state.change(change));
        for row in flush.dead {
            state.dead.insert((row.tp, row.offset), row.clone());
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
