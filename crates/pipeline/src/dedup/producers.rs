//! The producers of one partition whose sequences are in memory, with what two batches in flight changed of them.
//!
//! A set is changed in place while a batch is folded. Before a batch first touches it, its state is kept, so that a batch
//! that fails leaves no trace (I3): `committed` is the state before any staged batch, `sealed` that of the batch whose
//! commit is under way.

use super::sequence::{SequenceSet, StoredSequence};
use domain::TopicPartition;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What one commit writes of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceChange {
    /// The partition.
    pub tp: TopicPartition,
    /// The tenant.
    pub tenant: Box<str>,
    /// The producer.
    pub producer_id: Box<str>,
    /// Its head, to be replaced.
    pub head: super::sequence::SequenceHead,
    /// The blocks that were touched, each to be replaced whole, ascending.
    pub blocks: Vec<(i64, u128)>,
    /// Blocks below this one are gone.
    pub first_block: i64,
}

#[derive(Debug)]
struct Producer {
    tenant: Box<str>,
    producer_id: Box<str>,
    set: SequenceSet,
    committed: Option<SequenceSet>,
    sealed: Option<SequenceSet>,
    /// Blocks touched since the last seal.
    touched: Vec<i64>,
    /// Whether it was told that it is too late.
    is_named: bool,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(super) struct Producers {
    by_name: HashTable<u32>,
    list: Vec<Producer>,
    /// Records of one producer come one behind the other.
    last: usize,
}

fn hash(tenant: &str, producer_id: &str) -> u64 {
    xxh3_64_with_seed(producer_id.as_bytes(), xxh3_64_with_seed(tenant.as_bytes(), 0))
}

impl Producers {
    /// The place of a producer that is known.
    pub(super) fn find(&mut self, tenant: &str, producer_id: &str) -> Option<usize> {
        let is_it = |held: &Producer| *held.producer_id == *producer_id && *held.tenant == *tenant;
        if self.list.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        let found = self.by_name.find(hash(tenant, producer_id), |at| is_it(&self.list[*at as usize]));
        let at = *found? as usize;
        self.last = at;
        Some(at)
    }

    pub(super) fn knows(&self, tenant: &str, producer_id: &str) -> bool {
        let is_it = |at: &u32| {
            let held = &self.list[*at as usize];
            *held.producer_id == *producer_id && *held.tenant == *tenant
        };
        self.by_name.find(hash(tenant, producer_id), is_it).is_some()
    }

    /// Takes up a producer as it is stored, or that there is nothing stored of it.
    pub(super) fn learn(&mut self, tenant: &str, producer_id: &str, stored: Option<StoredSequence>) {
        if self.knows(tenant, producer_id) {
            return;
        }
        let set = stored.map_or_else(SequenceSet::default, SequenceSet::from);
        self.list.push(Producer {
            tenant: tenant.into(),
            producer_id: producer_id.into(),
            set,
            committed: None,
            sealed: None,
            touched: Vec::new(),
            is_named: false,
        });
        let list = &self.list;
        let rehash = |at: &u32| hash(&list[*at as usize].tenant, &list[*at as usize].producer_id);
        self.by_name.insert_unique(hash(tenant, producer_id), (list.len() - 1) as u32, rehash);
    }

    pub(super) fn set(&self, at: usize) -> &SequenceSet {
        &self.list[at].set
    }

    /// Whether it is the first time that this producer is too late.
    pub(super) fn name_once(&mut self, at: usize) -> bool {
        !std::mem::replace(&mut self.list[at].is_named, true)
    }

    /// The set, to be changed by the batch in the making.
    pub(super) fn change(&mut self, at: usize) -> (&mut SequenceSet, &mut Vec<i64>) {
        let producer = &mut self.list[at];
        if producer.committed.is_none() {
            producer.committed = Some(producer.set.clone());
        }
        (&mut producer.set, &mut producer.touched)
    }

    /// What the batch in the making changed, in any order.
    pub(super) fn changes(&self, tp: TopicPartition, changes: &mut Vec<SequenceChange>) {
        for producer in self.list.iter().filter(|producer| !producer.touched.is_empty()) {
            let mut blocks = producer.touched.clone();
            blocks.sort_unstable();
            blocks.dedup();
            let bits = |block: i64| producer.set.block(block).map(|bits| (block, bits));
            changes.push(SequenceChange {
                tp,
                tenant: producer.tenant.clone(),
                producer_id: producer.producer_id.clone(),
                head: producer.set.head(),
                blocks: blocks.into_iter().filter_map(bits).collect(),
                first_block: producer.set.first_block(),
            });
        }
    }

    pub(super) fn seal(&mut self) {
        for producer in &mut self.list {
            if !producer.touched.is_empty() {
                producer.touched.clear();
                producer.sealed = Some(producer.set.clone());
            }
        }
    }

    /// The sealed batch is committed. More than `max` producers are not kept, beside those of the batch in the making.
    pub(super) fn commit(&mut self, max: usize) {
        for producer in &mut self.list {
            let sealed = producer.sealed.take();
            producer.committed = if producer.touched.is_empty() { None } else { sealed.or(producer.committed.take()) };
        }
        if self.list.len() > max {
            self.list.retain(|producer| producer.committed.is_some());
            self.index();
        }
    }

    pub(super) fn roll_back(&mut self) {
        for producer in &mut self.list {
            producer.sealed = None;
            producer.touched.clear();
            if let Some(committed) = producer.committed.take() {
                producer.set = committed;
            }
        }
    }

    fn index(&mut self) {
        self.by_name.clear();
        let list = &self.list;
        let rehash = |at: &u32| hash(&list[*at as usize].tenant, &list[*at as usize].producer_id);
        for (at, producer) in list.iter().enumerate() {
            self.by_name.insert_unique(hash(&producer.tenant, &producer.producer_id), at as u32, rehash);
        }
        self.by_name.shrink_to(list.len(), rehash);
        self.last = 0;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}
