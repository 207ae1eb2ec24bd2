//! The ids of unsequenced events seen lately on one partition: a function of the log (design 7).
//!
//! Every valid unsequenced record that is not dead takes a place, counted on from the beginning of the window; an event
//! that the projection applied, or dropped as a repeat, has its id there. An id counts as seen where its *last* place is
//! young enough by both measures: at most `max_records` places ago, and appended at most `window_us` ago. Both are said by
//! comparing numbers, so what memory holds beyond that changes nothing.
//!
//! Places are given out while a batch is folded and taken back when it fails. What is too old goes at commits only, so
//! that nothing has to be restored.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::VecDeque;

/// The bounds of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBounds {
    /// How long an id counts as seen, in append time.
    pub window_us: i64,
    /// How many valid unsequenced records of the partition may lie between two occurrences.
    pub max_records: u32,
}

/// The place of a record without an id: its kind writes nothing.
const NO_ID: u64 = 0;

/// The ids seen lately on one partition.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Each id's last place. The table holds places; the id lies in `ids`.
    seen: HashTable<u32>,
    ids: VecDeque<u64>,
    /// The place of the oldest of `ids`; places wrap around.
    first: u32,
    /// Append time and number of the places that share it, oldest first.
    runs: VecDeque<(i64, usize)>,
    /// The former last places of staged ids, to be put back where their batch fails; in the order of the places.
    staged: VecDeque<Option<u32>>,
    /// How many of the staged places belong to the sealed batch.
    sealed: usize,
}

impl Window {
    fn next_place(&self) -> u32 {
        self.first.wrapping_add(self.ids.len() as u32)
    }

    fn id_at(ids: &VecDeque<u64>, first: u32, place: u32) -> u64 {
        ids.get(place.wrapping_sub(first) as usize).copied().unwrap_or(NO_ID)
    }

    /// Whether the id was seen, from the point of view of the next place.
    pub(super) fn contains(&self, id: u64, append_us: i64, bounds: WindowBounds) -> bool {
        let is_held = |place: &u32| Self::id_at(&self.ids, self.first, *place) == id;
        let Some(place) = self.seen.find(id, is_held) else { return false };
        let distance = self.next_place().wrapping_sub(*place);
        distance <= bounds.max_records && append_us.saturating_sub(self.append_us_of(*place)) <= bounds.window_us
    }

    /// Looked up for ids that are held only, which is rare.
    fn append_us_of(&self, place: u32) -> i64 {
        // From the newest run back: repeats are mostly recent.
        let mut from_end = self.next_place().wrapping_sub(place) as usize;
        for (append_us, count) in self.runs.iter().rev() {
            if from_end <= *count {
                return *append_us;
            }
            from_end -= count;
        }
        i64::MIN
    }

    /// Gives a record its place, staged.
    pub(super) fn push(&mut self, id: Option<u64>, append_us: i64) {
        let former = self.push_committed(id, append_us);
        self.staged.push_back(former);
    }

    /// Gives a record that was committed before its place; returns the id's former one.
    pub(super) fn push_committed(&mut self, id: Option<u64>, append_us: i64) -> Option<u32> {
        let place = self.next_place();
        self.ids.push_back(id.unwrap_or(NO_ID));
        match self.runs.back_mut() {
            Some((at_us, count)) if *at_us == append_us => *count += 1,
            _ => self.runs.push_back((append_us, 1)),
        }
        let id = id?;
        let (ids, first) = (&self.ids, self.first);
        let hash_of = |place: &u32| Self::id_at(ids, first, *place);
        match self.seen.entry(id, |held| hash_of(held) == id, hash_of) {
            Entry::Occupied(mut held) => Some(std::mem::replace(held.get_mut(), place)),
            Entry::Vacant(vacant) => {
                vacant.insert(place);
                None
            }
        }
    }

    fn pop_newest(&mut self, former: Option<u32>) {
        let Some(id) = self.ids.pop_back() else { return };
        let place = self.next_place();
        if let Some((_, count)) = self.runs.back_mut() {
            *count -= 1;
            if *count == 0 {
                self.runs.pop_back();
            }
        }
        if id == NO_ID {
            return;
        }
        // The former place may have left the window meanwhile: nothing is there to go back to.
        let is_kept = |former: &u32| (former.wrapping_sub(self.first) as usize) < self.ids.len();
        let former = former.filter(is_kept);
        if let Ok(mut held) = self.seen.find_entry(id, |held| *held == place) {
            match former {
                Some(former) => *held.get_mut() = former,
                None => drop(held.remove()),
            }
        }
    }

    fn pop_oldest(&mut self) {
        let Some(id) = self.ids.pop_front() else { return };
        let place = self.first;
        self.first = self.first.wrapping_add(1);
        if let Some((_, count)) = self.runs.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.runs.pop_front();
            }
        }
        if id != NO_ID
            && let Ok(held) = self.seen.find_entry(id, |held| *held == place)
        {
            held.remove();
        }
    }

    /// Lets go of what no later record can meet; `append_us` is the partition's largest committed append time.
    pub(super) fn evict(&mut self, append_us: i64, bounds: WindowBounds) {
        let committed = self.ids.len() - self.staged.len();
        let surplus = committed.saturating_sub(bounds.max_records as usize);
        (0..surplus).for_each(|_| self.pop_oldest());
        let mut committed = committed - surplus;
        while committed > 0
            && let Some((at_us, _)) = self.runs.front()
            && append_us.saturating_sub(*at_us) > bounds.window_us
        {
            self.pop_oldest();
            committed -= 1;
        }
    }

    pub(super) fn seal(&mut self) {
        self.sealed = self.staged.len();
    }

    pub(super) fn commit(&mut self) {
        self.staged.drain(..std::mem::take(&mut self.sealed));
    }

    pub(super) fn roll_back(&mut self) {
        self.sealed = 0;
        while let Some(former) = self.staged.pop_back() {
            self.pop_newest(former);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}
