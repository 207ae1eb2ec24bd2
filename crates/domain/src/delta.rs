//! Row deltas: what a batch of events does to the declared tables, merged per key in memory.
//!
//! Keys lie in one arena and rows in one flat vector per table, so folding an event into a row that the batch
//! already touched allocates nothing.

use crate::cell::{Cell, KeyWriter, floor_time};
use crate::merge::{merge_cell, merge_latest, merge_row, write_counts};
use crate::stamp::Stamp;
use crate::table::{Merge, Slot, Table};
use crate::topic::{Topic, TopicPartition};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The deltas of one table.
#[derive(Debug)]
pub struct TableDelta {
    table: &'static Table,
    slots: Vec<Slot>,
    /// The hash of each key, and the row's place.
    index: HashTable<(u64, u32)>,
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    cells: Vec<Cell>,
}

impl TableDelta {
    fn new(table: &'static Table) -> Self {
        Self {
            table,
            slots: table.slots().collect(),
            index: HashTable::new(),
            keys: Vec::new(),
            key_ends: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// The stored value columns, in the order of a row's cells.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Whether no row was touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    /// The key of row `ix`.
    #[must_use]
    pub fn key(&self, ix: usize) -> &[u8] {
        let start = if ix == 0 { 0 } else { self.key_ends[ix - 1] };
        &self.keys[start..self.key_ends[ix]]
    }

    /// The place of the row under this stored key, if the deltas hold one.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        self.find_hashed(xxh3_64(key), key)
    }

    fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let found = self.index.find(hash, |(held, ix)| *held == hash && self.key(*ix as usize) == key);
        found.map(|(_, ix)| *ix as usize)
    }

    /// The cells of row `ix`.
    #[must_use]
    pub fn cells(&self, ix: usize) -> &[Cell] {
        let width = self.slots.len();
        &self.cells[ix * width..(ix + 1) * width]
    }

    /// Takes row `ix` out, for the cache of committed rows.
    pub fn take_row(&mut self, ix: usize) -> Vec<Cell> {
        let width = self.slots.len();
        self.cells[ix * width..(ix + 1) * width].iter_mut().map(std::mem::take).collect()
    }

    /// Makes row `ix`, which holds what the batch adds, whole: merges it behind the stored row, if there is one.
    pub fn complete_row(&mut self, ix: usize, stored: Option<Vec<Cell>>) {
        let width = self.slots.len();
        if let Some(mut row) = stored {
            let added = self.take_row(ix);
            merge_row(&self.slots, &mut row, added);
            for (cell, value) in self.cells[ix * width..].iter_mut().zip(row) {
                *cell = value;
            }
        }
        write_counts(&self.slots, &mut self.cells[ix * width..(ix + 1) * width]);
    }

    /// The rows in key order: the order in which every store writes them (I3).
    #[must_use]
    pub fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<(u64, u32)> = (0..self.len() as u32).map(|ix| (0, ix)).collect();
        self.sort_from(&mut order, 0);
        order.into_iter().map(|(_, ix)| ix as usize).collect()
    }

    /// Sorts rows whose keys are alike before `start`. Keys begin alike in long runs (tenant, region, window): the eight
    /// bytes behind what all of them share order them as numbers, and those that are equal are sorted by what follows. No key
    /// of a table is the beginning of another: each column of a key says where it ends.
    fn sort_from(&self, order: &mut [(u64, u32)], start: usize) {
        let rest = |ix: u32| self.key(ix as usize).get(start..).unwrap_or_default();
        let Some((first, others)) = order.split_first() else { return };
        let head = rest(first.1);
        let shared = others.iter().fold(head.len(), |shared, (_, ix)| common(&head[..shared], rest(*ix)));
        if order.len() <= FEW || shared == head.len() {
            order.sort_unstable_by(|a, b| rest(a.1).cmp(rest(b.1)));
            return;
        }
        order.iter_mut().for_each(|(number, ix)| *number = front(rest(*ix), shared));
        order.sort_unstable_by_key(|(number, _)| *number);
        for alike in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            self.sort_from(alike, start + shared + 8);
        }
    }

    fn row(&mut self, key: &[u8]) -> usize {
        let hash = xxh3_64(key);
        if let Some(ix) = self.find_hashed(hash, key) {
            return ix;
        }
        let ix = self.len();
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len());
        self.cells.resize(self.cells.len() + self.slots.len(), Cell::Null);
        self.index.insert_unique(hash, (hash, ix as u32), |(hash, _)| *hash);
        ix
    }

    fn clear(&mut self) {
        self.index.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.cells.clear();
    }

    /// An estimate of the memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let heap: usize = self.cells.iter().map(Cell::heap_bytes).sum();
        self.keys.len() + self.cells.len() * size_of::<Cell>() + heap
    }
}

/// So few keys are sorted by comparing them.
const FEW: usize = 8;

/// The length of what both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The eight bytes from `start` on, zeros where the key has ended: they order as the bytes do, and are equal where one
/// key ends.
fn front(key: &[u8], start: usize) -> u64 {
    let mut bytes = [0; 8];
    let rest = key.get(start..).unwrap_or_default();
    let length = rest.len().min(8);
    bytes[..length].copy_from_slice(&rest[..length]);
    u64::from_be_bytes(bytes)
}

/// The deltas of all tables of a projection.
#[derive(Debug)]
pub struct Deltas {
    tables: Vec<TableDelta>,
    scope: TopicPartition,
    scratch: Vec<u8>,
}

impl Deltas {
    /// Empty deltas for these tables; a table's `ix` is its place in the list.
    #[must_use]
    pub fn new(tables: &[&'static Table]) -> Self {
        Self {
            tables: tables.iter().map(|table| TableDelta::new(table)).collect(),
            scope: TopicPartition::new(Topic::AgentPresence, 0),
            scratch: Vec::new(),
        }
    }

    /// Names the partition that the next events come from: it ends the keys of partial tables.
    pub fn set_scope(&mut self, scope: TopicPartition) {
        self.scope = scope;
    }

    /// The row of `table` under the key that `write_key` writes; a new one has null in every cell.
    pub fn row(&mut self, table: &'static Table, write_key: impl FnOnce(&mut KeyWriter<'_>)) -> RowMut<'_> {
        self.scratch.clear();
        let mut key = KeyWriter::new(&mut self.scratch);
        write_key(&mut key);
        if table.partial {
            key.text(self.scope.topic.name()).int(i64::from(self.scope.partition));
        }
        let delta = &mut self.tables[table.ix];
        let ix = delta.row(&self.scratch);
        let width = delta.slots.len();
        RowMut { slots: &delta.slots, cells: &mut delta.cells[ix * width..(ix + 1) * width], next: 0 }
    }

    /// Puts a stored row in, whole: its declared key, the part where it is one, and its cells.
    pub fn put(&mut self, table: &'static Table, key: &[u8], part: Option<TopicPartition>, cells: Vec<Cell>) {
        self.scratch.clear();
        self.scratch.extend_from_slice(key);
        if let Some(part) = part {
            KeyWriter::new(&mut self.scratch).text(part.topic.name()).int(i64::from(part.partition));
        }
        let delta = &mut self.tables[table.ix];
        let start = delta.row(&self.scratch) * delta.slots.len();
        delta.cells.splice(start..start + delta.slots.len(), cells);
    }

    /// Adds rows up to those of the coarser tables that are declared for them. To be called once, when the last event
    /// of a batch is folded: a batch has fewer rows than events, and much fewer of them in larger windows.
    pub fn roll_up(&mut self) {
        for ix in 0..self.tables.len() {
            let Some(rollup) = self.tables[ix].table.rollup else { continue };
            // No table adds up to itself: a test of the declarations holds that.
            let Ok([fine, coarse]) = self.tables.get_disjoint_mut([ix, rollup.into]) else { continue };
            for row in 0..fine.len() {
                self.scratch.clear();
                self.scratch.extend_from_slice(fine.key(row));
                floor_time(fine.table.key, &mut self.scratch, rollup.size_us);
                let at = coarse.row(&self.scratch) * coarse.slots.len();
                let cells = &mut coarse.cells[at..at + coarse.slots.len()];
                merge_row(&coarse.slots, cells, fine.cells(row).iter().cloned());
            }
        }
    }

    /// The tables, in declaration order.
    #[must_use]
    pub fn tables(&self) -> &[TableDelta] {
        &self.tables
    }

    /// The tables, to merge stored rows into.
    pub fn tables_mut(&mut self) -> &mut [TableDelta] {
        &mut self.tables
    }

    /// The number of rows in all tables.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.tables.iter().map(TableDelta::len).sum()
    }

    /// An estimate of the memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(TableDelta::bytes).sum()
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.tables.iter_mut().for_each(TableDelta::clear);
    }
}

/// One row of the deltas. Columns are named in the order of their declaration where speed matters: the search
/// for a name starts behind the last one.
#[derive(Debug)]
pub struct RowMut<'a> {
    slots: &'a [Slot],
    cells: &'a mut [Cell],
    next: usize,
}

impl RowMut<'_> {
    /// Merges a value into a column, as the column's declaration says.
    ///
    /// # Panics
    /// Where the table declares no such column, or declares it as `latest` (a programming error that the test
    /// "every example folds" finds).
    pub fn merge(&mut self, name: &'static str, value: Cell) -> &mut Self {
        let ix = self.find(name);
        assert!(self.slots[ix].column.merge != Merge::Latest, "column {name} is a register: use latest()");
        merge_cell(self.slots[ix].column.merge, &mut self.cells[ix], value);
        self
    }

    /// Adds to an integer column that sums.
    ///
    /// # Panics
    /// Where the table declares no such sum (a programming error).
    pub fn add(&mut self, name: &'static str, value: i64) -> &mut Self {
        let ix = self.find(name);
        assert!(self.slots[ix].column.merge == Merge::Sum, "column {name} is no sum: use merge()");
        match &mut self.cells[ix] {
            // As in `merge_cell`: the same result in every grouping.
            Cell::Int(sum) => *sum = sum.wrapping_add(value),
            cell => *cell = Cell::Int(value),
        }
        self
    }

    /// Sets a register, unless it holds a value with a larger stamp. Null clears it.
    ///
    /// # Panics
    /// Where the table declares no such register (a programming error).
    pub fn latest(&mut self, name: &'static str, value: Cell, stamp: &Stamp) -> &mut Self {
        let ix = self.find(name);
        assert!(self.slots[ix].column.merge == Merge::Latest, "column {name} is not a register");
        merge_latest(&mut self.cells[ix..ix + 2], value, stamp.as_bytes());
        self.next = ix + 2;
        self
    }

    /// The cell of a state or bit map, for a fold that changes it in place.
    ///
    /// # Panics
    /// Where the table declares no such column (a programming error).
    pub fn in_place(&mut self, name: &'static str) -> &mut Cell {
        let ix = self.find(name);
        &mut self.cells[ix]
    }

    fn find(&mut self, name: &'static str) -> usize {
        let width = self.slots.len();
        for step in 0..width {
            let ix = (self.next + step) % width;
            if !self.slots[ix].stamp && self.slots[ix].column.name == name {
                self.next = ix + 1;
                return ix;
            }
        }
        panic!("no column {name} is declared");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::series::SERIES;
    use crate::projection::PROJECTIONS;
    use crate::tables::series::REGION_RATE;
    use crate::tables::views::CONTACT;
    use crate::window;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn tables_add_up_to_tables_of_the_same_form() {
        for projection in PROJECTIONS {
            for table in projection.tables {
                let Some(rollup) = table.rollup else { continue };
                let into = projection.tables[rollup.into];
                assert!(rollup.into > table.ix, "{}: behind it, so that sums of sums are whole", table.name);
                assert_eq!((table.partial, table.topics), (into.partial, into.topics), "{}", table.name);
                let form = |table: &Table| format!("{:?} {:?}", table.key, table.columns);
                assert_eq!(form(table), form(into), "{}", table.name);
                let finer = table.key.iter().any(|column| column.ty == crate::table::KeyType::TimeUs);
                assert!(finer, "{} has windows", table.name);
            }
        }
    }

    proptest! {
        /// I10: hours and days hold just what their events add up to, whatever the batch.
        #[test]
        fn larger_windows_hold_what_their_events_add_up_to(
            events in proptest::collection::vec((0..3_u8, 0..5_000_i64, -4..5_i64), 0..200),
        ) {
            let (mut deltas, part) = (Deltas::new(SERIES.tables), TopicPartition::new(Topic::SacredMessages, 3));
            deltas.set_scope(part);
            let mut wanted: [BTreeMap<Vec<u8>, (i64, i64)>; 3] = Default::default();
            for (region, minute, impact) in events {
                let (region, time_us) = (region.to_string(), minute * window::MINUTE_US);
                let write = |key: &mut KeyWriter<'_>, size_us| {
                    key.text("t").text(&region).int(window::start(time_us, size_us));
                };
                for (sums, size_us) in wanted.iter_mut().zip([window::MINUTE_US, window::HOUR_US, window::DAY_US]) {
                    let mut bytes = Vec::new();
                    write(&mut KeyWriter::new(&mut bytes), size_us);
                    KeyWriter::new(&mut bytes).text(part.topic.name()).int(part.partition.into());
                    let sum = sums.entry(bytes).or_default();
                    *sum = (sum.0 + 1, sum.1 + impact);
                }
                let mut row = deltas.row(&REGION_RATE[0], |key| write(key, window::MINUTE_US));
                row.add("interactions", 1).add("field_impact_sum", impact);
            }
            deltas.roll_up();
            for (table, sums) in REGION_RATE.iter().zip(wanted) {
                let delta = &deltas.tables()[table.ix];
                prop_assert_eq!(delta.len(), sums.len());
                for (key, (count, sum)) in sums {
                    let row = delta.find(&key).unwrap();
                    prop_assert_eq!(delta.cells(row), [Cell::Int(count), Cell::Int(sum)]);
                }
            }
        }

        /// I3: the order is that of the keys as bytes, whatever they share.
        #[test]
        fn rows_are_sorted_by_key(keys in proptest::collection::vec(("[ab]{0,3}", "[ab]{0,12}", "[a-c]{0,9}"), 0..300)) {
            let mut delta = TableDelta::new(&CONTACT);
            for (tenant, agent, peer) in &keys {
                let mut key = Vec::new();
                KeyWriter::new(&mut key).text(tenant).text(agent).text(peer);
                delta.row(&key);
            }
            let order = delta.sorted();
            prop_assert_eq!(order.len(), delta.len());
            prop_assert!(order.windows(2).all(|pair| delta.key(pair[0]) < delta.key(pair[1])));
        }
    }
}
