//! How cells and rows of the same key become one, by declared merge kind.

use crate::cell::Cell;
use crate::distinct;
use crate::table::{Merge, Slot, StateKind};

/// Merges `value`, which came later, into `cell`. Registers merge with [`merge_latest`].
pub fn merge_cell(merge: Merge, cell: &mut Cell, value: Cell) {
    if value.is_null() {
        return;
    }
    if cell.is_null() {
        *cell = value;
        return;
    }
    match merge {
        Merge::Once | Merge::Latest | Merge::CountOf(_) => {}
        Merge::Sum => {
            if let (Cell::Int(sum), Cell::Int(value)) = (&mut *cell, &value) {
                // Wraps rather than saturates: sums of valid events never come near the edge (`Column::is_safe`), and
                // of the two only wrapping is the same however the events are grouped (I10).
                *sum = sum.wrapping_add(*value);
            }
        }
        Merge::Min => replace_if(cell, value, |new, old| new < old),
        Merge::Max => replace_if(cell, value, |new, old| new > old),
        Merge::Or => {
            if let (Cell::Bytes(bits), Cell::Bytes(more)) = (&mut *cell, &value) {
                or_bits(bits, more);
            }
        }
        Merge::State(StateKind::Distinct) => {
            if let (Cell::Bytes(state), Cell::Bytes(other)) = (&mut *cell, &value) {
                distinct::union(state, other);
            }
        }
    }
}

/// Merges a register: `pair` is the value and its stamp; the larger stamp wins, an equal one changes nothing.
pub fn merge_latest(pair: &mut [Cell], value: Cell, stamp: &[u8]) {
    let newer = match &pair[1] {
        Cell::Bytes(held) => stamp > held.as_slice(),
        _ => true,
    };
    if newer {
        pair[0] = value;
        pair[1] = Cell::Bytes(stamp.to_vec());
    }
}

/// Merges the row `later` into `row`; both have the cells of `slots`.
pub fn merge_row(slots: &[Slot], row: &mut [Cell], later: impl IntoIterator<Item = Cell>) {
    let mut later = later.into_iter();
    let mut ix = 0;
    while let Some(value) = later.next() {
        if slots[ix].column.merge == Merge::Latest {
            if let Some(Cell::Bytes(stamp)) = later.next() {
                merge_latest(&mut row[ix..ix + 2], value, &stamp);
            }
            ix += 2;
        } else {
            merge_cell(slots[ix].column.merge, &mut row[ix], value);
            ix += 1;
        }
    }
}

/// Writes the counts that stand beside state columns.
pub fn write_counts(slots: &[Slot], row: &mut [Cell]) {
    for ix in 0..slots.len() {
        let Merge::CountOf(state) = slots[ix].column.merge else { continue };
        let source = slots.iter().position(|slot| !slot.stamp && slot.column.name == state);
        let count = match source.map(|source| &row[source]) {
            Some(Cell::Bytes(bytes)) => distinct::count(bytes),
            _ => 0,
        };
        row[ix] = Cell::Int(count);
    }
}

fn replace_if(cell: &mut Cell, value: Cell, better: impl Fn(&i64, &i64) -> bool) {
    if let (Cell::Int(old), Cell::Int(new)) = (&*cell, &value)
        && better(new, old)
    {
        *cell = value;
    }
}

/// Sets in `bits` every bit of `more`; the shorter map is as if padded with zeros.
pub fn or_bits(bits: &mut Vec<u8>, more: &[u8]) {
    if bits.len() < more.len() {
        bits.resize(more.len(), 0);
    }
    for (byte, other) in bits.iter_mut().zip(more) {
        *byte |= other;
    }
}
