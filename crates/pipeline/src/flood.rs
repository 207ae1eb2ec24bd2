//! A flood of dead letters: more likely a wrong schema or a wrong topic than bad records. The worker slows down
//! and reports not-ready, so that somebody looks; it does not exit and drops nothing (I6).

/// The share of dead letters among the latest records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flood {
    records: usize,
    dead: usize,
}

/// The number of records over which dead letters are counted; older ones fade by halves.
const WINDOW: usize = 10_000;

impl Flood {
    /// Takes a batch up.
    pub fn count(&mut self, records: usize, dead: usize) {
        self.records += records;
        self.dead += dead;
        while self.records > WINDOW {
            self.records /= 2;
            self.dead /= 2;
        }
    }

    /// Whether at least `limit` in ten thousand are dead, among no fewer than a thousand records.
    #[must_use]
    pub fn is_on(&self, limit: usize) -> bool {
        self.records >= WINDOW / 10 && self.dead.saturating_mul(WINDOW) >= limit.saturating_mul(self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_no_flood_and_it_ends_when_good_records_come() {
        let mut flood = Flood::default();
        flood.count(100, 100);
        assert!(!flood.is_on(5_000), "too few to tell");
        flood.count(2_000, 1_900);
        assert!(flood.is_on(5_000));
        flood.count(9_000, 0);
        assert!(!flood.is_on(5_000));
    }
}
