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

/// What stands under a registry's id.
#[derive(Debug)]
pub(crate) enum Registered {
    /// A schema of this build.
    Ours(&'static WriterSchema),
    /// Another one of the same event: newer, or a foreign producer's.
    Foreign(Box<WriterSchema>),
    /// A kind of our namespace that this build does not know.
    UnknownKind { name: String, identity: u64 },
    /// No schema that we can read: remembered, so that each further record of it is answered at once.
    Unreadable { error: SchemaError, identity: u64 },
}

impl Registered {
    /// Of the text that the registry gave: an id that has another one was given away again.
    fn identity(&self) -> u64 {
        match self {
            Registered::Ours(schema) => schema.identity(),
            Registered::Foreign(schema) => schema.identity(),
            Registered::UnknownKind { identity, .. } | Registered::Unreadable { identity, .. } => *identity,
        }
    }

    /// The schema to decode with.
    pub(crate) fn schema(&self) -> Option<&WriterSchema> {
        match self {
            Registered::Ours(schema) => Some(schema),
            Registered::Foreign(schema) => Some(schema),
            Registered::UnknownKind { .. } | Registered::Unreadable { .. } => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Registered::Ours(schema) => schema.kind.to_string(),
            Registered::Foreign(schema) => schema.kind.to_string(),
            Registered::UnknownKind { name, .. } => name.clone(),
            Registered::Unreadable { .. } => "a schema that cannot be read".to_owned(),
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
    /// What is known under the id.
    pub(crate) fn get(&self, id: u32) -> Option<&Registered> {
        let mut at = slot(id);
        loop {
            let entry = self.slots[at].get()?;
            if entry.id == id {
                return Some(&entry.registered);
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
        let identity = registered.identity();
        let kind = registered.schema().map(|schema| schema.kind);
        if !self.knows(id, identity)? {
            if self.len.fetch_add(1, Ordering::Relaxed) >= MAX_IDS {
                self.len.fetch_sub(1, Ordering::Relaxed);
                return Err(SchemaError::TooManyIds { id, max: MAX_IDS });
            }
            self.insert(Box::new(Entry { id, registered }));
            // Where two learned it at once with different schemas, the later one is told.
            self.knows(id, identity)?;
        }
        if let Some(kind) = kind.filter(|_| is_current) {
            self.current[kind as usize].fetch_max(u64::from(id) + 1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Whether the id is known, with this schema.
    pub(crate) fn knows(&self, id: u32, identity: u64) -> Result<bool, SchemaError> {
        match self.get(id) {
            None => Ok(false),
            Some(known) if known.identity() == identity => Ok(true),
            Some(known) => Err(SchemaError::IdReused { id, known: known.name() }),
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

    fn kind_of(ids: &Ids, id: u32) -> Option<EventKind> {
        ids.get(id)?.schema().map(|schema| schema.kind)
    }

    #[test]
    fn ids_that_share_a_slot_are_told_apart() {
        let ids = Ids::default();
        let far = 7 + SLOTS as u32;
        ids.learn(7, ours(EventKind::Blessed), true).unwrap();
        ids.learn(far, ours(EventKind::LoopOpened), true).unwrap();
        assert_eq!(kind_of(&ids, 7), Some(EventKind::Blessed));
        assert_eq!(kind_of(&ids, far), Some(EventKind::LoopOpened));
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
        assert_eq!(error, SchemaError::IdReused { id: 3, known: "Blessed".to_owned() });
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
        assert!((0..512).all(|id| kind_of(&ids, id) == Some(EventKind::ALL[id as usize % 22])));
    }
}
