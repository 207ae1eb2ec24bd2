//! One digest per table: a sum of row hashes, equal on every backend that holds the same logical rows (I10).
//!
//! A logical row is the declared key and value columns, with the parts of a partial table merged. The sum does
//! not depend on the order of the rows; the hash is BLAKE3 over the table's name, the key's canonical bytes and
//! each cell's canonical form. Positions, producers and pipeline measures are in no digest.

use crate::cell::Cell;
use crate::merge::{merge_row, write_counts};
use crate::table::{Merge, Slot, Table};
use std::fmt;

/// The digest of a table, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The number of logical rows.
    pub rows: u64,
    /// The sum of their hashes, modulo 2^128.
    pub sum: u128,
}

impl Digest {
    /// Adds another digest.
    pub fn add(&mut self, other: Digest) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Adds a logical row of a table.
    pub fn add_row(&mut self, table: &Table, row: &LogicalRow, scratch: &mut Vec<u8>) {
        self.add(Digest { rows: 1, sum: row.hash(table, scratch) });
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x} ({} rows)", self.sum, self.rows)
    }
}

/// A logical row.
#[derive(Clone, Debug, PartialEq)]
pub struct LogicalRow {
    /// The declared key's bytes, without topic and partition.
    pub key: Vec<u8>,
    /// The cells, in slot order.
    pub cells: Vec<Cell>,
}

impl LogicalRow {
    /// The hash of the row.
    #[must_use]
    pub fn hash(&self, table: &Table, scratch: &mut Vec<u8>) -> u128 {
        scratch.clear();
        scratch.extend_from_slice(table.name.as_bytes());
        scratch.push(0);
        scratch.extend_from_slice(&(self.key.len() as u64).to_be_bytes());
        scratch.extend_from_slice(&self.key);
        self.cells.iter().for_each(|cell| cell.encode(scratch));
        let hash = blake3::hash(scratch);
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        u128::from_be_bytes(half)
    }
}

/// Merges stored rows, which arrive in key order, into logical rows.
#[derive(Debug)]
pub struct Merger {
    slots: Vec<Slot>,
    held: Option<LogicalRow>,
    /// By how much the stored counts differ from their states, or none where one is missing: 0, unless somebody
    /// changed a cell.
    excess: Vec<Option<i64>>,
}

impl Merger {
    /// A merger for the rows of one table.
    #[must_use]
    pub fn new(table: &'static Table) -> Self {
        let slots: Vec<Slot> = table.slots().collect();
        Self { excess: vec![Some(0); slots.len()], slots, held: None }
    }

    /// Takes the next stored row, by its declared key; gives back the logical row that it ended, if it did.
    pub fn push(&mut self, key: &[u8], cells: Vec<Cell>) -> Option<LogicalRow> {
        let ended = if self.held.as_ref().is_some_and(|held| held.key == key) { None } else { self.finish() };
        self.note_counts(&cells);
        if let Some(held) = &mut self.held
            && held.key == key
        {
            merge_row(&self.slots, &mut held.cells, cells);
            return None;
        }
        self.held = Some(LogicalRow { key: key.to_vec(), cells });
        ended
    }

    /// The last logical row.
    pub fn finish(&mut self) -> Option<LogicalRow> {
        let mut row = self.held.take()?;
        write_counts(&self.slots, &mut row.cells);
        for (cell, excess) in row.cells.iter_mut().zip(&mut self.excess) {
            match (&mut *cell, excess.replace(0)) {
                (Cell::Int(count), Some(excess)) => *count += excess,
                (_, Some(_)) => {}
                (_, None) => *cell = Cell::Null,
            }
        }
        Some(row)
    }

    /// Counts are derived, so merging would hide one that was changed: what it is off by is kept.
    fn note_counts(&mut self, stored: &[Cell]) {
        if !self.slots.iter().any(|slot| matches!(slot.column.merge, Merge::CountOf(_))) {
            return;
        }
        let mut derived = stored.to_vec();
        write_counts(&self.slots, &mut derived);
        for ((slot, excess), cells) in self.slots.iter().zip(&mut self.excess).zip(stored.iter().zip(&derived)) {
            if let (Merge::CountOf(_), Cell::Int(derived)) = (slot.column.merge, cells.1) {
                let Cell::Int(stored) = cells.0 else {
                    *excess = None;
                    continue;
                };
                *excess = excess.map(|excess| excess + stored - derived);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distinct;
    use crate::tables::series::FIELD_COHERENCE;

    fn part(members: std::ops::Range<u64>, excess: i64) -> Vec<Cell> {
        let mut state = Vec::new();
        members.for_each(|member| distinct::insert(&mut state, distinct::hash(&member.to_be_bytes())));
        let count = distinct::count(&state) + excess;
        let mut cells = vec![Cell::Int(1), Cell::Int(1), Cell::Int(5), Cell::Int(5)];
        cells.extend([Cell::Bytes(state), Cell::Int(count)]);
        cells
    }

    fn merged(parts: Vec<Vec<Cell>>) -> LogicalRow {
        let mut merger = Merger::new(&FIELD_COHERENCE[0]);
        parts.into_iter().for_each(|part| assert!(merger.push(b"key", part).is_none()));
        merger.finish().unwrap()
    }

    #[test]
    fn parts_merge_to_the_same_row_however_they_were_split() {
        let whole = merged(vec![part(0..50, 0)]);
        let mut split = merged(vec![part(0..20, 0), part(10..50, 0)]);
        split.cells[..4].clone_from_slice(&whole.cells[..4]);
        assert_eq!(split, whole);
        assert_eq!(whole.cells[5], Cell::Int(50));
    }

    #[test]
    fn a_changed_count_shows() {
        assert_ne!(merged(vec![part(0..50, 1)]), merged(vec![part(0..50, 0)]));
        assert_ne!(merged(vec![part(0..20, 0), part(20..50, -3)]).cells[5], Cell::Int(50));
    }
}
