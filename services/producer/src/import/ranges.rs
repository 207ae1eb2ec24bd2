//! Sets of row numbers, as ranges: which rows are published.

use serde::{Deserialize, Serialize};

/// A set of rows, from 1, as disjoint ranges in order, neighbours merged; each from its first row
/// to its last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowRanges(Vec<(u64, u64)>);

impl RowRanges {
    /// Whether the row is in the set.
    #[must_use]
    pub fn contains(&self, row: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < row);
        self.0.get(at).is_some_and(|(first, _)| *first <= row)
    }

    /// Adds a row.
    pub fn insert(&mut self, row: u64) {
        self.insert_range(row, row);
    }

    /// Adds all rows of another set.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|(first, last)| self.insert_range(*first, *last));
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert_range(&mut self, first: u64, last: u64) {
        let start = self.0.partition_point(|(_, held)| held.saturating_add(1) < first);
        let end = self.0.partition_point(|(held, _)| *held <= last.saturating_add(1));
        let merged = match (self.0.get(start), end.checked_sub(1).and_then(|at| self.0.get(at))) {
            (Some((low, _)), Some((_, high))) if start < end => (first.min(*low), last.max(*high)),
            _ => (first, last),
        };
        self.0.splice(start..end.max(start), [merged]);
    }
}

impl FromIterator<u64> for RowRanges {
    fn from_iter<I: IntoIterator<Item = u64>>(rows: I) -> Self {
        let mut ranges = Self::default();
        rows.into_iter().for_each(|row| ranges.insert(row));
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_any_order_merge_into_the_fewest_ranges() {
        let mut rows = RowRanges::default();
        assert!(rows.is_empty() && !rows.contains(1));
        for row in [5, 3, 9, 4, 1, 9, 10] {
            rows.insert(row);
        }
        assert_eq!(rows, RowRanges(vec![(1, 1), (3, 5), (9, 10)]));
        let held: Vec<_> = (0..12).filter(|row| rows.contains(*row)).collect();
        assert_eq!((held, rows.len()), (vec![1, 3, 4, 5, 9, 10], 6));
    }

    #[test]
    fn union_of_two_sets_holds_the_rows_of_both() {
        // Every pair of sets of rows 1..=6.
        let set = |bits: u32| {
            let mut rows = RowRanges::default();
            (1..=6).filter(|row| bits & (1 << row) != 0).for_each(|row| rows.insert(row));
            rows
        };
        for (a, b) in (0..128).step_by(2).flat_map(|a| (0..128).step_by(2).map(move |b| (a, b))) {
            let mut rows = set(a);
            rows.extend(&set(b));
            assert_eq!(rows, set(a | b), "{a:b} {b:b}");
        }
    }
}
