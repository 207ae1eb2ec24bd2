//! One digest per table: a sum of row hashes, equal on every backend that holds the same logical rows (I10).
//!
//! A logical row is the declared key and value columns, with the parts of a partial table merged. The sum does
//! not depend on the order of the rows; the hash is BLAKE3 over the table's name, the key's canonical bytes and
//! each cell's canonical form. Positions, producers and pipeline measures are in no digest.

use crate::cell::Cell;
use crate::merge::{merge_row, write_counts};
use crate::table::{Slot, Table};
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
}

impl Merger {
    /// A merger for the rows of one table.
    #[must_use]
    pub fn new(table: &'static Table) -> Self {
        Self { slots: table.slots().collect(), held: None }
    }

    /// Takes the next stored row, by its declared key; gives back the logical row that it ended, if it did.
    pub fn push(&mut self, key: &[u8], cells: Vec<Cell>) -> Option<LogicalRow> {
        if let Some(held) = &mut self.held
            && held.key == key
        {
            merge_row(&self.slots, &mut held.cells, cells);
            return None;
        }
        let ended = self.finish();
        self.held = Some(LogicalRow { key: key.to_vec(), cells });
        ended
    }

    /// The last logical row.
    pub fn finish(&mut self) -> Option<LogicalRow> {
        let mut row = self.held.take()?;
        write_counts(&self.slots, &mut row.cells);
        Some(row)
    }
}
