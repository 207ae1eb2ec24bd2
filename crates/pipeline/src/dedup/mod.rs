//! Deduplication: whether a valid record was seen before. Decided once per projection, before the fold, by rules that are
//! functions of the log: take-overs, batches and memory change nothing (design 7, I10).
//!
//! | the record | was seen where | see |
//! |---|---|---|
//! | has a `producer_seq` | its number is in the set of its producer, or at or below the set's floor | [`sequence`] |
//! | has none | its event id was seen within the window | [`window`] |
//!
//! Sequences are stored with the position; the window is refilled from the log by a new owner. What a batch adds is staged
//! until its commit: a batch that fails leaves no trace (I3). Two batches may be staged, one behind the other: the first is
//! sealed and being committed while the second is folded. They fail together.

mod producers;
pub mod sequence;
pub mod window;

pub use producers::SequenceChange;
pub use sequence::{SequenceHead, StoredSequence};
pub use window::WindowBounds;

use domain::event::Meta;
use domain::{Topic, TopicPartition};
use hashbrown::HashMap;
use producers::Producers;
use sequence::Seen;
use uuid::Uuid;
use window::Window;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How duplicates are told, and how much is kept to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupOptions {
    /// The window of unsequenced events.
    pub bounds: WindowBounds,
    /// How many producers are kept in memory, per partition.
    pub max_producers: usize,
    /// A producer silent for longer than this, in append time, keeps its floor alone.
    pub forget_after_us: i64,
    /// How long each topic keeps its records: a floor that is older is dropped. `i64::MAX` where records stay for ever.
    pub retention_us: [i64; Topic::ALL.len()],
}

/// The verdict on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was not seen before: how to note it where it is applied.
    New(Identity),
    /// It was.
    Duplicate(Identity),
    /// It is at or below its producer's floor: too late to be told from a repeat. `is_first`: of this producer, here.
    Behind {
        /// Whether the producer is to be named in the log.
        is_first: bool,
    },
    /// Its producer used the number for another event before.
    Reused,
    /// The producer's sequence must be loaded first.
    SequenceNeeded,
}

/// What is noted of a record: an event under its record key as 64 bits, or the place of its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An unsequenced event.
    Unsequenced(u64),
    /// A number of a producer.
    Sequenced,
}

/// Sequences and windows of the partitions that a worker owns.
#[derive(Debug)]
pub struct Dedup {
    options: DedupOptions,
    partitions: HashMap<TopicPartition, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    producers: Producers,
    window: Window,
    /// The largest append time given with a record, in us; a batch that fails gives its records again.
    append_us: i64,
    /// The same when the batch in flight was sealed, and at the last commit: what is evicted follows from that alone,
    /// since a batch that fails is folded again from there.
    sealed_append_us: i64,
    committed_append_us: i64,
}

impl Dedup {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(options: DedupOptions) -> Self {
        Self { options, partitions: HashMap::new() }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &DedupOptions {
        &self.options
    }

    /// Whether the record was seen before. `append_us` is the largest append time of the partition so far.
    pub fn judge(&mut self, tp: TopicPartition, meta: &Meta<'_>, key: &[u8], append_us: i64) -> Verdict {
        let partition = self.partitions.entry(tp).or_default();
        partition.append_us = partition.append_us.max(append_us);
        let Some(number) = meta.producer_seq else {
            let id = identity(meta.event_id, key);
            let seen = partition.window.contains(id, append_us, self.options.bounds);
            let identity = Identity::Unsequenced(id);
            return if seen { Verdict::Duplicate(identity) } else { Verdict::New(identity) };
        };
        let Some(at) = partition.producers.find(meta.tenant_id, meta.producer_id) else {
            return Verdict::SequenceNeeded;
        };
        let set = partition.producers.set(at);
        let silent_us = append_us.saturating_sub(set.last_append_us());
        let seen = if set.is_empty() || silent_us > self.options.retention_us[tp.topic as usize] {
            Seen::New
        } else if silent_us > self.options.forget_after_us {
            if number <= set.head().largest { Seen::Behind } else { Seen::New }
        } else {
            set.seen(number)
        };
        match seen {
            Seen::New => Verdict::New(Identity::Sequenced),
            _ if set.is_reused(domain::event::minted_us(meta)) => Verdict::Reused,
            Seen::Applied => Verdict::Duplicate(Identity::Sequenced),
            Seen::Behind => Verdict::Behind { is_first: partition.producers.name_once(at) },
        }
    }

    /// Stages what became of a valid record that is not dead: applied or repeated where `identity` is given, else of a kind
    /// that writes nothing.
    pub fn note(
        &mut self,
        tp: TopicPartition,
        meta: &Meta<'_>,
        identity: Option<Identity>,
        append_us: i64,
        is_applied: bool,
    ) {
        let partition = self.partitions.entry(tp).or_default();
        let Some(number) = meta.producer_seq else {
            let id = match identity {
                Some(Identity::Unsequenced(id)) => Some(id),
                Some(Identity::Sequenced) | None => None,
            };
            partition.window.push(id, append_us);
            return;
        };
        if !is_applied {
            return;
        }
        let Some(at) = partition.producers.find(meta.tenant_id, meta.producer_id) else { return };
        let (set, touched) = partition.producers.change(at);
        if !set.is_empty() && append_us.saturating_sub(set.last_append_us()) > self.options.forget_after_us {
            set.shrink();
        }
        touched.push(set.apply(number, domain::event::minted_us(meta), append_us));
    }

    /// Takes up a record from before the position, which this worker did not fold: a valid unsequenced one that is not
    /// dead. `is_applied` says whether its kind writes rows.
    pub fn refill(&mut self, tp: TopicPartition, meta: &Meta<'_>, key: &[u8], append_us: i64, is_applied: bool) {
        if meta.producer_seq.is_some() {
            return;
        }
        let partition = self.partitions.entry(tp).or_default();
        partition.append_us = partition.append_us.max(append_us);
        partition.committed_append_us = partition.append_us;
        partition.window.push_committed(is_applied.then(|| identity(meta.event_id, key)), append_us);
        partition.window.evict(append_us, self.options.bounds);
    }

    /// Takes up the sequence of a producer as it is stored, or that there is none.
    pub fn learn(&mut self, tp: TopicPartition, (tenant, producer_id): (&str, &str), stored: Option<StoredSequence>) {
        self.partitions.entry(tp).or_default().producers.learn(tenant, producer_id, stored);
    }

    /// Whether the producer's sequence is in memory.
    #[must_use]
    pub fn knows(&self, tp: TopicPartition, tenant: &str, producer_id: &str) -> bool {
        self.partitions.get(&tp).is_some_and(|partition| partition.producers.knows(tenant, producer_id))
    }

    /// What the batch in the making changed in sequences, sorted by partition, tenant and producer.
    #[must_use]
    pub fn staged_changes(&self) -> Vec<SequenceChange> {
        let mut changes = Vec::new();
        self.partitions.iter().for_each(|(tp, partition)| partition.producers.changes(*tp, &mut changes));
        changes.sort_unstable_by(|a, b| (a.tp, &a.tenant, &a.producer_id).cmp(&(b.tp, &b.tenant, &b.producer_id)));
        changes
    }

    /// The batch is about to be committed: what comes now is of the next one. None is sealed already.
    pub fn seal(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.producers.seal();
            partition.window.seal();
            partition.sealed_append_us = partition.append_us;
        }
    }

    /// The sealed batch was committed: what it staged holds from now on.
    pub fn commit(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.producers.commit(self.options.max_producers);
            partition.window.commit();
            partition.committed_append_us = partition.sealed_append_us;
            partition.window.evict(partition.committed_append_us, self.options.bounds);
        }
    }

    /// The batch failed: what it and the one behind it staged is forgotten.
    pub fn roll_back(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.producers.roll_back();
            partition.window.roll_back();
            partition.append_us = partition.committed_append_us;
        }
    }

    /// The partition is no longer owned: everything known of it is forgotten.
    pub fn forget(&mut self, tp: TopicPartition) {
        self.partitions.remove(&tp);
    }
}

fn identity(event_id: Uuid, key: &[u8]) -> u64 {
    let id = event_id.as_u128();
    // 0 stands for "no id" in the window.
    xxh3_64_with_seed(key, (id as u64) ^ ((id >> 64) as u64).rotate_left(32)).max(1)
}

#[cfg(test)]
mod tests;
