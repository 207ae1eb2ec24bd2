//! A bounded cache of committed rows with state, so that a hot row is not loaded at every flush.
//!
//! Two generations: what is looked up or written goes into the young one; when that reaches half the bound, the
//! old one is dropped and the young one becomes old. Rows are this worker's alone (I3), so a committed row is
//! current until the worker loses the partition; then the whole cache is cleared.

use domain::cell::Cell;
use hashbrown::HashMap;

type Generation = HashMap<(usize, Box<[u8]>), Vec<Cell>>;

/// Committed rows by (table, key).
#[derive(Debug)]
pub struct RowCache {
    young: Generation,
    old: Generation,
    young_bytes: usize,
    half_bytes: usize,
}

impl RowCache {
    /// A cache of at most about `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, half_bytes: max_bytes / 2 }
    }

    /// Takes a row out; it is put back when its batch commits.
    pub fn take(&mut self, table: usize, key: &[u8]) -> Option<Vec<Cell>> {
        let key = (table, Box::from(key));
        if let Some(row) = self.young.remove(&key) {
            self.young_bytes = self.young_bytes.saturating_sub(row_bytes(&key.1, &row));
            return Some(row);
        }
        self.old.remove(&key)
    }

    /// Puts a committed row in.
    pub fn put(&mut self, table: usize, key: &[u8], row: Vec<Cell>) {
        self.young_bytes += row_bytes(key, &row);
        self.young.insert((table, Box::from(key)), row);
        if self.young_bytes > self.half_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    /// Forgets every row.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.young_bytes = 0;
    }
}

fn row_bytes(key: &[u8], row: &[Cell]) -> usize {
    64 + key.len() + std::mem::size_of_val(row) + row.iter().map(Cell::heap_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_keeps_what_is_hot() {
        let mut cache = RowCache::new(64 * 1_024);
        for cold in 0..10_000_u32 {
            cache.put(0, &cold.to_be_bytes(), vec![Cell::Int(1)]);
            if let Some(row) = cache.take(1, b"hot").or_else(|| (cold == 0).then(|| vec![Cell::Int(2)])) {
                cache.put(1, b"hot", row);
            }
        }
        assert!(cache.take(1, b"hot").is_some());
        assert!(cache.take(0, &0_u32.to_be_bytes()).is_none());
        assert!(cache.young.len() + cache.old.len() < 1_000);
    }
}
