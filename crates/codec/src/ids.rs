//! The schemas that a registry gave an id: a table that only grows, read without a lock.
//!
//! An id never changes its schema, so a slot is written once and a reader needs one load of it. Open addressing with
//! a fixed number of slots: the table is bounded (I8), and a look-up of a few dozen ids hits at its first probe.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use domain::event::EventKind;

use crate::SchemaError;
use crate::embedded::WriterSchema;

/// The most ids that are kept. A registry holds one for each version of each event: hundreds, not thousands.
const MAX_IDS: usize = 4_096;
/// Twice as many slots as ids, so that probes stay short; a power of two.
const SLOTS: usize = MAX_IDS * 2;

/// A schema under a registry's id: one of this build, or one that is newer than this build.
#[derive(Debug)]
pub(crate) enum Registered {
    Ours(&'static WriterSchema),
    Foreign(WriterSchema),
}

impl Registered {
    fn schema(&self) -> &WriterSchema {
        match self {
            Registered::Ours(schema) => schema,
            Registered::Foreign(schema) => schema,
        }
    }
}

#[derive(Debug)]
struct Entry {
    id: u32,
    registered: Registered,
}

/// Registry id to schema.
#[derive(Debug)]
pub(crate) struct Ids {
    slots: Box<[OnceLock<Box<Entry>>]>,
    len: AtomicUsize,
    /// The newest id of each kind's current schema, plus one; 0 for none. In the order of [`EventKind::ALL`].
    current: Box<[AtomicU64]>,
}

impl Default for Ids {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            len: AtomicUsize::new(0),
            current: EventKind::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Ids {
    /// The schema under the id.
    pub(crate) fn get(&self, id: u32) -> Option<&WriterSchema> {
        let mut at = slot(id);
        loop {
            let entry = self.slots[at].get()?;
            if entry.id == id {
                return Some(entry.registered.schema());
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// The newest id of the kind's current schema.
    pub(crate) fn current(&self, kind: EventKind) -> Option<u32> {
        let newest = self.current[kind as usize].load(Ordering::Acquire);
        newest.checked_sub(1).and_then(|id| u32::try_from(id).ok())
    }

    /// Adds a schema; `is_current` where it is its kind's current one.
    pub(crate) fn learn(&self, id: u32, registered: Registered, is_current: bool) -> Result<(), SchemaError> {
        let (kind, fingerprint) = (registered.schema().kind, registered.schema().fingerprint);
        if !self.knows(id, kind, fingerprint)? {
            if self.len.fetch_add(1, Ordering::Relaxed) >= MAX_IDS {
                self.len.fetch_sub(1, Ordering::Relaxed);
                return Err(SchemaError::TooManyIds { id, max: MAX_IDS });
            }
            self.insert(Box::new(Entry { id, registered }));
            // Where two learned it at once with different schemas, the later one is told.
            self.knows(id, kind, fingerprint)?;
        }
        if is_current {
            self.current[kind as usize].fetch_max(u64::from(id) + 1, Ordering::AcqRel);
        }
        Ok(())
    }

    fn knows(&self, id: u32, kind: EventKind, fingerprint: u64) -> Result<bool, SchemaError> {
        match self.get(id) {
            None => Ok(false),
            Some(known) if known.kind == kind && known.fingerprint == fingerprint => Ok(true),
            Some(known) => Err(SchemaError::IdReused { id, known: known.kind }),
        }
    }

    /// Fills the first free slot, unless the id stands before it. There is one: `len` bounds the entries.
    fn insert(&self, mut entry: Box<Entry>) {
        let mut at = slot(entry.id);
        loop {
            let id = entry.id;
            match self.slots[at].set(entry) {
                Ok(()) => return,
                Err(_) if self.slots[at].get().is_some_and(|held| held.id == id) => {
                    self.len.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                Err(back) => entry = back,
            }
            at = (at + 1) % SLOTS;
        }
    }
}

/// Registries count ids up, so neighbours fall into neighbouring slots and do not collide.
const fn slot(id: u32) -> usize {
    id as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::embedded;

    fn ours(kind: EventKind) -> Registered {
        Registered::Ours(embedded().unwrap().current(kind))
    }

    #[test]
    fn ids_that_share_a_slot_are_told_apart() {
        let ids = Ids::default();
        let far = 7 + SLOTS as u32;
        ids.learn(7, ours(EventKind::Blessed), true).unwrap();
        ids.learn(far, ours(EventKind::LoopOpened), true).unwrap();
        assert_eq!(ids.get(7).map(|schema| schema.kind), Some(EventKind::Blessed));
        assert_eq!(ids.get(far).map(|schema| schema.kind), Some(EventKind::LoopOpened));
        assert!(ids.get(8).is_none() && ids.get(u32::MAX).is_none());
    }

    #[test]
    fn the_newest_id_of_the_current_schema_is_written() {
        let ids = Ids::default();
        assert_eq!(ids.current(EventKind::Blessed), None);
        for (id, is_current, newest) in [(0, true, 0), (9, true, 9), (4, true, 9), (12, false, 9)] {
            ids.learn(id, ours(EventKind::Blessed), is_current).unwrap();
            assert_eq!(ids.current(EventKind::Blessed), Some(newest));
        }
    }

    #[test]
    fn an_id_keeps_its_schema() {
        let ids = Ids::default();
        ids.learn(3, ours(EventKind::Blessed), true).unwrap();
        ids.learn(3, ours(EventKind::Blessed), true).unwrap();
        let error = ids.learn(3, ours(EventKind::LoopOpened), true).unwrap_err();
        assert_eq!(error, SchemaError::IdReused { id: 3, known: EventKind::Blessed });
        assert_eq!(ids.current(EventKind::LoopOpened), None);
    }

    /// I8: the table does not grow without end, and is found in when it is full.
    #[test]
    fn the_table_is_bounded() {
        let ids = Ids::default();
        for id in 0..MAX_IDS as u32 {
            ids.learn(id * 3, ours(EventKind::Blessed), false).unwrap();
        }
        let error = ids.learn(1, ours(EventKind::Blessed), false).unwrap_err();
        assert_eq!(error, SchemaError::TooManyIds { id: 1, max: MAX_IDS });
        ids.learn(3, ours(EventKind::Blessed), false).unwrap();
        assert!((0..MAX_IDS as u32).all(|id| ids.get(id * 3).is_some()) && ids.get(1).is_none());
    }

    #[test]
    fn many_threads_may_learn_at_once() {
        let ids = Ids::default();
        std::thread::scope(|scope| {
            for shift in 0..4_u32 {
                let ids = &ids;
                scope.spawn(move || {
                    for step in 0..512_u32 {
                        let id = (step * 7 + shift * 64) % 512;
                        ids.learn(id, ours(EventKind::ALL[id as usize % 22]), true).unwrap();
                        assert!(ids.get(id).is_some());
                    }
                });
            }
        });
        assert_eq!(ids.len.load(Ordering::Relaxed), 512);
        let kind = |id: u32| ids.get(id).map(|schema| schema.kind);
        assert!((0..512).all(|id| kind(id) == Some(EventKind::ALL[id as usize % 22])));
    }
}
